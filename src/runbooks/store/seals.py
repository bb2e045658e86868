"""Sealing, in the tables: a run's seal and its line in the day's manifest are one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from runbooks import clock
from runbooks.evidence import manifest
from runbooks.evidence.manifest import STATE, Page
from runbooks.evidence.seal import SEALED, Signer, sealing_entry
from runbooks.store import audit
from runbooks.store.audit import Entry
from runbooks.store.runs import Run
from runbooks.store.tables import Tables, put, update

_KEY = {"pk": "SEALER", "sk": "MANIFEST"}


class Seals:
    """Writes seals and manifests. There is one sealer; two at the same moment hinder each other and do no harm.

    Every method raises ConditionFailed or Conflict if somebody else was faster, and then nothing was written.
    """

    def __init__(self, tables: Tables, signer: Signer) -> None:
        self._tables = tables
        self._signer = signer

    def page(self) -> Page | None:
        """Today's manifest, or the last one that was opened; None before the first."""
        item = self._tables.get(self._tables.state, _KEY)
        return Page(day=item["day"], seq=item["seq"], head=item["head"]) if item else None

    def first_page(self, day: str, now: datetime) -> Page:
        """Open the first manifest of all."""
        opening = manifest.opening(day, audit.GENESIS, now)
        page = manifest.opened(opening, day)
        self._tables.write([self._turn(page, None), self._entry(opening)])
        return page

    def next_page(self, page: Page, day: str, now: datetime) -> Page:
        """Sign the manifest of a day that is over, and open the one of the day after it."""
        closing = manifest.closing(page, self._signer, now)
        opening = manifest.opening(day, closing.hash, now)
        following = manifest.opened(opening, day)
        self._tables.write([self._turn(following, page), self._entry(closing), self._entry(opening)])
        return following

    def seal(self, run: Run, page: Page, now: datetime) -> Page:
        """Seal a closed run and list it in the manifest of today."""
        told = {
            "outcome": run.outcome,
            "requested_by": run.requested_by,
            "identity": run.identity,
            "attributed_to": run.attributed_to,
        }
        seal = sealing_entry(
            self._signer,
            run_id=run.run_id,
            seq=run.audit_seq + 1,
            prev=run.audit_head,
            now=now,
            event=SEALED,
            state=STATE,
            detail=told,
        )
        listing = manifest.listing(page, seal, now)
        listed = manifest.after(page, listing)
        self._tables.write(
            [
                update(
                    self._tables.state,
                    run.key,
                    changes={"audit_seq": seal.seq, "audit_head": seal.hash, "sealed_at": clock.iso(now)},
                    removes=["open"],
                    condition="#status = :closed AND #audit_seq = :read AND attribute_not_exists(#sealed_at)",
                    values={"closed": "closed", "read": run.audit_seq},
                ),
                self._turn(listed, page),
                self._entry(seal),
                self._entry(listing),
            ]
        )
        return listed

    def _turn(self, page: Page, before: Page | None) -> dict[str, Any]:
        item = _KEY | page.model_dump()
        if before is None:
            return put(self._tables.state, item, "attribute_not_exists(#pk)")
        return put(self._tables.state, item, "#day = :day AND #seq = :seq", {"day": before.day, "seq": before.seq})

    def _entry(self, entry: Entry) -> dict[str, Any]:
        return put(self._tables.audit, audit.as_item(entry), "attribute_not_exists(#run_id)")
