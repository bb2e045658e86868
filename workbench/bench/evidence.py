"""What the audit trail costs: items that a search reads, what an entry takes, and how fast an export verifies."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runbooks import clock
from runbooks.evidence import archive, manifest
from runbooks.evidence.seal import SEALED, Signer, sealing_entry
from runbooks.store.audit import GENESIS, Entry, as_item, next_entry
from runbooks.store.tables import packed
from workbench.bench.counting import item_size
from workbench.evidence.export import export, read
from workbench.evidence.keys import Trusted
from workbench.evidence.many import fill
from workbench.evidence.search import OUTCOMES, Criteria, Search
from workbench.evidence.verify import verify

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
"""Whose standard incident left the trail that is measured."""
SIZES = (10, 1_000, 10_000)
"""Runs in the table, among which ten are looked for."""
PAGE = 25
AHEAD = len(OUTCOMES) * (PAGE + 1)
"""What a page may read: of each outcome a page, and one more to see whether there is a next one."""
RUNS = 200
"""Runs in the export that is verified, as many as a busy day has."""
TIMES = 15
SEARCHES: Mapping[str, Criteria] = {
    "`--target`": Criteria(target="arn:aws:ecs:eu-central-1:123456789012:service/prod/rare"),
    "`--actor`": Criteria(actor="alice"),
    "`--runbook --outcome`": Criteria(runbook=RUNBOOK, outcome="FAILED"),
    "`--outcome`": Criteria(outcome="FAILED"),
    "`--runbook`": Criteria(runbook=RUNBOOK),
    "`--from --to`": Criteria(first_day="2026-01-01", last_day="2026-01-10"),
}


@dataclass(frozen=True)
class TrailCosts:
    """`items_read` has, by search, the items read for one page, in tables of `SIZES` runs. Sizes are in bytes."""

    items_read: Mapping[str, Sequence[int]]
    verify_ratio: float
    """How fast an export verifies beside parsing the same JSON and hashing it, as a share of that rate."""
    entries: int
    """Of the standard incident's trail; each is one item."""
    entry_bytes: int
    """An entry's item in the table, the median."""
    archived_bytes: int
    """An entry's part of the archive's object, compressed."""


def measured(aws: EmbeddedAws, runbooks: Sequence[str], trail: Sequence[Entry]) -> TrailCosts:
    """Measures on the trail of one run, and on tables of their own."""
    sealed = _sealed("bench", trail, _key())
    return TrailCosts(
        items_read=items_read(aws, runbooks),
        verify_ratio=verify_ratio(trail),
        entries=len(sealed),
        entry_bytes=round(statistics.median(item_size(packed(as_item(entry))) for entry in sealed)),
        archived_bytes=round(len(archive.content(sealed)) / len(sealed)),
    )


def items_read(aws: EmbeddedAws, runbooks: Sequence[str], sizes: Sequence[int] = SIZES) -> dict[str, list[int]]:
    """By search, the items that it reads for its first page in tables of these sizes."""
    read_by: dict[str, list[int]] = {name: [] for name in SEARCHES}
    for size in sizes:
        aws.reset()
        fill(aws, size)
        search = Search(aws.client("dynamodb"), aws.outputs["AuditTableName"], runbooks)
        for name, criteria in SEARCHES.items():
            read_by[name].append(search.find(criteria, limit=PAGE).items_read)
    return read_by


def verify_ratio(trail: Sequence[Entry]) -> float:
    """The rate of `verify` by that of parsing and hashing the same bytes: processor time, the best of several each."""
    key = _key()
    trails = {f"bench-{number:04d}": _sealed(f"bench-{number:04d}", trail, key) for number in range(RUNS)}
    page = _manifest(trails, key)
    data = export({**trails, page[-1].run_id: page})
    trusted = Trusted({key.key: key.public_key})
    if not verify(read(data), trusted).verified:
        raise ValueError("what is to be measured does not verify")
    bare, ours = [], []
    for _ in range(TIMES):
        bare.append(_seconds(lambda: (json.loads(data), hashlib.sha256(data).digest())))
        ours.append(_seconds(lambda: verify(read(data), trusted)))
    return min(bare) / min(ours)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _key() -> Signer:
    private = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = private.public_key().public_bytes(serialization.Encoding.DER, form)
    return Signer(public, lambda message: private.sign(message, ec.ECDSA(hashes.SHA256())))


def _sealed(run_id: str, trail: Sequence[Entry], key: Signer) -> list[Entry]:
    """The same entries as a run of that name, sealed with a key of our own."""
    entries: list[Entry] = []
    for entry in trail:
        prev = entries[-1].hash if entries else GENESIS
        again = next_entry(
            run_id=run_id,
            seq=len(entries) + 1,
            prev=prev,
            now=clock.parse(entry.at),
            event=entry.event,
            state=entry.state,
            actor=entry.actor,
            detail=dict(entry.detail),
        )
        entries.append(again)
    last = entries[-1]
    seal = sealing_entry(
        key,
        run_id=run_id,
        seq=last.seq + 1,
        prev=last.hash,
        now=clock.parse(last.at),
        event=SEALED,
        state=manifest.STATE,
        detail={"attributed_to": None},
    )
    return [*entries, seal]


def _manifest(trails: Mapping[str, Sequence[Entry]], key: Signer) -> list[Entry]:
    seals = [trail[-1] for trail in trails.values()]
    now, day = clock.parse(seals[0].at), seals[0].at[:10]
    entries = [manifest.opening(day, GENESIS, now)]
    page = manifest.opened(entries[0], day)
    for each in seals:
        entries.append(manifest.listing(page, each, now))
        page = manifest.after(page, entries[-1])
    return [*entries, manifest.closing(page, key, now)]
