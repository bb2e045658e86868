"""The daily comparison of table, archive and executions: what one of them has and another lacks is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import catalogue, clock
from runbooks.arn import arn
from runbooks.aws.failures import translate
from runbooks.evidence import archive, manifest
from runbooks.frame.notify import count, publish
from runbooks.frame.step import Frame, frame, logger
from runbooks.store.runs import run_id_of


def differences(frame: Frame, day: str) -> list[str]:
    """What is missing of a day that is over, or there and not listed: a sentence each."""
    return [*_of_table_and_archive(frame, day), *_of_executions(frame, day)]


def _of_table_and_archive(frame: Frame, day: str) -> Iterator[str]:
    name = manifest.trail_of(day)
    page = frame.ledger.trail(name)
    if not page or page[-1].event != manifest.SEALED:
        yield f"the manifest of {day} is {'not sealed' if page else 'not in the table'}; look at the sealer's log"
    listed = {str(entry.detail["run_id"]) for entry in page if entry.event == manifest.LISTED}
    kept = _kept(frame, archive.TRAILS, day)
    for run in sorted(listed - kept):
        yield f"{run} was sealed on {day} and is not in the archive"
    for run in sorted(kept - listed):
        yield f"{run} is in the archive of {day} and not in its manifest"
    for run in sorted(listed):
        if not frame.ledger.has_trail(run):
            yield f"{run} was sealed on {day} and is not in the Audit table"
    if page and page[-1].event == manifest.SEALED and name not in _kept(frame, archive.MANIFESTS, day):
        yield f"{name} is not in the archive"


def _kept(frame: Frame, kind: str, day: str) -> set[str]:
    """The trails that the archive has of a day."""
    prefix = archive.prefix(kind, day)
    try:
        pages = (
            frame.client("s3").get_paginator("list_objects_v2").paginate(Bucket=frame.settings.archive, Prefix=prefix)
        )
        keys = [str(each["Key"]) for page in pages for each in page.get("Contents", ())]
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "s3:ListObjectsV2") from failure
    return {key.removeprefix(prefix).removesuffix(archive.SUFFIX) for key in keys}


def _of_executions(frame: Frame, day: str) -> Iterator[str]:
    for runbook in catalogue.names():
        for execution in _started_on(frame, runbook, day):
            name, started = execution["executionArn"], execution["startDate"].astimezone(UTC)
            run = frame.ledger.find(run_id_of(runbook, name, started))
            if run is None:
                yield f"the execution {name} of {day} has no run, so it has no trail"
            elif execution["status"] != "RUNNING" and run.sealed_at is None:
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
