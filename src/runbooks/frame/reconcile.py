"""The daily comparison of table, archive and executions: what one of them has and another lacks is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Generator, Iterator, Sequence
from datetime import UTC, date, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import catalogue, clock
from runbooks.arn import arn
from runbooks.aws.failures import translate
from runbooks.evidence import archive, manifest
from runbooks.frame.notify import count, publish
from runbooks.frame.step import Frame, frame, logger
from runbooks.store import audit
from runbooks.store.audit import Entry
from runbooks.store.runs import Run, run_id_of

LATE = timedelta(hours=3)
"""How long after its end a run is sealed at the latest, unless the sealer does not come to it."""


def differences(frame: Frame, day: str) -> list[str]:
    """What is missing of a day that is over, or there and not listed, and what is not sealed: a sentence each."""
    late = {run.run_id: run for run in _late(frame)}
    return [
        *_of_table_and_archive(frame, day),
        *_of_executions(frame, day, late),
        *(f"{run.run_id} ended {run.ended_at} and is not sealed" for run in late.values()),
    ]


def _late(frame: Frame) -> Iterator[Run]:
    """Runs of any day that should have been sealed by now, also those whose end was never told."""
    now = clock.utc_now()
    for run in (*frame.ledger.unsealed(), *frame.ledger.unfinished()):
        if run.status == "closed" and run.ended_at and now - clock.parse(run.ended_at) > LATE:
            yield run


def _of_table_and_archive(frame: Frame, day: str) -> Iterator[str]:
    name = manifest.trail_of(day)
    page = frame.ledger.trail(name)
    if not page or page[-1].event != manifest.SEALED:
        yield f"the manifest of {day} is {'not sealed' if page else 'not in the table'}; look at the sealer's log"
    listed = {str(entry.detail["run_id"]) for entry in page if entry.event == manifest.LISTED}
    kept = yield from _kept(frame, archive.TRAILS, day)
    for run in sorted(listed - kept.keys()):
        yield f"{run} was sealed on {day} and is not in the archive"
    for run in sorted(kept.keys() - listed):
        yield f"{run} is in the archive of {day} and not in its manifest"
    for run in sorted(listed):
        trail = frame.ledger.trail(run)
        if not trail:
            yield f"{run} was sealed on {day} and is not in the Audit table"
        elif run in kept:
            yield from _of_content(frame, run, trail, kept[run])
    if page and page[-1].event == manifest.SEALED:
        manifests = yield from _kept(frame, archive.MANIFESTS, day)
        if name in manifests:
            yield from _of_content(frame, name, page, manifests[name])
        else:
            yield f"{name} is not in the archive"


def _kept(frame: Frame, kind: str, day: str) -> Generator[str, None, dict[str, str]]:
    """The trails that the archive has of a day, and their keys. Tells of those that were written or deleted again."""
    prefix, versions, removed = archive.prefix(kind, day), Counter[str](), set[str]()
    try:
        pages = frame.client("s3").get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=frame.settings.archive, Prefix=prefix):
            versions.update(str(each["Key"]) for each in page.get("Versions", ()))
            removed.update(str(each["Key"]) for each in page.get("DeleteMarkers", ()))
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "s3:ListObjectVersions") from failure
    for key, times in sorted(versions.items()):
        if times > 1:
            yield f"{key} has {times} versions in the archive, where the archiver writes nothing twice"
    for key in sorted(removed):
        yield f"{key} was deleted in the archive, where its versions still are"
    return {key.removeprefix(prefix).removesuffix(archive.SUFFIX): key for key in versions if key not in removed}


def _of_content(frame: Frame, name: str, trail: Sequence[Entry], key: str) -> Iterator[str]:
    try:
        body = frame.client("s3").get_object(Bucket=frame.settings.archive, Key=key)["Body"].read()
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "s3:GetObject") from failure
    try:
        kept = [audit.from_item(item) for item in archive.lines(body)]
    except (LookupError, TypeError, ValueError) as wrong:
        yield f"{key} in the archive is not as the archiver writes it: {wrong}"
        return
    if kept != list(trail):
        last = f"ends with entry {kept[-1].seq} ({kept[-1].hash})" if kept else "is empty"
        yield (
            f"{name} in the archive {last}, and is not what the Audit table has, which ends with entry {trail[-1].seq}"
            f" ({trail[-1].hash})"
        )


def _of_executions(frame: Frame, day: str, late: Container[str]) -> Iterator[str]:
    for runbook in catalogue.names():
        for execution in _started_on(frame, runbook, day):
            name, started = execution["executionArn"], execution["startDate"].astimezone(UTC)
            run = frame.ledger.find(run_id_of(runbook, name, started))
            if run is None:
                yield f"the execution {name} of {day} has no run, so it has no trail"
            elif execution["status"] != "RUNNING" and run.sealed_at is None and run.run_id not in late:
                yield f"{run.run_id} of {day} has ended and is not sealed"


def _started_on(frame: Frame, runbook: str, day: str) -> Iterator[dict[str, Any]]:
    """A runbook's executions that were started on that day."""
    settings = frame.settings
    machine = arn("states", settings.region, settings.account, f"stateMachine:{settings.system}-{runbook}")
    client = frame.client("stepfunctions")
    try:
        for page in client.get_paginator("list_executions").paginate(stateMachineArn=machine):
            for execution in page["executions"]:
                started = f"{execution['startDate'].astimezone(UTC):%Y-%m-%d}"
                if started < day:
                    return  # they come newest first
                if started == day:
                    yield execution
    except client.exceptions.StateMachineDoesNotExist:
        return
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "states:ListExecutions") from failure


def reconcile(frame: Frame, day: str) -> list[str]:
    """Compare a day, and tell people what is missing."""
    found = differences(frame, day)
    for sentence in found:
        logger.error("the archive is not complete", extra={"what": sentence})
    if found:
        count("ArchiveDifferences", len(found))
        publish(
            frame,
            f"[{frame.settings.stage}] The audit archive of {day} is not complete",
            "\n".join(found) + "\n\nTo archive a trail again, invoke the function "
            f'{frame.settings.system}-archive with {{"trails": ["<run>"]}}.\n',
        )
    return found


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The schedule's event, for the day before; or `{"day": "2026-11-21"}` for any other."""
    yesterday = clock.utc_now().date() - timedelta(days=1)
    day = date.fromisoformat(event["day"]) if "day" in event else yesterday
    return {"day": day.isoformat(), "differences": reconcile(frame(), day.isoformat())}
