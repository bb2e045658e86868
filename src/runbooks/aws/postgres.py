"""Roles and checks in an Aurora PostgreSQL database, over the RDS Data API: no driver, and no function in a VPC.

PostgreSQL takes no parameters in CREATE ROLE or GRANT. So names and passwords travel as parameters into settings of
the transaction, and the server itself quotes them where it builds the statement: nothing that a caller gives is ever
part of an SQL text. Everything here is safe to run twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.errors import CheckFailed

_SET = "SELECT set_config(:name, :value, true)"

_CREATE = """
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_setting('runbooks.role')) THEN
    EXECUTE format('CREATE ROLE %I', current_setting('runbooks.role'));
  END IF;
END $$
"""

_LOGIN = """
DO $$
BEGIN
  EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L',
                 current_setting('runbooks.role'), current_setting('runbooks.password'));
END $$
"""

_MEMBER = """
DO $$
DECLARE parent text;
BEGIN
  FOR parent IN SELECT jsonb_array_elements_text(current_setting('runbooks.member_of')::jsonb) LOOP
    EXECUTE format('GRANT %I TO %I', parent, current_setting('runbooks.role'));
  END LOOP;
END $$
"""

_GRANT = """
DO $$
DECLARE
  wanted jsonb;
  rights text;
  role text := current_setting('runbooks.role');
BEGIN
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
  FOR wanted IN SELECT jsonb_array_elements(current_setting('runbooks.grants')::jsonb) LOOP
    rights := CASE wanted ->> 'access' WHEN 'write' THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE 'SELECT' END;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', wanted ->> 'schema', role);
    EXECUTE format('GRANT %s ON ALL TABLES IN SCHEMA %I TO %I', rights, wanted ->> 'schema', role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT %s ON TABLES TO %I',
                   wanted ->> 'schema', rights, role);
    IF wanted ->> 'access' = 'write' THEN
      EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', wanted ->> 'schema', role);
      EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE ON SEQUENCES TO %I',
                     wanted ->> 'schema', role);
    END IF;
  END LOOP;
END $$
"""

_COUNT = """
DO $$
DECLARE rows bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM %I.%I', current_setting('runbooks.schema'), current_setting('runbooks.table'))
     INTO rows;
  PERFORM set_config('runbooks.rows', rows::text, true);
END $$
"""

_SCHEMAS = """
SELECT nspname::text FROM pg_namespace
 WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY nspname
"""

_TABLE = """
SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = :schema AND c.relname = :table AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
"""


class _Transaction:
    """Statements of one transaction."""

    def __init__(self, client: Any, where: dict[str, str], transaction: str) -> None:
        self._client = client
        self._given = {key: where[key] for key in ("resourceArn", "secretArn", "database")}
        self._transaction = transaction

    def run(self, sql: str, **values: str) -> list[list[Any]]:
        """Run one statement; its rows, in plain values."""
        bound = [{"name": name, "value": {"stringValue": value}} for name, value in values.items()]
        answer = self._client.execute_statement(
            **self._given, transactionId=self._transaction, sql=sql.strip(), parameters=bound
        )
        return [[next(iter(field.values())) for field in row] for row in answer.get("records", [])]

    def set(self, name: str, value: str) -> None:
        """Give the transaction a setting that its statements can read as `runbooks.<name>`."""
        self.run(_SET, name=f"runbooks.{name}", value=value)


@contextmanager
def _transaction(client: Any, where: dict[str, str]) -> Iterator[_Transaction]:
    database = {key: where[key] for key in ("resourceArn", "secretArn")}
    transaction = client.begin_transaction(**database, database=where["database"])["transactionId"]
    try:
        yield _Transaction(client, where, transaction)
    except BaseException:
        # One that cannot be rolled back now is rolled back by the server when it has been idle for long enough.
        with suppress(BotoCoreError, ClientError):
            client.rollback_transaction(**database, transactionId=transaction)
        raise
    client.commit_transaction(**database, transactionId=transaction)


def ensure_role(client: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """`postgres:EnsureRole`: the role exists, may log in if it has a password, and has the memberships and grants.

    Args:
        client: of `rds-data`.
        wanted: `resourceArn` of the cluster and `secretArn` of who may do this, `database`, `role`; optionally
            `password`, `member_of` (names of roles) and `grants` (each `schema` and `access`: read or write).

    Raises ClientError as the Data API does; then nothing of it has happened.
    """
    with _transaction(client, wanted) as sql:
        sql.set("role", wanted["role"])
        sql.run(_CREATE)
        if "password" in wanted:
            sql.set("password", wanted["password"])
            sql.run(_LOGIN)
        if wanted.get("member_of"):
            sql.set("member_of", json.dumps(wanted["member_of"]))
            sql.run(_MEMBER)
        if wanted.get("grants"):
            sql.set("grants", json.dumps(wanted["grants"]))
            sql.run(_GRANT)
    return {"role": wanted["role"]}


def check(client: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """`postgres:Check`: connect, and look whether the database has what the input says, in a read-only transaction.

    Args:
        client: of `rds-data`.
        wanted: `resourceArn`, `secretArn` and `database`; optionally `schemas` (names that must be there) and `rows`
            (each `schema`, `table` and `at_least`, the least number of rows).

    Returns `version`, `schemas` (all that there are) and `rows` (by `schema.table`). Raises CheckFailed naming
    everything that does not hold, ClientError as the Data API does.
    """
    with _transaction(client, wanted) as sql:
        sql.run("SET TRANSACTION READ ONLY")
        version = sql.run("SELECT current_setting('server_version')")[0][0]
        schemas = [row[0] for row in sql.run(_SCHEMAS)]
        missing = [name for name in wanted.get("schemas", []) if name not in schemas]
        wrong = [f"the schema {name!r} is missing (there are: {', '.join(schemas) or 'none'})" for name in missing]
        rows: dict[str, int] = {}
        for table in wanted.get("rows", []):
            name = f"{table['schema']}.{table['table']}"
            if not sql.run(_TABLE, schema=table["schema"], table=table["table"]):
                wrong.append(f"the table {name} is missing")
                continue
            sql.set("schema", table["schema"])
            sql.set("table", table["table"])
            sql.run(_COUNT)
            rows[name] = int(sql.run("SELECT current_setting('runbooks.rows')")[0][0])
            if rows[name] < table["at_least"]:
                wrong.append(f"the table {name} has {rows[name]} rows, and at least {table['at_least']} are asked for")
    if wrong:
        raise CheckFailed(f"database {wanted['database']}: {'; '.join(wrong)}")
    return {"version": version, "schemas": schemas, "rows": rows}
