"""The form of the grants, as the translated template has them. That they are needed is proved in test_privilege.py."""

import re
from collections.abc import Iterator
from typing import Any

from runbooks.evidence import archive
from workbench.iam.actions import UNSCOPABLE

from .conftest import Resources, of_type


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements_of(resources: Resources, role: str) -> list[dict[str, Any]]:
    properties = resources[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
    for managed in properties["ManagedPolicyArns"]:
        assert set(managed) == {"Ref"}, f"{role} has a policy that is not of this stack: {managed}"
        documents.append(resources[managed["Ref"]]["Properties"]["PolicyDocument"])
    return [statement for document in documents for statement in document["Statement"]]


def roles(resources: Resources) -> list[str]:
    return list(of_type(resources, "AWS::IAM::Role"))


PEOPLE = ("ReaderPolicy", "StarterPolicy", "ApproverPolicy", "AuditorPolicy")
"""What people are given; tests/iam/test_people.py has each of them work with it."""


def statements_of_people(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in PEOPLE:
        for statement in resources[name]["Properties"]["PolicyDocument"]["Statement"]:
            yield name, statement


def all_statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            yield role, statement
    yield from statements_of_people(resources)
    for name, properties in of_type(resources, "AWS::KMS::Key").items():
        for statement in properties["KeyPolicy"]["Statement"]:
            yield name, statement
    for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        for name, properties in of_type(resources, kind).items():
            for statement in properties["PolicyDocument"]["Statement"]:
                yield name, statement


def test_no_action_is_a_wildcard(resources: Resources) -> None:
    for owner, statement in all_statements(resources):
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{owner} is granted {action}"


def test_no_role_is_granted_what_it_is_not_granted(resources: Resources) -> None:
    for owner, statement in all_statements(resources):
        assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), owner


def test_only_what_cannot_be_scoped_is_granted_on_everything(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if "*" in listed(statement["Resource"]):
                assert set(listed(statement["Action"])) <= UNSCOPABLE, role


def test_every_policy_is_a_roles_or_for_people(resources: Resources) -> None:
    of_roles = {
        managed["Ref"] for role in roles(resources) for managed in resources[role]["Properties"]["ManagedPolicyArns"]
    }
    assert set(of_type(resources, "AWS::IAM::ManagedPolicy")) == of_roles | set(PEOPLE)
    assert not of_roles & set(PEOPLE)


def test_people_read_the_tables_and_write_neither_them_nor_the_archive(resources: Resources) -> None:
    for name, statement in statements_of_people(resources):
        for action in listed(statement["Action"]):
            service, _, operation = action.partition(":")
            if service in {"dynamodb", "s3", "kms"}:
                assert operation in {"GetItem", "Query", "GetObject", "ListBucket", "Decrypt", "GetPublicKey"}, name
        if "*" in listed(statement["Resource"]):
            assert set(listed(statement["Action"])) <= UNSCOPABLE, name
        if "kms:Decrypt" in listed(statement["Action"]):
            assert "kms:ViaService" in statement["Condition"]["StringEquals"], name


def test_who_may_start_runs_may_not_decide_on_them_and_nobody_else_may(resources: Resources) -> None:
    def routes(name: str) -> set[str]:
        return {
            place["Fn::Sub"].partition("/$default/")[2]
            for owner, statement in statements_of_people(resources)
            if owner == name and statement["Action"] == "execute-api:Invoke"
            for place in listed(statement["Resource"])
        }

    assert routes("ReaderPolicy") == {"GET/*"}
    assert routes("StarterPolicy") == {"POST/runs", "POST/runs/*/rerun", "POST/runs/*/stop"}
    assert routes("ApproverPolicy") == {
        "POST/runs/*/approval",
        "POST/runs/*/stop",
        "PUT/standing-approvals/*",
        "DELETE/standing-approvals/*",
    }
    assert routes("AuditorPolicy") == set()


def test_to_the_audit_table_entries_are_only_added_and_read(resources: Resources) -> None:
    audit = {"Fn::GetAtt": ["AuditTable", "Arn"]}
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if statement["Effect"] == "Allow" and audit in listed(statement["Resource"]):
                reads = {"dynamodb:GetItem", "dynamodb:Query"}
                assert set(listed(statement["Action"])) - reads <= {"dynamodb:PutItem"}, role


def test_every_function_is_denied_what_rewrites_the_ledger(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        role = function["Role"]["Fn::GetAtt"][0]
        denied = {
            (action, listed(statement["Resource"])[0]["Fn::GetAtt"][0])
            for statement in statements_of(resources, role)
            if statement["Effect"] == "Deny" and "Fn::GetAtt" in listed(statement["Resource"])[0]
            for action in statement["Action"]
        }
        for table in ("AuditTable", "StateTable"):
            assert {("dynamodb:DeleteItem", table), ("dynamodb:BatchWriteItem", table)} <= denied, name
        assert ("dynamodb:UpdateItem", "AuditTable") in denied, name
        assert {("s3:BypassGovernanceRetention", "Archive"), ("s3:DeleteObjectVersion", "Archive")} <= denied, name


def test_the_archive_is_written_by_the_archiver_alone_and_only_where_nothing_is(resources: Resources) -> None:
    """Said by the bucket, so that it holds for every identity of the account, whatever its own policies allow."""
    denied = {
        statement["Sid"]: statement
        for statement in resources["ArchivePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "s3:PutObject" in listed(statement["Action"])
    }
    assert all((each["Effect"], each["Principal"]) == ("Deny", "*") for each in denied.values())
    archiver = {"Fn::GetAtt": ["ArchiveRole", "Arn"]}
    assert resources["ArchiveFunction"]["Properties"]["Role"] == archiver
    assert denied["OnlyTheArchiverWrites"]["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": archiver}}
    assert denied["NothingIsWrittenTwice"]["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    places = [each["Fn::Sub"] for each in denied["NothingIsWrittenTwice"]["Resource"]]
    assert places == [f"${{Archive.Arn}}/{kind}/*" for kind in (archive.TRAILS, archive.MANIFESTS)]


def test_every_function_has_a_role_of_its_own(resources: Resources) -> None:
    used = [
        function["Role"]["Fn::GetAtt"][0]
        for function in [
            *of_type(resources, "AWS::Lambda::Function").values(),
        ]
    ]
    used += [
        machine["RoleArn"]["Fn::GetAtt"][0]
        for machine in of_type(resources, "AWS::StepFunctions::StateMachine").values()
    ]
    used += [
        schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
        for schedule in of_type(resources, "AWS::Scheduler::Schedule").values()
    ]
    assert sorted(used) == sorted(roles(resources))


def test_a_machine_calls_its_own_functions_only(resources: Resources) -> None:
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine").items():
        callable_ = [
            resource["Fn::GetAtt"][0]
            for statement in statements_of(resources, machine["RoleArn"]["Fn::GetAtt"][0])
            if statement["Action"] == "lambda:InvokeFunction"
            for resource in listed(statement["Resource"])
        ]
        called = [value["Fn::GetAtt"][0] for value in machine["DefinitionSubstitutions"].values()]
        assert sorted(callable_) == sorted(called), name


def test_keys_are_used_through_one_named_service_only(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if statement["Effect"] == "Deny":
                continue
            # To describe a key is not to use it: a runbook looks whether a target's key is enabled.
            using = {action for action in listed(statement["Action"]) if action.startswith("kms:")} - {
                "kms:DescribeKey",
                "kms:GetPublicKey",
                "kms:Sign",
            }
            if using and statement["Resource"] == {"Fn::GetAtt": ["Key", "Arn"]}:
                assert "kms:ViaService" in statement["Condition"]["StringEquals"], role
            elif using:
                # A target's key, which may lie in any region: of the service that holds the target, and no other.
                via = statement["Condition"]["StringLike"]["kms:ViaService"]["Fn::Sub"]
                assert re.fullmatch(r"[a-z]+\.\*\.\$\{AWS::URLSuffix\}", via), role


def test_only_the_sealer_may_sign(resources: Resources) -> None:
    signing = [
        (statement["Sid"], statement["Principal"])
        for statement in resources["SigningKey"]["Properties"]["KeyPolicy"]["Statement"]
        if "kms:Sign" in listed(statement["Action"])
    ]
    assert signing == [("OnlyTheSealerSigns", {"AWS": {"Fn::GetAtt": ["SealRole", "Arn"]}})]
    assert not any("kms:Sign" in listed(statement["Action"]) for role, statement in grants_of_roles(resources))


def grants_of_roles(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            yield role, statement


def test_roles_are_passed_to_one_named_service_only(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if "iam:PassRole" in listed(statement["Action"]):
                assert listed(statement["Action"]) == ["iam:PassRole"], role
                assert isinstance(statement["Condition"]["StringEquals"]["iam:PassedToService"], str), role


def test_services_use_the_key_for_this_stack_only(resources: Resources) -> None:
    for statement in resources["Key"]["Properties"]["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            assert statement["Condition"], statement["Sid"]
