"""What a restore of an Aurora cluster is asked for."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator, with_config
from typing_extensions import TypedDict

from runbooks.model import RunInput

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z](-?[a-z0-9])*$", max_length=63)]
"""A cluster, instance or manual snapshot: RDS stores all of them in lower case."""
GroupName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._-]{1,255}$")]
SecurityGroup = Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]{8,17}$")]
SnapshotId = Annotated[str, StringConstraints(pattern=r"^(rds:|awsbackup:)?[A-Za-z][A-Za-z0-9-]{0,254}$")]
SnapshotArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:cluster-snapshot:[A-Za-z][A-Za-z0-9:-]*$")
]
SecretId = Annotated[
    str,
    StringConstraints(
        pattern=r"^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+|[A-Za-z0-9/_+=.@-]{1,512})$"
    ),
]
"""A secret's name or ARN; the diagnosis makes it the ARN."""
Key = Annotated[
    str, StringConstraints(pattern=r"^(arn:aws[a-z-]*:kms:\S+|alias/[A-Za-z0-9/_-]+|[a-f0-9-]{36}|mrk-\w+)$")
]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_LONGEST_SQL_NAME = 63


def _as_postgresql_keeps_it(name: str) -> str:
    """The name. Raises ValueError for one that PostgreSQL would cut off without a word, and mean another by."""
    if (length := len(name.encode())) > _LONGEST_SQL_NAME:
        raise ValueError(
            f"the name {name!r} has {length} bytes in UTF-8, and PostgreSQL cuts names off after {_LONGEST_SQL_NAME};"
            " choose a shorter one"
        )
    return name


SqlName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00]+$"),
    AfterValidator(_as_postgresql_keeps_it),
]
"""A role, schema or table: any characters but NUL, since the server quotes them; at most 63 bytes in UTF-8."""
Days = Annotated[int, Field(ge=1, le=3650)]


class SnapshotChoice(BaseModel):
    """Which snapshot: exactly one of `id`, `arn`, `latest_of` and `prefix`."""

    model_config = _STRICT

    id: SnapshotId | None = Field(None, description="the snapshot's identifier in the source account and region")
    arn: SnapshotArn | None = Field(None, description="its ARN; for one that another account shares with this one")
    latest_of: Identifier | None = Field(None, description="a cluster: the newest snapshot of it that is available")
    prefix: SnapshotId | None = Field(None, description="the newest snapshot whose name begins with <prefix>-<date>")
    date: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        None, description="for prefix: 2026-11-20, or a time in ISO 8601 whose date counts; today (UTC) if absent"
    )
    days_before: int = Field(0, ge=0, le=366, description="for prefix: so many days before the date")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = [name for name in ("id", "arn", "latest_of", "prefix") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of id, arn, latest_of and prefix (got {' and '.join(given) or 'none'})")
        if self.prefix is None and (self.date is not None or self.days_before):
            raise ValueError("date and days_before go with prefix")
        if self.date is not None:
            day_of(self.date)
        return self


def day_of(text: str) -> date:
    """The day of a date or of a moment in ISO 8601. Raises ValueError for anything else."""
    return date.fromisoformat(text) if len(text) == len("2026-11-20") else datetime.fromisoformat(text).date()


@with_config(_STRICT)
class Grant(TypedDict):
    """What a role may do in a schema."""

    schema: SqlName
    access: Literal["read", "write"]


@with_config(_STRICT)
class Rows(TypedDict):
    """A table that must be there, and the least number of rows that it must have."""

    schema: SqlName
    table: SqlName
    at_least: Annotated[int, Field(ge=0, le=10_000_000, description="so many are read, and no more")]


_NO_ROLES = frozenset({"none", "public"})


class DatabaseUser(BaseModel):
    """A role of the database. It may log in if it has a secret; without one it may not, whatever it could before."""

    model_config = _STRICT

    name: SqlName
    secret: SecretId | None = Field(
        None, description="name or ARN of the secret with the password; without one the role may not log in"
    )
    field: str = Field("password", min_length=1, description="the key within the secret, which is a JSON object")
    version: str | None = Field(None, description="the secret's version; the diagnosis pins the current one")
    member_of: tuple[SqlName, ...] = ()
    grants: tuple[Grant, ...] = ()

    @model_validator(mode="after")
    def _is_nobody_elses(self) -> Self:
        if self.name.lower().startswith(("pg_", "rds")):
            raise ValueError(f"the name {self.name!r} is PostgreSQL's or Amazon RDS's own; choose another")
        if self.name in _NO_ROLES:
            raise ValueError(f"PostgreSQL takes {self.name!r} for everybody or nobody; choose another name")
        return self


class Checks(BaseModel):
    """What the restored database must have."""

    model_config = _STRICT

    schemas: tuple[SqlName, ...] = ()
    rows: tuple[Rows, ...] = ()


class Retention(BaseModel):
    """After how many days a later run deletes what this one leaves behind; absent: never."""

    model_config = _STRICT

    snapshots_days: Days | None = Field(None, description="for copies, and snapshots of clusters that were replaced")
    clusters_days: Days | None = Field(None, description="for clusters that were replaced")


class Capacity(BaseModel):
    """The bounds of Aurora Serverless v2, in ACUs, and after how many idle seconds it pauses if `min` is 0."""

    model_config = _STRICT

    min: Annotated[float, Field(ge=0, le=256, strict=False)]
    max: Annotated[float, Field(ge=1, le=256, strict=False)]
    pause_after: Annotated[int, Field(ge=300, le=86400)] | None = None


class Names(BaseModel):
    """What a run calls the things that it makes. The diagnosis fills them in, so that they are part of the plan."""

    model_config = _STRICT

    stamp: str
    cluster: Identifier
    instances: tuple[Identifier, ...] = ()
    shared: Identifier
    snapshot: Identifier
    before: Identifier
    final: Identifier
    aside: Identifier
    expired: tuple[str, ...] = ()
    """What earlier runs left behind and this one deletes."""
    last: tuple[Identifier, ...] = ()
    """The snapshots that RDS takes of the clusters among them when they are deleted."""


class Input(RunInput):
    """The snapshot to restore, and what the cluster is to be like."""

    snapshot: SnapshotChoice = Field(
        description='one of id, arn, latest_of (a cluster), prefix (with date), e.g. {"latest_of": "orders"}'
    )
    target: Identifier = Field(description="the cluster's name when all is done, e.g. orders")
    source_region: Region | None = Field(None, description="where the snapshot lies; the target's region if absent")
    source_account: Alias | None = Field(
        None, description="alias of the account that has the snapshot, from the deployed list; our own if absent"
    )
    replace: Literal["never", "swap"] = Field(
        "never", description="swap: a cluster of that name steps aside under a dated name once the new one is proved"
    )
    proved_by: Literal["connecting", "status"] = Field(
        "connecting",
        description="for a swap in PostgreSQL: connecting wants an admin_secret; status: that RDS calls the new cluster"
        " available is proof enough",
    )
    subnet_group: GroupName | None = Field(None, description="DB subnet group; with swap that of the cluster there")
    security_groups: tuple[SecurityGroup, ...] = Field((), description="with swap those of the cluster there")
    instance_class: Annotated[str, StringConstraints(pattern=r"^db\.[a-z0-9.-]+$")] | None = Field(
        None, description="with swap that of the writer there, else db.r6g.large"
    )
    instances: Annotated[int, Field(ge=1, le=16)] | None = Field(
        None, description="the writer, and readers beside it; with swap as many as there are, else 1"
    )
    capacity: Capacity | None = Field(
        None, description="for the instance class db.serverless; with swap that of the cluster there"
    )
    engine_version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]+$")] | None = Field(
        None, description="the snapshot's if absent"
    )
    port: Annotated[int, Field(ge=1150, le=65535)] | None = Field(
        None, description="with swap that of the cluster there, else the snapshot's"
    )
    cluster_parameters: GroupName | None = Field(
        None, description="DB cluster parameter group; with swap that of the cluster there"
    )
    instance_parameters: GroupName | None = Field(
        None, description="DB parameter group; with swap that of the writer there"
    )
    kms_key: Key | None = Field(None, description="for the target; the snapshot's own if that can be used there")
    source_kms_key: Key | None = Field(
        None, description="of the source account, for a snapshot that cannot be shared under its own key"
    )
    deletion_protection: bool = Field(True, description="whether the cluster is protected in the end")
    database: SqlName = Field("postgres", description="where users are set up and checks are made")
    admin_secret: SecretId | None = Field(
        None,
        description="who may set up users, with the snapshot's password; without it nobody connects, see proved_by",
    )
    users: tuple[DatabaseUser, ...] = Field((), description="roles of the database, set up once it runs")
    checks: Checks | None = Field(None, description="schemas that must be there, and least numbers of rows")
    retention: Retention | None = Field(None, description="without it nothing is ever deleted")
    names: Names | None = Field(None, description="what is made, by name; the diagnosis fills it in")

    @property
    def literal_names(self) -> Names:
        """The names, of an input that the diagnosis has made literal. Raises ValueError for any other."""
        if self.names is None:
            raise ValueError("the diagnosis has not made the names literal")
        return self.names
