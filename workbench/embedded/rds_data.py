"""The RDS Data API: SQL over HTTP, run on the real PostgreSQL of a cluster as the user that a secret names.

It is there for clusters whose HTTP endpoint is on and whose writer is available, with the limits that the API has for
provisioned Aurora PostgreSQL.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.iam.models import get_account_id_from
from moto.secretsmanager.exceptions import SecretsManagerClientError
from moto.secretsmanager.models import secretsmanager_backends

from workbench.embedded.calls import Call, ServiceError
from workbench.embedded.identities import identity
from workbench.embedded.postgres import Connection, Database, Gone, SqlError
from workbench.embedded.rds.state import Cluster, Given

if TYPE_CHECKING:
    from workbench.embedded.rds import RdsWorld

IDLE_MOST = timedelta(minutes=3)
"""A transaction that no call uses for so long is rolled back."""
OPEN_MOST = timedelta(hours=24)
STATEMENT_MOST = 45
"""Seconds after which a statement is cancelled, unless it may go on."""
RESULT_MOST = 1024 * 1024
SQL_MOST = 65536

BOOL, BYTEA, INT8, TEXT, OID, FLOAT8, NUMERIC = 16, 17, 20, 25, 26, 701, 1700
HINTS = {"DATE": 1082, "DECIMAL": NUMERIC, "JSON": 3802, "TIME": 1083, "TIMESTAMP": 1114, "UUID": 2950}
"""PostgreSQL's type for each typeHint of a string."""


@dataclass(frozen=True)
class Type:
    """A type of a result: PostgreSQL's name, JDBC's number, the field that values come in, the type of elements."""

    name: str
    number: int
    field: str
    element: int | None = None


_SCALARS = {
    16: Type("bool", -7, "booleanValue"),
    17: Type("bytea", -2, "blobValue"),
    19: Type("name", 12, "stringValue"),
    20: Type("int8", -5, "longValue"),
    21: Type("int2", 5, "longValue"),
    23: Type("int4", 4, "longValue"),
    25: Type("text", 12, "stringValue"),
    114: Type("json", 1111, "stringValue"),
    700: Type("float4", 7, "doubleValue"),
    701: Type("float8", 8, "doubleValue"),
    650: Type("cidr", 1111, "stringValue"),
    869: Type("inet", 1111, "stringValue"),
    1042: Type("bpchar", 1, "stringValue"),
    1043: Type("varchar", 12, "stringValue"),
    1082: Type("date", 91, "stringValue"),
    1083: Type("time", 92, "stringValue"),
    1114: Type("timestamp", 93, "stringValue"),
    1184: Type("timestamptz", 93, "stringValue"),
    1700: Type("numeric", 2, "stringValue"),
    2950: Type("uuid", 1111, "stringValue"),
    3802: Type("jsonb", 1111, "stringValue"),
}
_ARRAYS = {
    1000: 16,
    1003: 19,
    1005: 21,
    1007: 23,
    1016: 20,
    1021: 700,
    1022: 701,
    1009: 25,
    1015: 1043,
    1231: 1700,
    2951: 2950,
}
TYPES = {
    **_SCALARS,
    **{oid: Type(f"_{_SCALARS[of].name}", 2003, "arrayValue", element=of) for oid, of in _ARRAYS.items()},
}
"""What the API can return; anything else is an UnsupportedResultException."""

_TOKENS = re.compile(
    r"""
    (?P<skipped> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | --[^\n]* | /\*.*?\*/ | \$(?P<quote>\w*)\$.*?\$(?P=quote)\$ | :: | := )
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Transaction:
    """An open transaction, and the session that it runs in."""

    cluster: str
    session: Connection
    began: datetime
    used: datetime


class DataApi:
    """The service in all accounts and regions."""

    def __init__(self, world: RdsWorld) -> None:
        self._world = world
        self._transactions: dict[str, Transaction] = {}
        self._made = 0

    def reset(self) -> None:
        """Forgets the open transactions."""
        with self._world.lock:
            transactions, self._transactions = self._transactions, {}
            self._made = 0
        for each in transactions.values():
            each.session.close()

    def answer(self, call: Call) -> dict[str, Any]:
        """Answers one API call. Raises ServiceError as the Data API would."""
        handler = _OPERATIONS.get(call.operation)
        if handler is None:
            raise NotImplementedError(f"{call.operation} is not among the operations of the embedded RDS Data API")
        return handler(self, call)

    # -- operations ----------------------------------------------------------------------------------------------------

    def _execute(self, call: Call) -> dict[str, Any]:
        given = call.params
        _check(given)
        statement, names = _numbered(given["sql"])
        values, oids = _bound(names, given.get("parameters") or [])
        with self._session(call, given) as session, _errors():
            session.run(f"SET statement_timeout = {0 if given.get('continueAfterTimeout') else STATEMENT_MOST * 1000}")
            result = session.run(statement, values, oids)
            types = [TYPES.get(column["type_oid"]) or _own_type(session, column) for column in result.columns or []]
        return _told(result, types, given)

    def _batch(self, call: Call) -> dict[str, Any]:
        given = call.params
        _check(given)
        statement, names = _numbered(given["sql"])
        with self._session(call, given) as session, _errors():
            alone = not given.get("transactionId")
            if alone:
                session.run("BEGIN")
            sets = given.get("parameterSets") or [[]]
            for each in sets:
                session.run(statement, *_bound(names, each))
            if alone:
                session.run("COMMIT")
        return {"updateResults": [{"generatedFields": []} for _ in sets]}

    def _begin(self, call: Call) -> dict[str, Any]:
        given = call.params
        _check(given)
        cluster = self._cluster(call, given)
        with _errors():
            session = self._connected(call, given, cluster)
            session.run("BEGIN")
        now = self._world.clock.now()
        with self._world.lock:
            self._made += 1
            number = identity("transaction", self._made)
            self._transactions[number] = Transaction(cluster.resource_id, session, now, now)
        return {"transactionId": number}

    def _commit(self, call: Call) -> dict[str, Any]:
        transaction = self._ended(call)
        with contextlib.closing(transaction.session) as session, _errors():
            if session.failed:
                session.run("ROLLBACK")
                raise _database_error("current transaction is aborted, commands ignored until end of transaction block")
            session.run("COMMIT")
        return {"transactionStatus": "Transaction Committed"}

    def _rollback(self, call: Call) -> dict[str, Any]:
        transaction = self._ended(call)
        with contextlib.closing(transaction.session) as session, _errors():
            session.run("ROLLBACK")
        return {"transactionStatus": "Rollback Complete"}

    # -- who talks to what ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self, call: Call, given: Given) -> Iterator[Connection]:
        """The session of the call's transaction, or one for this call alone."""
        cluster = self._cluster(call, given)
        if given.get("transactionId"):
            self._secret(call, given)
            yield self._transaction(given["transactionId"], cluster).session
            return
        with _errors():
            session = self._connected(call, given, cluster)
        with contextlib.closing(session):
            yield session

    def _connected(self, call: Call, given: Given, cluster: Cluster) -> Connection:
        user, password = self._secret(call, given)
        session = _database(cluster).connect(user, password, given.get("database") or user)
        session.run("SET TimeZone = 'UTC'")
        return session

    def _cluster(self, call: Call, given: Given) -> Cluster:
        """The cluster, which SQL can be sent to now. Raises the error that says why it cannot."""
        arn = given["resourceArn"]
        with self._world.lock:
            here = self._world.at(get_account_id_from(call.access_key), call.region).region
            prefix = here.arn("cluster", "")
            cluster = here.clusters.get(arn.removeprefix(prefix).lower()) if arn.startswith(prefix) else None
            if cluster is None:
                raise ServiceError("BadRequestException", f"Invalid cluster id: {arn}")
            if not cluster.http_endpoint:
                raise ServiceError("HttpEndpointNotEnabledException", f"HttpEndpoint is not enabled for resource {arn}")
            if cluster.writer is None:
                raise ServiceError("DatabaseNotFoundException", f"There is no DB instance in the cluster {arn}", 404)
            if cluster.writer.instance_class.startswith("db.t"):
                raise NotImplementedError("SQL over HTTP with a T instance class, which the Data API does not support")
            if cluster.writer.life.status not in ("available", "renaming"):
                raise ServiceError("DatabaseUnavailableException", "The writer instance isn't available", 504)
            return cluster

    def _secret(self, call: Call, given: Given) -> tuple[str, str]:
        """The user's name and password. Raises SecretsErrorException, InvalidSecretException."""
        backend: Any = secretsmanager_backends[get_account_id_from(call.access_key)][call.region]
        wanted = given["secretArn"]
        try:
            text = backend.get_secret_value(wanted, None, None).get("SecretString")
        except SecretsManagerClientError as error:
            text = f"Error fetching secret {wanted} : Secrets Manager can't find the specified secret."
            raise ServiceError("SecretsErrorException", text) from error
        try:
            content = json.loads(text or "")
            return str(content["username"]), str(content["password"])
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError(
                "InvalidSecretException", f"The secret {wanted} must be JSON with a username and a password."
            ) from error

    def _transaction(self, number: str, cluster: Cluster) -> Transaction:
        """An open transaction on that cluster. Raises TransactionNotFoundException."""
        now = self._world.clock.now()
        with self._world.lock:
            found = self._transactions.get(number)
            if found is not None and (now - found.used > IDLE_MOST or now - found.began > OPEN_MOST):
                del self._transactions[number]
                found.session.close()
                found = None
            if found is None or found.cluster != cluster.resource_id:
                raise ServiceError("TransactionNotFoundException", f"Transaction {number} is not found", 404)
            found.used = now
            return found

    def _ended(self, call: Call) -> Transaction:
        given = call.params
        cluster = self._cluster(call, given)
        self._secret(call, given)
        transaction = self._transaction(given["transactionId"], cluster)
        with self._world.lock:
            del self._transactions[given["transactionId"]]
        return transaction


_OPERATIONS: Mapping[str, Callable[[DataApi, Call], dict[str, Any]]] = {
    "BatchExecuteStatement": DataApi._batch,
    "BeginTransaction": DataApi._begin,
    "CommitTransaction": DataApi._commit,
    "ExecuteStatement": DataApi._execute,
    "RollbackTransaction": DataApi._rollback,
}


def _database(cluster: Cluster) -> Database:
    if cluster.database is None:
        raise NotImplementedError(f"SQL on {cluster.engine} clusters")
    return cluster.database


def _check(given: Given) -> None:
    if given.get("schema"):
        raise ServiceError("BadRequestException", "The schema parameter isn't supported for Aurora PostgreSQL.")
    if len(given.get("sql", "").encode()) > SQL_MOST:
        raise ServiceError("BadRequestException", f"The SQL statement is longer than {SQL_MOST} bytes.")


# -- parameters --------------------------------------------------------------------------------------------------------


def _numbered(sql: str) -> tuple[str, list[str]]:
    """The statement with $1, $2, ... for its named parameters, and their names in that order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _TOKENS.sub(number, sql), names


def _bound(names: Sequence[str], parameters: Sequence[Given]) -> tuple[list[str | None], list[int]]:
    """The parameters' values as PostgreSQL reads them and their types. Raises BadRequestException."""
    given = {each.get("name"): each for each in parameters}
    values, oids = [], []
    for name in names:
        if name not in given:
            raise ServiceError("BadRequestException", f"Cannot find parameter: {name}")
        value, oid = _value(given[name])
        values.append(value)
        oids.append(oid)
    return values, oids


def _value(parameter: Given) -> tuple[str | None, int]:
    value, hint = parameter.get("value") or {}, parameter.get("typeHint")
    hinted = HINTS[hint] if hint else None
    if value.get("isNull"):
        return None, hinted or 0
    if "stringValue" in value:
        return value["stringValue"], hinted or TEXT
    if "longValue" in value:
        return str(value["longValue"]), INT8
    if "doubleValue" in value:
        return repr(float(value["doubleValue"])), FLOAT8
    if "booleanValue" in value:
        return "true" if value["booleanValue"] else "false", BOOL
    if "blobValue" in value:
        return "\\x" + bytes(value["blobValue"]).hex(), BYTEA
    kind = ", ".join(value) or "none"
    raise ServiceError("BadRequestException", f"Parameter {parameter.get('name')} has an unsupported value: {kind}")


# -- results -----------------------------------------------------------------------------------------------------------


def _own_type(session: Connection, column: Mapping[str, Any]) -> Type:
    """An enumeration comes as a string. Raises UnsupportedResultException for any other type that is not in TYPES."""
    sql = "SELECT typname::text, typtype::text FROM pg_type WHERE oid = $1"
    asked = session.run(sql, [str(column["type_oid"])], [OID])
    name, kind = asked.rows[0]
    if kind != "e":
        raise ServiceError("UnsupportedResultException", f"The result contains the unsupported data type {name}.")
    return Type(name, 12, "stringValue")


def _told(result: Any, types: Sequence[Type], given: Given) -> dict[str, Any]:
    if result.columns is None:
        return {"numberOfRecordsUpdated": max(0, result.row_count), "generatedFields": []}
    options = given.get("resultSetOptions") or {}
    rows = [[_field(text, kind, options) for text, kind in zip(row, types, strict=True)] for row in result.rows]
    told: dict[str, Any] = {"numberOfRecordsUpdated": 0, "generatedFields": []}
    names = [column["name"] for column in result.columns]
    if given.get("formatRecordsAs") == "JSON":
        plain = [{name: _plain(field) for name, field in zip(names, row, strict=True)} for row in rows]
        told["formattedRecords"] = json.dumps(plain)
    else:
        told["records"] = rows
    if sum(len(text or "") for row in result.rows for text in row) > RESULT_MOST:
        raise ServiceError(
            "UnsupportedResultException", "Database returned more than the allowed response size limit of 1 MB"
        )
    if given.get("includeResultMetadata"):
        told["columnMetadata"] = [
            {
                "name": name,
                "label": name,
                "type": kind.number,
                "typeName": kind.name,
                "schemaName": "",
                "tableName": "",
                "isAutoIncrement": False,
                "isSigned": kind.field in ("longValue", "doubleValue") or kind.name == "numeric",
                "isCurrency": False,
                "isCaseSensitive": kind.field == "stringValue" and kind.name != "numeric",
                "nullable": 2,
                "precision": 0,
                "scale": 0,
                "arrayBaseColumnType": 0 if kind.element is None else TYPES[kind.element].number,
            }
            for name, kind in zip(names, types, strict=True)
        ]
    return told


def _field(text: str | None, kind: Type, options: Given) -> dict[str, Any]:
    if text is None:
        return {"isNull": True}
    if kind.element is not None:
        return {"arrayValue": _array(text, TYPES[kind.element], options)}
    if kind.field == "booleanValue":
        return {"booleanValue": text == "t"}
    if kind.field == "longValue":
        return {"stringValue": text} if options.get("longReturnType") == "STRING" else {"longValue": int(text)}
    if kind.field == "doubleValue":
        return {"doubleValue": float(text)}
    if kind.field == "blobValue":
        return {"blobValue": bytes.fromhex(text.removeprefix("\\x"))}
    if kind.name == "numeric" and options.get("decimalReturnType") == "DOUBLE_OR_LONG":
        return {"doubleValue": float(text)} if "." in text else {"longValue": int(text)}
    if kind.name == "timestamptz":
        text = text.removesuffix("+00")
    return {"stringValue": text}


def _array(text: str, element: Type, options: Given) -> dict[str, Any]:
    if text.startswith("{{"):
        raise ServiceError("UnsupportedResultException", "The result contains a multidimensional array")
    parts = [
        quoted[0].replace('\\"', '"').replace("\\\\", "\\") if quoted[0] or not quoted[1] else quoted[1]
        for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"|([^,{}]+)', text)
    ]
    fields = [_field(part, element, options) for part in parts]
    name = {"booleanValue": "booleanValues", "longValue": "longValues", "doubleValue": "doubleValues"}.get(
        element.field, "stringValues"
    )
    return {name: [next(iter(field.values())) for field in fields]}


def _plain(field: Mapping[str, Any]) -> Any:
    if field.get("isNull"):
        return None
    ((name, value),) = field.items()
    if name == "arrayValue":
        return next(iter(value.values()))
    return value.hex() if isinstance(value, bytes) else value


# -- errors ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turns what PostgreSQL complains of into the API's errors."""
    try:
        yield
    except SqlError as error:
        fields = error.fields
        parts = [f"ERROR: {fields.get('M', '')}"]
        for letter, word in (("D", "Detail"), ("H", "Hint"), ("P", "Position")):
            if letter in fields:
                parts.append(f"{word}: {fields[letter]}")
        text = "; ".join([*parts, f"SQLState: {error.state}"])
        code = "StatementTimeoutException" if error.state == "57014" else "DatabaseErrorException"
        raise ServiceError(code, text) from error
    except Gone as error:
        raise ServiceError("DatabaseUnavailableException", "The writer instance isn't available", 504) from error


def _database_error(message: str, state: str = "25P02") -> ServiceError:
    return ServiceError("DatabaseErrorException", f"ERROR: {message}; SQLState: {state}")
