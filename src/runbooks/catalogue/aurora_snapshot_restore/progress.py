"""When each phase has settled, and what must still be true when it starts."""

from __future__ import annotations

from pydantic import JsonValue

from runbooks.catalogue.aurora_snapshot_restore.facts import BROKEN, Facts, Snapshot, serves
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.plan import prepared
from runbooks.catalogue.aurora_snapshot_restore.tags import ARCHIVED, FINISHED
from runbooks.model import Progress, failed, pending, settled


def _of_snapshot(snapshot: Snapshot | None, name: str) -> Progress:
    if snapshot is None:
        return failed(f"{name} is gone")
    if snapshot.status == "available":
        return settled(f"{snapshot.id} is available")
    if snapshot.status in {"creating", "copying", "pending"}:
        percent = None if snapshot.percent is None else max(0, min(100, snapshot.percent))
        so_far = "" if percent is None else f", {percent} %"
        return pending(f"{snapshot.id} is {snapshot.status}{so_far}", percent=percent)
    return failed(f"{snapshot.id} is {snapshot.status}")


def snapshot_is_copied_at_source(given: Input, facts: Facts) -> Progress:
    """Whether the copy that can be shared is there."""
    return _of_snapshot(next(iter(facts.made_at_source), None), given.literal_names.shared)


def snapshot_is_shared(given: Input, facts: Facts) -> Progress:
    """Whether the source account lets this one use the snapshot."""
    if facts.shared_with_us:
        return settled("this account may use the snapshot")
    return failed("the source account does not share the snapshot with this one")


def snapshot_is_copied(given: Input, facts: Facts) -> Progress:
    """Whether the copy is there."""
    return _of_snapshot(next(iter(facts.made), None), given.literal_names.snapshot)


def old_cluster_is_kept(given: Input, facts: Facts) -> Progress:
    """Whether there is a snapshot of the cluster that is to be replaced."""
    return _of_snapshot(next(iter(facts.made), None), given.literal_names.before)


def cluster_is_restored(given: Input, facts: Facts) -> Progress:
    """Whether the cluster is available."""
    cluster = facts.ours
    if cluster is None:
        return failed("the cluster that was restored is gone, or is not ours any more")
    if serves(cluster.status):
        return settled(f"{cluster.name} is {cluster.status}")
    if cluster.status in BROKEN or cluster.status == "deleting":
        return failed(f"{cluster.name} is {cluster.status}")
    return pending(f"{cluster.name} is {cluster.status}")


def data_api_is_on(given: Input, facts: Facts) -> Progress:
    """Whether SQL can be run over the Data API."""
    cluster = facts.ours
    if cluster is None:
        return failed("the cluster that was restored is gone, or is not ours any more")
    if cluster.data_api:
        return settled(f"the Data API of {cluster.name} is on")
    return pending(f"the Data API of {cluster.name} is not on yet")


def instances_are_available(given: Input, facts: Facts) -> Progress:
    """Whether so many instances as are asked for serve."""
    instances = facts.instances_of(facts.ours)
    if facts.ours is None:
        return failed("the cluster that was restored is gone, or is not ours any more")
    for instance in instances:
        if instance.status in BROKEN or instance.status == "deleting":
            return failed(f"{instance.name} is {instance.status}")
    ready = [instance.name for instance in instances if serves(instance.status)]
    asked = given.instances or 1
    if len(ready) >= asked:
        return settled(f"{', '.join(ready)} serve{'s' if len(ready) == 1 else ''}")
    states = ", ".join(f"{instance.name} is {instance.status}" for instance in instances) or "there are none yet"
    return pending(f"{len(ready)} of {asked} instances serve: {states}")


def users_are_there(given: Input, facts: Facts) -> Progress:
    """Roles are there when their transaction is committed, so this only looks whether the cluster is."""
    count = len(given.users)
    return _done(facts, f"{count} user{' is' if count == 1 else 's are'} set up")


def database_is_checked(given: Input, facts: Facts) -> Progress:
    """A check that does not hold raises, so this only looks whether the cluster is still there."""
    return _done(facts, "the database has what is asked for")


def _done(facts: Facts, said: str) -> Progress:
    if facts.ours is None:
        return failed("the cluster that was restored is gone, or is not ours any more")
    return settled(said)


def old_cluster_is_aside(given: Input, facts: Facts) -> Progress:
    """Whether the old cluster is available under its dated name."""
    cluster, standing = facts.aside, facts.standing
    if cluster is None:
        if standing is not None and (standing.becomes or standing.status == "renaming"):
            return pending(f"{standing.name} is {standing.status}")
        return failed(f"there is no cluster {given.literal_names.aside}")
    if serves(cluster.status):
        return settled(f"the old cluster is {cluster.name}")
    if cluster.status in BROKEN:
        return failed(f"{cluster.name} is {cluster.status}")
    return pending(f"{cluster.name} is {cluster.status}")


def cluster_has_its_name(given: Input, facts: Facts) -> Progress:
    """Whether the new cluster is available under the target's name."""
    cluster = facts.ours
    if cluster is None:
        return failed("the cluster that was restored is gone, or is not ours any more")
    if cluster.name == given.target and serves(cluster.status):
        return settled(f"the new cluster is {cluster.name}")
    if cluster.status in BROKEN:
        return failed(f"{cluster.name} is {cluster.status}")
    if cluster.name == given.target or cluster.becomes or cluster.status == "renaming":
        return pending(f"{cluster.name} is {cluster.status}")
    return failed(f"the new cluster is still {cluster.name}")


def cluster_is_handed_over(given: Input, facts: Facts) -> Progress:
    """Whether the cluster is protected as asked, and marked as finished."""
    cluster = facts.standing
    if cluster is None or cluster != facts.ours:
        return failed(f"{given.target} is gone, or is not ours any more")
    if given.deletion_protection and not cluster.protected:
        return pending(f"{cluster.name} is not protected yet")
    if cluster.tags.get(FINISHED) != prepared(given, given.users):
        return failed(f"{cluster.name} is not marked as finished")
    return settled(f"{cluster.name} is finished" + (" and protected" if cluster.protected else ""))


def snapshot_is_archived(given: Input, facts: Facts) -> Progress:
    """Whether the copy says until when it is kept."""
    copy = next(iter(facts.made), None)
    if copy is None or ARCHIVED not in copy.tags:
        return failed(f"{given.literal_names.snapshot} is gone, or is not marked as kept")
    return settled(f"{copy.id} is kept")


def expired_is_gone(given: Input, facts: Facts) -> Progress:
    """Whether everything that was to be deleted is, and what the clusters held to the last is in a snapshot."""
    last = given.literal_names.last
    taken = {each.id: _of_snapshot(each, each.id) for each in facts.made if each.id in last}
    if broken := next((each for each in taken.values() if each.state == "failed"), None):
        return broken
    left = [f"{cluster.name} is {cluster.status}" for cluster in facts.replaced]
    left += [f"{each.id} is {each.status}" for each in (*facts.made, *facts.made_at_source) if each.id not in last]
    if left:
        return pending(", ".join(left))
    for name in last:
        if (progress := taken.get(name) or failed(f"{name} is gone")).state != "settled":
            return progress
    return settled("nothing of it is left" + (f", and its content is in {', '.join(last)}" if last else ""))


# -- what a phase rests on: stable under the phases before it ---------------------------------------------------------


def _snapshot(facts: Facts) -> JsonValue:
    return [facts.snapshot.arn, facts.snapshot.status] if facts.snapshot else None


def _key(facts: Facts) -> JsonValue:
    return [facts.key.arn, facts.key.state] if facts.key else None


def what_sharing_rests_on(facts: Facts) -> JsonValue:
    """The snapshot is there, and the key of the copy to be shared can be used."""
    sharing = facts.sharing_key
    return {"snapshot": _snapshot(facts), "key": [sharing.arn, sharing.state] if sharing else None}


def what_copying_rests_on(facts: Facts) -> JsonValue:
    """The snapshot is there, and the copy's key can be used."""
    return {"snapshot": _snapshot(facts), "key": _key(facts)}


def what_restoring_rests_on(facts: Facts) -> JsonValue:
    """Whoever has the target's name still has it, and the cluster's network and key are as they were."""
    return {
        "standing": facts.standing.resource_id if facts.standing else None,
        "subnet_group": facts.subnet_group.model_dump(mode="json") if facts.subnet_group else None,
        "security_groups": dict(facts.security_groups),
        "key": _key(facts),
    }


def what_going_on_rests_on(facts: Facts) -> JsonValue:
    """The cluster that the run has made is there and ours."""
    return {"lost": facts.lost}


def what_stepping_aside_rests_on(facts: Facts) -> JsonValue:
    """The cluster that is to be replaced is the one that was diagnosed, and there is one to replace it."""
    return {"standing": facts.standing.resource_id if facts.standing else None, "lost": facts.lost}


def what_deleting_rests_on(facts: Facts) -> JsonValue:
    """Everything that is to be deleted is what it was, and its day has come."""
    doomed: list[JsonValue] = [
        [each.name, each.id, each.delete_after, each.kept_in]
        for each in sorted(facts.expired, key=lambda each: each.name)
        if each.may_go
    ]
    return doomed
