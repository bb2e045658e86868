"""What was seen on the way, whatever is decided: the age of the data, who is in the way, what is left behind."""

from __future__ import annotations

from runbooks.catalogue.aurora_snapshot_restore.facts import BROKEN, Facts
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.tags import RESTORES
from runbooks.catalogue.aurora_snapshot_restore.wanted import MYSQL
from runbooks.model import Finding, Severity

_CLUSTER, _SNAPSHOT = "RDS Cluster Issues", "Snapshot Issues"
_KEY = "KMS Key Issues"


def findings(given: Input, facts: Facts) -> list[Finding]:
    """What was seen, worst first."""
    found = [
        *_of_target(given, facts),
        *_of_snapshot(given, facts),
        *_of_proof(given, facts),
        *_of_what_is_lost(given, facts),
        *_of_leftovers(facts),
    ]
    order = list(reversed(Severity))
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _of_target(given: Input, facts: Facts) -> list[Finding]:
    standing = facts.standing
    if standing is None:
        evidence = f"there is no cluster {given.target}"
        return [_found("no-cluster", Severity.CRITICAL, evidence, "nobody can use it", _CLUSTER)]
    found = []
    if standing.status in BROKEN:
        evidence, meaning = f"{standing.name} is {standing.status}", "the cluster does not come out of that by itself"
        found.append(_found("cluster-broken", Severity.CRITICAL, evidence, meaning, _CLUSTER))
    for instance in facts.instances_of(standing):
        if instance.status in BROKEN:
            evidence, meaning = f"{instance.name} is {instance.status}", "the instance serves nobody"
            found.append(_found("instance-broken", Severity.CRITICAL, evidence, meaning, _CLUSTER))
    if standing != facts.ours:
        protected = "protected against deletion" if standing.protected else "not protected against deletion"
        members = ", ".join(standing.members) or "no instances"
        evidence = f"{standing.name} ({standing.engine} {standing.version}, {standing.status}): {members}; {protected}"
        meaning = "a swap renames it and deletes nothing; what is written to it until then is not in"
        found.append(_found("cluster-there", Severity.WARNING, evidence, f"{meaning} the new one", _CLUSTER))
    return found


def _of_snapshot(given: Input, facts: Facts) -> list[Finding]:
    snapshot = facts.snapshot
    if snapshot is None:
        return []
    taken = f"was taken at {snapshot.created}" if snapshot.created else f"is {snapshot.status}"
    evidence = f"{snapshot.id} ({snapshot.engine} {snapshot.version}) {taken}"
    found = [_found("data-lost", Severity.WARNING, evidence, "what was written later is not in it", _SNAPSHOT)]
    if not snapshot.encrypted and given.kms_key is None:
        meaning = "the cluster is not encrypted either; name a kms_key to have it so"
        found.append(_found("not-encrypted", Severity.WARNING, f"{snapshot.id} is not encrypted", meaning, _KEY))
    return found


def _of_proof(given: Input, facts: Facts) -> list[Finding]:
    """Nobody connects to the new cluster, which weighs more where another one goes for it."""
    if given.admin_secret is not None:
        return []
    evidence, old, meaning = "the input names no admin_secret", facts.old, "nobody connects to the database"
    if old is None or (old == facts.standing and given.replace == "never"):
        return [_found("not-connected", Severity.INFO, evidence, f"{meaning} to see whether it works")]
    if facts.snapshot is not None and facts.snapshot.engine == MYSQL:
        evidence = f"the snapshot {facts.snapshot.id} is of {MYSQL}, and checks are made in PostgreSQL only"
    meaning = f"the new cluster takes the name {given.target} with its status as the only proof: {meaning}"
    return [_found("not-connected", Severity.WARNING, evidence, meaning)]


def _of_what_is_lost(given: Input, facts: Facts) -> list[Finding]:
    """What belongs to the cluster that is replaced, and no restore can give the new one."""
    old, found = facts.old, []
    if old is None or given.replace != "swap":
        return []
    if facts.endpoints:
        evidence = f"{old.name} has the custom endpoints {', '.join(facts.endpoints)}"
        meaning = "they stay with it, and whoever connects by them still reads the old data; move them by hand"
        found.append(_found("endpoints-stay", Severity.WARNING, evidence, meaning, _CLUSTER))
    if roles := [role for role in old.roles if facts.ours is None or role not in facts.ours.roles]:
        evidence = f"{old.name} has the IAM roles {', '.join(roles)}"
        meaning = "the new cluster has none, as a run may pass no role; give it them with AddRoleToDBCluster"
        found.append(_found("roles-stay", Severity.WARNING, evidence, meaning, _CLUSTER))
    if old.replicas:
        evidence, meaning = f"{', '.join(old.replicas)} replicate {old.name}", "they do not replicate the new cluster"
        found.append(_found("replicas-stay", Severity.WARNING, evidence, meaning, _CLUSTER))
    return found


def _of_leftovers(facts: Facts) -> list[Finding]:
    found = []
    for copy in facts.made:
        if copy.tags.get(RESTORES) == facts.marker and copy.status in BROKEN:
            meaning = "an earlier run could not copy the snapshot; it is in nobody's way and can be deleted"
            found.append(_found("copy-failed", Severity.INFO, f"{copy.id} is {copy.status}", meaning, _SNAPSHOT))
    for each in facts.expired:
        evidence = f"{each.name} was to go after {each.delete_after}"
        meaning = "a run that restores deletes it" if each.may_go else "no snapshot has what it held, so it stays"
        found.append(_found("retention-over", Severity.INFO, evidence, meaning))
    return found


def _found(name: str, severity: Severity, evidence: str, meaning: str, symptom: str | None = None) -> Finding:
    return Finding(id=name, severity=severity, evidence=evidence, meaning=meaning, symptom=symptom)
