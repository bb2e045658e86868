"""Every branch of the decision, as a table of facts -> decision, without AWS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.catalogue.ecs_service_rollback.decide import decide, service_is_steady, what_the_rollback_rests_on
from runbooks.catalogue.ecs_service_rollback.facts import Deployment, Facts, Revision, Service, ServiceDeployment
from runbooks.catalogue.ecs_service_rollback.input import Input
from runbooks.model import Undo, Verdict

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
FAMILY = "arn:aws:ecs:eu-central-1:123456789012:task-definition/report-service"
OLD, NEW = f"{FAMILY}:2", f"{FAMILY}:3"


def given(**more: Any) -> Input:
    values = {
        "mode": "execute",
        "reason": "INC-1",
        "requested_by": "alice",
        "cluster": "prod",
        "service": "report-service",
    }
    return Input.model_validate(values | more)


def deployment(**more: Any) -> Deployment:
    values: dict[str, Any] = {
        "id": "ecs-svc/2",
        "status": "PRIMARY",
        "task_definition": NEW,
        "rollout_state": "IN_PROGRESS",
        "rollout_reason": "tasks failed container health checks",
        "desired": 2,
        "running": 0,
        "pending": 2,
        "failed_tasks": 6,
        "since": "2026-11-21T02:40:00Z",
    }
    return Deployment.model_validate(values | more)


def service(**more: Any) -> Service:
    values: dict[str, Any] = {
        "arn": "arn:aws:ecs:eu-central-1:123456789012:service/prod/report-service",
        "name": "report-service",
        "status": "ACTIVE",
        "controller": "ECS",
        "task_definition": NEW,
        "desired": 2,
        "running": 0,
        "circuit_breaker": False,
        "deployments": (deployment(),),
    }
    return Service.model_validate(values | more)


def steady(task_definition: str = NEW, **more: Any) -> Service:
    completed = deployment(
        task_definition=task_definition, rollout_state="COMPLETED", running=2, pending=0, failed_tasks=0
    )
    return service(task_definition=task_definition, running=2, deployments=(completed,), **more)


def past(number: int, status: str, task_definition: str | None, source: str | None = None) -> ServiceDeployment:
    return ServiceDeployment(
        arn=f"arn:aws:ecs:eu-central-1:123456789012:service-deployment/prod/report-service/{number}",
        status=status,
        task_definition=task_definition,
        source_task_definition=source,
        created_at=f"2026-11-{10 + number}T02:40:00Z",
    )


HISTORY = (past(3, "STOPPED", NEW), past(2, "SUCCESSFUL", OLD))
CANDIDATE = Revision(task_definition=OLD, steady_until="2026-11-13T02:40:00Z", active=True)


@dataclass(frozen=True)
class Case:
    name: str
    facts: Facts
    verdict: Verdict
    says: str
    given: Input = given()  # noqa: RUF009 - frozen


CASES = [
    Case("no such service", Facts(service=None), Verdict.REFUSED, "There is no service report-service"),
    Case(
        "a service that was deleted", Facts(service=service(status="INACTIVE")), Verdict.REFUSED, "There is no service"
    ),
    Case("a service being deleted", Facts(service=service(status="DRAINING")), Verdict.REFUSED, "is DRAINING"),
    Case(
        "CodeDeploy deploys it", Facts(service=service(controller="CODE_DEPLOY")), Verdict.REFUSED, "by AWS CodeDeploy"
    ),
    Case(
        "somebody else deploys it",
        Facts(service=service(controller="EXTERNAL")),
        Verdict.REFUSED,
        "by an external deployment controller",
    ),
    Case("scaled to zero", Facts(service=service(desired=0)), Verdict.REFUSED, "desired count of 0"),
    Case(
        "ECS is rolling back",
        Facts(service=service(), history=(past(3, "ROLLBACK_IN_PROGRESS", NEW),)),
        Verdict.REFUSED,
        "already rolling report-service back",
    ),
    Case(
        "the circuit breaker has rolled back",
        Facts(service=steady(OLD), history=(past(3, "ROLLBACK_SUCCESSFUL", NEW), past(2, "SUCCESSFUL", OLD))),
        Verdict.HEALTHY,
        "has rolled report-service back itself",
    ),
    Case("healthy already", Facts(service=steady()), Verdict.HEALTHY, "runs report-service:3 steadily: 2 of 2 tasks"),
    Case(
        "steady on the revision that was asked for",
        Facts(service=steady(OLD)),
        Verdict.HEALTHY,
        "as asked",
        given(task_definition="report-service:2"),
    ),
    Case(
        "already on the revision that was asked for, and failing",
        Facts(service=service()),
        Verdict.HAND_OFF,
        "is on report-service:3 already",
        given(task_definition=NEW),
    ),
    Case(
        "a young deployment of which nothing failed",
        Facts(service=service(deployments=(deployment(failed_tasks=0),)), history=HISTORY, candidate=CANDIDATE),
        Verdict.REFUSED,
        "none of its tasks has failed",
    ),
    Case(
        "no revision ever was steady",
        Facts(service=service(), history=(past(3, "STOPPED", NEW),)),
        Verdict.HAND_OFF,
        "No earlier revision of report-service ever reached a steady state",
    ),
    Case(
        "the revision asked for never was steady",
        Facts(service=service(), history=HISTORY),
        Verdict.REFUSED,
        "report-service:9 never was steady",
        given(task_definition="report-service:9"),
    ),
    Case(
        "the last steady revision is gone",
        Facts(service=service(), history=HISTORY, candidate=CANDIDATE.model_copy(update={"active": None})),
        Verdict.HAND_OFF,
        "does not exist any more",
    ),
    Case(
        "the last steady revision is inactive",
        Facts(service=service(), history=HISTORY, candidate=CANDIDATE.model_copy(update={"active": False})),
        Verdict.HAND_OFF,
        "is INACTIVE",
    ),
    Case(
        "the image of the last steady revision is gone",
        Facts(
            service=service(), history=HISTORY, candidate=CANDIDATE.model_copy(update={"missing_images": ("repo:2",)})
        ),
        Verdict.HAND_OFF,
        "its image repo:2 is gone from ECR",
    ),
    Case(
        "tasks fail and an earlier revision was steady",
        Facts(service=service(), history=HISTORY, candidate=CANDIDATE),
        Verdict.REMEDIABLE,
        "6 tasks of report-service:3 failed; report-service:2 was steady until 2026-11-13",
    ),
    Case(
        "steady, and an earlier revision is asked for",
        Facts(service=steady(), history=HISTORY, candidate=CANDIDATE),
        Verdict.REMEDIABLE,
        "report-service runs report-service:3 steadily, and another revision is asked for; report-service:2 was steady",
        given(task_definition="report-service:2"),
    ),
    Case(
        "short of tasks although its deployment was completed",
        Facts(
            service=service(running=1, deployments=(deployment(rollout_state="COMPLETED", failed_tasks=0),)),
            history=HISTORY,
            candidate=CANDIDATE,
        ),
        Verdict.REMEDIABLE,
        "1 of 2 tasks of report-service:3 run; report-service:2 was steady",
    ),
    Case(
        "short of tasks with no deployment",
        Facts(service=service(deployments=()), history=HISTORY, candidate=CANDIDATE),
        Verdict.REMEDIABLE,
        "0 of 2 tasks of report-service:3 run",
    ),
    Case(
        "steady after a deployment that was stopped",
        Facts(service=steady(OLD), history=HISTORY),
        Verdict.HEALTHY,
        "report-service runs report-service:2 steadily: 2 of 2 tasks",
    ),
    Case(
        "steady, and a revision is asked for that never was",
        Facts(service=steady(), history=HISTORY),
        Verdict.REFUSED,
        "report-service:9 never was steady",
        given(task_definition="report-service:9"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_situation_is_decided_with_its_reason(case: Case) -> None:
    decision = decide(case.given, case.facts, NOW)
    assert decision.verdict is case.verdict
    assert case.says in decision.reason
    assert bool(decision.command) == (case.verdict is Verdict.HAND_OFF)
    assert bool(decision.changes) == (case.verdict is Verdict.REMEDIABLE)


def test_a_failed_deployment_is_rolled_back_by_updating_the_service_and_undone_to_the_newer_revision() -> None:
    decision = decide(given(), Facts(service=service(), history=HISTORY, candidate=CANDIDATE), NOW)
    (change,) = decision.changes
    assert change.operation == "ecs:UpdateService"
    assert change.parameters == {"cluster": "prod", "service": "report-service", "taskDefinition": OLD}
    assert isinstance(change.undo, Undo)
    assert change.undo.parameters["taskDefinition"] == NEW
    assert change.repeat_harmless
    assert decision.resolved == {"task_definition": OLD}


def test_a_deployment_under_way_is_rolled_back_by_ecs_itself_if_it_would_go_to_the_same_revision() -> None:
    history = (past(3, "IN_PROGRESS", NEW, source=OLD), past(2, "SUCCESSFUL", OLD))
    (change,) = decide(given(), Facts(service=service(), history=history, candidate=CANDIDATE), NOW).changes
    assert change.operation == "ecs:StopServiceDeployment"
    assert change.parameters == {"serviceDeploymentArn": history[0].arn, "stopType": "ROLLBACK"}

    assert (change.proof.path, change.proof.equals) == ("starts_with(serviceDeployments[0].status, 'ROLLBACK')", True)


@pytest.mark.parametrize(
    "history",
    [
        (past(3, "IN_PROGRESS", NEW, source=f"{FAMILY}:1"), past(2, "SUCCESSFUL", OLD)),
        (past(3, "STOPPED", NEW, source=OLD), past(2, "SUCCESSFUL", OLD)),
        (past(4, "IN_PROGRESS", f"{FAMILY}:4", source=OLD), past(3, "STOPPED", NEW, source=OLD)),
        (),
    ],
    ids=["from a broken revision", "that has ended", "of another revision", "that ECS does not know any more"],
)
def test_a_deployment_that_ecs_could_not_roll_back_there_is_not_left_to_it(
    history: tuple[ServiceDeployment, ...],
) -> None:
    (change,) = decide(given(), Facts(service=service(), history=history, candidate=CANDIDATE), NOW).changes
    assert change.operation == "ecs:UpdateService"


def test_the_findings_name_the_failed_tasks_and_why_they_stopped() -> None:
    facts = Facts(
        service=service(),
        history=HISTORY,
        candidate=CANDIDATE,
        stopped_tasks=("report-service:3: failed health checks",),
    )
    found = {finding.id: finding.evidence for finding in decide(given(), facts, NOW).findings}
    assert found == {
        "tasks-fail": "6 tasks of report-service:3 failed since 2026-11-21T02:40:00Z",
        "too-few-tasks": "0 of 2 tasks of report-service run",
        "task-stopped": "report-service:3: failed health checks",
        "last-steady-revision": "report-service:2 was steady until 2026-11-13T02:40:00Z",
    }


def test_a_steady_service_has_no_findings() -> None:
    facts = Facts(service=steady(OLD), history=HISTORY, candidate=CANDIDATE)
    assert decide(given(), facts, NOW).findings == ()


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("tasks failed container health checks", "tasks failed container health checks"),
        ("", "the deployment cannot reach a steady state"),
    ],
)
def test_failed_tasks_mean_what_ecs_says_of_the_deployment(reason: str, meaning: str) -> None:
    facts = Facts(service=service(deployments=(deployment(rollout_reason=reason),)))
    (failed, _) = decide(given(), facts, NOW).findings
    assert (failed.id, failed.meaning) == ("tasks-fail", meaning)


def test_no_earlier_revision_is_handed_off_with_the_command_that_lists_the_family() -> None:
    command = decide(given(), Facts(service=service(), history=(past(3, "STOPPED", NEW),)), NOW).command
    assert command == "aws ecs list-task-definitions --family-prefix report-service --sort DESC"


@pytest.mark.parametrize(
    ("now", "state", "says"),
    [
        (steady(OLD), "settled", "2 of 2 tasks of report-service:2 run steadily"),
        (steady(NEW), "pending", "2 of 2 tasks of report-service:3 run"),
        (service(task_definition=OLD, deployments=(deployment(task_definition=OLD, running=1),)), "pending", "1 of 2"),
        (service(deployments=(deployment(rollout_state="FAILED"),)), "failed", "failed container health checks"),
        (service(deployments=()), "failed", "report-service is gone"),
    ],
)
def test_the_wait_ends_when_the_wanted_revision_is_steady_or_cannot_become_so(
    now: Service, state: str, says: str
) -> None:
    progress = service_is_steady(given(task_definition=OLD), Facts(service=now))
    assert progress.state == state
    assert says in progress.reason


def test_a_new_deployment_makes_the_plan_stale_and_the_passing_of_time_does_not() -> None:
    planned = Facts(service=service(), history=HISTORY, candidate=CANDIDATE)
    more_failures = Facts(
        service=service(deployments=(deployment(failed_tasks=9),)), history=HISTORY, candidate=CANDIDATE
    )
    deployed_again = Facts(
        service=service(deployments=(deployment(id="ecs-svc/9"),)), history=HISTORY, candidate=CANDIDATE
    )
    scaled = Facts(service=service(desired=1), history=HISTORY, candidate=CANDIDATE)
    assert what_the_rollback_rests_on(planned) == what_the_rollback_rests_on(more_failures)
    assert what_the_rollback_rests_on(planned) == what_the_rollback_rests_on(scaled)
    assert what_the_rollback_rests_on(planned) != what_the_rollback_rests_on(deployed_again)
    for otherwise in (
        Facts(service=service(desired=0), history=HISTORY, candidate=CANDIDATE),
        Facts(service=service(), history=HISTORY, candidate=CANDIDATE.model_copy(update={"active": False})),
        Facts(service=service(), history=HISTORY),
    ):
        assert what_the_rollback_rests_on(planned) != what_the_rollback_rests_on(otherwise)
