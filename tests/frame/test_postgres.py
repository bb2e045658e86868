"""Roles and checks over the Data API, against a real PostgreSQL: safe to run twice, whatever is in the names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from runbooks.aws import postgres
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
READ_SALES = {"schema": "sales", "access": "read"}
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


def test_a_role_of_the_snapshot_that_gets_no_password_cannot_log_in_any_more(
    aws: EmbeddedAws, where: dict[str, str]
) -> None:
    made = "CREATE ROLE old_app LOGIN PASSWORD 'from-then'"
    aws.client("rds-data").execute_statement(**where, sql=made)
    assert log_in(aws, where, "old_app", "from-then", "SELECT 1") == [[{"longValue": 1}]]
    for _ in range(2):
        ensure_role(aws.client("rds-data"), where | {"role": "old_app", "grants": [READ_SALES]})
    with pytest.raises(ClientError, match="not permitted to log in"):
        log_in(aws, where, "old_app", "from-then", "SELECT 'still in'")


def test_the_role_that_connects_is_not_touched_even_if_nobody_knew_that_it_is_the_one(
    aws: EmbeddedAws, where: dict[str, str]
) -> None:
    for more in ({}, {"password": "another"}):
        with pytest.raises(ClientError, match="role postgres is the one that sets roles up"):
            ensure_role(aws.client("rds-data"), where | {"role": rds.MASTER} | more)
    assert log_in(aws, where, rds.MASTER, rds.MASTER_PASSWORD, "SELECT 1") == [[{"longValue": 1}]]


def somebody_elses(aws: EmbeddedAws, tables: int = 1) -> None:
    """Tables in the schema sales that another role owns; the master user has no grant option on them."""
    sql(aws, "create role owner")
    for number in range(1, tables + 1):
        sql(aws, f"create table sales.private_{number} (id int)")
        sql(aws, f"alter table sales.private_{number} owner to owner")


def test_a_grant_that_postgresql_only_warns_of_is_an_error_and_leaves_nothing(
    aws: EmbeddedAws, where: dict[str, str]
) -> None:
    somebody_elses(aws)
    # So far PostgreSQL itself does not complain: the statement succeeds, and grants nothing.
    aws.client("rds-data").execute_statement(**where, sql="GRANT SELECT ON sales.private_1 TO pg_monitor")
    assert sql(aws, "select has_table_privilege('pg_monitor', 'sales.private_1', 'SELECT')") == [["f"]]
    with pytest.raises(
        ClientError, match=r"postgres may not grant to app: SELECT on sales\.private_1; SQLState: 42501"
    ):
        ensure_role(aws.client("rds-data"), where | {"role": "app", "password": "p", "grants": [READ_SALES]})
    assert sql(aws, "select count(*) from pg_roles where rolname = 'app'") == [["0"]]


def test_everything_that_a_writer_lacks_is_named_the_first_ten_in_full(aws: EmbeddedAws, where: dict[str, str]) -> None:
    somebody_elses(aws, tables=4)
    sql(aws, "create sequence sales.numbers")
    sql(aws, "alter sequence sales.numbers owner to owner")
    sql(aws, "grant usage on sequence sales.numbers to postgres")
    grants = [{"schema": "sales", "access": "write"}]
    with pytest.raises(ClientError, match=r"DELETE on sales\.private_1, .* and 7 more") as failed:
        ensure_role(aws.client("rds-data"), where | {"role": "app", "grants": grants})
    assert "sales.orders" not in str(failed.value)


def test_what_the_role_has_by_another_way_need_not_be_granted(aws: EmbeddedAws, where: dict[str, str]) -> None:
    somebody_elses(aws)
    sql(aws, "grant select on sales.private_1 to public")
    ensure_role(aws.client("rds-data"), where | {"role": "app", "password": "p", "grants": [READ_SALES]})
    assert log_in(aws, where, "app", "p", "SELECT count(*) FROM sales.private_1") == [[{"longValue": 0}]]


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
    assert found["at_least"] == {"sales.orders": 3, 'odd "name.Table': 0}


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


def test_no_more_rows_are_read_than_are_asked_for(aws: EmbeddedAws, where: dict[str, str]) -> None:
    """The third row of the view cannot be read, so whoever goes that far fails."""
    sql(aws, "create view sales.brittle as select id from sales.orders where 1 / (3 - id) is not null")
    found = check(aws.client("rds-data"), where | {"rows": [{"schema": "sales", "table": "orders", "at_least": 2}]})
    assert found["at_least"] == {"sales.orders": 2}
    brittle = {"schema": "sales", "table": "brittle", "at_least": 2}
    assert check(aws.client("rds-data"), where | {"rows": [brittle]})["at_least"] == {"sales.brittle": 2}
    with pytest.raises(ClientError, match="division by zero"):
        check(aws.client("rds-data"), where | {"rows": [brittle | {"at_least": 3}]})


def test_many_rows_are_counted_in_statements_of_a_few_seconds_each(
    aws: EmbeddedAws, where: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(aws, "insert into sales.orders (what) select 'more' from generate_series(1, 9997)")
    monkeypatch.setattr(postgres, "SLICE_SECONDS", 0.0)
    asked = {"schema": "sales", "table": "orders", "at_least": 10_000}
    found = check(aws.client("rds-data"), where | {"rows": [asked, asked | {"at_least": 4_500}]})
    assert found["at_least"] == {"sales.orders": 4_500}
    statements = [call for call in aws.calls if call.operation == "rds-data:ExecuteStatement"]
    assert len(statements) > 2 * (10 + 4)
    with pytest.raises(CheckFailed, match="has 10000 rows, and at least 10001 are asked for"):
        check(aws.client("rds-data"), where | {"rows": [asked | {"at_least": 10_001}]})


def test_a_count_that_would_take_too_long_says_how_far_it_came(
    aws: EmbeddedAws, where: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(aws, "insert into sales.orders (what) select 'more' from generate_series(1, 9997)")
    monkeypatch.setattr(postgres, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(postgres, "COUNTING_SECONDS", 0.0)
    asked = {"schema": "sales", "table": "orders", "at_least": 10_000}
    with pytest.raises(CheckFailed, match=r"when 0 rows of the table sales\.orders were read.* ask for fewer"):
        check(aws.client("rds-data"), where | {"rows": [asked]})
