"""How a run knows again what it has made, and what everything is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import UTC, date, datetime

from runbooks.catalogue.aurora_snapshot_restore.input import Names

OWN = "runbooks:"
"""What every tag that a run puts somewhere begins with."""
TARGET = "runbooks:target"
"""The name of the cluster that it was made for."""
RESTORES = "runbooks:restores"
"""The cluster and the snapshot that it was made from: what a rerun adopts it by."""
PART = "runbooks:part"
"""What it is: one of the following."""
CLUSTER, INSTANCE, COPY, SHARED_COPY, BEFORE, FINAL = "cluster", "instance", "copy", "shared-copy", "before", "final"
SNAPSHOTS = frozenset({COPY, SHARED_COPY, BEFORE, FINAL})
"""A snapshot of the cluster that is replaced is `before`, one of what an undo deletes is `final`."""
KEPT_FOR_A_TIME = SNAPSHOTS - {FINAL}
"""Snapshots whose DELETE_AFTER counts. On others it may be the cluster's, since RDS can copy a cluster's tags."""
FOR = "runbooks:for"
"""On a copy in a source account: the account that it is shared with. Others may do the same, with a target so named."""
FINISHED = "runbooks:finished"
"""On a cluster: every phase is over. Its value stands for the users and checks that it went through."""
REPLACED_BY = "runbooks:replaced-by"
"""On a cluster that has stepped aside: what RESTORES says on the one that took its name."""
ARCHIVED = "runbooks:archived"
"""On a copy: the restore that it was made for is over."""
DELETE_AFTER = "runbooks:delete-after"
"""The day from which on a later run may delete it, as 2026-12-21."""

_LONGEST = 256
_BASE = 36
"""Characters of the target's name that every name made from it has room for."""

DEFAULT_CLASS = "db.r6g.large"


def marker(target: str, snapshot_arn: str) -> str:
    """The value of RESTORES; a digest stands for what a tag has no room for."""
    text = f"{target} from {snapshot_arn}"
    return text if len(text) <= _LONGEST else f"{target} from sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def base_of(target: str) -> str:
    """What the names of everything that is made for a target begin with."""
    return target[:_BASE].rstrip("-")


def names_for(target: str, now: datetime, *, under_own_name: bool) -> Names:
    """Names of a new run. `under_own_name`: the cluster has the target's name from the beginning."""
    stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    base = base_of(target)
    return Names(
        stamp=stamp,
        cluster=target if under_own_name else f"{base}-{stamp}",
        shared=f"{base}-shared-{stamp}",
        snapshot=f"{base}-copy-{stamp}",
        before=f"{base}-before-{stamp}",
        final=f"{base}-final-{stamp}",
        aside=f"{base}-replaced-{stamp}",
    )


def last_snapshot(target: str, resource_id: str, until: date | None) -> str:
    """The name of the snapshot that RDS takes of a replaced cluster when it is deleted.

    RDS takes no tags for it. So its name says of which cluster it is (`resource_id`) and until when it is kept.
    """
    cluster = hashlib.sha256(f"{target}/{resource_id}".encode()).hexdigest()[:8]
    return f"{base_of(target)}-last-{cluster}" + (f"-{until:%Y%m%d}" if until else "")


def last_until(target: str, name: str, resource_id: str | None) -> str | None:
    """The day from which on a later run may delete that snapshot, by its name; None if it is none or has no day.

    `resource_id` is that of the cluster which it is a snapshot of.
    """
    if resource_id is None or not (found := re.fullmatch(r".+-last-[0-9a-f]{8}-(\d{8})", name)):
        return None
    try:
        until = datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return until.isoformat() if name == last_snapshot(target, resource_id, until) else None


def instance_names(cluster: str, wanted: int, taken: Collection[str]) -> list[str]:
    """So many names of instances of a cluster, without those that are taken by it already."""
    base = cluster[: _BASE + len("-20261121-030000")].rstrip("-")
    found: list[str] = []
    number = 1
    while len(found) < wanted:
        if (name := f"{base}-{number}") not in taken:
            found.append(name)
        number += 1
    return found
