"""Roles and checks over the Data API, against a real PostgreSQL: safe to run twice, whatever is in the names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from runbooks.aws.postgres import check, ensure_role
from runbooks.errors import CheckFailed
from workbench.embedded import rds

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

CONTENT = """
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id bigint GENERATED ALWAYS AS IDENTITY, what text);
INSERT INTO sales.orders (what) VALUES ('one'), ('two'), ('three');
CREATE SCHEMA "odd ""name";
CREATE TABLE "odd ""name"."Table" (id int);
"""
HOSTILE = '"; drop role postgres; --'


@pytest.fixture
def where(aws: EmbeddedAws) -> dict[str, str]:
    """A cluster with two schemas, and who may change it."""
    cluster = rds.cluster(aws, "orders", content=CONTENT, database="app", http_endpoint=True)
    admin = rds.secret(aws, "orders/admin", rds.MASTER, rds.MASTER_PASSWORD)
    return {"resourceArn": cluster, "secretArn": admin, "database": "app"}


def sql(aws: EmbeddedAws, statement: str) -> list[list[Any]]:
    return rds.sql(aws, "orders", statement, database="app")


def log_in(aws: EmbeddedAws, where: dict[str, str], user: str, password: str, statement: str) -> Any:
    """Runs a statement as that user, with that password."""
    secret = rds.secret(aws, f"login/{len(user)}-{len(password)}-{len(statement)}", user, password)
    return aws.client("rds-data").execute_statement(**where | {"secretArn": secret}, sql=statement)["records"]


@pytest.mark.parametrize(
    ("user", "password"),
    [("app_reader", "correct horse"), (HOSTILE, HOSTILE), ("it's", "a'b\\c$$d"), ("Ünïcode", "pässwörd %I %L :x")],
)
def test_a_role_of_any_name_logs_in_with_any_password_and_reads_what_it_was_granted(
    aws: EmbeddedAws, where: dict[str, str], user: str, password: str
) -> None:
    wanted = where | {"role": user, "password": password, "grants": [{"schema": "sales", "access": "read"}]}
    before = sql(aws, "select count(*) from pg_roles")
    for _ in range(2):
        ensure_role(aws.client("rds-data"), wanted)
    assert int(sql(aws, "select count(*) from pg_roles")[0][0]) == int(before[0][0]) + 1
    assert log_in(aws, where, user, password, "SELECT count(*) FROM sales.orders") == [[{"longValue": 3}]]
    with pytest.raises(ClientError, match="permission denied"):
        log_in(aws, where, user, password, "DELETE FROM sales.orders")
    with pytest.raises(ClientError, match="28P01"):
        log_in(aws, where, user, f"not {password}", "SELECT 1")


def test_who_may_write_may_also_use_the_sequences(aws: EmbeddedAws, where: dict[str, str]) -> None:
    grants = [{"schema": "sales", "access": "write"}]
    ensure_role(aws.client("rds-data"), where | {"role": "app", "password": "p", "grants": grants})
    log_in(aws, where, "app", "p", "INSERT INTO sales.orders (what) VALUES ('four') RETURNING id")
    assert sql(aws, "select count(*) from sales.orders") == [["4"]]


def test_a_role_without_a_password_cannot_log_in_and_others_can_be_members_of_it(
    aws: EmbeddedAws, where: dict[str, str]
) -> None:
    data = aws.client("rds-data")
    ensure_role(data, where | {"role": "readers", "grants": [{"schema": 'odd "name', "access": "read"}]})
    ensure_role(data, where | {"role": "alice", "password": "p", "member_of": ["readers"]})
    assert sql(aws, "select rolcanlogin from pg_roles where rolname = 'readers'") == [["f"]]
    assert log_in(aws, where, "alice", "p", 'SELECT count(*) FROM "odd ""name"."Table"') == [[{"longValue": 0}]]


def test_a_role_that_cannot_be_set_up_as_asked_is_not_set_up_at_all(aws: EmbeddedAws, where: dict[str, str]) -> None:
    wanted = where | {"role": "app", "password": "p", "grants": [{"schema": "absent", "access": "read"}]}
    with pytest.raises(ClientError, match="absent"):
        ensure_role(aws.client("rds-data"), wanted)
    assert sql(aws, "select count(*) from pg_roles where rolname = 'app'") == [["0"]]


def test_a_check_tells_the_version_the_schemas_and_the_rows(aws: EmbeddedAws, where: dict[str, str]) -> None:
    rows = [
        {"schema": "sales", "table": "orders", "at_least": 3},
        {"schema": 'odd "name', "table": "Table", "at_least": 0},
    ]
    found = check(aws.client("rds-data"), where | {"schemas": ["sales"], "rows": rows})
    assert found["version"].split(".")[0].isdigit()
    assert found["schemas"] == ['odd "name', "public", "sales"]
    assert found["rows"] == {"sales.orders": 3, 'odd "name.Table': 0}


def test_a_check_names_everything_that_does_not_hold(aws: EmbeddedAws, where: dict[str, str]) -> None:
    rows = [
        {"schema": "sales", "table": "orders", "at_least": 4},
        {"schema": "sales", "table": HOSTILE, "at_least": 1},
    ]
    with pytest.raises(CheckFailed) as failed:
        check(aws.client("rds-data"), where | {"schemas": ["finance"], "rows": rows})
    assert "the schema 'finance' is missing" in str(failed.value)
    assert "sales.orders has 3 rows, and at least 4" in str(failed.value)
    assert f"the table sales.{HOSTILE} is missing" in str(failed.value)
    assert sql(aws, "select count(*) from sales.orders") == [["3"]]
