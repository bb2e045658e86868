"""The keys that an operator has pinned, so that a check need not be told of them: in a file, or in the environment.

The file is `runbook/config.toml` in the user's configuration (`$XDG_CONFIG_HOME`, or `~/.config`):

    [audit]
    keys = ["seals 2026.pem", "sha256:4f1c..."]

A key is the name of a file in PEM or DER, relative to the folder of the configuration, or a fingerprint. There are
several when a key has been replaced: what the one before has sealed stays sealed with that.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "RUNBOOK_AUDIT_KEY"
"""Holds one key, or several between which stands what stands between the folders in PATH."""
_BETWEEN = re.escape(os.pathsep)
_SEVERAL = re.compile(rf"(?<!sha256){_BETWEEN}|{_BETWEEN}(?![0-9a-f]{{64}}(?:{_BETWEEN}|$))")
"""Where one key ends, which is not at the colon of a fingerprint."""


class BadConfiguration(ValueError):
    """The configuration does not say which keys are pinned; the message says what is wrong with it."""


@dataclass(frozen=True)
class Pinned:
    """Keys as they are given on the command line, and where they are pinned; nowhere if there are none."""

    keys: Sequence[str] = ()
    where: str = ""


def pinned(environment: Mapping[str, str]) -> Pinned:
    """What is pinned in the environment or, if nothing is there, in the file. Raises BadConfiguration."""
    if found := [each for each in _SEVERAL.split(environment.get(VARIABLE, "")) if each]:
        return Pinned(found, VARIABLE)
    file = configuration(environment)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Pinned()
    except (OSError, ValueError) as wrong:
        raise BadConfiguration(f"{file} cannot be read as TOML: {wrong}") from None
    given = _keys(document, file)
    return Pinned([_from(file.parent, each) for each in given], str(file)) if given else Pinned()


def configuration(environment: Mapping[str, str]) -> Path:
    """Where the operator's configuration is, whether or not there is one."""
    home = environment.get("XDG_CONFIG_HOME", "")
    # What is not absolute is not to be considered, says the XDG Base Directory Specification.
    folder = Path(home) if Path(home).is_absolute() else Path("~/.config").expanduser()
    return folder / "runbook" / "config.toml"


def _keys(document: Mapping[str, Any], file: Path) -> list[str]:
    audit = document.get("audit", {})
    if not isinstance(audit, dict) or set(audit) - {"keys"}:
        raise BadConfiguration(f'{file}: all that it may say of the audit trail is [audit] keys = ["..."]')
    keys = audit.get("keys", [])
    if not isinstance(keys, list) or not all(isinstance(each, str) and each for each in keys):
        raise BadConfiguration(f"{file}: keys is not a list of file names and fingerprints")
    return keys


def _from(folder: Path, key: str) -> str:
    """The key with its file found from the folder of the configuration; a fingerprint as it is."""
    return key if key.startswith("sha256:") else str(folder / Path(key).expanduser())
