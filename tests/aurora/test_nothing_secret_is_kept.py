"""No password turns up but in the database and in Secrets Manager: planted values are looked for everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from workbench import scenario
from workbench.embedded import rds
from workbench.embedded.calls import ServiceError
from workbench.incident import Incident, run_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.embedded import EmbeddedAws

NAME = "aurora-snapshot-restore"
MASTER, READER, APP = "PlantedMasterQx", "PlantedReaderQx", "Planted\"App'QxHalf"
PLANTED = ("PlantedMaster", "PlantedReader", APP, json.dumps(APP)[1:-1], "QxHalf")
"""The last is the half of a password that no way of quoting it would alter."""


def planted(aws: EmbeddedAws) -> None:
    """The database users' incident with these passwords, the master's included."""
    from workbench.scenarios import aurora_snapshot_restore as incidents

    incidents.gone(aws, content=incidents.SALES, MasterUserPassword=MASTER)
    rds.secret(aws, "orders/admin", rds.MASTER, MASTER)
    rds.secret(aws, "orders/reader", "orders_reader", READER)
    rds.secret(aws, "orders/app", "orders_app", APP)


def with_a_secret_that_is_no_password(aws: EmbeddedAws) -> None:
    """The user's secret is not the JSON object that the input says, so that its whole text is at hand when it fails."""
    planted(aws)
    aws.client("secretsmanager").put_secret_value(SecretId="orders/app", SecretString=APP)


def with_a_statement_that_fails(aws: EmbeddedAws) -> None:
    """The statement that sets the password fails, with whatever the server says of it."""
    planted(aws)

    def refuse(_: EmbeddedAws) -> None:
        raise ServiceError("DatabaseErrorException", f"ERROR: something about {READER}; SQLState: 42601")

    def sets_the_password(call: Any) -> bool:
        return READER in json.dumps(call.params.get("parameters", []))

    aws.faults.before("rds-data:ExecuteStatement", refuse, where=sets_the_password)


def kept(aws: EmbeddedAws, ended: Incident) -> Iterator[tuple[str, str]]:
    """Everything that was stored, printed or published, by where."""
    dynamodb, stepfunctions = aws.client("dynamodb"), aws.client("stepfunctions")
    for table in ("StateTableName", "AuditTableName"):
        pages = dynamodb.get_paginator("scan").paginate(TableName=aws.outputs[table])
        for page in pages:
            for item in page["Items"]:
                yield table, json.dumps(item, default=_decoded)
    for function in aws.stack.functions:
        yield f"the log of {function.name}", aws.log(function.name)
    for message in aws.messages:
        yield "the topic", json.dumps(message, default=str)
    execution = stepfunctions.describe_execution(executionArn=ended.execution_arn)
    yield "the execution", json.dumps(execution, default=str)
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=ended.execution_arn)
    for page in pages:
        for event in page["events"]:
            yield "the history", json.dumps(event, default=str)
    for entry in ended.audit:
        yield "the trail", entry.model_dump_json()
    assert ended.diagnosis is not None
    yield "the diagnosis", ended.diagnosis.model_dump_json()
    yield "the tags", json.dumps([each.tags for each in aws.rds.region.clusters.values()])
    for call in aws.calls:
        yield "the log of calls", str(call)


def _decoded(value: Any) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


@pytest.mark.parametrize(
    ("arrange", "ends"),
    [
        (planted, "SUCCEEDED"),
        (with_a_secret_that_is_no_password, "FAILED"),
        (with_a_statement_that_fails, "FAILED"),
    ],
    ids=["all is well", "the secret is no password", "the statement fails"],
)
def test_no_planted_value_is_stored_printed_or_published(
    aws: EmbeddedAws, arrange: Callable[[EmbeddedAws], None], ends: str
) -> None:
    incident = replace(scenario.of(NAME)["with-users"], arrange=arrange)
    ended = run_scenario(aws, NAME, incident)
    assert ended.status == ends
    found = list(kept(aws, ended))
    assert len(found) > 100
    assert [(where, secret) for where, text in found for secret in PLANTED if secret in text] == []


def test_the_passwords_are_what_the_users_log_in_with(aws: EmbeddedAws) -> None:
    """So that what was looked for above is what was really used."""
    ended = run_scenario(aws, NAME, replace(scenario.of(NAME)["with-users"], arrange=planted))
    assert ended.status == "SUCCEEDED"
    database = aws.rds.region.clusters["orders"].database
    assert database is not None
    for user, password in (("orders_reader", READER), ("orders_app", APP), (rds.MASTER, MASTER)):
        session = database.connect(user, password, "app")
        assert session.run("select current_user::text").rows == [[user]]
        session.close()


def test_the_plan_names_the_version_of_a_secret_and_not_its_value(aws: EmbeddedAws) -> None:
    ended = run_scenario(aws, NAME, replace(scenario.of(NAME)["with-users"], arrange=planted), mode="plan")
    assert ended.diagnosis is not None
    assert ended.diagnosis.plan is not None
    users = [change for change in ended.diagnosis.plan.changes if change.operation == "postgres:EnsureRole"]
    current = aws.client("secretsmanager").describe_secret(SecretId="orders/reader")
    reference: Any = users[0].parameters["password"]
    assert reference["$secret"]["secret"] == current["ARN"]
    assert reference["$secret"]["version_id"] in current["VersionIdsToStages"]
    reads = [call.operation for call in aws.calls if call.operation.startswith("secretsmanager:Get")]
    assert reads == []
