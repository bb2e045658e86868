"""Each sealed trail is in the archive once and for years; what is missing there, or in the table, is named."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from runbooks.evidence import archive
from runbooks.evidence.archive import TrailBroken
from runbooks.frame import archive as archiver
from runbooks.store.audit import from_item
from runbooks.store.runs import Ledger, Run
from workbench.embedded.functions import EmbeddedFunctionError

from .conftest import Auditor, Ended
from .sealed import new_key, trail

if TYPE_CHECKING:
    from runbooks.frame.step import Frame
    from workbench.embedded import EmbeddedAws

ALICE = "arn:aws:iam::123456789012:user/alice"


def sealed(aws: EmbeddedAws, ledger: Ledger, *runs: Run) -> None:
    for run in runs:
        ledger.attribute(run, ALICE, {"caller": ALICE}, state="Attribute", now=aws.clock.now())
    aws.invoke("SealFunction", {})
    aws.settle()


def objects(aws: EmbeddedAws) -> dict[str, bytes]:
    client, bucket = aws.client("s3"), aws.outputs["ArchiveName"]
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def versions(aws: EmbeddedAws) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        aws.client("s3").list_object_versions(Bucket=aws.outputs["ArchiveName"]).get("Versions", [])
    )
    return found


def parked(aws: EmbeddedAws) -> list[dict[str, Any]]:
    client = aws.client("sqs")
    url = aws.stack.resources["ArchiveQueue"].ref
    return [json.loads(each["Body"]) for each in client.receive_message(QueueUrl=url).get("Messages", ())]


def test_a_sealed_trail_is_in_the_archive_under_its_day(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    sealed(aws, ledger, ended("a"))
    ((key, data),) = objects(aws).items()
    assert key == f"trails/day={aws.clock.now():%Y-%m-%d}/a.jsonl.gz"
    assert [from_item(item) for item in archive.lines(data)] == ledger.trail("a")
    assert aws.undelivered == []


def test_a_manifest_is_archived_when_its_day_is_over(aws: EmbeddedAws, auditor: Auditor) -> None:
    aws.invoke("SealFunction", {})
    today = auditor.today()
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    aws.settle()
    day = today.removeprefix("manifest-")
    assert list(objects(aws)) == [f"manifests/day={day}/{today}.jsonl.gz"]


def test_what_is_delivered_again_or_late_or_at_once_writes_nothing_new(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    runs = [ended(f"run-{number}") for number in range(3)]
    sealed(aws, ledger, *runs)
    before = objects(aws)
    records = [
        {"dynamodb": {"Keys": {"run_id": {"S": run.run_id}}, "SequenceNumber": str(number)}}
        for number, run in enumerate(reversed(runs))
    ]
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: aws.invoke("ArchiveFunction", {"Records": records}), range(3)))
    assert answers == [{"batchItemFailures": []}] * 3
    assert objects(aws) == before
    assert len(versions(aws)) == len(before) == 3


def test_an_archived_trail_cannot_be_deleted_before_its_time(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    sealed(aws, ledger, ended("a"))
    (version,) = versions(aws)
    client, place = aws.client("s3"), {"Bucket": aws.outputs["ArchiveName"], "Key": version["Key"]}
    head = client.head_object(**place)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert head["ObjectLockRetainUntilDate"] - head["LastModified"] >= timedelta(days=7 * 365)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(**place, VersionId=version["VersionId"])


def test_a_trail_that_was_overwritten_is_not_archived_but_parked_and_alarmed(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    run = ended("a")
    dynamodb, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    entry = dynamodb.get_item(TableName=table, Key={"run_id": {"S": "a"}, "seq": {"N": "2"}})["Item"]
    dynamodb.put_item(TableName=table, Item=entry | {"actor": {"S": "somebody else"}})
    sealed(aws, ledger, run, ended("b"))
    assert [key.rpartition("/")[2] for key in objects(aws)] == ["b.jsonl.gz"]
    (message,) = parked(aws)
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert any("AUDIT LEDGER TAMPERED WITH" in each["subject"] for each in aws.messages)


def test_a_trail_that_was_archived_otherwise_is_not_archived_again(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    run = ended("a")
    key = f"trails/day={aws.clock.now():%Y-%m-%d}/a.jsonl.gz"
    aws.client("s3").put_object(Bucket=aws.outputs["ArchiveName"], Key=key, Body=b"something else")
    sealed(aws, ledger, run)
    assert len(parked(aws)) == 1
    with pytest.raises(EmbeddedFunctionError, match="a was archived before, and not as it is now"):
        aws.invoke("ArchiveFunction", {"trails": ["a"]})


def test_one_that_fails_for_a_moment_is_archived_the_next_time(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    aws.faults.fail("s3:PutObject", code="InternalError", status=500, times=3)
    sealed(aws, ledger, ended("a"))
    assert len(objects(aws)) == 1
    assert parked(aws) == []


def test_one_that_never_goes_does_not_take_those_behind_it_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []

    def keep(_: object, name: str) -> str:
        if name.startswith("poison"):
            raise TrailBroken(name)
        kept.append(name)
        return name

    monkeypatch.setattr(archiver, "keep", keep)
    names = ["poison-1", "good-1", "poison-2", "good-2"]
    records = [
        {"dynamodb": {"Keys": {"run_id": {"S": name}}, "SequenceNumber": str(number)}}
        for number, name in enumerate(names, 1)
    ]
    assert archiver.keep_all(cast("Frame", None), records) == ["1", "3"]
    assert kept == ["good-1", "good-2"]


def test_the_same_trail_that_was_packed_otherwise_is_the_same(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    """Another version of the compressor may do so."""
    sealed(aws, ledger, ended("a"))
    ((key, data),) = objects(aws).items()
    packed = gzip.compress(archive.text(data), compresslevel=1)
    aws.client("s3").put_object(Bucket=aws.outputs["ArchiveName"], Key=key, Body=packed)
    assert aws.invoke("ArchiveFunction", {"trails": ["a"]}) == {"archived": [key]}


# -- the day's comparison ----------------------------------------------------------------------------------------------


def over(aws: EmbeddedAws) -> str:
    """Lets the day end, and returns it."""
    day = f"{aws.clock.now():%Y-%m-%d}"
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    aws.settle()
    return day


def compared(aws: EmbeddedAws) -> list[str]:
    found: list[str] = aws.invoke("ReconcileFunction", {})["differences"]
    return found


def test_a_day_of_which_everything_is_there_is_in_order(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    sealed(aws, ledger, ended("a"), ended("b"))
    over(aws)
    assert compared(aws) == []
    assert not any("archive" in message["subject"] for message in aws.messages)


def test_what_the_archive_lacks_or_has_too_much_is_named_and_told(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    aws.faults.fail("s3:PutObject", code="AccessDenied", status=403)
    sealed(aws, ledger, ended("a"))
    aws.faults.clear()
    sealed(aws, ledger, ended("b"))
    day = f"{aws.clock.now():%Y-%m-%d}"
    strange = f"trails/day={day}/strange.jsonl.gz"
    aws.client("s3").put_object(Bucket=aws.outputs["ArchiveName"], Key=strange, Body=b"?")
    over(aws)
    assert compared(aws) == [
        f"a was sealed on {day} and is not in the archive",
        f"strange is in the archive of {day} and not in its manifest",
    ]
    (told,) = [message for message in aws.messages if "is not complete" in message["subject"]]
    assert f"a was sealed on {day} and is not in the archive" in told["message"]
    aws.invoke("ArchiveFunction", {"trails": ["a"]})
    assert len(compared(aws)) == 1


def test_what_was_written_over_or_deleted_in_the_archive_is_named(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    sealed(aws, ledger, ended("a"), ended("b"), ended("c"))
    keys = {key.rpartition("/")[2].partition(".")[0]: key for key in objects(aws)}
    client, bucket = aws.client("s3"), aws.outputs["ArchiveName"]
    client.put_object(Bucket=bucket, Key=keys["a"], Body=b"?")
    client.put_object(Bucket=bucket, Key=keys["b"], Body=archive.content(ledger.trail("c")))
    client.delete_object(Bucket=bucket, Key=keys["c"])
    day = over(aws)
    b, c = ledger.trail("b")[-1], ledger.trail("c")[-1]
    said = compared(aws)
    assert said[:4] == [
        f"{keys['a']} has 2 versions in the archive, where the archiver writes nothing twice",
        f"{keys['b']} has 2 versions in the archive, where the archiver writes nothing twice",
        f"{keys['c']} was deleted in the archive, where its versions still are",
        f"c was sealed on {day} and is not in the archive",
    ]
    assert said[4].startswith(f"{keys['a']} in the archive is not as the archiver writes it: it is not compressed")
    ends = f"b in the archive ends with entry 4 ({c.hash})"
    assert said[5] == f"{ends}, and is not what the Audit table has, which ends with entry 4 ({b.hash})"
    assert len(said) == 6


def test_a_run_that_ended_hours_ago_and_is_not_sealed_is_named_on_any_day(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    run = ended("a")
    untold = ended("b", told=False)
    aws.clock.advance(hours=2)
    day = f"{aws.clock.now():%Y-%m-%d}"
    late = [f"{each.run_id} ended {each.ended_at} and is not sealed" for each in (run, untold)]
    assert not set(late) & set(aws.invoke("ReconcileFunction", {"day": day})["differences"])
    aws.clock.advance(hours=2)
    assert set(late) <= set(aws.invoke("ReconcileFunction", {"day": day})["differences"])


def test_a_trail_that_is_gone_from_the_table_is_named(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    sealed(aws, ledger, ended("a"))
    day = over(aws)
    dynamodb, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    for entry in ledger.trail("a"):
        dynamodb.delete_item(TableName=table, Key={"run_id": {"S": "a"}, "seq": {"N": str(entry.seq)}})
    assert compared(aws) == [f"a was sealed on {day} and is not in the Audit table"]


def test_an_execution_without_a_run_and_a_run_without_a_seal_are_named(aws: EmbeddedAws, ledger: Ledger) -> None:
    client = aws.client("stepfunctions")
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-ecs-service-rollback"
    aws.invoke("SealFunction", {})
    started = [client.start_execution(stateMachineArn=machine, name=name, input="{}") for name in ("one", "two")]
    for each in started:
        while client.describe_execution(executionArn=each["executionArn"])["status"] == "RUNNING":
            pass
    aws.settle()
    one, two = sorted(ledger.runs_of("ecs-service-rollback"), key=lambda run: run.execution_arn)
    aws.client("dynamodb").delete_item(
        TableName=aws.outputs["StateTableName"], Key={"pk": {"S": f"RUN#{one.run_id}"}, "sk": {"S": "RUN"}}
    )
    day = f"{aws.clock.now():%Y-%m-%d}"
    answer = aws.invoke("ReconcileFunction", {"day": day})
    assert answer["differences"][1:] == [
        f"{two.run_id} of {day} has ended and is not sealed",
        f"the execution {one.execution_arn} of {day} has no run, so it has no trail",
    ]


def test_a_manifest_that_was_never_sealed_is_named(aws: EmbeddedAws) -> None:
    aws.invoke("SealFunction", {})
    aws.clock.advance(days=1)
    day = f"{aws.clock.now() - timedelta(days=1):%Y-%m-%d}"
    assert compared(aws) == [f"the manifest of {day} is not sealed; look at the sealer's log"]


# -- the form ----------------------------------------------------------------------------------------------------------


def test_the_same_trail_is_the_same_bytes() -> None:
    entries = trail("run-a", [1, {"x": "ü"}, None], new_key())
    assert archive.content(entries) == archive.content(list(entries))
    assert archive.content(entries)[4:8] == b"\0\0\0\0", "no time is in it"
    assert [from_item(item) for item in archive.lines(archive.content(entries))] == entries


@pytest.mark.parametrize("cut", [slice(1, None), slice(0, -1), slice(0, 0)])
def test_a_trail_that_is_not_whole_has_no_form(cut: slice) -> None:
    with pytest.raises(TrailBroken):
        archive.content(trail("run-a", [1, 2], new_key())[cut])


def test_what_is_not_compressed_as_the_archive_is_is_refused() -> None:
    with pytest.raises(ValueError, match="not compressed"):
        archive.lines(b"something else")
