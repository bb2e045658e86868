"""A copy of the archive in a folder, e.g. by `aws s3 sync`, as the document that the check reads."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from runbooks.evidence import archive
from runbooks.model import canonical
from runbooks.store.audit import Entry
from workbench.evidence.export import Document, NotCanonical, Raw, Trail, keys_of


def read_folder(folder: Path) -> Document:
    """Every trail in the folder, however deep, under the name of its file, and the keys that the seals carry.

    Raises NotCanonical for a file that is not as the archiver writes it, and for two of the same name.
    """
    trails: dict[str, Trail] = {}
    misplaced: dict[str, str] = {}
    for path in sorted(folder.rglob(f"*{archive.SUFFIX}")):
        name = path.name.removesuffix(archive.SUFFIX)
        if name in trails:
            raise NotCanonical(f"{name} is there twice, the second time as {path}")
        trails[name] = Trail(name, _entries(path))
        if (place := _place(trails[name])) is not None and path.parts[-3:-1] != place:
            misplaced[name] = "/".join(place)
    keys = keys_of(trail.entries[-1].content for trail in trails.values() if trail.entries)
    return Document([trails[name] for name in sorted(trails)], keys, is_file=False, misplaced=misplaced)


def _place(trail: Trail) -> tuple[str, ...] | None:
    """The folders that the archiver puts a trail of such entries into; None if they are no entries."""
    try:
        key = archive.key_of([Entry.model_validate(trail.entries[-1].content)])
    except (LookupError, ValueError):
        return None
    return PurePosixPath(key).parts[:-1]


def _entries(path: Path) -> list[Raw]:
    try:
        items = archive.lines(path.read_bytes())
        return [_entry(item) for item in items]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as wrong:
        raise NotCanonical(f"{path} is not as the archiver writes it: {wrong}") from None


def _entry(item: Any) -> Raw:
    """The entry that an item stands for. The text of its detail is taken as it is, so that its hash proves it."""
    outside = {name: value for name, value in item.items() if name != "detail"}
    before = canonical({name: value for name, value in outside.items() if name < "detail"}).decode()
    after = canonical({name: value for name, value in outside.items() if name > "detail"}).decode()
    text = f'{before[:-1]},"detail":{item["detail"]},{after[1:]}'
    return Raw(text, outside | {"detail": json.loads(item["detail"])})
