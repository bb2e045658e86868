"""Restore an Aurora cluster from a snapshot, also in another's place. The procedure is in README.md beside this."""

from datetime import timedelta

from runbooks.arn import arn
from runbooks.catalogue.aurora_snapshot_restore import calls, gather, progress
from runbooks.catalogue.aurora_snapshot_restore.decide import decide
from runbooks.catalogue.aurora_snapshot_restore.facts import Facts
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.model import Phase, Risk, Runbook


def targets(given: Input, account: str, region: str) -> list[str]:
    """The cluster's ARN."""
    return [arn("rds", region, account, f"cluster:{given.target}")]


def _minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


RUNBOOK = Runbook(
    name="aurora-snapshot-restore",
    title="Restore an Aurora cluster from a snapshot",
    risk=Risk.CHANGES_PRODUCTION,
    input=Input,
    facts=Facts,
    targets=targets,
    gather=gather.gather,
    decide=decide,
    phases=(
        Phase(
            name=calls.COPY_AT_SOURCE,
            asked="Must it be copied before it can be shared?",
            question="Is it copied in the source account?",
            settled=progress.snapshot_is_copied_at_source,
            rests_on=progress.what_sharing_rests_on,
            recheck=gather.before_sharing,
            watch=gather.watch_copy_at_source,
            at_least=_minutes(2),
            within=timedelta(hours=6),
        ),
        Phase(
            name=calls.SHARE,
            asked="Must it be shared?",
            question="Is the snapshot shared?",
            settled=progress.snapshot_is_shared,
            rests_on=progress.what_sharing_rests_on,
            recheck=gather.before_sharing,
            watch=gather.watch_sharing,
            within=_minutes(5),
        ),
        Phase(
            name=calls.COPY,
            asked="Is a copy needed?",
            question="Is the copy available?",
            settled=progress.snapshot_is_copied,
            rests_on=progress.what_copying_rests_on,
            recheck=gather.before_copying,
            watch=gather.watch_copy,
            at_least=_minutes(2),
            within=timedelta(hours=6),
        ),
        Phase(
            name=calls.RESTORE,
            asked="Must the cluster be restored?",
            question="Is the cluster available?",
            settled=progress.cluster_is_restored,
            rests_on=progress.what_restoring_rests_on,
            recheck=gather.before_restoring,
            watch=gather.watch_clusters,
            at_least=_minutes(5),
            within=timedelta(hours=2),
        ),
        Phase(
            name=calls.DATA_API,
            asked="Must the Data API be switched on?",
            question="Is the Data API on?",
            settled=progress.data_api_is_on,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_clusters,
            within=_minutes(15),
        ),
        Phase(
            name=calls.INSTANCES,
            asked="Are instances missing?",
            question="Are its instances available?",
            settled=progress.instances_are_available,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_instances,
            at_least=_minutes(4),
            within=timedelta(hours=1),
        ),
        Phase(
            name=calls.USERS,
            asked="Are database users asked for?",
            question="Are the users set up?",
            settled=progress.users_are_there,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_clusters,
            within=_minutes(5),
        ),
        Phase(
            name=calls.CHECK,
            asked="Can the database be checked?",
            question="Is the database checked?",
            settled=progress.database_is_checked,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_clusters,
            within=_minutes(5),
        ),
        Phase(
            name=calls.KEEP,
            asked="Is there an old cluster to be kept?",
            question="Is the old cluster in a snapshot?",
            settled=progress.old_cluster_is_kept,
            rests_on=progress.what_stepping_aside_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_kept,
            at_least=_minutes(1),
            within=calls.LONGEST_SNAPSHOT,
        ),
        Phase(
            name=calls.STEP_ASIDE,
            asked="Is there an old cluster in its place?",
            question="Has the old cluster stepped aside?",
            settled=progress.old_cluster_is_aside,
            rests_on=progress.what_stepping_aside_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_clusters,
            at_least=_minutes(0.5),
            within=_minutes(30),
        ),
        Phase(
            name=calls.NAME,
            asked="Does the new cluster have another name?",
            question="Has the new cluster its name?",
            settled=progress.cluster_has_its_name,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_naming,
            watch=gather.watch_clusters,
            at_least=_minutes(0.5),
            within=_minutes(30),
        ),
        Phase(
            name=calls.HAND_OVER,
            asked="Is anything left to hand over?",
            question="Is the cluster handed over?",
            settled=progress.cluster_is_handed_over,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_clusters,
            within=_minutes(15),
        ),
        Phase(
            name=calls.ARCHIVE,
            asked="Is there a copy to be archived?",
            question="Is the snapshot archived?",
            settled=progress.snapshot_is_archived,
            rests_on=progress.what_going_on_rests_on,
            recheck=gather.before_going_on,
            watch=gather.watch_copy,
            within=_minutes(5),
        ),
        Phase(
            name=calls.DELETE,
            asked="Is anything past its retention?",
            question="Is it deleted?",
            settled=progress.expired_is_gone,
            rests_on=progress.what_deleting_rests_on,
            recheck=gather.before_deleting,
            watch=gather.watch_deleted,
            within=calls.LONGEST_SNAPSHOT + timedelta(hours=1),
            after_verification=True,
        ),
    ),
)
