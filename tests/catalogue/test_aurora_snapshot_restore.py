"""Every branch of the decision, as a table of facts -> decision, without AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import jmespath
import pytest
from pydantic import ValidationError

from runbooks.catalogue.aurora_snapshot_restore import RUNBOOK, calls, progress
from runbooks.catalogue.aurora_snapshot_restore.decide import decide
from runbooks.catalogue.aurora_snapshot_restore.facts import (
    Cluster,
    Expired,
    Facts,
    Instance,
    Key,
    Quota,
    Secret,
    Snapshot,
    SubnetGroup,
    Version,
)
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.plan import Draft, pinned, prepared
from runbooks.catalogue.aurora_snapshot_restore.reading import expired
from runbooks.catalogue.aurora_snapshot_restore.tags import (
    ARCHIVED,
    BEFORE,
    COPY,
    DELETE_AFTER,
    FINAL,
    FINISHED,
    FOR,
    PART,
    REPLACED_BY,
    RESTORES,
    SHARED_COPY,
    TARGET,
    instance_names,
    last_snapshot,
    marker,
)
from runbooks.catalogue.aurora_snapshot_restore.wanted import wanted
from runbooks.frame.diagnose import plan_of
from runbooks.model import (
    Change,
    Contained,
    Decision,
    Irreversible,
    Plan,
    Progress,
    Severity,
    Undo,
    Verdict,
    failed,
    pending,
    settled,
)
from runbooks.store.runs import Run

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
US, THEM = "123456789012", "210987654321"
HERE, THERE = "eu-central-1", "eu-west-1"
ID = "orders-2026-11-20"
ARN = f"arn:aws:rds:{HERE}:{US}:cluster-snapshot:{ID}"
KEY = f"arn:aws:kms:{HERE}:{US}:key/11111111-1111-1111-1111-111111111111"
OTHER_KEY = f"arn:aws:kms:{HERE}:{US}:key/22222222-2222-2222-2222-222222222222"
THEIR_KEY = f"arn:aws:kms:{HERE}:{THEM}:key/33333333-3333-3333-3333-333333333333"
ADMIN = f"arn:aws:secretsmanager:{HERE}:{US}:secret:orders/admin-AbCdEf"
READER = f"arn:aws:secretsmanager:{HERE}:{US}:secret:orders/reader-AbCdEf"
MARK = marker("orders", ARN)
USERS = [{"name": "reader", "secret": READER, "grants": [{"schema": "sales", "access": "read"}]}]
STAMP = "20261121-030000"


def given(**more: Any) -> Input:
    values = {
        "mode": "execute",
        "reason": "INC-1",
        "requested_by": "alice",
        "snapshot": {"id": ID},
        "target": "orders",
        "subnet_group": "db",
        "security_groups": ["sg-0123456789abcdef0"],
    }
    return Input.model_validate_json(json.dumps(values | more))


def swap(**more: Any) -> Input:
    """A swap for which the new cluster's status is proof enough."""
    return given(**{"replace": "swap", "proved_by": "status"} | more)


def snapshot(**more: Any) -> Snapshot:
    values = {
        "arn": ARN,
        "id": ID,
        "account": US,
        "region": HERE,
        "cluster": "orders",
        "kind": "manual",
        "status": "available",
        "engine": "aurora-postgresql",
        "version": "16.6",
        "mode": "provisioned",
        "created": "2026-11-20T23:30:00Z",
        "encrypted": True,
        "key": KEY,
        "port": 5432,
    }
    return Snapshot.model_validate(values | more)


def cluster(name: str = "orders", **more: Any) -> Cluster:
    values = {
        "name": name,
        "arn": f"arn:aws:rds:{HERE}:{US}:cluster:{name}",
        "resource_id": f"cluster-{name.upper()}",
        "status": "available",
        "engine": "aurora-postgresql",
        "version": "16.6",
        "encrypted": True,
        "key": KEY,
        "subnet_group": "old-subnets",
        "security_groups": ("sg-00000000000000001",),
        "port": 5433,
        "parameters": "old-parameters",
        "members": (f"{name}-1",),
    }
    return Cluster.model_validate(values | more)


def instance(name: str = "orders-1", of: str = "orders", status: str = "available", **more: Any) -> Instance:
    values = {"name": name, "cluster": of, "status": status, "instance_class": "db.r6g.2xlarge"}
    return Instance.model_validate(values | more)


def facts(**more: Any) -> Facts:
    values = {
        "account": US,
        "region": HERE,
        "sought": f"snapshot {ID} in {HERE}",
        "snapshot": snapshot(),
        "marker": MARK,
        "source_key": Key(arn=KEY, state="Enabled"),
        "key": Key(arn=KEY, state="Enabled"),
        "subnet_group": SubnetGroup(name="db", vpc="vpc-1", status="Complete"),
        "security_groups": {"sg-0123456789abcdef0": "vpc-1", "sg-00000000000000001": "vpc-1"},
        "version": Version(number="16.6", family="aurora-postgresql16", upgrades_to=("16.8", "17.4")),
        "snapshot_version": Version(number="16.6", family="aurora-postgresql16", upgrades_to=("16.8", "17.4")),
        "orderable": True,
        "cluster_parameters": "aurora-postgresql16",
        "quotas": {
            "DBClusters": Quota(used=3, most=40),
            "DBInstances": Quota(used=5, most=40),
            "ManualClusterSnapshots": Quota(used=10, most=100),
        },
        "secrets": {arn: Secret(arn=arn, current=f"version-of-{arn[-13:-7]}") for arn in (ADMIN, READER)},
    }
    return Facts.model_validate(values | more)


OURS = {TARGET: "orders", RESTORES: MARK, PART: "cluster"}


def made(name: str = "orders", **more: Any) -> Cluster:
    """A cluster that an aborted run has made."""
    return cluster(name, **({"tags": OURS} | more))


def finished(asked: Input | None = None, **more: Any) -> Facts:
    """The world after a run has ended well."""
    asked, base = asked or given(), facts()
    value = prepared(asked, pinned(asked, base))
    done = cluster(tags={**OURS, FINISHED: value}, protected=True, data_api=True)
    known = {"standing": done, "ours": done, "instances": (instance(),)}
    return facts(**(known | more))


def kept(part: str, name: str, **more: Any) -> Snapshot:
    """A snapshot that a run has made."""
    arn = f"arn:aws:rds:{HERE}:{US}:cluster-snapshot:{name}"
    tags = {TARGET: "orders", RESTORES: MARK, PART: part} | more.pop("tags", {})
    return snapshot(**({"arn": arn, "id": name, "tags": tags} | more))


def operations(decision: Decision) -> list[str]:
    return [f"{change.operation}{' (adopted)' if change.adopts else ''}" for change in decision.changes]


def phases(decision: Decision) -> list[str]:
    return list(dict.fromkeys(change.phase for change in decision.changes))


def change_of(decision: Decision, phase: str, number: int = 0) -> Change:
    return [change for change in decision.changes if change.phase == phase][number]


def resolved(asked: Input, decision: Decision) -> Input:
    """The input as the plan has it."""
    run = Run(run_id="r", runbook=RUNBOOK.name, execution_arn="e", started_at="s", targets=("t",))
    plan = plan_of(RUNBOOK, run, asked, decision)
    assert isinstance(plan, Plan)
    return Input.model_validate_json(json.dumps(plan.resolved))


# -- what is refused ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    name: str
    facts: Facts
    says: str
    given: Input = field(default_factory=given)
    verdict: Verdict = Verdict.REFUSED


FOREIGN = {"snapshot": snapshot(account=THEM, arn=ARN.replace(US, THEM), key=THEIR_KEY)}
ABROAD = {"snapshot": snapshot(region=THERE, arn=ARN.replace(HERE, THERE), key=KEY.replace(HERE, THERE))}

CASES = [
    Case("no snapshot", facts(snapshot=None), f"There is no snapshot {ID} in {HERE}"),
    Case("a snapshot being made", facts(snapshot=snapshot(status="creating")), f"{ID} is creating; look again"),
    Case("a failed snapshot", facts(snapshot=snapshot(status="failed")), f"{ID} is failed"),
    Case("another engine", facts(snapshot=snapshot(engine="docdb")), "is of docdb; this runbook restores Aurora"),
    Case("serverless v1", facts(snapshot=snapshot(mode="serverless")), "engine mode serverless"),
    Case(
        "name clash",
        facts(standing=cluster()),
        "There is a cluster orders already (aurora-postgresql 16.6, available, 1 instance), and replace is never",
    ),
    Case("name clash with a cluster without instances", facts(standing=cluster(members=())), "available, 0 instances)"),
    Case(
        "name clash with a cluster of another snapshot of ours",
        facts(standing=cluster(tags={**OURS, RESTORES: "orders from another", FINISHED: "x"})),
        "There is a cluster orders already",
    ),
    Case(
        "a cluster that cannot be renamed and is going",
        facts(standing=cluster(status="deleting")),
        "orders is deleting, so it can be neither kept in a snapshot nor renamed; look again when it is available, or",
        swap(),
    ),
    Case(
        "a cluster that cannot be renamed now",
        facts(standing=cluster(status="upgrading")),
        "orders is upgrading, so it can be neither kept in a snapshot nor renamed",
        swap(),
    ),
    Case(
        "a rename under way",
        facts(ours=made("orders-20261120-010000", status="renaming", becomes="orders")),
        "orders-20261120-010000 is being renamed to orders; look again",
        swap(),
    ),
    Case("the key is disabled", facts(key=Key(arn=KEY, state="Disabled")), f"{KEY} is disabled"),
    Case("the snapshot's key", facts(source_key=Key(arn=KEY, state="Disabled")), "is disabled, so the snapshot"),
    Case("a key going", facts(key=Key(arn=KEY, state="PendingDeletion")), "cancel its deletion"),
    Case("a key importing", facts(key=Key(arn=KEY, state="PendingImport")), "in the state PendingImport"),
    Case(
        "no key",
        facts(key=Key(arn="alias/orders", state="NotFound")),
        "There is no KMS key alias/orders",
        given(kms_key="alias/orders"),
    ),
    Case(
        "a key of another region",
        facts(key=Key(arn=KEY.replace(HERE, THERE), state="NotFound")),
        f"is a key of {THERE}, and the cluster is to be in {HERE}",
        given(kms_key=KEY.replace(HERE, THERE)),
    ),
    Case(
        "a key of somebody else",
        facts(key=Key(arn=THEIR_KEY, state="NotShared")),
        "is not for this account to use",
        given(kms_key=THEIR_KEY),
    ),
    Case(
        "no key across regions",
        facts(**ABROAD, key=None),
        f"under a key of {THERE}, which cannot be used here; name a key of {HERE}",
        given(source_region=THERE),
    ),
    Case(
        "no key across accounts", facts(**FOREIGN, key=None), f"under a key of the account {THEM}, which cannot be used"
    ),
    Case(
        "a shared snapshot whose key is not shared",
        facts(**FOREIGN, source_key=Key(arn=THEIR_KEY, state="NotShared")),
        f"let its key policy allow {US} to use it",
        given(kms_key=KEY),
    ),
    Case(
        "a default key across accounts",
        facts(**FOREIGN, source_key=Key(arn=THEIR_KEY, state="Enabled", managed_by_aws=True)),
        "under the account's default key",
        given(source_account="sales", kms_key=KEY),
    ),
    Case(
        "shared under a default key after all",
        facts(
            **FOREIGN,
            source_key=Key(arn=THEIR_KEY, state="Enabled", managed_by_aws=True),
            sharing_key=Key(arn=THEIR_KEY, state="Enabled", managed_by_aws=True),
        ),
        "which no snapshot can be shared under",
        given(source_account="sales", source_kms_key="alias/aws/rds", kms_key=KEY),
    ),
    Case(
        "a disabled key to share under",
        facts(
            **FOREIGN,
            source_key=Key(arn=THEIR_KEY, state="Enabled", managed_by_aws=True),
            sharing_key=Key(arn=OTHER_KEY, state="Disabled"),
        ),
        "the copy to be shared cannot be encrypted under it",
        given(source_account="sales", source_kms_key=OTHER_KEY, kms_key=KEY),
    ),
    Case(
        "a key that does not let this account in",
        facts(
            **FOREIGN,
            source_key=Key(arn=THEIR_KEY, state="Enabled"),
            shared_key=Key(arn=THEIR_KEY, state="NotShared"),
        ),
        f"under {THEIR_KEY}, which this account may not use; let the key's policy in the account sales, or a grant,"
        f" allow {US} kms:DescribeKey",
        given(source_account="sales", kms_key=KEY),
    ),
    Case(
        "a key to share under that does not let this account in",
        facts(
            **FOREIGN,
            source_key=Key(arn=THEIR_KEY, state="Enabled", managed_by_aws=True),
            sharing_key=Key(arn=OTHER_KEY, state="Enabled"),
            shared_key=Key(arn=OTHER_KEY, state="NotShared"),
        ),
        f"under {OTHER_KEY}, which this account may not use",
        given(source_account="sales", source_kms_key=OTHER_KEY, kms_key=KEY),
    ),
    Case(
        "a key that is gone when this account looks",
        facts(
            **FOREIGN,
            source_key=Key(arn=THEIR_KEY, state="Enabled"),
            shared_key=Key(arn=THEIR_KEY, state="PendingDeletion"),
        ),
        "cannot be used when it is shared; cancel its deletion",
        given(source_account="sales", kms_key=KEY),
    ),
    Case("no such version", facts(version=None), "aurora-postgresql 16.6 is not offered"),
    Case(
        "a version that it cannot become",
        facts(version=Version(number="15.4", family="aurora-postgresql15")),
        "cannot be restored as 15.4, but as: 16.8, 17.4",
        given(engine_version="15.4"),
    ),
    Case("nowhere to lie", facts(), "name a DB subnet group", given(subnet_group=None)),
    Case("no subnet group", facts(subnet_group=None), "There is no DB subnet group db"),
    Case(
        "a broken subnet group",
        facts(subnet_group=SubnetGroup(name="db", vpc="vpc-1", status="Invalid")),
        "The DB subnet group db is Invalid",
    ),
    Case("no security group", facts(security_groups={}), "There is no security group sg-0123456789abcdef0"),
    Case(
        "two VPCs",
        facts(security_groups={"sg-0123456789abcdef0": "vpc-2"}),
        "lies in vpc-2, and the DB subnet group db in vpc-1",
    ),
    Case(
        "no parameter group",
        facts(cluster_parameters=None),
        "There is no parameter group tuned",
        given(cluster_parameters="tuned"),
    ),
    Case(
        "parameters of another family",
        facts(instance_parameters="aurora-postgresql15"),
        "is of the family aurora-postgresql15, and aurora-postgresql 16.6 needs aurora-postgresql16",
        given(instance_parameters="tuned"),
    ),
    Case("a class that is not offered", facts(orderable=False), "The instance class db.r6g.large is not offered"),
    Case("serverless without bounds", facts(), "give capacity", given(instance_class="db.serverless")),
    Case(
        "a class without Data API",
        facts(),
        "db.t4g.medium has no RDS Data API",
        given(instance_class="db.t4g.medium", admin_secret=ADMIN),
    ),
    Case("too many clusters", facts(quotas={"DBClusters": Quota(used=40, most=40)}), "The quota DBClusters"),
    Case(
        "too many instances",
        facts(quotas={"DBInstances": Quota(used=38, most=40)}),
        "is 40, 38 are used, and 3 more are needed",
        given(instances=3),
    ),
    Case(
        "too many snapshots",
        facts(key=Key(arn=OTHER_KEY, state="Enabled"), quotas={"ManualClusterSnapshots": Quota(used=100, most=100)}),
        "The quota ManualClusterSnapshots",
        given(kms_key=OTHER_KEY),
    ),
    Case("users without a secret to connect with", facts(), "no admin_secret says who", given(users=USERS)),
    Case("checks without it", facts(), "no admin_secret says who", given(checks={"schemas": ["sales"]})),
    Case(
        "a user without anything",
        facts(),
        "The user 'idle' gets neither a secret nor a role nor a grant",
        given(admin_secret=ADMIN, users=[{"name": "idle"}]),
    ),
    Case(
        "the master user among the users",
        facts(snapshot=snapshot(master="Admin")),
        "The user 'admin' is the cluster's master user",
        given(admin_secret=ADMIN, users=[{"name": "admin", "secret": READER}]),
    ),
    Case(
        "the master user of a finished cluster among the users",
        finished(
            ours=cluster(master="admin", tags={FINISHED: "x"}), standing=cluster(master="admin", tags={FINISHED: "x"})
        ),
        "The user 'admin' is the cluster's master user",
        given(admin_secret=ADMIN, users=[{"name": "admin", "member_of": ["readers"]}]),
    ),
    Case(
        "users on MySQL",
        facts(snapshot=snapshot(engine="aurora-mysql")),
        "The snapshot is of aurora-mysql, and users are set up and checks made in PostgreSQL only",
        given(admin_secret=ADMIN, users=USERS),
    ),
    Case(
        "a swap in which nobody would look into the new cluster",
        facts(standing=cluster()),
        "orders would be replaced by a cluster that nobody has connected to; name the master user's secret",
        given(replace="swap"),
    ),
    Case(
        "a swap that was aborted half-way and would be gone on with like that",
        facts(aside=cluster("orders-replaced-1", tags={TARGET: "orders", REPLACED_BY: MARK})),
        "orders-replaced-1 would be replaced by a cluster that nobody has connected to",
        given(replace="swap"),
    ),
    Case(
        "a member of a global database",
        facts(standing=cluster(global_cluster="worldwide")),
        "orders is a member of the global database worldwide, and a restored cluster is of none",
        swap(),
    ),
    Case(
        "a replica",
        facts(standing=cluster(replica_of=f"arn:aws:rds:{THERE}:{US}:cluster:orders")),
        f"orders is a replica of arn:aws:rds:{THERE}:{US}:cluster:orders",
        swap(),
    ),
    Case(
        "more tags than leave room for ours",
        facts(standing=cluster(tags={f"tag-{number}": "x" for number in range(45)} | {REPLACED_BY: "x"})),
        "orders has 45 tags, and 6 of the 50 that a cluster may have are needed",
        swap(),
    ),
    Case(
        "an instance parameter group of the old cluster that does not fit the new version",
        facts(
            standing=cluster(parameters="default.aurora-postgresql15"),
            instances=(instance(parameters="tuned"),),
            instance_parameters="aurora-postgresql15",
        ),
        "The parameter group tuned is of the family aurora-postgresql15",
        swap(),
    ),
    Case("no secret", facts(secrets={}), f"There is no secret {ADMIN}", given(admin_secret=ADMIN)),
    Case(
        "a secret that is going",
        facts(secrets={ADMIN: Secret(arn=ADMIN, current="v", deleted=True)}),
        "is scheduled for deletion",
        given(admin_secret=ADMIN),
    ),
    Case(
        "an empty secret",
        facts(secrets={ADMIN: Secret(arn=ADMIN, current=None)}),
        "has no current version",
        given(admin_secret=ADMIN),
    ),
    Case(
        "a secret elsewhere",
        facts(),
        f"lies in {THERE}, and the cluster in {HERE}; replicate the secret",
        given(admin_secret=ADMIN.replace(HERE, THERE)),
    ),
    Case(
        "a restore that failed earlier",
        facts(standing=made(status="incompatible-restore"), ours=made(status="incompatible-restore")),
        "it is incompatible-restore; delete it, then start again",
        verdict=Verdict.HAND_OFF,
    ),
    Case(
        "an instance that failed earlier",
        facts(standing=made(), ours=made(), instances=(instance(status="failed"),)),
        "orders-1 in orders is failed; delete it",
        verdict=Verdict.HAND_OFF,
    ),
    Case(
        "stopped half-way",
        facts(standing=made(status="stopped"), ours=made(status="stopped")),
        "is stopped; start it",
        verdict=Verdict.HAND_OFF,
    ),
    Case(
        "what an earlier run has made is being deleted",
        facts(standing=made(status="deleting"), ours=made(status="deleting"), instances=(instance(status="deleting"),)),
        "made orders from this snapshot, and orders is deleting, orders-1 is deleting; look again when that is over",
    ),
    Case(
        "an instance that an earlier run has made is being deleted",
        facts(standing=made(), ours=made(), instances=(instance(status="deleting"),)),
        "made orders from this snapshot, and orders-1 is deleting; look again when that is over",
    ),
    Case(
        "a finished cluster that somebody has renamed",
        facts(ours=made("orders-1", tags={**OURS, FINISHED: "x"}, status="storage-full")),
        "orders-1 was restored from this snapshot and finished, and is not called orders any more; rename it back, or"
        " remove its tag runbooks:restores",
    ),
    Case(
        "a copy that an earlier run has made",
        facts(key=Key(arn=OTHER_KEY, state="Enabled"), made=(kept(COPY, "c", key=OTHER_KEY),)),
        "old, is restored from the copy that an earlier run has made.",
        given(kms_key=OTHER_KEY),
        Verdict.REMEDIABLE,
    ),
    Case(
        "no copy yet",
        facts(key=Key(arn=OTHER_KEY, state="Enabled")),
        "old, is copied and restored.",
        given(kms_key=OTHER_KEY),
        Verdict.REMEDIABLE,
    ),
    Case(
        "gone since",
        finished(standing=None, ours=None),
        "does not exist",
        verdict=Verdict.REMEDIABLE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_situation_is_decided_with_its_reason(case: Case) -> None:
    decision = decide(case.given, case.facts, NOW)
    assert decision.verdict is case.verdict, decision.reason
    assert case.says in decision.reason
    assert bool(decision.command) == (case.verdict is Verdict.HAND_OFF)
    assert bool(decision.changes) == (case.verdict is Verdict.REMEDIABLE)


@pytest.mark.parametrize(
    ("status", "verdict", "says"),
    [
        ("available", Verdict.HEALTHY, "orders has been restored from this snapshot"),
        ("backing-up", Verdict.HEALTHY, "has been restored"),
        ("modifying", Verdict.HEALTHY, "has been restored"),
        ("stopped", Verdict.HAND_OFF, "is stopped; start it"),
        ("inaccessible-encryption-credentials", Verdict.HAND_OFF, "look at its events"),
        ("starting", Verdict.REFUSED, "is starting; look again"),
        ("deleting", Verdict.REFUSED, "is deleting; look again"),
    ],
)
def test_a_finished_cluster_is_judged_by_its_state(status: str, verdict: Verdict, says: str) -> None:
    world = finished()
    assert world.ours is not None
    now = world.ours.model_copy(update={"status": status})
    decision = decide(given(), world.model_copy(update={"ours": now, "standing": now}), NOW)
    assert decision.verdict is verdict
    assert says in decision.reason
    assert decision.for_now is (status == "starting")


def test_a_finished_cluster_is_healthy_even_when_its_snapshot_is_gone() -> None:
    asked = given(snapshot={"arn": ARN})
    assert decide(asked, finished(asked, snapshot=None), NOW).verdict is Verdict.HEALTHY


@pytest.mark.parametrize(
    ("asked", "states", "verdict", "says", "for_now"),
    [
        (None, ("creating",), Verdict.REFUSED, "and orders-1 is creating; look again when it is done", True),
        (2, ("creating", "starting"), Verdict.REFUSED, "and orders-1 is creating, orders-2 is starting; look", True),
        (2, ("available", "creating"), Verdict.REFUSED, "and orders-2 is creating; look again", True),
        (2, ("creating", "deleting"), Verdict.REFUSED, "orders-2 is deleting; look again", False),
        (2, ("deleting",), Verdict.REFUSED, "and orders-1 is deleting; look again", False),
        (1, ("failed",), Verdict.HAND_OFF, "and orders-1 is failed; look at the events of orders-1", False),
        (2, ("failed",), Verdict.HAND_OFF, "and orders-1 is failed; look at the events of orders-1", False),
        (1, ("available", "failed"), Verdict.HEALTHY, "with 1 instance.", False),
        (1, ("available", "deleting"), Verdict.HEALTHY, "with 1 instance.", False),
        (2, ("available", "available"), Verdict.HEALTHY, "with 2 instances.", False),
        (2, ("creating",), Verdict.REMEDIABLE, "lacks something: Create its instances.", False),
    ],
)
def test_a_finished_cluster_is_judged_by_its_instances(
    asked: int | None, states: tuple[str, ...], verdict: Verdict, says: str, for_now: bool
) -> None:
    named = [(f"orders-{number}", state) for number, state in enumerate(states, 1)]
    base = finished()
    assert base.ours is not None
    done = base.ours.model_copy(update={"members": tuple(name for name, _ in named)})
    world = finished(ours=done, standing=done, instances=tuple(instance(name, status=state) for name, state in named))
    decision = decide(given(instances=asked), world, NOW)
    assert (decision.verdict, decision.for_now) == (verdict, for_now)
    assert says in decision.reason


@pytest.mark.parametrize(
    ("taken", "age"),
    [
        ("2026-11-21T02:59:30Z", "0 h 0 min"),
        ("2026-11-21T02:00:00Z", "1 h 0 min"),
        ("2026-11-21T01:01:00Z", "1 h 59 min"),
        ("2026-11-19T03:01:00Z", "47 h 59 min"),
        ("2026-11-19T03:00:00Z", "2 d 0 h"),
        ("2026-11-15T00:30:00Z", "6 d 2 h"),
        ("2026-11-21T03:05:00Z", "0 h 0 min"),
    ],
)
def test_the_plan_says_how_old_the_data_is(taken: str, age: str) -> None:
    assert f"{ID}, {age} old" in decide(given(), facts(snapshot=snapshot(created=taken)), NOW).reason


# -- what is planned ---------------------------------------------------------------------------------------------------


def test_in_the_same_region_it_is_restored_under_its_own_name_and_key() -> None:
    decision = decide(given(), facts(), NOW)
    assert phases(decision) == [calls.RESTORE, calls.INSTANCES, calls.HAND_OVER]
    restore = change_of(decision, calls.RESTORE)
    assert restore.parameters == {
        "DBClusterIdentifier": "orders",
        "SnapshotIdentifier": ARN,
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.6",
        "Port": 5432,
        "DBSubnetGroupName": "db",
        "DeletionProtection": False,
        "VpcSecurityGroupIds": ["sg-0123456789abcdef0"],
        "Tags": [
            {"Key": TARGET, "Value": "orders"},
            {"Key": RESTORES, "Value": MARK},
            {"Key": PART, "Value": "cluster"},
        ],
    }
    assert decision.reason == f"orders does not exist; {ID}, 3 h 30 min old, is restored."


@pytest.mark.parametrize(
    ("asked", "of_snapshot", "port"),
    [
        (given(), 0, None),
        (given(), 5432, 5432),
        (given(port=6000), 0, 6000),
        (swap(), 0, 5433),
        (swap(port=6000), 0, 6000),
    ],
)
def test_it_listens_where_asked_or_as_the_one_before_did_and_rds_knows_a_port_that_it_does_not_tell(
    asked: Input, of_snapshot: int, port: int | None
) -> None:
    there = cluster() if asked.replace == "swap" else None
    decision = decide(asked, facts(snapshot=snapshot(port=of_snapshot), standing=there), NOW)
    assert change_of(decision, calls.RESTORE).parameters.get("Port") == port
    assert resolved(asked, decision).port == port


def test_another_key_needs_a_copy_first() -> None:
    decision = decide(given(kms_key=OTHER_KEY), facts(key=Key(arn=OTHER_KEY, state="Enabled")), NOW)
    assert phases(decision) == [calls.COPY, calls.RESTORE, calls.INSTANCES, calls.HAND_OVER, calls.ARCHIVE]
    copy = change_of(decision, calls.COPY).parameters
    assert (copy["KmsKeyId"], copy["SourceDBClusterSnapshotIdentifier"]) == (OTHER_KEY, ARN)
    assert "SourceRegion" not in copy
    assert change_of(decision, calls.RESTORE).parameters["SnapshotIdentifier"] == f"orders-copy-{STAMP}"


def test_across_regions_it_is_copied_and_encrypted_again() -> None:
    decision = decide(given(source_region=THERE, kms_key=KEY), facts(**ABROAD), NOW)
    copy = change_of(decision, calls.COPY).parameters
    assert (copy["SourceRegion"], copy["KmsKeyId"]) == (THERE, KEY)


def test_a_snapshot_that_is_not_encrypted_is_copied_as_it_is_and_encrypted_when_restored() -> None:
    plain = ABROAD["snapshot"].model_copy(update={"encrypted": False, "key": None})
    decision = decide(given(source_region=THERE, kms_key=KEY), facts(snapshot=plain, source_key=None), NOW)
    assert "KmsKeyId" not in change_of(decision, calls.COPY).parameters
    assert change_of(decision, calls.RESTORE).parameters["KmsKeyId"] == KEY


def test_a_snapshot_that_is_not_encrypted_does_not_become_so_because_the_old_cluster_is() -> None:
    plain = ABROAD["snapshot"].model_copy(update={"encrypted": False, "key": None})
    assert wanted(swap(source_region=THERE), US, HERE, plain, cluster(), (), default_key=False).kms_key is None


def test_a_snapshot_of_another_account_is_shared_and_copied() -> None:
    asked = given(source_account="sales", kms_key=KEY)
    decision = decide(asked, facts(**FOREIGN, source_key=Key(arn=THEIR_KEY, state="Enabled")), NOW)
    assert phases(decision)[:3] == [calls.SHARE, calls.COPY, calls.RESTORE]
    share = change_of(decision, calls.SHARE)
    assert (share.account, share.region) == ("sales", HERE)
    assert share.parameters == {
        "DBClusterSnapshotIdentifier": ID,
        "AttributeName": "restore",
        "ValuesToAdd": [US],
    }
    assert isinstance(share.undo, Undo)
    assert share.undo.parameters["ValuesToRemove"] == [US]


def test_what_is_shared_already_is_not_shared_again() -> None:
    asked = given(source_account="sales", kms_key=KEY)
    world = facts(**FOREIGN, source_key=Key(arn=THEIR_KEY, state="Enabled"), shared_with_us=True)
    assert phases(decide(asked, world, NOW))[:2] == [calls.COPY, calls.RESTORE]


def test_a_snapshot_that_cannot_be_shared_is_copied_where_it_lies_first() -> None:
    asked = given(source_account="sales", source_kms_key=THEIR_KEY, kms_key=KEY)
    default = Key(arn=THEIR_KEY.replace("3333", "4444"), state="Enabled", managed_by_aws=True)
    world = facts(**FOREIGN, source_key=default, sharing_key=Key(arn=THEIR_KEY, state="Enabled"))
    decision = decide(asked, world, NOW)
    assert phases(decision)[:4] == [calls.COPY_AT_SOURCE, calls.SHARE, calls.COPY, calls.RESTORE]
    shared = f"orders-shared-{STAMP}"
    at_source = change_of(decision, calls.COPY_AT_SOURCE)
    assert (at_source.account, at_source.parameters["KmsKeyId"]) == ("sales", THEIR_KEY)
    tags: Any = at_source.parameters["Tags"]
    assert {"Key": FOR, "Value": US} in tags
    assert change_of(decision, calls.SHARE).parameters["DBClusterSnapshotIdentifier"] == shared
    source = change_of(decision, calls.COPY).parameters["SourceDBClusterSnapshotIdentifier"]
    assert source == f"arn:aws:rds:{HERE}:{THEM}:cluster-snapshot:{shared}"


def test_an_automated_snapshot_is_copied_before_it_is_shared() -> None:
    automated = FOREIGN["snapshot"].model_copy(update={"kind": "automated", "encrypted": False, "key": None})
    decision = decide(given(source_account="sales"), facts(snapshot=automated, source_key=None), NOW)
    assert phases(decision)[:2] == [calls.COPY_AT_SOURCE, calls.SHARE]
    assert "KmsKeyId" not in change_of(decision, calls.COPY_AT_SOURCE).parameters


def test_an_unencrypted_snapshot_that_is_shared_needs_no_copy() -> None:
    plain = FOREIGN["snapshot"].model_copy(update={"encrypted": False, "key": None, "kind": "shared"})
    decision = decide(given(), facts(snapshot=plain, source_key=None, key=None), NOW)
    assert change_of(decision, calls.RESTORE).parameters["SnapshotIdentifier"] == plain.arn
    assert calls.COPY not in phases(decision)


def test_a_swap_proves_the_new_cluster_before_it_touches_the_old_one() -> None:
    asked = given(replace="swap", subnet_group=None, security_groups=[], admin_secret=ADMIN, users=USERS)
    old = cluster(protected=True)
    decision = decide(asked, facts(standing=old, instances=(instance(),)), NOW)
    assert phases(decision) == [
        calls.RESTORE,
        calls.DATA_API,
        calls.INSTANCES,
        calls.USERS,
        calls.CHECK,
        calls.KEEP,
        calls.STEP_ASIDE,
        calls.NAME,
        calls.HAND_OVER,
    ]
    assert not any(change.operation.startswith("rds:Delete") for change in decision.changes)
    renamed = change_of(decision, calls.STEP_ASIDE, 1)
    assert renamed.parameters["NewDBClusterIdentifier"] == f"orders-replaced-{STAMP}"
    assert "the cluster there is kept as orders-replaced-" in decision.reason
    assert any("protected against deletion" in finding.evidence for finding in decision.findings)


def test_a_swap_takes_over_what_the_old_cluster_has() -> None:
    asked = swap(subnet_group=None, security_groups=[])
    decision = decide(asked, facts(standing=cluster(), instances=(instance(),)), NOW)
    restore = change_of(decision, calls.RESTORE).parameters
    assert restore["DBSubnetGroupName"] == "old-subnets"
    assert restore["VpcSecurityGroupIds"] == ["sg-00000000000000001"]
    assert restore["DBClusterParameterGroupName"] == "old-parameters"
    assert restore["Port"] == 5433
    assert change_of(decision, calls.INSTANCES).parameters["DBInstanceClass"] == "db.r6g.2xlarge"


UNLIKE: dict[str, Any] = {
    "capacity": {"min": 0, "max": 8, "pause_after": 600},
    "iam_logins": True,
    "storage": "aurora-iopt1",
    "log_exports": ("postgresql",),
    "copies_tags": True,
    "backup_days": 14,
    "backup_window": "01:00-01:30",
    "maintenance_window": "sat:05:00-sat:05:30",
    "members": ("orders-1", "orders-2"),
    "tags": {"aws:cloudformation:stack-name": "shop", "CostCentre": "4711", "part": "of it", FINISHED: "x"},
}
"""An old cluster that hardly anything is as RDS has it by itself."""


def unlike(**more: Any) -> Facts:
    """The world in which that cluster is to be replaced."""
    writer = instance(parameters="old-instance-parameters")
    reader = instance("orders-2", instance_class="db.r6g.large")
    known = {"standing": cluster(**UNLIKE), "instances": (writer, reader), "instance_parameters": "aurora-postgresql16"}
    return facts(**(known | more))


def test_a_swap_takes_over_what_the_input_cannot_say_or_does_not() -> None:
    decision = decide(swap(), unlike(), NOW)
    restore = change_of(decision, calls.RESTORE).parameters
    of_any = change_of(decide(given(), facts(), NOW), calls.RESTORE).parameters
    assert {name: value for name, value in restore.items() if name not in of_any} == {
        "EnableIAMDatabaseAuthentication": True,
        "StorageType": "aurora-iopt1",
        "EnableCloudwatchLogsExports": ["postgresql"],
        "CopyTagsToSnapshot": True,
        "BackupRetentionPeriod": 14,
        "PreferredBackupWindow": "01:00-01:30",
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.0, "MaxCapacity": 8.0, "SecondsUntilAutoPause": 600},
        "DBClusterParameterGroupName": "old-parameters",
    }
    tags: Any = restore["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {**OURS, "CostCentre": "4711", "part": "of it"}
    created = [change.parameters for change in decision.changes if change.phase == calls.INSTANCES]
    assert [(each["DBInstanceClass"], each["DBParameterGroupName"]) for each in created] == [
        ("db.r6g.2xlarge", "old-instance-parameters"),
        ("db.r6g.2xlarge", "old-instance-parameters"),
    ]
    maintained = change_of(decision, calls.HAND_OVER)
    assert maintained.parameters["PreferredMaintenanceWindow"] == "sat:05:00-sat:05:30"
    assert maintained.undo == Contained(goes_with=1)


def test_what_the_input_says_counts_for_more_than_what_the_old_cluster_has() -> None:
    asked = swap(
        instances=1, capacity={"min": 1, "max": 2}, instance_parameters="asked", cluster_parameters="asked-too"
    )
    decision = decide(asked, unlike(), NOW)
    restore = change_of(decision, calls.RESTORE).parameters
    assert restore["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 1.0, "MaxCapacity": 2.0}
    assert restore["DBClusterParameterGroupName"] == "asked-too"
    (created,) = [change.parameters for change in decision.changes if change.phase == calls.INSTANCES]
    assert created["DBParameterGroupName"] == "asked"


def test_all_of_it_is_literal_in_the_plan_and_decides_the_same() -> None:
    asked, world = swap(), unlike()
    decision = decide(asked, world, NOW)
    literal = resolved(asked, decision)
    assert literal.instances == 2
    assert literal.capacity is not None
    assert literal.capacity.pause_after == 600
    assert literal.instance_parameters == "old-instance-parameters"
    assert decide(literal, world, NOW.replace(hour=9)).changes == decision.changes


def test_rds_chooses_the_parameter_groups_where_the_old_cluster_has_the_default_ones() -> None:
    default = cluster(parameters="default.aurora-postgresql15")
    writer = instance(parameters="default.aurora-postgresql15")
    decision = decide(swap(), facts(standing=default, instances=(writer,)), NOW)
    assert "DBClusterParameterGroupName" not in change_of(decision, calls.RESTORE).parameters
    assert "DBParameterGroupName" not in change_of(decision, calls.INSTANCES).parameters


def test_a_network_of_both_kinds_and_a_backtrack_window_are_taken_over() -> None:
    mysql = {"engine": "aurora-mysql"}
    old = cluster(**mysql, network="DUAL", backtrack=3600)
    restore = change_of(decide(swap(), facts(standing=old, snapshot=snapshot(**mysql)), NOW), calls.RESTORE).parameters
    assert (restore["NetworkType"], restore["BacktrackWindow"]) == ("DUAL", 3600)
    plain = cluster(**mysql, network="IPV4")
    restore = change_of(
        decide(swap(), facts(standing=plain, snapshot=snapshot(**mysql)), NOW), calls.RESTORE
    ).parameters
    assert not {"NetworkType", "BacktrackWindow"} & set(restore)


def test_what_is_off_in_the_old_cluster_is_not_spoken_of() -> None:
    restore = change_of(decide(swap(), facts(standing=cluster()), NOW), calls.RESTORE).parameters
    of_any = change_of(decide(given(), facts(), NOW), calls.RESTORE).parameters
    assert set(restore) - set(of_any) == {"DBClusterParameterGroupName"}


def test_what_only_the_other_engine_knows_is_not_taken_over() -> None:
    world = unlike(standing=cluster(**UNLIKE | {"engine": "aurora-mysql", "log_exports": ("slowquery",)}))
    decision = decide(swap(), world, NOW)
    restore = change_of(decision, calls.RESTORE).parameters
    assert "DBParameterGroupName" not in change_of(decision, calls.INSTANCES).parameters
    assert "EnableCloudwatchLogsExports" not in restore
    assert "DBClusterParameterGroupName" not in restore
    assert restore["BackupRetentionPeriod"] == 14


def test_a_restore_that_replaces_nothing_takes_over_nothing() -> None:
    decision = decide(given(replace="swap"), facts(), NOW)
    assert len([change for change in decision.changes if change.phase == calls.INSTANCES]) == 1
    assert "PreferredMaintenanceWindow" not in change_of(decision, calls.HAND_OVER).parameters
    aside = {"aside": cluster("orders-replaced-1", **UNLIKE), "standing": None}
    (created,) = [
        change.parameters
        for change in decide(given(proved_by="status"), unlike(**aside), NOW).changes
        if change.phase == calls.INSTANCES
    ]
    assert created["DBInstanceClass"] == "db.r6g.large"


def test_a_maintenance_window_that_an_earlier_run_has_set_is_not_set_again() -> None:
    there = made("orders-20261120-010000", members=(), maintenance_window="sat:05:00-sat:05:30")
    decision = decide(swap(), unlike(ours=there), NOW)
    assert not any("PreferredMaintenanceWindow" in change.parameters for change in decision.changes)


def test_what_no_restore_can_take_over_is_found() -> None:
    role, replica = f"arn:aws:iam::{US}:role/import (s3Import)", f"arn:aws:rds:{THERE}:{US}:cluster:orders"
    world = facts(standing=cluster(roles=(role,), replicas=(replica,)), endpoints=("reports", "exports"))
    found = {finding.id: finding for finding in decide(swap(), world, NOW).findings}
    assert "custom endpoints reports, exports" in found["endpoints-stay"].evidence
    assert role in found["roles-stay"].evidence
    assert replica in found["replicas-stay"].evidence
    assert {found[name].severity for name in ("endpoints-stay", "roles-stay", "replicas-stay")} == {Severity.WARNING}
    for roles, stay in (((role,), False), ((), True)):
        ours = made("orders-20261120-010000", roles=roles)
        again = {finding.id for finding in decide(swap(), world.model_copy(update={"ours": ours}), NOW).findings}
        assert ("roles-stay" in again) is stay
    assert not {"endpoints-stay", "roles-stay", "replicas-stay"} & {
        each.id for each in decide(given(), world, NOW).findings
    }


@pytest.mark.parametrize(
    ("asked", "engine", "says"),
    [
        (swap(), "aurora-postgresql", "the input names no admin_secret"),
        (given(replace="swap"), "aurora-mysql", "is of aurora-mysql, and checks are made in PostgreSQL only"),
    ],
)
def test_a_swap_that_only_the_status_proves_is_warned_of(asked: Input, engine: str, says: str) -> None:
    decision = decide(asked, facts(standing=cluster(engine=engine), snapshot=snapshot(engine=engine)), NOW)
    assert decision.verdict is Verdict.REMEDIABLE
    (found,) = [finding for finding in decision.findings if finding.id == "not-connected"]
    assert found.severity is Severity.WARNING
    assert says in found.evidence
    assert found.meaning.startswith("the new cluster takes the name orders with its status as the only proof")


@pytest.mark.parametrize(
    ("asked", "there", "severity"),
    [
        (given(), {}, Severity.INFO),
        (swap(), {}, Severity.INFO),
        (given(), {"standing": cluster()}, Severity.INFO),
        (given(), {"aside": cluster("orders-replaced-1")}, Severity.WARNING),
        (swap(), {"standing": cluster()}, Severity.WARNING),
    ],
    ids=["nothing there", "nothing to swap", "a cluster that may not be replaced", "half-way replaced", "a swap"],
)
def test_not_to_connect_weighs_more_where_a_cluster_is_replaced(
    asked: Input, there: dict[str, Any], severity: Severity
) -> None:
    (found,) = [each for each in decide(asked, facts(**there), NOW).findings if each.id == "not-connected"]
    assert found.severity is severity
    assert (found.meaning == "nobody connects to the database to see whether it works") is (severity is Severity.INFO)


def test_a_swap_with_nothing_there_is_a_plain_restore() -> None:
    decision = decide(swap(), facts(), NOW)
    assert phases(decision) == [calls.RESTORE, calls.INSTANCES, calls.HAND_OVER]
    assert change_of(decision, calls.RESTORE).parameters["DBClusterIdentifier"] == "orders"


def test_instances_do_not_take_the_names_of_others() -> None:
    decision = decide(given(instances=3), facts(taken=("orders-2",)), NOW)
    names = [change.parameters["DBInstanceIdentifier"] for change in decision.changes if "Instance" in change.operation]
    assert names == ["orders-1", "orders-3", "orders-4"]


def test_users_get_their_password_from_the_version_of_the_secret_that_was_current() -> None:
    asked = given(admin_secret=ADMIN, users=USERS)
    decision = decide(asked, facts(), NOW)
    user = change_of(decision, calls.USERS)
    reference = {"secret": READER, "version_id": "version-of-reader", "key": "password"}
    assert user.parameters["password"] == {"$secret": reference}
    assert user.undo == Contained(goes_with=1)
    literal = resolved(asked, decision).users[0]
    assert literal.version == "version-of-reader"


def test_the_plan_says_who_may_log_in_and_who_may_not() -> None:
    users = [
        *USERS,
        {"name": "readers", "grants": [{"schema": "sales", "access": "read"}]},
        {"name": "x", "member_of": ["readers"]},
    ]
    decision = decide(given(admin_secret=ADMIN, users=users), facts(), NOW)
    said = [change.becomes for change in decision.changes if change.phase == calls.USERS]
    assert said == [
        "reader: read sales; may log in",
        "readers: read sales; may not log in",
        "x: member of readers; may not log in",
    ]


def test_a_version_that_the_plan_has_pinned_stays_when_the_secret_is_rotated() -> None:
    asked = given(admin_secret=ADMIN, users=USERS)
    literal = resolved(asked, decide(asked, facts(), NOW))
    rotated = {arn: Secret(arn=arn, current="a-new-one") for arn in (ADMIN, READER)}
    assert decide(literal, finished(literal, secrets=rotated), NOW).verdict is Verdict.HEALTHY


def test_serverless_capacity_is_given_to_the_cluster() -> None:
    asked = given(instance_class="db.serverless", capacity={"min": 0.5, "max": 8})
    restore = change_of(decide(asked, facts(), NOW), calls.RESTORE).parameters
    assert restore["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 8.0}


def test_without_protection_nothing_is_protected() -> None:
    decision = decide(given(deletion_protection=False), facts(), NOW)
    assert "rds:ModifyDBCluster" not in operations(decision)


# -- the way back ------------------------------------------------------------------------------------------------------


def test_what_clients_may_have_written_to_is_kept_before_it_is_deleted() -> None:
    restore = change_of(decide(given(), facts(), NOW), calls.RESTORE)
    assert isinstance(restore.undo, Undo)
    assert [call.operation for call in restore.undo.calls] == ["rds:CreateDBClusterSnapshot", "rds:DeleteDBCluster"]


@pytest.mark.parametrize(
    ("status", "kept", "now"),
    [
        ("available", True, True),
        ("backing-up", True, False),
        ("modifying", True, False),
        ("failing-over", True, False),
        ("stopped", True, False),
        ("creating", False, False),
        ("deleting", False, False),
        ("incompatible-restore", False, False),
        ("inaccessible-encryption-credentials-recoverable", False, False),
    ],
)
def test_it_is_kept_unless_no_snapshot_can_be_made_and_waited_for_where_one_can_be_later(
    status: str, kept: bool, now: bool
) -> None:
    restore = change_of(decide(given(), facts(), NOW), calls.RESTORE)
    assert isinstance(restore.undo, Undo)
    first = restore.undo.calls[0]
    assert first.only_if is not None
    assert first.when is not None
    tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
    world = {"DBClusters": [{"DbClusterResourceId": "cluster-1", "Status": status, "TagList": tags}]}
    assert (jmespath.search(first.only_if.path, world) == first.only_if.equals) is kept
    assert (jmespath.search(first.when.path, world) == first.when.equals) is now
    nobodys = {"DBClusters": [world["DBClusters"][0] | {"TagList": []}]}
    assert jmespath.search(first.only_if.path, nobodys) != first.only_if.equals


def test_a_swap_goes_back_by_name_and_keeps_what_was_written_under_the_name() -> None:
    decision = decide(swap(), facts(standing=cluster()), NOW)
    named = change_of(decision, calls.NAME)
    assert isinstance(named.undo, Undo)
    assert [call.operation for call in named.undo.calls] == ["rds:CreateDBClusterSnapshot", "rds:ModifyDBCluster"]
    assert named.undo.parameters["NewDBClusterIdentifier"] == f"orders-{STAMP}"
    restore = change_of(decision, calls.RESTORE)
    assert isinstance(restore.undo, Undo)
    again, gone = restore.undo.calls
    assert (again.operation, gone.operation) == ("rds:CreateDBClusterSnapshot", "rds:DeleteDBCluster")
    assert again.parameters["DBClusterIdentifier"] == gone.parameters["DBClusterIdentifier"] == f"orders-{STAMP}"
    assert again.only_if is not None
    assert again.only_if.parameters == {"DBClusterSnapshotIdentifier": f"orders-final-{STAMP}"}


def test_everything_has_a_way_back_unless_it_is_past_its_retention() -> None:
    asked = given(replace="swap", admin_secret=ADMIN, users=USERS, kms_key=OTHER_KEY, retention={"snapshots_days": 7})
    decision = decide(asked, facts(standing=cluster(), key=Key(arn=OTHER_KEY, state="Enabled")), NOW)
    assert all(change.reversible for change in decision.changes)
    assert decision.changes


# -- going on after an abort -------------------------------------------------------------------------------------------


def test_a_cluster_that_carries_our_tag_is_adopted_instead_of_made_again() -> None:
    there = made(status="creating", members=())
    decision = decide(given(), facts(standing=there, ours=there), NOW)
    assert operations(decision)[:2] == ["rds:RestoreDBClusterFromSnapshot (adopted)", "rds:CreateDBInstance"]
    assert "An earlier run has made orders" in decision.reason
    assert "(creating, no instances)" in decision.reason
    assert "what is left is: Create its instances, Hand the cluster over" in decision.reason


def test_what_is_adopted_counts_against_no_quota_again() -> None:
    there, full = made(), {"DBClusters": Quota(used=40, most=40), "DBInstances": Quota(used=40, most=40)}
    world = facts(standing=there, ours=there, instances=(instance(tags={RESTORES: MARK}),), quotas=full)
    assert decide(given(), world, NOW).verdict is Verdict.REMEDIABLE


def test_instances_that_carry_our_tag_are_adopted_too() -> None:
    there = made(members=("orders-1",))
    tagged = instance(status="creating", tags={RESTORES: MARK})
    decision = decide(given(instances=2), facts(standing=there, ours=there, instances=(tagged,)), NOW)
    created = [change for change in decision.changes if change.operation == "rds:CreateDBInstance"]
    assert [(change.parameters["DBInstanceIdentifier"], change.adopts) for change in created] == [
        ("orders-1", True),
        ("orders-2", False),
    ]


def test_a_data_api_that_is_on_already_is_not_switched_on_again() -> None:
    for on in (True, False):
        there = made(data_api=on)
        decision = decide(given(admin_secret=ADMIN), facts(standing=there, ours=there, instances=(instance(),)), NOW)
        assert (calls.DATA_API in phases(decision)) is not on
        assert "(available, orders-1 available) and was not finished" in decision.reason


def test_a_temporary_cluster_of_an_aborted_swap_is_adopted_under_its_name() -> None:
    there = made("orders-20261120-010000", members=())
    decision = decide(swap(), facts(standing=cluster(), ours=there), NOW)
    assert change_of(decision, calls.RESTORE).adopts
    assert change_of(decision, calls.NAME).parameters["DBClusterIdentifier"] == "orders-20261120-010000"


def test_an_old_cluster_that_an_aborted_swap_has_renamed_is_adopted_so_that_an_undo_brings_it_back() -> None:
    there = made("orders-20261120-010000", members=("orders-1",))
    aside = cluster("orders-replaced-20261120-010000", tags={TARGET: "orders", REPLACED_BY: MARK})
    world = facts(ours=there, aside=aside, instances=(instance(of=there.name, tags={RESTORES: MARK}),))
    decision = decide(swap(), world, NOW)
    assert [(change.phase, change.adopts) for change in decision.changes] == [
        (calls.RESTORE, True),
        (calls.INSTANCES, True),
        (calls.STEP_ASIDE, True),
        (calls.STEP_ASIDE, True),
        (calls.NAME, False),
        (calls.HAND_OVER, False),
        (calls.HAND_OVER, False),
    ]
    back = change_of(decision, calls.STEP_ASIDE, 1).undo
    assert isinstance(back, Undo)
    assert back.parameters["DBClusterIdentifier"] == "orders-replaced-20261120-010000"


def test_what_is_derived_from_the_old_cluster_is_still_known_when_that_has_stepped_aside() -> None:
    there = made("orders-20261120-010000", members=())
    aside = cluster("orders-replaced-20261120-010000", tags={TARGET: "orders", REPLACED_BY: MARK})
    asked = swap(subnet_group=None, security_groups=[])
    decision = decide(asked, facts(ours=there, aside=aside), NOW)
    assert resolved(asked, decision).subnet_group == "old-subnets"


def test_a_swap_that_was_aborted_after_the_naming_is_gone_on_with_and_can_still_be_undone() -> None:
    there = made(members=("orders-x-1",))
    aside = cluster("orders-replaced-20261120-010000", tags={TARGET: "orders", REPLACED_BY: MARK})
    world = facts(standing=there, ours=there, aside=aside, instances=(instance("orders-x-1", tags={RESTORES: MARK}),))
    decision = decide(swap(), world, NOW)
    adopted = [change.phase for change in decision.changes if change.adopts]
    assert adopted == [calls.RESTORE, calls.INSTANCES, calls.STEP_ASIDE, calls.STEP_ASIDE, calls.NAME]
    restore = change_of(decision, calls.RESTORE)
    assert isinstance(restore.undo, Undo)
    assert restore.undo.parameters["DBClusterIdentifier"] == f"orders-{STAMP}"


def test_a_copy_that_carries_our_tag_is_adopted_and_an_archived_one_is_simply_used() -> None:
    asked = given(kms_key=OTHER_KEY)
    known = {"key": Key(arn=OTHER_KEY, state="Enabled")}
    copying = kept(COPY, "orders-copy-1", key=OTHER_KEY, status="copying")
    decision = decide(asked, facts(**known, made=(copying,)), NOW)
    assert operations(decision)[0] == "rds:CopyDBClusterSnapshot (adopted)"
    assert change_of(decision, calls.RESTORE).parameters["SnapshotIdentifier"] == "orders-copy-1"
    archived = kept(COPY, "orders-copy-1", key=OTHER_KEY, tags={ARCHIVED: "then"})
    decision = decide(asked, facts(**known, made=(archived,)), NOW)
    assert phases(decision) == [calls.RESTORE, calls.INSTANCES, calls.HAND_OVER]
    assert change_of(decision, calls.RESTORE).parameters["SnapshotIdentifier"] == "orders-copy-1"


@pytest.mark.parametrize(
    "useless",
    [
        kept(COPY, "orders-copy-1", key=KEY),
        kept(COPY, "orders-copy-1", key=OTHER_KEY, status="failed"),
        kept(BEFORE, "orders-before-1", key=OTHER_KEY),
        kept(COPY, "orders-copy-1", key=OTHER_KEY, tags={RESTORES: "another"}),
    ],
    ids=["another key", "failed", "no copy", "another snapshot"],
)
def test_a_copy_that_does_not_fit_is_not_used(useless: Snapshot) -> None:
    decision = decide(given(kms_key=OTHER_KEY), facts(key=Key(arn=OTHER_KEY, state="Enabled"), made=(useless,)), NOW)
    assert operations(decision)[0] == "rds:CopyDBClusterSnapshot"


def test_a_copy_in_the_source_account_is_adopted_and_shared() -> None:
    asked = given(source_account="sales", source_kms_key=THEIR_KEY, kms_key=KEY)
    default = Key(arn=THEIR_KEY, state="Enabled", managed_by_aws=True)
    there = kept(SHARED_COPY, "orders-shared-1", account=THEM)
    world = facts(
        **FOREIGN, source_key=default, sharing_key=Key(arn=OTHER_KEY, state="Enabled"), made_at_source=(there,)
    )
    decision = decide(asked, world, NOW)
    assert change_of(decision, calls.COPY_AT_SOURCE).adopts
    assert change_of(decision, calls.SHARE).parameters["DBClusterSnapshotIdentifier"] == "orders-shared-1"


# -- converging --------------------------------------------------------------------------------------------------------


def test_the_literal_input_decides_as_the_given_one_did() -> None:
    asked = given(replace="swap", admin_secret=ADMIN, users=USERS, kms_key="alias/orders", subnet_group=None)
    world = facts(standing=cluster(), key=Key(arn=OTHER_KEY, state="Enabled"), instances=(instance(),))
    decision = decide(asked, world, NOW)
    literal = resolved(asked, decision)
    assert literal.kms_key == OTHER_KEY
    assert literal.snapshot.arn == ARN
    again = decide(literal, world, NOW.replace(hour=9))
    assert again.changes == decision.changes


def test_after_the_run_both_the_literal_and_the_given_input_are_healthy() -> None:
    asked = given(admin_secret=ADMIN, users=USERS, checks={"schemas": ["sales"]})
    literal = resolved(asked, decide(asked, facts(), NOW))
    world = finished(asked)
    assert decide(literal, world, NOW).verdict is Verdict.HEALTHY
    assert decide(asked, world, NOW).verdict is Verdict.HEALTHY


def test_more_instances_are_added_to_a_finished_cluster_and_nothing_of_it_is_ever_deleted() -> None:
    decision = decide(given(instances=2), finished(), NOW)
    (change,) = decision.changes
    assert change.parameters["DBInstanceIdentifier"] == "orders-2"
    assert change.parameters["DBInstanceClass"] == "db.r6g.2xlarge"
    assert isinstance(change.undo, Undo)
    assert change.undo.first is None
    for asked, world, its_class in (
        (given(instances=2, instance_class="db.r6g.4xlarge"), finished(), "db.r6g.4xlarge"),
        (given(), finished(instances=()), "db.r6g.large"),
    ):
        (change,) = decide(asked, world, NOW).changes
        assert change.parameters["DBInstanceClass"] == its_class


@pytest.mark.parametrize("choice", [{"id": ID}, {"arn": ARN}])
def test_what_a_finished_cluster_was_restored_from_is_literal_also_when_the_snapshot_is_gone(choice: Any) -> None:
    asked = given(instances=2, snapshot=choice)
    world = finished(snapshot=None if "arn" in choice else snapshot())
    assert resolved(asked, decide(asked, world, NOW)).snapshot.arn == ARN


def test_other_users_are_set_up_on_a_finished_cluster_which_cannot_be_undone() -> None:
    asked = given(admin_secret=ADMIN, users=USERS)
    decision = decide(asked, finished(), NOW)
    assert phases(decision) == [calls.USERS, calls.CHECK, calls.HAND_OVER]
    assert isinstance(change_of(decision, calls.USERS).undo, Irreversible)
    back = change_of(decision, calls.HAND_OVER).undo
    assert isinstance(back, Undo)
    assert back.operation == "rds:AddTagsToResource"


def test_a_finished_cluster_gets_back_its_data_api_and_protection() -> None:
    asked = given(admin_secret=ADMIN)
    world = finished(asked)
    assert world.ours is not None
    bare = world.ours.model_copy(update={"data_api": False, "protected": False})
    decision = decide(asked, world.model_copy(update={"ours": bare, "standing": bare}), NOW)
    assert operations(decision) == ["rds:EnableHttpEndpoint", "rds:ModifyDBCluster"]


def test_a_finished_cluster_needs_neither_where_neither_is_asked_for() -> None:
    world = finished()
    assert world.ours is not None
    bare = world.ours.model_copy(update={"data_api": False, "protected": False})
    asked = given(deletion_protection=False)
    assert decide(asked, finished(ours=bare, standing=bare), NOW).verdict is Verdict.HEALTHY


def test_a_copy_that_an_aborted_run_has_not_archived_is_archived_by_the_next() -> None:
    decision = decide(given(), finished(made=(kept(COPY, "orders-copy-1"),)), NOW)
    (change,) = decision.changes
    assert change.phase == calls.ARCHIVE
    assert change.parameters["ResourceName"] == f"arn:aws:rds:{HERE}:{US}:cluster-snapshot:orders-copy-1"


# -- retention ---------------------------------------------------------------------------------------------------------

OLD = cluster(
    "orders-replaced-20261001-000000",
    members=("orders-old-1", "orders-old-2"),
    protected=True,
    tags={TARGET: "orders", REPLACED_BY: "orders from then", DELETE_AFTER: "2026-11-01"},
)
KEPT = kept(
    BEFORE,
    "orders-before-1",
    resource=OLD.resource_id,
    tags={RESTORES: "orders from then", DELETE_AFTER: "2026-11-10"},
)
STALE = kept(COPY, "orders-copy-0", tags={RESTORES: "orders from then", DELETE_AFTER: "2026-11-21"})


def past(*snapshots: Snapshot) -> Facts:
    doomed = tuple(expired("orders", [OLD], snapshots, MARK, NOW))
    return facts(replaced=(OLD,), made=snapshots, expired=doomed)


def test_what_is_past_its_retention_is_deleted_last_and_cannot_be_undone() -> None:
    decision = decide(given(retention={"clusters_days": 7}), past(KEPT, STALE), NOW)
    assert phases(decision)[-1] == calls.DELETE
    doomed = [change for change in decision.changes if change.phase == calls.DELETE]
    assert [change.operation for change in doomed] == [
        "rds:ModifyDBCluster",
        "rds:DeleteDBInstance",
        "rds:DeleteDBInstance",
        "rds:DeleteDBCluster",
        "rds:DeleteDBClusterSnapshot",
    ]
    assert doomed[-1].parameters["DBClusterSnapshotIdentifier"] == "orders-copy-0"
    assert all(isinstance(change.undo, Irreversible) for change in doomed[1:])


def test_a_replaced_cluster_that_no_snapshot_has_kept_stays() -> None:
    decision = decide(given(retention={"clusters_days": 7}), past(STALE), NOW)
    doomed = [change.operation for change in decision.changes if change.phase == calls.DELETE]
    assert doomed == ["rds:DeleteDBClusterSnapshot"]
    assert [(each.evidence, each.meaning) for each in decision.findings if each.id == "retention-over"] == [
        (f"{OLD.name} was to go after 2026-11-01", "no snapshot has what it held, so it stays"),
        ("orders-copy-0 was to go after 2026-11-21", "a run that restores deletes it"),
    ]


def test_nothing_is_deleted_before_its_day() -> None:
    young = OLD.model_copy(update={"tags": {**OLD.tags, DELETE_AFTER: "2026-11-22"}})
    later, never = kept(COPY, "c", tags={DELETE_AFTER: "2027-01-01"}), kept(COPY, "d")
    assert list(expired("orders", [young], [later, never], "", NOW)) == []


def test_a_copy_that_is_wanted_again_is_not_deleted_under_the_run() -> None:
    copy = kept(COPY, "orders-copy-1", tags={DELETE_AFTER: "2026-11-01"})
    assert list(expired("orders", [], [copy], MARK, NOW)) == []
    assert len(list(expired("orders", [], [copy], "orders from another", NOW))) == 1


def test_what_is_restored_is_not_deleted_under_the_run() -> None:
    assert list(expired("orders", [], [KEPT], marker("orders", KEPT.arn), NOW)) == []


def test_a_replaced_cluster_is_kept_by_a_snapshot_of_itself_and_by_no_other() -> None:
    """Two clusters may have been replaced by a restore of the same snapshot, one after the other."""
    for useless in ({"resource": "cluster-ANOTHER"}, {"resource": None}, {"status": "creating"}):
        seen = list(expired("orders", [OLD], [KEPT.model_copy(update=useless)], MARK, NOW))
        assert [each.may_go for each in seen if each.kind == "cluster"] == [False]
    assert [each.kept_in for each in expired("orders", [OLD], [KEPT], MARK, NOW)] == [KEPT.id]


def test_what_a_replaced_cluster_held_stays_as_long_as_the_cluster_whatever_its_own_day_says() -> None:
    for later in ("2026-11-22", "2027-11-01"):
        young = OLD.model_copy(update={"tags": {**OLD.tags, DELETE_AFTER: later}})
        assert list(expired("orders", [young], [KEPT], MARK, NOW)) == []
    ever = OLD.model_copy(update={"tags": {TARGET: "orders", REPLACED_BY: "orders from then"}})
    assert list(expired("orders", [ever], [KEPT], MARK, NOW)) == []


def test_a_cluster_leaves_a_last_snapshot_whose_name_says_until_when_it_is_kept() -> None:
    asked = given(retention={"clusters_days": 7, "snapshots_days": 30})
    decision = decide(asked, past(KEPT), NOW)
    gone = next(change for change in decision.changes if change.operation == "rds:DeleteDBCluster")
    name = last_snapshot("orders", OLD.resource_id, date(2026, 12, 21))
    assert gone.parameters == {
        "DBClusterIdentifier": OLD.name,
        "SkipFinalSnapshot": False,
        "FinalDBSnapshotIdentifier": name,
    }
    assert name in gone.becomes
    literal = resolved(asked, decision)
    assert literal.names is not None
    assert literal.names.last == (name,)
    for_good = decide(given(retention={"clusters_days": 7}), past(KEPT), NOW)
    gone = next(change for change in for_good.changes if change.operation == "rds:DeleteDBCluster")
    assert gone.parameters["FinalDBSnapshotIdentifier"] == last_snapshot("orders", OLD.resource_id, None)


def test_a_copy_in_the_source_account_is_deleted_there() -> None:
    there = Expired(
        name="orders-shared-1",
        id=f"arn:aws:rds:{HERE}:{THEM}:cluster-snapshot:orders-shared-1",
        kind="snapshot",
        delete_after="2026-11-01",
        account="sales",
        region=HERE,
    )
    asked = given(source_account="sales", kms_key=KEY, retention={"snapshots_days": 30})
    world = facts(**FOREIGN, source_key=Key(arn=THEIR_KEY, state="Enabled"), expired=(there,))
    decision = decide(asked, world, NOW)
    (gone,) = [change for change in decision.changes if change.phase == calls.DELETE]
    assert (gone.operation, gone.account, gone.region) == ("rds:DeleteDBClusterSnapshot", "sales", HERE)
    assert gone.parameters == {"DBClusterSnapshotIdentifier": "orders-shared-1"}
    assert "in the account sales" in gone.was
    literal = resolved(asked, decision)
    left = kept(SHARED_COPY, "orders-shared-1", account=THEM)
    assert progress.expired_is_gone(literal, Facts(made_at_source=(left,))).state == "pending"
    assert progress.expired_is_gone(literal, Facts()).state == "settled"


def test_the_last_snapshots_count_against_the_quota() -> None:
    full = past(KEPT).model_copy(update={"quotas": {"ManualClusterSnapshots": Quota(used=100, most=100)}})
    decision = decide(given(retention={"clusters_days": 7}), full, NOW)
    assert "The quota ManualClusterSnapshots" in decision.reason


def last(until: date, **more: Any) -> Snapshot:
    """The last snapshot of a cluster that is gone. RDS may have copied the cluster's tags to it."""
    name = last_snapshot("orders", OLD.resource_id, until)
    arn = f"arn:aws:rds:{HERE}:{US}:cluster-snapshot:{name}"
    return snapshot(**({"arn": arn, "id": name, "resource": OLD.resource_id, "tags": OLD.tags} | more))


def test_a_last_snapshot_is_known_by_its_name_and_goes_on_its_day() -> None:
    (over,) = expired("orders", [], [last(date(2026, 11, 21))], MARK, NOW)
    assert (over.kind, over.delete_after) == ("snapshot", "2026-11-21")
    assert list(expired("orders", [], [last(date(2026, 11, 22))], MARK, NOW)) == []


@pytest.mark.parametrize(
    "anothers",
    [
        last(date(2026, 11, 1), resource="cluster-ANOTHER"),
        last(date(2026, 11, 1), resource=None),
        last(date(2026, 11, 1), id="orders-last-20261101"),
        last(date(2026, 11, 1), id="orders-last-00000000-20261101"),
        last(date(2026, 11, 1), id="orders-last-00000000-20261301"),
        last(date(2026, 11, 1), id="orders-by-hand"),
        last(date(2026, 11, 1), id="orders-by-hand", tags={**OLD.tags, PART: "cluster"}),
        last(date(2026, 11, 1), id="orders-final-1", tags={**OLD.tags, PART: FINAL}),
    ],
    ids=[
        "another cluster",
        "no cluster",
        "another form",
        "another digest",
        "no day",
        "by hand",
        "with copied tags",
        "final",
    ],
)
def test_a_snapshot_that_is_not_ours_to_delete_stays_although_it_says_a_day(anothers: Snapshot) -> None:
    assert list(expired("orders", [], [anothers], MARK, NOW)) == []


def test_what_a_replaced_cluster_held_is_deleted_later_than_the_cluster() -> None:
    assert [each.name for each in past(KEPT, STALE).expired] == [OLD.name, STALE.id]
    assert [each.name for each in expired("orders", [], [KEPT, STALE], MARK, NOW)] == [KEPT.id, STALE.id]


def test_what_is_left_behind_says_until_when() -> None:
    asked = swap(kms_key=OTHER_KEY, retention={"snapshots_days": 30, "clusters_days": 7})
    decision = decide(asked, facts(standing=cluster(), key=Key(arn=OTHER_KEY, state="Enabled")), NOW)

    def day(phase: str, number: int = 0) -> str | None:
        tags: Any = change_of(decision, phase, number).parameters["Tags"]
        return {tag["Key"]: tag["Value"] for tag in tags}.get(DELETE_AFTER)

    assert day(calls.ARCHIVE) == "2026-12-21"
    assert day(calls.KEEP) == "2026-12-21"
    assert day(calls.STEP_ASIDE) == "2026-11-28"


# -- waiting -----------------------------------------------------------------------------------------------------------

LITERAL = resolved(given(), decide(given(), facts(), NOW))


@pytest.mark.parametrize(
    ("settles", "seen", "state"),
    [
        (progress.snapshot_is_copied, Facts(made=(kept(COPY, "c", status="copying", percent=40),)), "pending"),
        (progress.snapshot_is_copied, Facts(made=(kept(COPY, "c"),)), "settled"),
        (progress.snapshot_is_copied, Facts(made=(kept(COPY, "c", status="failed"),)), "failed"),
        (progress.snapshot_is_copied, Facts(), "failed"),
        (progress.snapshot_is_copied_at_source, Facts(made_at_source=(kept(COPY, "c"),)), "settled"),
        (progress.snapshot_is_shared, Facts(shared_with_us=True), "settled"),
        (progress.snapshot_is_shared, Facts(), "failed"),
        (progress.cluster_is_restored, Facts(ours=made(status="creating")), "pending"),
        (progress.cluster_is_restored, Facts(ours=made()), "settled"),
        (progress.cluster_is_restored, Facts(ours=made(status="incompatible-restore")), "failed"),
        (
            progress.cluster_is_restored,
            Facts(ours=made(status="inaccessible-encryption-credentials-recoverable")),
            "failed",
        ),
        (progress.cluster_is_restored, Facts(ours=made(status="deleting")), "failed"),
        (progress.cluster_is_restored, Facts(), "failed"),
        (progress.data_api_is_on, Facts(ours=made()), "pending"),
        (progress.data_api_is_on, Facts(ours=made(data_api=True)), "settled"),
        (progress.data_api_is_on, Facts(), "failed"),
        (progress.instances_are_available, Facts(ours=made(), instances=(instance(),)), "settled"),
        (progress.instances_are_available, Facts(ours=made(), instances=(instance(status="creating"),)), "pending"),
        (progress.instances_are_available, Facts(ours=made(), instances=(instance(status="failed"),)), "failed"),
        (progress.instances_are_available, Facts(ours=made(), instances=(instance(status="deleting"),)), "failed"),
        (progress.instances_are_available, Facts(), "failed"),
        (progress.users_are_there, Facts(ours=made()), "settled"),
        (progress.database_is_checked, Facts(), "failed"),
        (progress.old_cluster_is_kept, Facts(made=(kept(BEFORE, "b", status="creating", percent=3),)), "pending"),
        (progress.old_cluster_is_aside, Facts(aside=cluster("x")), "settled"),
        (progress.old_cluster_is_aside, Facts(aside=cluster("x", status="renaming")), "pending"),
        (progress.old_cluster_is_aside, Facts(aside=cluster("x", status="failed")), "failed"),
        (progress.old_cluster_is_aside, Facts(standing=cluster(status="renaming", becomes="x")), "pending"),
        (progress.old_cluster_is_aside, Facts(standing=cluster(status="renaming")), "pending"),
        (progress.old_cluster_is_aside, Facts(standing=cluster(becomes="x")), "pending"),
        (progress.old_cluster_is_aside, Facts(standing=cluster()), "failed"),
        (progress.old_cluster_is_aside, Facts(), "failed"),
        (progress.cluster_has_its_name, Facts(ours=made()), "settled"),
        (progress.cluster_has_its_name, Facts(ours=made("temp", status="renaming", becomes="orders")), "pending"),
        (progress.cluster_has_its_name, Facts(ours=made("temp", status="renaming")), "pending"),
        (progress.cluster_has_its_name, Facts(ours=made("temp", becomes="orders")), "pending"),
        (progress.cluster_has_its_name, Facts(ours=made(status="modifying")), "pending"),
        (progress.cluster_has_its_name, Facts(ours=made("temp")), "failed"),
        (progress.cluster_has_its_name, Facts(ours=made(status="failed")), "failed"),
        (progress.cluster_has_its_name, Facts(), "failed"),
        (progress.cluster_is_handed_over, Facts(ours=made(), standing=made()), "pending"),
        (progress.cluster_is_handed_over, Facts(ours=made(protected=True), standing=made(protected=True)), "failed"),
        (progress.cluster_is_handed_over, finished(LITERAL), "settled"),
        (progress.cluster_is_handed_over, Facts(standing=cluster()), "failed"),
        (progress.cluster_is_handed_over, Facts(), "failed"),
        (progress.snapshot_is_archived, Facts(made=(kept(COPY, "c", tags={ARCHIVED: "x"}),)), "settled"),
        (progress.snapshot_is_archived, Facts(made=(kept(COPY, "c"),)), "failed"),
        (progress.snapshot_is_archived, Facts(), "failed"),
        (progress.expired_is_gone, Facts(), "settled"),
        (progress.expired_is_gone, Facts(replaced=(OLD,), made=(STALE,)), "pending"),
    ],
)
def test_each_wait_ends_when_it_should(settles: Any, seen: Facts, state: str) -> None:
    assert settles(LITERAL, seen).state == state


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ((OLD, last(date(2026, 12, 21), status="creating")), "pending"),
        ((last(date(2026, 12, 21), status="creating"),), "pending"),
        ((last(date(2026, 12, 21)),), "settled"),
        ((OLD, last(date(2026, 12, 21), status="failed")), "failed"),
        ((OLD, last(date(2026, 12, 21))), "pending"),
        ((last(date(2026, 12, 21)), STALE.model_copy(update={"status": "deleting"})), "pending"),
        ((OLD,), "pending"),
        ((), "failed"),
    ],
    ids=[
        "the cluster is there",
        "the snapshot is being made",
        "both are done",
        "the snapshot failed and the cluster stays",
        "the snapshot is done before the cluster",
        "an expired snapshot is being deleted",
        "it has not begun",
        "there is none",
    ],
)
def test_a_cluster_is_deleted_when_its_last_snapshot_is_there(seen: tuple[Any, ...], state: str) -> None:
    asked = given(retention={"clusters_days": 7, "snapshots_days": 30})
    literal = resolved(asked, decide(asked, past(KEPT), NOW))
    clusters = tuple(each for each in seen if isinstance(each, Cluster))
    snapshots = tuple(each for each in seen if isinstance(each, Snapshot))
    told = progress.expired_is_gone(literal, Facts(replaced=clusters, made=snapshots))
    assert told.state == state
    name = last_snapshot("orders", OLD.resource_id, date(2026, 12, 21))
    assert state != "settled" or told.reason == f"nothing of it is left, and its content is in {name}"


@pytest.mark.parametrize(
    ("told", "percent", "says"),
    [(40, 40, ", 40 %"), (0, 0, ", 0 %"), (101, 100, ", 100 %"), (-1, 0, ", 0 %"), (None, None, "")],
)
def test_a_copy_says_how_far_it_is_as_far_as_rds_does(told: int | None, percent: int | None, says: str) -> None:
    seen = Facts(made=(kept(COPY, "c", status="copying", percent=told),))
    assert progress.snapshot_is_copied(LITERAL, seen) == pending(f"c is copying{says}", percent=percent)


ONE_USER = given(admin_secret=ADMIN, users=USERS)
TWO_USERS = given(admin_secret=ADMIN, users=[*USERS, {"name": "x", "member_of": ["reader"]}])
TWO = (instance(), instance("orders-2"))


@pytest.mark.parametrize(
    ("settles", "asked", "seen", "says"),
    [
        (progress.snapshot_is_copied_at_source, LITERAL, Facts(), failed(f"orders-shared-{STAMP} is gone")),
        (progress.snapshot_is_copied, LITERAL, Facts(), failed(f"orders-copy-{STAMP} is gone")),
        (progress.old_cluster_is_kept, LITERAL, Facts(), failed(f"orders-before-{STAMP} is gone")),
        (progress.old_cluster_is_aside, LITERAL, Facts(), failed(f"there is no cluster orders-replaced-{STAMP}")),
        (
            progress.snapshot_is_archived,
            LITERAL,
            Facts(),
            failed(f"orders-copy-{STAMP} is gone, or is not marked as kept"),
        ),
        (progress.instances_are_available, given(), Facts(ours=made(), instances=TWO[:1]), settled("orders-1 serves")),
        (
            progress.instances_are_available,
            given(instances=2),
            Facts(ours=made(members=("orders-1", "orders-2")), instances=TWO),
            settled("orders-1, orders-2 serve"),
        ),
        (
            progress.instances_are_available,
            given(instances=2),
            Facts(ours=made(), instances=TWO[:1]),
            pending("1 of 2 instances serve: orders-1 is available"),
        ),
        (
            progress.instances_are_available,
            given(),
            Facts(ours=made()),
            pending("0 of 1 instances serve: there are none yet"),
        ),
        (progress.users_are_there, ONE_USER, Facts(ours=made()), settled("1 user is set up")),
        (progress.users_are_there, TWO_USERS, Facts(ours=made()), settled("2 users are set up")),
        (progress.cluster_is_handed_over, given(), finished(), settled("orders is finished and protected")),
        (
            progress.cluster_is_handed_over,
            given(deletion_protection=False),
            Facts(ours=(bare := made(tags={FINISHED: prepared(given(), ())})), standing=bare),
            settled("orders is finished"),
        ),
    ],
)
def test_each_wait_says_what_it_sees(settles: Any, asked: Input, seen: Facts, says: Progress) -> None:
    assert settles(asked, seen) == says


def test_what_a_later_phase_rests_on_does_not_move_with_the_earlier_ones() -> None:
    before = facts(standing=cluster())
    during = before.model_copy(update={"ours": made("orders-20261121-030000"), "made": (kept(COPY, "c"),)})
    for phase in RUNBOOK.phases:
        assert phase.rests_on(before) == phase.rests_on(during), phase.name


GOES = Expired(name="b", id="cluster-B", kind="cluster", delete_after="2026-11-01", kept_in="before-b")
STAYS = Expired(name="a", id="cluster-A", kind="cluster", delete_after="2026-11-01")


@pytest.mark.parametrize(
    ("rests_on", "moved"),
    [
        (progress.what_sharing_rests_on, {"snapshot": None}),
        (progress.what_sharing_rests_on, {"snapshot": snapshot(status="deleting")}),
        (progress.what_sharing_rests_on, {"sharing_key": None}),
        (progress.what_sharing_rests_on, {"sharing_key": Key(arn=THEIR_KEY, state="Disabled")}),
        (progress.what_copying_rests_on, {"snapshot": None}),
        (progress.what_copying_rests_on, {"key": None}),
        (progress.what_copying_rests_on, {"key": Key(arn=KEY, state="Disabled")}),
        (progress.what_restoring_rests_on, {"standing": None}),
        (progress.what_restoring_rests_on, {"standing": cluster(resource_id="cluster-ANOTHER")}),
        (progress.what_restoring_rests_on, {"subnet_group": None}),
        (progress.what_restoring_rests_on, {"subnet_group": SubnetGroup(name="db", vpc="vpc-2", status="Complete")}),
        (progress.what_restoring_rests_on, {"security_groups": {}}),
        (progress.what_restoring_rests_on, {"key": None}),
        (progress.what_going_on_rests_on, {"lost": True}),
        (progress.what_stepping_aside_rests_on, {"standing": None}),
        (progress.what_stepping_aside_rests_on, {"standing": cluster(resource_id="cluster-ANOTHER")}),
        (progress.what_stepping_aside_rests_on, {"lost": True}),
        (progress.what_deleting_rests_on, {"expired": ()}),
        (progress.what_deleting_rests_on, {"expired": (GOES.model_copy(update={"kept_in": "another"}),)}),
    ],
)
def test_a_phase_does_not_begin_when_what_it_rests_on_has_moved(rests_on: Any, moved: dict[str, Any]) -> None:
    then = facts(standing=cluster(), sharing_key=Key(arn=THEIR_KEY, state="Enabled"), expired=(GOES,))
    assert rests_on(then) != rests_on(then.model_copy(update=moved))


def test_what_is_deleted_does_not_rest_on_what_stays_nor_on_the_order() -> None:
    copy = Expired(name="c", id="arn:c", kind="snapshot", delete_after="2026-11-01")
    then = progress.what_deleting_rests_on(Facts(expired=(GOES, copy)))
    assert progress.what_deleting_rests_on(Facts(expired=(copy, STAYS, GOES))) == then


# -- names and input ---------------------------------------------------------------------------------------------------


def test_a_long_name_leaves_room_for_what_is_made_from_it() -> None:
    target = "a" * 62 + "b"
    draft = Draft(given(target=target), facts(), NOW, None)
    made_up = [draft.names.snapshot, draft.names.before, draft.names.final, draft.names.aside, draft.names.shared]
    made_up.append(f"{draft.names.final}-2")
    made_up.append(last_snapshot(target, "cluster-ORDERS", date(2026, 12, 21)))
    assert all(len(name) <= 63 and "--" not in name for name in made_up)
    assert all(len(name) <= 63 for name in instance_names(target, 16, ()))


def test_a_marker_that_no_tag_has_room_for_is_a_digest() -> None:
    long = marker("orders", ARN + "x" * 255)
    assert len(long) <= 256
    assert long.startswith("orders from sha256:")


@pytest.mark.parametrize(
    "wrong",
    [
        {"snapshot": {}},
        {"snapshot": {"id": ID, "latest_of": "orders"}},
        {"snapshot": {"id": ID, "date": "2026-11-20"}},
        {"snapshot": {"prefix": "orders", "date": "yesterday"}},
        {"snapshot": {"arn": "arn:aws:rds:eu-central-1:123456789012:snapshot:x"}},
        {"target": "Orders"},
        {"target": "orders--two"},
        {"target": "orders-"},
        {"replace": "always"},
        {"instances": 0},
        {"capacity": {"min": 0, "max": 8, "pause_after": 60}},
        {"users": [{"name": "rds_admin", "member_of": ["x"]}]},
        {"users": [{"name": "PG_monitor", "member_of": ["x"]}]},
        {"users": [{"name": "a", "grants": [{"schema": "s", "access": "own"}]}]},
        {"users": [{"name": "a", "grants": [{"schema": "s", "access": "read", "why": "x"}]}]},
        {"users": [{"name": "public", "member_of": ["x"]}]},
        {"users": [{"name": "a\0b", "member_of": ["x"]}]},
        {"users": [{"name": "ü" * 32, "member_of": ["x"]}]},
        {"users": [{"name": "a", "member_of": ["ü" * 32]}]},
        {"checks": {"schemas": ["a\0b"]}},
        {"database": "名" * 22},
        {"checks": {"rows": [{"schema": "s", "table": "t", "at_least": 10_000_001}]}},
        {"retention": {"snapshots_days": 0}},
        {"checks": {"rows": [{"schema": "s", "table": "t", "at_least": -1}]}},
    ],
)
def test_input_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        given(**wrong)


def test_a_name_is_as_long_as_its_bytes_since_postgresql_would_cut_it_off_without_a_word() -> None:
    assert given(checks={"schemas": ["s" * 63, "ü" * 31]}).checks is not None
    with pytest.raises(ValidationError, match="has 64 bytes in UTF-8, and PostgreSQL cuts names off after 63"):
        given(checks={"schemas": ["ü" * 32]})


def test_a_schedule_may_fill_in_a_time_whose_date_counts() -> None:
    choice = given(snapshot={"prefix": "orders", "date": "2026-11-21T00:05:00Z", "days_before": 1}).snapshot
    assert choice.prefix == "orders"


# -- what is found, whatever is decided --------------------------------------------------------------------------------


def found(asked: Input, seen: Facts) -> dict[str, str]:
    """The evidence of each finding."""
    return {finding.id: finding.evidence for finding in decide(asked, seen, NOW).findings}


@pytest.mark.parametrize(
    ("asked", "seen", "name", "evidence"),
    [
        (given(), facts(), "data-lost", f"{ID} (aurora-postgresql 16.6) was taken at 2026-11-20T23:30:00Z"),
        (given(), facts(snapshot=snapshot(status="creating", created="")), "data-lost", "16.6) is creating"),
        (given(), finished(snapshot=None), "data-lost", None),
        (given(), facts(), "no-cluster", "there is no cluster orders"),
        (swap(), facts(standing=cluster()), "cluster-broken", None),
        (swap(), facts(standing=cluster(status="storage-full")), "cluster-broken", "orders is storage-full"),
        (swap(), facts(standing=cluster(), instances=(instance(),)), "instance-broken", None),
        (swap(), facts(standing=cluster(), instances=(instance(status="failed"),)), "instance-broken", "1 is failed"),
        (swap(), facts(standing=cluster()), "cluster-there", "available): orders-1; not protected against deletion"),
        (swap(), facts(standing=cluster(protected=True)), "cluster-there", "orders-1; protected against deletion"),
        (swap(), facts(standing=cluster(members=())), "cluster-there", "available): no instances; not protected"),
        (swap(), finished(snapshot=None, aside=cluster("x")), "not-connected", "the input names no admin_secret"),
        (given(), finished(), "cluster-there", None),
        (given(), facts(), "not-encrypted", None),
        (given(), facts(snapshot=snapshot(encrypted=False, key=None)), "not-encrypted", f"{ID} is not encrypted"),
        (given(kms_key=KEY), facts(snapshot=snapshot(encrypted=False, key=None)), "not-encrypted", None),
        (given(), facts(made=(kept(COPY, "c", status="failed"),)), "copy-failed", "c is failed"),
        (given(), facts(made=(kept(COPY, "c"),)), "copy-failed", None),
        (given(), facts(made=(kept(COPY, "c", status="failed", tags={RESTORES: "x"}),)), "copy-failed", None),
    ],
)
def test_what_is_found_says_what_it_saw(asked: Input, seen: Facts, name: str, evidence: str | None) -> None:
    told = found(asked, seen).get(name)
    assert told is None if evidence is None else told is not None and evidence in told


def test_the_worst_is_told_first() -> None:
    told = decide(given(), facts(), NOW).findings
    assert [each.severity for each in told] == [Severity.CRITICAL, Severity.WARNING, Severity.INFO]
