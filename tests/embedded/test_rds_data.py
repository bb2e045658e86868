"""The RDS Data API as its documentation has it: SQL on a real PostgreSQL, as the user that a secret names."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws, rds

CONTENT = """
CREATE TABLE orders (id int PRIMARY KEY, customer text NOT NULL, paid boolean, total numeric(10, 2));
INSERT INTO orders VALUES (1, 'ada', true, 9.50), (2, 'bob', false, 120.00);
"""


class Shop:
    """A cluster with some orders, and its master user's secret."""

    def __init__(self, aws: EmbeddedAws, **fields: Any) -> None:
        self.aws = aws
        self.client = aws.client("rds-data")
        self.arn = rds.cluster(aws, "orders", content=CONTENT, database="shop", **fields)
        self.secret = rds.secret(aws, "master", rds.MASTER, rds.MASTER_PASSWORD)

    def given(self, **given: Any) -> dict[str, Any]:
        return {"resourceArn": self.arn, "secretArn": self.secret, **given}

    def run(self, sql: str, parameters: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
        """`parameters`: name to value field."""
        named = [{"name": name, "value": value} for name, value in (parameters or {}).items()]
        asked = self.given(sql=sql, parameters=named, **{"database": "shop", **given})
        return dict(self.client.execute_statement(**asked))

    def rows(self, sql: str, parameters: dict[str, Any] | None = None, **given: Any) -> list[list[Any]]:
        records = self.run(sql, parameters, **given)["records"]
        return [[None if "isNull" in field else next(iter(field.values())) for field in row] for row in records]

    def begin(self) -> str:
        return str(self.client.begin_transaction(**self.given(database="shop"))["transactionId"])


def refusal(call: Callable[[], Any]) -> tuple[str, str, int]:
    """Code, message and HTTP status that the call is refused with."""
    with pytest.raises(ClientError) as raised:
        call()
    response = raised.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def code(call: Callable[[], Any]) -> str:
    return refusal(call)[0]


# -- statements --------------------------------------------------------------------------------------------------------


def test_a_query_returns_typed_fields_and_says_what_they_are(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    sql = "SELECT id, customer, paid, total, NULL::text AS note FROM orders WHERE id = :id"
    answer = shop.run(sql, {"id": {"longValue": 1}}, includeResultMetadata=True)
    assert answer["records"] == [
        [{"longValue": 1}, {"stringValue": "ada"}, {"booleanValue": True}, {"stringValue": "9.50"}, {"isNull": True}]
    ]
    assert answer["numberOfRecordsUpdated"] == 0
    told = [(each["name"], each["typeName"]) for each in answer["columnMetadata"]]
    assert told == [("id", "int4"), ("customer", "text"), ("paid", "bool"), ("total", "numeric"), ("note", "text")]
    assert "columnMetadata" not in shop.run("SELECT 1")


def test_values_come_in_the_field_of_their_type(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    shop.run("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    sql = """SELECT 1.5::float8, '\\x00ff'::bytea, '2026-11-20 10:00:00.25+02'::timestamptz, '{"a": 1}'::jsonb,
             'glad'::mood, ARRAY[1, 2], ARRAY['a "b"', 'c,d'], current_user, 2::numeric"""
    (row,) = shop.run(sql)["records"]
    assert row == [
        {"doubleValue": 1.5},
        {"blobValue": b"\x00\xff"},
        {"stringValue": "2026-11-20 08:00:00.25"},
        {"stringValue": '{"a": 1}'},
        {"stringValue": "glad"},
        {"arrayValue": {"longValues": [1, 2]}},
        {"arrayValue": {"stringValues": ['a "b"', "c,d"]}},
        {"stringValue": "postgres"},
        {"stringValue": "2"},
    ]
    options = {"decimalReturnType": "DOUBLE_OR_LONG", "longReturnType": "STRING"}
    assert shop.rows("SELECT 2::numeric, 2.5::numeric, 7", resultSetOptions=options) == [[2, 2.5, "7"]]
    assert refusal(lambda: shop.run("SELECT 'orders'::regclass"))[:2] == (
        "UnsupportedResultException",
        "The result contains the unsupported data type regclass.",
    )


def test_records_can_be_had_as_json(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    answer = shop.run("SELECT id, customer, NULL AS note FROM orders ORDER BY id LIMIT 1", formatRecordsAs="JSON")
    assert answer["formattedRecords"] == '[{"id": 1, "customer": "ada", "note": null}]'
    assert "records" not in answer


def test_parameters_are_values_and_never_sql(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    evil = {"stringValue": "x'; DROP TABLE orders; --"}
    values = {"id": {"longValue": 3}, "customer": evil, "paid": {"isNull": True}, "total": {"doubleValue": 1.25}}
    insert = "INSERT INTO orders VALUES (:id, :customer, :paid, :total)"
    assert shop.run(insert, values)["numberOfRecordsUpdated"] == 1
    assert shop.rows("SELECT customer, paid, total FROM orders WHERE id = 3") == [[evil["stringValue"], None, "1.25"]]
    sql = "SELECT ':id', :a || ':b'::text, $$ :c $$ -- :d\n /* :e */"
    assert shop.rows(sql, {"a": {"stringValue": "x"}}) == [[":id", "x:b", " :c "]]
    assert refusal(lambda: shop.run("SELECT :nobody"))[:2] == ("BadRequestException", "Cannot find parameter: nobody")


def test_a_string_is_text_unless_a_hint_says_otherwise(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    number = "0b1c9be6-5d3a-4f37-8f3f-000000000001"
    value = {"name": "id", "value": {"stringValue": number}}
    asked = shop.given(sql="SELECT gen_random_uuid() = :id", database="shop")
    plain = refusal(lambda: shop.client.execute_statement(**asked, parameters=[value]))
    assert plain[0] == "DatabaseErrorException"
    assert plain[1].startswith("ERROR: operator does not exist: uuid = text; Hint: No operator matches")
    assert plain[1].endswith("SQLState: 42883")
    hinted = shop.client.execute_statement(**asked, parameters=[{**value, "typeHint": "UUID"}])
    assert hinted["records"] == [[{"booleanValue": False}]]


def test_errors_of_postgresql_come_with_their_state(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    assert refusal(lambda: shop.run("SELEC 1")) == (
        "DatabaseErrorException",
        'ERROR: syntax error at or near "SELEC"; Position: 1; SQLState: 42601',
        400,
    )
    assert refusal(lambda: shop.run("INSERT INTO orders VALUES (1, 'eve')"))[1] == (
        'ERROR: duplicate key value violates unique constraint "orders_pkey"; Detail: Key (id)=(1) already exists.; '
        "SQLState: 23505"
    )
    assert refusal(lambda: shop.run("SELECT 1", database="none"))[1] == (
        'ERROR: database "none" does not exist; SQLState: 3D000'
    )
    two = "SELECT 1; SELECT 2"
    assert refusal(lambda: shop.run(two))[1].endswith("SQLState: 42601")


def test_the_database_is_the_users_name_unless_one_is_named(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    answer = shop.client.execute_statement(**shop.given(sql="SELECT current_database()::text"))
    assert answer["records"] == [[{"stringValue": "postgres"}]]


def test_a_batch_runs_a_statement_for_every_set_or_for_none(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    asked = shop.given(sql="INSERT INTO orders (id, customer) VALUES (:id, :customer)", database="shop")

    def sets(*numbers: int) -> list[Any]:
        name = {"name": "customer", "value": {"stringValue": "eve"}}
        return [[{"name": "id", "value": {"longValue": number}}, name] for number in numbers]

    answer = shop.client.batch_execute_statement(**asked, parameterSets=sets(10, 11))
    assert len(answer["updateResults"]) == 2
    assert code(lambda: shop.client.batch_execute_statement(**asked, parameterSets=sets(12, 10))) == (
        "DatabaseErrorException"
    )
    assert shop.rows("SELECT id FROM orders WHERE customer = 'eve' ORDER BY id") == [[10], [11]]


def test_a_statement_that_takes_too_long_times_out(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(aws)
    monkeypatch.setattr("workbench.embedded.rds_data.STATEMENT_MOST", 0.1)
    assert code(lambda: shop.run("SELECT 'x' FROM pg_sleep(5)")) == "StatementTimeoutException"
    assert shop.rows("SELECT 'x' FROM pg_sleep(0.2)", continueAfterTimeout=True) == [["x"]]


# -- transactions ------------------------------------------------------------------------------------------------------


def test_a_transaction_is_seen_by_others_once_it_is_committed(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    one, other = shop.begin(), shop.begin()
    shop.run("DELETE FROM orders WHERE id = 1", transactionId=one)
    shop.run("DELETE FROM orders WHERE id = 2", transactionId=other)
    assert shop.rows("SELECT count(*) FROM orders") == [[2]]
    given = {"resourceArn": shop.arn, "secretArn": shop.secret}
    committed = shop.client.commit_transaction(**given, transactionId=one)
    assert committed["transactionStatus"] == "Transaction Committed"
    rolled_back = shop.client.rollback_transaction(**given, transactionId=other)
    assert rolled_back["transactionStatus"] == "Rollback Complete"
    assert shop.rows("SELECT id FROM orders") == [[2]]
    assert code(lambda: shop.client.commit_transaction(**given, transactionId=one)) == "TransactionNotFoundException"


def test_a_transaction_with_a_failed_statement_commits_nothing(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    number = shop.begin()
    shop.run("DELETE FROM orders", transactionId=number)
    assert code(lambda: shop.run("SELECT nonsense", transactionId=number)) == "DatabaseErrorException"
    assert refusal(lambda: shop.run("SELECT 1", transactionId=number))[1].endswith("SQLState: 25P02")
    given = {"resourceArn": shop.arn, "secretArn": shop.secret}
    assert code(lambda: shop.client.commit_transaction(**given, transactionId=number)) == "DatabaseErrorException"
    assert shop.rows("SELECT count(*) FROM orders") == [[2]]


def test_a_transaction_that_nobody_uses_for_three_minutes_is_rolled_back(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    number = shop.begin()
    shop.run("DELETE FROM orders", transactionId=number)
    aws.clock.advance(minutes=2)
    assert shop.rows("SELECT count(*) FROM orders", transactionId=number) == [[0]]
    aws.clock.advance(minutes=4)
    assert refusal(lambda: shop.run("SELECT 1", transactionId=number))[::2] == ("TransactionNotFoundException", 404)
    assert shop.rows("SELECT count(*) FROM orders") == [[2]]


# -- users -------------------------------------------------------------------------------------------------------------


def test_a_new_user_logs_in_with_its_own_password_and_no_other(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    number = shop.begin()
    for name, value in (("app.user", "report"), ("app.password", "s'ecret: x")):
        values = {"name": {"stringValue": name}, "value": {"stringValue": value}}
        shop.run("SELECT set_config(:name, :value, true)", values, transactionId=number)
    shop.run(
        "DO $$ BEGIN EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', current_setting('app.user'), "
        "current_setting('app.password')); END $$",
        transactionId=number,
    )
    shop.run("GRANT SELECT ON orders TO report", transactionId=number)
    shop.client.commit_transaction(**shop.given(transactionId=number))
    right = rds.secret(aws, "report", "report", "s'ecret: x")
    wrong = rds.secret(aws, "wrong", "report", "guess")
    assert shop.rows("SELECT current_user::text, count(*) FROM orders", secretArn=right) == [["report", 2]]
    assert refusal(lambda: shop.run("SELECT 1", secretArn=wrong)) == (
        "DatabaseErrorException",
        'ERROR: password authentication failed for user "report"; SQLState: 28P01',
        400,
    )
    assert refusal(lambda: shop.run("DELETE FROM orders", secretArn=right))[1].endswith("SQLState: 42501")


def test_the_master_user_is_no_superuser_but_makes_users_and_databases(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    who = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    assert shop.rows(who) == [[False, True, True]]
    shop.run("CREATE ROLE readers")
    shop.run("GRANT pg_read_all_data TO readers")
    assert refusal(lambda: shop.run("ALTER ROLE rdsadmin PASSWORD 'mine'"))[1].endswith("SQLState: 42501")


def test_the_secret_must_be_there_and_hold_a_name_and_a_password(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    gone = f"arn:aws:secretsmanager:{aws.region}:{aws.account_id}:secret:gone-123456"
    assert code(lambda: shop.run("SELECT 1", secretArn=gone)) == "SecretsErrorException"
    text = aws.client("secretsmanager").create_secret(Name="text", SecretString="not json")["ARN"]
    assert code(lambda: shop.run("SELECT 1", secretArn=text)) == "InvalidSecretException"


def test_the_master_password_can_be_reset(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    assert shop.rows("SELECT 1") == [[1]]
    aws.client("rds").modify_db_cluster(DBClusterIdentifier="orders", MasterUserPassword="another-password")
    aws.clock.advance(minutes=1)
    assert code(lambda: shop.run("SELECT 1")) == "DatabaseErrorException"
    shop.secret = rds.secret(aws, "new", rds.MASTER, "another-password")
    assert shop.rows("SELECT 1") == [[1]]


# -- clusters ----------------------------------------------------------------------------------------------------------


def test_sql_needs_the_endpoint_an_instance_and_a_writer_that_is_available(aws: EmbeddedAws) -> None:
    shop = Shop(aws, http_endpoint=False, instances=0)
    client = aws.client("rds")
    assert refusal(lambda: shop.run("SELECT 1"))[::2] == ("HttpEndpointNotEnabledException", 400)
    client.enable_http_endpoint(ResourceArn=shop.arn)
    assert refusal(lambda: shop.run("SELECT 1"))[::2] == ("DatabaseNotFoundException", 404)
    client.create_db_instance(
        DBClusterIdentifier="orders",
        DBInstanceIdentifier="orders-1",
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    assert refusal(lambda: shop.run("SELECT 1"))[::2] == ("DatabaseUnavailableException", 504)
    aws.clock.advance(minutes=10)
    assert shop.rows("SELECT 1") == [[1]]
    assert code(lambda: shop.run("SELECT 1", resourceArn=f"{shop.arn}-none")) == "BadRequestException"


def test_sql_on_mysql_is_not_faked_and_says_so(aws: EmbeddedAws) -> None:
    arn = rds.cluster(aws, "billing", engine="aurora-mysql", version="8.0.mysql_aurora.3.08.2")
    secret = rds.secret(aws, "billing", rds.MASTER, rds.MASTER_PASSWORD)
    client = aws.client("rds-data")
    given = {"resourceArn": arn, "secretArn": secret, "sql": "SELECT 1"}
    assert refusal(lambda: client.execute_statement(**given))[::2] == ("NotImplemented", 501)


def test_a_snapshot_carries_what_its_cluster_held_and_each_cluster_has_its_own(aws: EmbeddedAws) -> None:
    shop, client = Shop(aws), aws.client("rds")
    shop.run("CREATE ROLE report LOGIN PASSWORD 'for-reports'")
    shop.run("INSERT INTO orders VALUES (3, 'eve')")
    open_one = shop.begin()
    shop.run("INSERT INTO orders VALUES (4, 'not yet')", transactionId=open_one)
    client.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="three")
    shop.run("DELETE FROM orders WHERE id < 3")
    aws.clock.advance(minutes=5)
    client.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="restored", SnapshotIdentifier="three", Engine="aurora-postgresql"
    )
    aws.clock.advance(minutes=20)
    assert rds.sql(aws, "restored", "SELECT id FROM orders ORDER BY id") == [["1"], ["2"], ["3"]]
    assert rds.sql(aws, "orders", "SELECT id FROM orders ORDER BY id") == [["3"]]
    client.create_db_instance(
        DBClusterIdentifier="restored",
        DBInstanceIdentifier="restored-1",
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    aws.clock.advance(minutes=10)
    arn = "arn:aws:rds:eu-central-1:123456789012:cluster:restored"
    client.enable_http_endpoint(ResourceArn=arn)
    report = rds.secret(aws, "report", "report", "for-reports")
    assert shop.rows("SELECT 1", resourceArn=arn, secretArn=report) == [[1]]
    shop.run("DROP TABLE orders", resourceArn=arn)
    assert rds.sql(aws, "orders", "SELECT id FROM orders") == [["3"]]


def test_a_renamed_cluster_is_reached_by_its_new_arn(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    aws.client("rds").modify_db_cluster(
        DBClusterIdentifier="orders", NewDBClusterIdentifier="orders-old", ApplyImmediately=True
    )
    aws.clock.advance(minutes=5)
    assert code(lambda: shop.run("SELECT 1")) == "BadRequestException"
    assert shop.rows("SELECT count(*) FROM orders", resourceArn=f"{shop.arn}-old") == [[2]]


def test_faults_meet_statements_and_they_are_seen(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    aws.faults.fail("rds-data:ExecuteStatement", code="ServiceUnavailableError", message="", status=503, times=1)
    assert refusal(lambda: shop.run("SELECT 1"))[::2] == ("ServiceUnavailableError", 503)
    assert shop.rows("SELECT 1") == [[1]]
    ours = [call for call in aws.calls if call.operation.startswith("rds-data")]
    assert [(call.operation, call.status) for call in ours] == [
        ("rds-data:ExecuteStatement", 503),
        ("rds-data:ExecuteStatement", 200),
    ]


# -- servers -----------------------------------------------------------------------------------------------------------


def test_no_server_runs_before_the_first_statement_or_after_a_reset(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    rds.snapshot(aws, "orders", "one")
    database = aws.rds.region.clusters["orders"].database
    assert database is not None
    assert not database.running
    shop.run("SELECT 1")
    assert database.running
    aws.reset()
    assert not database.running


def test_a_server_that_crashes_comes_back_with_what_was_committed(aws: EmbeddedAws) -> None:
    shop = Shop(aws)
    number = shop.begin()
    shop.run("DELETE FROM orders WHERE id = 1")
    shop.run("DELETE FROM orders WHERE id = 2", transactionId=number)
    database = aws.rds.region.clusters["orders"].database
    assert database is not None
    database.crash()
    assert refusal(lambda: shop.run("SELECT 1", transactionId=number))[::2] == ("DatabaseUnavailableException", 504)
    assert shop.rows("SELECT id FROM orders") == [[2]]


DIES = """
import os, signal
from workbench.embedded.postgres import Servers, Volume

servers = Servers()
servers.database(Volume("owner", "password")).connect("owner", "password", "postgres")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_of_a_process_that_dies(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:  # a path that is short enough for a socket
        Path(folder).chmod(0o755)
        environ = {"PYTHONPATH": ":".join(sys.path), "TMPDIR": folder, "PATH": "/usr/bin:/bin"}
        died = subprocess.run([sys.executable, "-c", DIES], env=environ, check=False, capture_output=True)
        assert died.returncode == -9, died.stderr
        give_up = time.monotonic() + 20
        while list(Path(folder).iterdir()):
            assert time.monotonic() < give_up, "the servers' folder is still there"
            time.sleep(0.05)
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert folder not in listed.stdout
