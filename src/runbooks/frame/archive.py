"""The archiver: writes each sealed trail once to the archive, from where nobody can take it before its time is over.

The Audit table's stream calls it, filtered to seals. A record that comes twice, or late, writes nothing new: an object
is only ever created, and what it holds depends on the trail alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.aws.failures import translate
from runbooks.errors import RunbookError
from runbooks.evidence import archive
from runbooks.evidence.archive import TrailBroken
from runbooks.frame.notify import count
from runbooks.frame.step import Frame, frame, logger


def keep(frame: Frame, trail: str) -> str:
    """Archive a sealed trail; once more is the same. Returns its key.

    Raises TrailBroken for a trail that is not what was sealed, and for one that was archived with another content.
    """
    entries = frame.ledger.trail(trail)
    body = archive.content(entries)
    key, bucket, client = archive.key_of(entries), frame.settings.archive, frame.client("s3")
    try:
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            IfNoneMatch="*",
            ContentType="application/gzip",
            ChecksumAlgorithm="SHA256",
        )
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "PreconditionFailed":
            raise translate(failure, "s3:PutObject") from failure
        if not _same(_there(frame, key), body):
            raise TrailBroken(f"{trail} was archived before, and not as it is now") from None
        return key
    except BotoCoreError as failure:
        raise translate(failure, "s3:PutObject") from failure
    count("TrailsArchived")
    return key


def _there(frame: Frame, key: str) -> bytes:
    try:
        return bytes(frame.client("s3").get_object(Bucket=frame.settings.archive, Key=key)["Body"].read())
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "s3:GetObject") from failure


def _same(one: bytes, other: bytes) -> bool:
    """Whether two objects hold the same lines; another version of the compressor may pack the same otherwise."""
    try:
        return one == other or archive.text(one) == archive.text(other)
    except ValueError:
        return False


def keep_all(frame: Frame, records: Sequence[dict[str, Any]]) -> list[str]:
    """Archive what the records of a batch have sealed. Returns the sequence numbers of those that could not be.

    Every one is tried, since none needs another, and one that never goes must not take the rest to the queue with it:
    Lambda gives the first that failed and all behind it once more, which does no harm, and parks them in the end.
    """
    failed = []
    for record in records:
        trail = record["dynamodb"]["Keys"]["run_id"]["S"]
        try:
            keep(frame, trail)
        except (RunbookError, TrailBroken) as failure:
            logger.error("a trail could not be archived", extra={"trail": trail, "cause": str(failure)})
            failed.append(str(record["dynamodb"]["SequenceNumber"]))
    return failed


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A DynamoDB stream batch of seals; or, from a person, `{"trails": [...]}` with the ids of what is missing."""
    if "trails" in event:
        return {"archived": [keep(frame(), str(trail)) for trail in event["trails"]]}
    failed = keep_all(frame(), event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}
