"""Roles and checks in an Aurora PostgreSQL database, over the RDS Data API: no driver, and no function in a VPC.

PostgreSQL takes no parameters in CREATE ROLE or GRANT. So names and passwords travel as parameters into settings of
the transaction, and the server itself quotes them where it builds the statement: nothing that a caller gives is ever
part of an SQL text. Everything here is safe to run twice.

What PostgreSQL only warns of is an error here: the Data API shows no warnings, and a grant by somebody who may not give
it is one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.errors import CheckFailed

_SET = "SELECT set_config(:name, :value, true)"

_CREATE = """
DO $$
BEGIN
  IF current_setting('runbooks.role') = session_user THEN
    RAISE EXCEPTION 'the role % is the one that sets roles up, and is left as it is', session_user
          USING ERRCODE = '42939';
  END IF;
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

_NO_LOGIN = """
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = current_setting('runbooks.role') AND rolcanlogin) THEN
    EXECUTE format('ALTER ROLE %I NOLOGIN', current_setting('runbooks.role'));
  END IF;
END $$
"""
"""A role that was in the snapshot could log in with the password that it had then."""

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

_GRANTED = """
DO $$
DECLARE
  role text := current_setting('runbooks.role');
  lacking text;
  lacking_all bigint;
BEGIN
  WITH wanted AS (
    SELECT n.oid, n.nspname, (asked ->> 'access') = 'write' AS writes
      FROM jsonb_array_elements(current_setting('runbooks.grants')::jsonb) asked
      JOIN pg_namespace n ON n.nspname = asked ->> 'schema'
  ), needed AS (
    SELECT 'CONNECT on the database ' || quote_ident(current_database()) AS what,
           has_database_privilege(role, current_database(), 'CONNECT') AS there
    UNION ALL
    SELECT 'USAGE on the schema ' || quote_ident(nspname), has_schema_privilege(role, oid, 'USAGE') FROM wanted
    UNION ALL
    SELECT format('%s on %I.%I', r.name, nspname, c.relname), has_table_privilege(role, c.oid, r.name)
      FROM wanted
      JOIN pg_class c ON c.relnamespace = wanted.oid AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
      JOIN (VALUES ('SELECT', false), ('INSERT', true), ('UPDATE', true), ('DELETE', true)) AS r (name, to_write)
        ON writes OR NOT to_write
    UNION ALL
    -- Only CASE keeps the server from asking it of a table, which is an error.
    SELECT format('USAGE on %I.%I', nspname, c.relname),
           CASE c.relkind WHEN 'S' THEN has_sequence_privilege(role, c.oid, 'USAGE') END
      FROM wanted JOIN pg_class c ON c.relnamespace = wanted.oid AND c.relkind = 'S'
     WHERE writes
  ), missing AS (
    SELECT what, row_number() OVER (ORDER BY what) AS number FROM needed WHERE NOT there
  )
  SELECT string_agg(what, ', ' ORDER BY number) FILTER (WHERE number <= 10), count(*)
    INTO lacking, lacking_all FROM missing;
  IF lacking_all > 0 THEN
    RAISE EXCEPTION '% may not grant to %: %', session_user, role,
          lacking || CASE WHEN lacking_all > 10 THEN format(' and %s more', lacking_all - 10) ELSE '' END
          USING ERRCODE = '42501';
  END IF;
END $$
"""
"""What the role may do now, however it came by that. ERRCODE 42501 is insufficient_privilege."""

_READ = """
DO $$
DECLARE rows refcursor := 'runbooks_rows';
BEGIN
  OPEN rows NO SCROLL FOR EXECUTE format('SELECT 1 FROM %I.%I LIMIT %s', current_setting('runbooks.schema'),
    current_setting('runbooks.table'), current_setting('runbooks.at_least')::bigint);
END $$
"""

_COUNT = """
DO $$
DECLARE
  rows refcursor := 'runbooks_rows';
  counted bigint := 0;
  moved bigint;
  over timestamptz := clock_timestamp() + make_interval(secs => current_setting('runbooks.seconds')::float8);
BEGIN
  LOOP
    MOVE FORWARD 1000 IN rows;
    GET DIAGNOSTICS moved = ROW_COUNT;
    counted := counted + moved;
    EXIT WHEN moved < 1000 OR clock_timestamp() > over;
  END LOOP;
  IF moved < 1000 THEN
    CLOSE rows;
  END IF;
  PERFORM set_config('runbooks.counted', counted::text, true);
  PERFORM set_config('runbooks.more', (moved = 1000)::text, true);
END $$
"""
"""Counts on from where the last one stopped, for so many seconds."""

_COUNTED = "SELECT current_setting('runbooks.counted'), current_setting('runbooks.more')"

SLICE_SECONDS = 6.0
"""Of counting in one statement: the client waits 20 seconds for an answer, and the Data API 45 for a statement."""
COUNTING_SECONDS = 30.0
"""Of counting in one check: the function that makes it has a minute for everything."""

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
    """`postgres:EnsureRole`: the role exists, has the memberships and grants, and may log in if it has a password.

    Without a password it may not log in, whatever it could before.

    Args:
        client: of `rds-data`.
        wanted: `resourceArn` of the cluster and `secretArn` of who may do this, `database`, `role`; optionally
            `password`, `member_of` (names of roles) and `grants` (each `schema` and `access`: read or write).

    Raises ClientError as the Data API does, also for a grant that would not be there in the end and for a role that is
    the connecting one; then nothing of it has happened.
    """
    with _transaction(client, wanted) as sql:
        sql.set("role", wanted["role"])
        sql.run(_CREATE)
        if "password" in wanted:
            sql.set("password", wanted["password"])
            sql.run(_LOGIN)
        else:
            sql.run(_NO_LOGIN)
        if wanted.get("member_of"):
            sql.set("member_of", json.dumps(wanted["member_of"]))
            sql.run(_MEMBER)
        if wanted.get("grants"):
            sql.set("grants", json.dumps(wanted["grants"]))
            sql.run(_GRANT)
            sql.run(_GRANTED)
    return {"role": wanted["role"]}


def check(client: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """`postgres:Check`: connect, and look whether the database has what the input says, in a read-only transaction.

    Args:
        client: of `rds-data`.
        wanted: `resourceArn`, `secretArn` and `database`; optionally `schemas` (names that must be there) and `rows`
            (each `schema`, `table` and `at_least`, the least number of rows). No more rows than that are read.

    Returns `version`, `schemas` (all that there are) and `at_least` (by `schema.table`, the number of rows that it has
    or more). Raises CheckFailed naming everything that does not hold, ClientError as the Data API does.
    """
    with _transaction(client, wanted) as sql:
        sql.run("SET TRANSACTION READ ONLY")
        version = sql.run("SELECT current_setting('server_version')")[0][0]
        schemas = [row[0] for row in sql.run(_SCHEMAS)]
        missing = [name for name in wanted.get("schemas", []) if name not in schemas]
        wrong = [f"the schema {name!r} is missing (there are: {', '.join(schemas) or 'none'})" for name in missing]
        proved: dict[str, int] = {}
        over = time.monotonic() + COUNTING_SECONDS
        for table in wanted.get("rows", []):
            name, asked = f"{table['schema']}.{table['table']}", table["at_least"]
            if not sql.run(_TABLE, schema=table["schema"], table=table["table"]):
                wrong.append(f"the table {name} is missing")
                continue
            counted, all_read = _count(sql, table, over)
            if counted >= asked:
                proved[name] = asked
            elif all_read:
                wrong.append(f"the table {name} has {counted} rows, and at least {asked} are asked for")
            else:
                wrong.append(
                    f"the time for counting ended when {counted} rows of the table {name} were read, and at least"
                    f" {asked} are asked for; ask for fewer"
                )
                break
    if wrong:
        raise CheckFailed(f"database {wanted['database']}: {'; '.join(wrong)}")
    return {"version": version, "schemas": schemas, "at_least": proved}


def _count(sql: _Transaction, table: dict[str, Any], over: float) -> tuple[int, bool]:
    """How many rows were read, at most `at_least`, and whether there was time (until `over`) for all of these."""
    for setting in ("schema", "table", "at_least"):
        sql.set(setting, str(table[setting]))
    sql.set("seconds", str(SLICE_SECONDS))
    sql.run(_READ)
    counted, more = 0, "true"
    while more == "true" and time.monotonic() < over:
        sql.run(_COUNT)
        moved, more = sql.run(_COUNTED)[0]
        counted += int(moved)
    return counted, more == "false"
