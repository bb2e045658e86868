"""The form of the grants, as the translated template has them. That they are needed is proved in test_privilege.py."""

from collections.abc import Iterator
from typing import Any

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


def all_statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            yield role, statement
    for name, properties in of_type(resources, "AWS::KMS::Key").items():
        for statement in properties["KeyPolicy"]["Statement"]:
            yield name, statement
    for name, properties in of_type(resources, "AWS::SNS::TopicPolicy").items():
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


def test_to_the_audit_table_entries_are_only_added(resources: Resources) -> None:
    audit = {"Fn::GetAtt": ["AuditTable", "Arn"]}
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if statement["Effect"] == "Allow" and audit in listed(statement["Resource"]):
                assert listed(statement["Action"]) == ["dynamodb:PutItem"], role


def test_every_function_is_denied_what_rewrites_the_ledger(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        role = function["Role"]["Fn::GetAtt"][0]
        denied = {
            (action, statement["Resource"]["Fn::GetAtt"][0])
            for statement in statements_of(resources, role)
            if statement["Effect"] == "Deny"
            for action in statement["Action"]
        }
        for table in ("AuditTable", "StateTable"):
            assert {("dynamodb:DeleteItem", table), ("dynamodb:BatchWriteItem", table)} <= denied, name
        assert ("dynamodb:UpdateItem", "AuditTable") in denied, name


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


def test_the_key_is_used_through_the_services_only(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if any(action.startswith("kms:") for action in listed(statement["Action"])):
                assert statement["Resource"] == {"Fn::GetAtt": ["Key", "Arn"]}, role
                assert "kms:ViaService" in statement["Condition"]["StringEquals"], role


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
