"""The comparison itself, on roles that are made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.embedded.template import TemplateError
from workbench.iam.actions import FILE, Need, Request, Unreviewed, needs_of, operations
from workbench.iam.proof import differences
from workbench.iam.table import LACKING, Row, rows_of
from workbench.iam.template import Condition, Function, Statement, _statement, matches

TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/one"
VIA_DYNAMODB = frozenset({("kms:ViaService", "dynamodb.eu-central-1.amazonaws.com")})

READS = Statement("Read", True, ("dynamodb:GetItem",), (TABLE,))
GET = Need("dynamodb:GetItem", TABLE)


def function(*statements: Statement) -> Function:
    return Function("small-reader", "ReaderRole", statements, {})


def found(needs: set[Need], *statements: Statement, operation: str = "dynamodb:GetItem") -> list[str]:
    return differences({"small-reader": {operation: needs}}, {"small-reader": function(*statements)})


def test_a_role_that_is_as_wide_as_the_calls_differs_in_nothing() -> None:
    assert found({GET}, READS) == []


def test_a_call_that_the_role_does_not_allow_is_named() -> None:
    (sentence,) = found({GET})
    assert sentence == (
        f"small-reader called dynamodb:GetItem, which needs dynamodb:GetItem on {TABLE},"
        " and ReaderRole does not allow it."
    )


def test_an_action_that_no_call_needs_is_named() -> None:
    assert found({GET}, replace(READS, actions=("dynamodb:GetItem", "dynamodb:PutItem"))) == [
        f"small-reader may dynamodb:PutItem on {TABLE} (Read of ReaderRole), and no test saw it need that."
    ]


def test_a_function_that_was_never_seen_may_do_nothing() -> None:
    (sentence,) = differences({}, {"small-reader": function(READS)})
    assert "may dynamodb:GetItem" in sentence


def test_a_resource_that_no_call_touches_is_named() -> None:
    (sentence,) = found({GET}, replace(READS, resources=(TABLE, f"{TABLE}-archive")))
    assert sentence == (f"small-reader may act on {TABLE}-archive (Read of ReaderRole), and no test saw it touch that.")


def test_a_call_on_another_resource_than_the_roles_is_named() -> None:
    elsewhere = replace(GET, resource=f"{TABLE}-archive")
    assert len(found({GET, elsewhere}, READS)) == 1


def test_a_resource_that_the_call_does_not_show_is_taken_as_allowed() -> None:
    assert found({replace(GET, resource=None)}, READS) == []


def test_what_one_statement_denies_another_does_not_allow() -> None:
    denied = Statement("Never", False, ("dynamodb:GetItem",), ("*",))
    (sentence,) = found({GET}, READS, denied)
    assert sentence.endswith("ReaderRole does not allow it.")


def test_a_denial_grants_nothing_that_could_be_too_much() -> None:
    assert found({GET}, READS, Statement("Never", False, ("dynamodb:DeleteItem",), (TABLE,))) == []


def test_a_statement_allows_on_its_terms_only() -> None:
    decrypt = Need("kms:Decrypt", KEY, VIA_DYNAMODB)
    via = Condition("StringEquals", "kms:ViaService", ("dynamodb.eu-central-1.amazonaws.com",))
    right = Statement("Key", True, ("kms:Decrypt",), (KEY,), (via,))
    assert found({decrypt}, right) == []
    wrong = replace(right, conditions=(replace(via, values=("sns.eu-central-1.amazonaws.com",)),))
    (lacking, too_much) = found({decrypt}, wrong)
    assert "with kms:ViaService dynamodb.eu-central-1.amazonaws.com" in lacking
    assert "may kms:Decrypt" in too_much


def test_a_condition_on_what_the_request_does_not_say_never_holds() -> None:
    assert not Condition("StringLike", "aws:PrincipalTag/team", ("*",)).holds(frozenset())
    for_aws = Condition("Bool", "kms:GrantIsForAWSResource", ("true",))
    assert [for_aws.holds(frozenset({(for_aws.key, told)})) for told in ("true", "false")] == [True, False]


@pytest.mark.parametrize(
    ("pattern", "value", "whether"),
    [
        ("arn:aws:ecs:*:1:service/*", "arn:aws:ecs:eu-central-1:1:service/a/b", True),
        ("arn:aws:ecs:*:1:service/*", "arn:aws:ecs:eu-central-1:1:task/a/b", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
    ],
)
def test_patterns_are_iams(pattern: str, value: str, whether: bool) -> None:
    assert matches(pattern, value) is whether


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*", "Action": "s3:GetObject"},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "*",
            "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        },
    ],
)
def test_a_statement_that_the_proof_cannot_read_is_an_error(statement: dict[str, object]) -> None:
    with pytest.raises(TemplateError, match="which the proof cannot read"):
        _statement("ReaderRole", statement)


def test_the_table_shows_what_is_not_allowed() -> None:
    rows = rows_of(function(READS), {"dynamodb:GetItem": {GET, Need("kms:Decrypt", KEY, VIA_DYNAMODB)}})
    assert rows == [
        Row("dynamodb:GetItem", "dynamodb:GetItem", (TABLE,), ()),
        Row("dynamodb:GetItem", "kms:Decrypt", (LACKING,), ("kms:ViaService = dynamodb.eu-central-1.amazonaws.com",)),
    ]


# -- the reviewed table ------------------------------------------------------------------------------------------------


def needs(operation: str, **parameters: object) -> set[Need]:
    return needs_of(Request(operation, parameters, "eu-central-1", "123456789012", {TABLE: KEY}))


def test_an_operation_that_nobody_has_reviewed_says_which_file_to_edit() -> None:
    with pytest.raises(Unreviewed, match=f"glue:StopCrawler is not in the reviewed table .* add a line to {FILE}"):
        needs("glue:StopCrawler", Name="orders")


def test_the_table_is_in_alphabetical_order() -> None:
    from workbench.iam import actions

    assert list(actions._TABLE) == operations()


def test_a_transaction_needs_what_its_items_do() -> None:
    put = {"Put": {"TableName": "orders", "Item": {}}}
    check = {"ConditionCheck": {"TableName": "arn:aws:dynamodb:eu-central-1:123456789012:table/stock", "Key": {}}}
    assert needs("dynamodb:TransactWriteItems", TransactItems=[put, check]) == {
        Need("dynamodb:PutItem", TABLE),
        Need("dynamodb:ConditionCheckItem", "arn:aws:dynamodb:eu-central-1:123456789012:table/stock"),
        Need("kms:Decrypt", KEY, VIA_DYNAMODB),
    }


def test_composite_alarms_are_seen_only_by_whom_may_see_all_alarms() -> None:
    alarm = Need("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors")
    assert needs("cloudwatch:DescribeAlarms", AlarmNames=["errors"]) == {alarm}
    all_of_them = Need("cloudwatch:DescribeAlarms", "*")
    kinds = ["MetricAlarm", "CompositeAlarm"]
    assert needs("cloudwatch:DescribeAlarms", AlarmNames=["errors"], AlarmTypes=kinds) == {all_of_them}
    arn = "arn:aws:cloudwatch:*:123456789012:alarm:*"
    narrow = Statement("Alarms", True, ("cloudwatch:DescribeAlarms",), (arn,))
    lacking, too_much = found({all_of_them}, narrow, operation="cloudwatch:DescribeAlarms")
    assert lacking.endswith("which needs cloudwatch:DescribeAlarms, and ReaderRole does not allow it.")
    assert too_much.startswith(f"small-reader may cloudwatch:DescribeAlarms on {arn}")
    assert found({all_of_them, alarm}, replace(narrow, resources=("*",))) == []


def test_a_query_of_an_index_is_authorised_on_the_index_and_decrypts_with_the_tables_key() -> None:
    assert needs("dynamodb:Query", TableName="orders", IndexName="by-day") == {
        Need("dynamodb:Query", f"{TABLE}/index/by-day"),
        Need("kms:Decrypt", KEY, VIA_DYNAMODB),
    }


def test_a_batch_is_authorised_table_by_table() -> None:
    assert needs("dynamodb:BatchGetItem", RequestItems={"stock": {}, "orders": {}}) == {
        Need("dynamodb:BatchGetItem", TABLE),
        Need("dynamodb:BatchGetItem", "arn:aws:dynamodb:eu-central-1:123456789012:table/stock"),
        Need("kms:Decrypt", KEY, VIA_DYNAMODB),
    }


def test_a_service_that_gets_another_task_definition_gets_its_roles() -> None:
    passing = Need("iam:PassRole", None, frozenset({("iam:PassedToService", "ecs-tasks.amazonaws.com")}))
    service = "arn:aws:ecs:eu-central-1:123456789012:service/shop/orders"
    arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/shop"
    assert needs("ecs:UpdateService", cluster=arn, service="orders", taskDefinition="orders:2") == {
        Need("ecs:UpdateService", service),
        passing,
    }
    assert needs("ecs:UpdateService", cluster="shop", service=service, desiredCount=2) == {
        Need("ecs:UpdateService", service)
    }


def test_names_of_other_accounts_and_slashes_are_understood() -> None:
    assert needs("ecr:DescribeImages", registryId="210987654321", repositoryName="team/app") == {
        Need("ecr:DescribeImages", "arn:aws:ecr:eu-central-1:210987654321:repository/team/app")
    }
    parameter = Need("ssm:GetParameter", "arn:aws:ssm:eu-central-1:123456789012:parameter/small/policy")
    assert needs("ssm:GetParameter", Name="/small/policy") == {parameter}
