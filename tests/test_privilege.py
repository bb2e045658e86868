"""Each role is exactly as wide as the calls of its function: one action missing or one too many fails here.

The calls are those of every scenario of every runbook, seen once on one embedded AWS.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.data import AdditionalSpecs

from workbench.iam.actions import EVERYTHING, UNSCOPABLE, Need
from workbench.iam.flows import Seen, allowed, seen_in_all_flows
from workbench.iam.proof import differences, needed_by
from workbench.iam.table import LACKING, as_data, as_text
from workbench.iam.template import Function, Statement, matches, roles_of, translation_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

    from .conftest import Kept

DIFFERS = {
    "cloudwatch:DescribeAlarms": "IAM takes alarms, but CloudWatch returns composite ones only to whom may see all",
    "cloudwatch:GetMetricData": "IAM knows datasets of OpenTelemetry only; CloudWatch's own metrics have no ARN",
    "ecs:ListTasks": "IAM is asked for *, or for container instances of the cluster, which Fargate has none of",
    "logs:DescribeLogGroups": "IAM is asked for the log groups of the account and region",
}
"""Where the reviewed table knows better than the reference, and why."""

UNDOING = (
    "BatchWriteItem",
    "DeleteItem",
    "DeleteTable",
    "PartiQLDelete",
    "PartiQLInsert",
    "PartiQLUpdate",
    "UpdateItem",
    "UpdateTable",
    "UpdateTimeToLive",
)
"""What changes or removes items that are there, at once or later."""


@pytest.fixture
def functions(embedded: EmbeddedAws) -> dict[str, Function]:
    return allowed(embedded)


@pytest.fixture(scope="module")
def reference() -> Any:
    """AWS's Service Authorization Reference, as the linter carries it."""
    return json.loads((resources.files(AdditionalSpecs) / "Policies.json").read_text())


def all_needs(seen: Seen, functions: dict[str, Function]) -> set[Need]:
    return {
        need
        for name, function in functions.items()
        for needs in needed_by(function, seen.needed.get(name, {})).values()
        for need in needs
    }


def test_each_role_is_exactly_as_wide_as_the_calls_of_its_function(
    embedded: EmbeddedAws, kept: Kept, functions: dict[str, Function], reference: Any
) -> None:
    """One test, since the calls take a minute to make: several workers would each make all of them."""
    seen = seen_in_all_flows(embedded, known=partial(kept.find, embedded))
    assert sorted(seen.unreviewed) == []
    assert set(seen.needed) == set(functions)
    assert differences(seen.needed, functions) == []
    an_action_less_in_any_role_is_missed(seen, functions)
    a_resource_less_in_any_role_is_missed(seen, functions)
    an_action_more_in_any_role_is_found(seen, functions)
    the_reviewed_table_agrees_with_the_reference(seen, functions, reference)
    the_table_shows_every_call_that_needs_leave_and_what_it_is_allowed_on(seen, functions)


def an_action_less_in_any_role_is_missed(seen: Seen, functions: dict[str, Function]) -> None:
    for name, function in functions.items():
        for action in sorted({need.action for need in all_needs(seen, {name: function})}):
            found = differences(seen.needed, {name: narrower(function, action=action)})
            assert any(f"which needs {action}" in sentence for sentence in found), f"{action} of {name}"


def a_resource_less_in_any_role_is_missed(seen: Seen, functions: dict[str, Function]) -> None:
    for name, function in functions.items():
        touched = {need.resource for need in all_needs(seen, {name: function}) if need.resource is not None}
        for resource in sorted({resource for statement in granting(function) for resource in statement.resources}):
            if any(matches(resource, each) for each in touched):
                found = differences(seen.needed, {name: narrower(function, resource=resource)})
                assert any("does not allow it" in sentence for sentence in found), f"{resource} of {name}"


def an_action_more_in_any_role_is_found(seen: Seen, functions: dict[str, Function]) -> None:
    for name, function in functions.items():
        for position, statement in enumerate(function.statements):
            if statement.allows:
                wider = replace(statement, actions=(*statement.actions, "s3:DeleteBucket"))
                (sentence,) = differences(seen.needed, {name: with_statement(function, position, wider)})
                assert sentence.startswith(f"{name} may s3:DeleteBucket on ")
                assert sentence.endswith("and no test saw it need that.")


def granting(function: Function) -> list[Statement]:
    return [statement for statement in function.statements if statement.allows]


def narrower(function: Function, *, action: str = "", resource: str = "") -> Function:
    statements = tuple(
        replace(
            statement,
            actions=tuple(each for each in statement.actions if each != action),
            resources=tuple(each for each in statement.resources if each != resource),
        )
        for statement in granting(function)
    )
    return replace(function, statements=statements)


def with_statement(function: Function, position: int, statement: Statement) -> Function:
    statements = list(function.statements)
    statements[position] = statement
    return replace(function, statements=tuple(statements))


def test_nobody_can_change_or_remove_an_audit_entry(embedded: EmbeddedAws, functions: dict[str, Function]) -> None:
    for table, harmless in (("AuditTable", ()), ("StateTable", ("UpdateItem",))):
        arn = embedded.stack.resources[table].attributes["Arn"]
        for function in functions.values():
            for action in UNDOING:
                if action not in harmless:
                    assert not function.allows(Need(f"dynamodb:{action}", arn)), f"{function.name}: {action}"


def test_nobody_can_change_the_audit_table_however_wide_a_runbooks_own_grant_is(
    embedded: EmbeddedAws, functions: dict[str, Function]
) -> None:
    arn = embedded.stack.resources["AuditTable"].attributes["Arn"]
    everything = Statement("Careless", True, tuple(f"dynamodb:{action}" for action in UNDOING), (EVERYTHING,))
    for function in functions.values():
        careless = replace(function, statements=(*function.statements, everything))
        assert not any(careless.allows(Need(f"dynamodb:{action}", arn)) for action in UNDOING)


LIFTING = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
)
"""What takes something out of the archive, or shortens for how long it is kept."""


def test_nobody_can_take_anything_out_of_the_archive_or_shorten_its_time_however_wide_a_grant_is(
    embedded: EmbeddedAws, functions: dict[str, Function]
) -> None:
    archive = embedded.stack.resources["Archive"].attributes["Arn"]
    everything = Statement("Careless", True, LIFTING, (EVERYTHING,))
    for function in functions.values():
        careless = replace(function, statements=(*function.statements, everything))
        for action in LIFTING:
            for resource in (archive, f"{archive}/trails/day=2026-11-21/run.jsonl.gz"):
                assert not function.allows(Need(action, resource)), f"{function.name}: {action}"
                assert not careless.allows(Need(action, resource)), f"{function.name}: {action}"


LOSING = ("kms:DisableKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion")
"""What makes sealed or archived trails unreadable, or lets others sign."""
SILENCING = ("lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping")
"""What keeps the archiver and the alarm from what happens in the Audit table."""


def forbidden(embedded: EmbeddedAws) -> set[Need]:
    """What no role may do: to what is recorded, to what is kept, to the keys, and to those who read the stream."""
    arns = {name: resource.attributes.get("Arn", "") for name, resource in embedded.stack.resources.items()}
    mapping = f"arn:aws:lambda:{embedded.region}:{embedded.account_id}:event-source-mapping:7f3a1c2e"
    of_archiver = frozenset({("lambda:FunctionArn", arns["ArchiveFunction"])})
    archived = f"{arns['Archive']}/trails/day=2026-11-21/run.jsonl.gz"
    return {
        *(Need(f"dynamodb:{action}", arns["AuditTable"]) for action in UNDOING),
        *(Need(f"dynamodb:{action}", arns["StateTable"]) for action in UNDOING if action != "UpdateItem"),
        *(Need(action, resource) for action in LIFTING for resource in (arns["Archive"], archived)),
        *(Need(action, arns[key]) for action in LOSING for key in ("Key", "SigningKey")),
        *(Need(action, mapping, of_archiver) for action in SILENCING),
    }


def test_no_role_at_all_can_undo_what_was_recorded_or_kept(
    embedded: EmbeddedAws, functions: dict[str, Function]
) -> None:
    """Those of machines and schedules as well, which Lambda's functions do not run with."""
    template = translation_of(embedded.stack)
    roles = all_roles(embedded)
    assert set(roles) == {name for name, each in template["Resources"].items() if each["Type"] == "AWS::IAM::Role"}
    of_functions = {function.role for function in functions.values()}
    assert of_functions < set(roles)
    assert {"NightlyRestoreRole", "EcsServiceRollbackMachineRole"} <= set(roles) - of_functions
    for name, role in roles.items():
        assert [str(need) for need in forbidden(embedded) if role.allows(need)] == [], name
        assert role.allows(writing(embedded)) == (name == "ArchiveRole")
        assert not role.allows(replace(writing(embedded), context=frozenset())), (
            f"{name} could write over what is there"
        )


def all_roles(embedded: EmbeddedAws) -> dict[str, Function]:
    """Every role of the template, whatever runs with it."""
    roles = roles_of(embedded.stack, translation_of(embedded.stack))
    return {name: Function(name, name, statements, {}) for name, statements in roles.items()}


def writing(embedded: EmbeddedAws) -> Need:
    """To write to the archive, where nothing is."""
    archived = f"{embedded.stack.resources['Archive'].attributes['Arn']}/trails/day=2026-11-21/run.jsonl.gz"
    return Need("s3:PutObject", archived, frozenset({("s3:if-none-match", "*")}))


def test_the_archives_own_policy_denies_every_role_to_write_unlock_or_delete_however_wide_its_grant_is(
    embedded: EmbeddedAws,
) -> None:
    archived = writing(embedded).resource
    denied = [action for action in LIFTING if "Bucket" not in action and "Configuration" not in action]
    assert {"s3:BypassGovernanceRetention", "s3:DeleteObjectVersion", "s3:PutObjectRetention"} < set(denied)
    everything = Statement("Careless", True, (*LIFTING, "s3:PutObject"), (EVERYTHING,))
    for name, role in all_roles(embedded).items():
        of_bucket = [each for each in role.statements if not each.allows and each.sid in ARCHIVES_OWN]
        careless = replace(role, statements=(*of_bucket, everything))
        assert [action for action in denied if careless.allows(Need(action, archived))] == [], name
        assert careless.allows(writing(embedded)) == (name == "ArchiveRole"), name


ARCHIVES_OWN = ("NobodyDeletesOrUnlocks", "OnlyTheArchiverWrites", "NothingIsWrittenTwice")
"""The statements of the archive's policy."""


def test_no_policy_of_a_resource_gives_more_than_the_roles_have(embedded: EmbeddedAws) -> None:
    """What is proved of roles is all that there is to prove: nothing else gives anybody the trail or the archive."""
    resources = translation_of(embedded.stack)["Resources"]
    of_type = {
        kind: [each.get("Properties", {}) for each in resources.values() if each["Type"] == kind]
        for kind in {each["Type"] for each in resources.values()}
    }
    assert {kind for kind in of_type if kind.endswith("Policy")} == {
        "AWS::IAM::ManagedPolicy",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    }
    assert not any("ResourcePolicy" in table for table in of_type["AWS::DynamoDB::Table"])
    given = [
        (policy["Bucket"], statement["Principal"])
        for policy in of_type["AWS::S3::BucketPolicy"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert given == [({"Ref": "ArchiveLogs"}, {"Service": "logging.s3.amazonaws.com"})]


def test_no_function_can_lose_a_key_or_silence_the_stream_however_wide_a_grant_is(
    embedded: EmbeddedAws, functions: dict[str, Function]
) -> None:
    everything = Statement("Careless", True, (*LOSING, *SILENCING), (EVERYTHING,))
    needs = [need for need in forbidden(embedded) if need.action in everything.actions]
    for function in functions.values():
        careless = replace(function, statements=(*function.statements, everything))
        assert not any(careless.allows(need) for need in needs), function.name


def test_only_the_sealer_can_sign_and_only_the_archiver_writes_to_the_archive(
    embedded: EmbeddedAws, functions: dict[str, Function]
) -> None:
    key = embedded.stack.resources["SigningKey"].attributes["Arn"]
    stack = embedded.stack_name
    assert [name for name, each in functions.items() if each.allows(Need("kms:Sign", key))] == [f"{stack}-seal"]
    writers = [name for name, each in functions.items() if each.allows(writing(embedded))]
    assert writers == [f"{stack}-archive"]


def the_reviewed_table_agrees_with_the_reference(seen: Seen, functions: dict[str, Function], reference: Any) -> None:
    for need in sorted(all_needs(seen, functions), key=str):
        formats = formats_of(reference, need.action)
        if need.action in DIFFERS or need.resource is None:
            continue
        if need.resource == EVERYTHING:
            assert formats == [], f"{need.action} can be scoped"
        else:
            assert any(re.fullmatch(each, need.resource) for each in formats), need


def test_what_is_said_to_be_unscopable_is(reference: Any) -> None:
    scopable = {action for action in UNSCOPABLE if formats_of(reference, action)}
    assert scopable <= set(DIFFERS)


def formats_of(reference: Any, action: str) -> list[str]:
    """The ARNs that the action can be scoped to, as patterns. Raises KeyError if IAM has no such action."""
    service, _, name = action.partition(":")
    kinds = reference[service]["Actions"][name.lower()].get("Resources", [])
    known = {kind.lower(): resource for kind, resource in reference[service]["Resources"].items()}
    arns = [arn for kind in kinds for arn in known[kind.lower()]["ARNFormats"]]
    return [re.sub(r"\$\{\w+\}", "[^:]*", arn) for arn in arns]


def the_table_shows_every_call_that_needs_leave_and_what_it_is_allowed_on(
    seen: Seen, functions: dict[str, Function]
) -> None:
    text, data = as_text(seen.needed, functions), as_data(seen.needed, functions)
    assert set(data) == set(functions)
    assert LACKING not in text
    for name, called in seen.needed.items():
        assert name in text
        assert all(operation in text for operation, needs in called.items() if needs)
