"""Whether a snapshot can be restored, and how: pure, every branch with its reason."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from pydantic import JsonValue

from runbooks import clock
from runbooks.catalogue.aurora_snapshot_restore import calls, checks
from runbooks.catalogue.aurora_snapshot_restore.facts import BROKEN, Cluster, Facts, Snapshot, stands
from runbooks.catalogue.aurora_snapshot_restore.findings import findings
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.plan import Draft, prepared
from runbooks.catalogue.aurora_snapshot_restore.tags import DEFAULT_CLASS, FINISHED
from runbooks.catalogue.aurora_snapshot_restore.wanted import Wanted, wanted
from runbooks.model import Decision, hand_off, healthy, refused, remediable

_COUNTED = {
    "rds:RestoreDBClusterFromSnapshot": "DBClusters",
    "rds:CreateDBInstance": "DBInstances",
    "rds:CopyDBClusterSnapshot": "ManualClusterSnapshots",
    "rds:CreateDBClusterSnapshot": "ManualClusterSnapshots",
    "rds:DeleteDBCluster": "ManualClusterSnapshots",
}
"""What counts against a quota; a cluster that is deleted leaves its last snapshot."""


def decide(given: Input, facts: Facts, now: datetime) -> Decision:
    """Healthy when the target is there, was made from this snapshot, and has all that is asked for."""
    cluster, snapshot = facts.ours, facts.snapshot
    if cluster is not None and cluster == facts.standing and FINISHED in cluster.tags:
        return _of_finished(given, facts, cluster, now).seeing(findings(given, facts))
    if snapshot is None:
        return refused(f"There is no {facts.sought}; correct it, or wait until there is one.")
    default = facts.source_key is not None and facts.source_key.managed_by_aws
    there = facts.instances_of(facts.old)
    want = wanted(given, facts.account, facts.region, snapshot, facts.old, there, default_key=default)
    return _of_snapshot(given, facts, snapshot, want, now).seeing(findings(given, facts))


def _of_snapshot(given: Input, facts: Facts, snapshot: Snapshot, want: Wanted, now: datetime) -> Decision:
    objections = [
        checks.objection_to_rename(facts),
        checks.objection_to_target(given, facts),
        *checks.objections(given, facts, snapshot, want),
        checks.objection_to_leftovers(given, facts),
        checks.objection_to_input(given, facts.region, snapshot),
        checks.objection_to_proof(given, facts, snapshot),
        checks.objection_to_secrets(given, facts),
    ]
    for objection in objections:
        if objection is not None:
            return objection
    draft = _drafted(given, facts, snapshot, want, now)
    made = Counter(_COUNTED[change.operation] for change in draft.changes if _adds(change.operation, change.adopts))
    if too_many := checks.objection_to_numbers(facts, dict(made)):
        return too_many
    return remediable(_what_for(draft, snapshot, now), *draft.changes, resolved=_literal(draft, snapshot, want))


def _adds(operation: str, adopts: bool) -> bool:
    return operation in _COUNTED and not adopts


def _drafted(given: Input, facts: Facts, snapshot: Snapshot, want: Wanted, now: datetime) -> Draft:
    """The whole procedure, as far as it has not been gone through."""
    draft, ours, standing = Draft(given, facts, now, want), facts.ours, facts.standing
    draft.restore(snapshot, want, draft.source(snapshot, want))
    connects = given.admin_secret is not None
    if connects and not (ours and ours.data_api):
        draft.data_api()
    draft.instances(want.engine, want.instance_class, want.instance_parameters)
    draft.set_up_users()
    if connects:
        draft.check()
    if standing is not None and standing != ours:
        draft.step_aside(standing)
    elif facts.aside is not None:
        draft.stays_aside(facts.aside)
    if draft.names.cluster != given.target:
        draft.name(adopts=draft.here == given.target)
    draft.hand_over(ours)
    draft.archive()
    draft.delete_expired()
    return draft


def _of_finished(given: Input, facts: Facts, cluster: Cluster, now: datetime) -> Decision:
    """The cluster has been restored: nothing to do, unless it lacks something that is asked for now."""
    where, name = f"--region {facts.region}", cluster.name
    if cluster.status in BROKEN:
        return hand_off(
            f"{name} was restored from this snapshot and is {cluster.status} now; look at its events.",
            command=f"aws rds describe-events --source-type db-cluster --source-identifier {name} {where}",
        )
    if cluster.status == "stopped":
        return hand_off(
            f"{name} was restored from this snapshot and is stopped; start it.",
            command=f"aws rds start-db-cluster --db-cluster-identifier {name} {where}",
        )
    if not stands(cluster.status):
        return refused(
            f"{name} was restored from this snapshot and is {cluster.status}; look again when it is done.",
            for_now=cluster.status != "deleting",
        )
    for objection in (
        checks.objection_to_input(given, facts.region, cluster),
        checks.objection_to_secrets(given, facts),
    ):
        if objection is not None:
            return objection
    instances = facts.instances_of(cluster)
    asked = given.instances or 1
    standing = [instance.name for instance in instances if stands(instance.status)]
    lacking = [f"{each.name} is {each.status}" for each in instances if each.name not in standing]
    broken = next((each.name for each in instances if each.status in BROKEN), None)
    if len(standing) < asked and broken is not None:
        return hand_off(
            f"{name} was restored from this snapshot, and {', '.join(lacking)}; look at the events of {broken}.",
            command=f"aws rds describe-events --source-type db-instance --source-identifier {broken} {where}",
        )
    going = any(each.status == "deleting" for each in instances)
    if len(standing) < asked and (asked <= len(instances) or going):
        return refused(
            f"{name} was restored from this snapshot, and {', '.join(lacking)}; look again when it is done.",
            for_now=all(each.status in {"creating", "starting"} for each in instances if each.name not in standing),
        )
    draft = Draft(given, facts, now, None)
    if given.admin_secret is not None and not cluster.data_api:
        draft.data_api()
    if len(instances) < asked:
        there = next((instance.instance_class for instance in instances), DEFAULT_CLASS)
        draft.instances(cluster.engine, given.instance_class or there, given.instance_parameters)
    if cluster.tags[FINISHED] != prepared(given, draft.users):
        draft.set_up_users()
        if given.admin_secret is not None:
            draft.check()
    draft.hand_over(cluster)
    draft.archive()
    if not draft.changes:
        count = f"{len(standing)} instance{'s' if len(standing) > 1 else ''}"
        return healthy(f"{name} has been restored from this snapshot ({facts.marker}), with {count}.")
    phases = ", ".join(dict.fromkeys(change.phase for change in draft.changes))
    literal: dict[str, JsonValue] = {
        "names": draft.names.model_dump(mode="json"),
        "admin_secret": draft.admin,
        "users": [user.model_dump(mode="json", exclude_none=True) for user in draft.users],
        "snapshot": {"arn": _arn(given, facts)},
    }
    return remediable(
        f"{name} has been restored from this snapshot, and lacks something: {phases}.",
        *draft.changes,
        resolved=literal,
    )


def _arn(given: Input, facts: Facts) -> str | None:
    return facts.snapshot.arn if facts.snapshot else given.snapshot.arn


def _literal(draft: Draft, snapshot: Snapshot, want: Wanted) -> dict[str, JsonValue]:
    """Every input as it is meant, so that the plan and the verification speak of the same things."""
    given, key = draft.given, draft.facts.key
    return {
        "region": draft.facts.region,
        "snapshot": {"arn": snapshot.arn},
        "source_region": snapshot.region,
        "subnet_group": want.subnet_group,
        "security_groups": list(want.security_groups),
        "instance_class": want.instance_class,
        "instances": want.instances,
        "capacity": want.capacity.model_dump(mode="json", exclude_none=True) if want.capacity else None,
        "engine_version": want.engine_version,
        "port": want.port,
        "cluster_parameters": want.cluster_parameters,
        "instance_parameters": want.instance_parameters,
        "kms_key": key.arn if key else None,
        "source_kms_key": draft.facts.sharing_key.arn if draft.facts.sharing_key else given.source_kms_key,
        "admin_secret": draft.admin,
        "users": [user.model_dump(mode="json", exclude_none=True) for user in draft.users],
        "names": draft.names.model_dump(mode="json"),
    }


def _what_for(draft: Draft, snapshot: Snapshot, now: datetime) -> str:
    """What there is now, and what the plan does about it."""
    facts, target, ours = draft.facts, draft.given.target, draft.facts.ours
    phases = {change.phase for change in draft.changes if not change.adopts}
    age = f"{snapshot.id}, {_ago(snapshot.created, now)} old"
    if ours is not None:
        instances = [f"{each.name} {each.status}" for each in facts.instances_of(ours)] or ["no instances"]
        todo = [phase for phase in _ORDER if phase in phases]
        return (
            f"An earlier run has made {ours.name} from {age} ({ours.status}, {', '.join(instances)}) and was not"
            f" finished; it is adopted, and what is left is: {', '.join(todo)}."
        )
    copies = [change for change in draft.changes if change.phase == calls.COPY]
    how = "restored"
    if copies:
        how = "restored from the copy that an earlier run has made" if copies[0].adopts else "copied and restored"
    old = facts.standing
    if old is not None:
        return f"{target} is replaced: {age}, is {how}, and the cluster there is kept as {draft.names.aside}."
    return f"{target} does not exist; {age}, is {how}."


_ORDER = (
    calls.COPY_AT_SOURCE,
    calls.SHARE,
    calls.COPY,
    calls.RESTORE,
    calls.DATA_API,
    calls.INSTANCES,
    calls.USERS,
    calls.CHECK,
    calls.KEEP,
    calls.STEP_ASIDE,
    calls.NAME,
    calls.HAND_OVER,
    calls.ARCHIVE,
    calls.DELETE,
)


def _ago(moment: str, now: datetime) -> str:
    age = max(now - clock.parse(moment), timedelta(0))
    hours = age.days * 24 + age.seconds // 3600
    return f"{hours // 24} d {hours % 24} h" if hours >= 48 else f"{hours} h {age.seconds // 60 % 60} min"
