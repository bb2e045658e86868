"""Whether a service can be rolled back, and how: pure, every branch with its reason."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from runbooks.catalogue.ecs_service_rollback.facts import Facts, Revision, Service, ServiceDeployment, short
from runbooks.catalogue.ecs_service_rollback.input import Input
from runbooks.model import (
    Change,
    Decision,
    Finding,
    Progress,
    Proof,
    Severity,
    Undo,
    failed,
    hand_off,
    healthy,
    pending,
    refused,
    remediable,
    settled,
)

PHASE = "Roll the service back"

_SYMPTOM = "Emergency Recovery: Complete Service Recovery"
_LOOK_AGAIN_IN = 15
_ROLLING_BACK = {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}
_OWNERS = {"CODE_DEPLOY": "AWS CodeDeploy", "EXTERNAL": "an external deployment controller"}


def decide(given: Input, facts: Facts, now: datetime) -> Decision:
    """Healthy when the service is steady on a revision that may stay; otherwise back to the last that was steady."""
    service = facts.service
    if service is None or service.status == "INACTIVE":
        return refused(f"There is no service {given.service} in the cluster {given.cluster}.")
    return _decide(given, facts, service).seeing(findings(facts))


def _decide(given: Input, facts: Facts, service: Service) -> Decision:
    newest = facts.history[0] if facts.history else None
    current = short(service.task_definition) if service.task_definition else "no task definition"
    if service.status != "ACTIVE":
        return refused(f"{service.name} is {service.status}: it is being deleted, so there is nothing to roll back.")
    if service.controller != "ECS":
        owner = _OWNERS.get(service.controller, service.controller)
        return refused(f"{service.name} is deployed by {owner}; roll it back there.")
    if service.desired == 0:
        return refused(f"{service.name} has a desired count of 0, so no revision can become steady; scale it up first.")
    if newest is not None and newest.status in _ROLLING_BACK:
        return refused(f"ECS is already rolling {service.name} back; look again when it has finished.")
    if service.steady and given.task_definition is None:
        if newest is not None and newest.status == "ROLLBACK_SUCCESSFUL":
            return healthy(f"ECS has rolled {service.name} back itself; it runs {current} steadily.")
        return healthy(f"{service.name} runs {current} steadily: {service.running} of {service.desired} tasks.")
    if service.steady and given.task_definition in {service.task_definition, current}:
        return healthy(f"{service.name} runs {current} steadily, as asked.")
    return _back(given, facts, service, newest, current)


def _back(given: Input, facts: Facts, service: Service, newest: ServiceDeployment | None, current: str) -> Decision:
    primary, candidate = service.primary, facts.candidate
    describe = f"aws ecs list-task-definitions --family-prefix {current.partition(':')[0]} --sort DESC"
    if given.task_definition in {service.task_definition, current}:
        return hand_off(
            f"{service.name} is on {current} already, as asked, and it is not steady.",
            command=f"aws ecs describe-services --cluster {given.cluster} --services {given.service}",
        )
    if primary is not None and primary.rollout_state == "IN_PROGRESS" and primary.failed_tasks == 0:
        return refused(
            f"A deployment of {current} is in progress since {primary.since} and none of its tasks has failed;"
            " look again when it has finished or failed."
        )
    if candidate is None and given.task_definition is not None:
        return refused(f"{given.task_definition} never was steady in {service.name}, so it is no way back.")
    if candidate is None:
        return hand_off(
            f"No earlier revision of {service.name} ever reached a steady state within the history that ECS keeps.",
            command=describe,
        )
    target = short(candidate.task_definition)
    if candidate.active is None:
        return hand_off(f"{target} was the last steady revision, but it does not exist any more.", command=describe)
    if not candidate.active:
        return hand_off(
            f"{target} was the last steady revision, but it is INACTIVE and ECS starts no tasks of it."
            " Register it again, or start this runbook with another task_definition.",
            command=f"aws ecs describe-task-definition --task-definition {target}",
        )
    if candidate.missing_images:
        return hand_off(
            f"{target} was the last steady revision, but its image {candidate.missing_images[0]} is gone from ECR.",
            command=describe,
        )
    return remediable(
        f"{_why(service, current)}; {target} was steady until {candidate.steady_until}.",
        _change(given, service, candidate, newest),
        resolved={"task_definition": candidate.task_definition},
    )


def _why(service: Service, current: str) -> str:
    if service.steady:
        return f"{service.name} runs {current} steadily, and another revision is asked for"
    if service.primary is not None and service.primary.failed_tasks:
        return f"{service.primary.failed_tasks} tasks of {current} failed"
    return f"{service.running} of {service.desired} tasks of {current} run"


def _change(given: Input, service: Service, back_to: Revision, newest: ServiceDeployment | None) -> Change:
    """ECS's own rollback while a deployment is under way and would go to the same place, else UpdateService."""
    current = service.task_definition
    serving: dict[str, JsonValue] = {"cluster": given.cluster, "services": [given.service]}

    def runs(task_definition: str) -> Proof:
        return Proof(
            operation="ecs:DescribeServices",
            parameters=serving,
            path="services[0].taskDefinition",
            equals=task_definition,
        )

    undo = Undo(
        operation="ecs:UpdateService",
        parameters={"cluster": given.cluster, "service": given.service, "taskDefinition": current},
        proof=runs(current),
    )
    was, becomes = f"taskDefinition {short(current)}", f"taskDefinition {short(back_to.task_definition)}"
    under_way = newest is not None and newest.status == "IN_PROGRESS" and newest.task_definition == current
    if newest is not None and under_way and newest.source_task_definition == back_to.task_definition:
        return Change(
            phase=PHASE,
            operation="ecs:StopServiceDeployment",
            parameters={"serviceDeploymentArn": newest.arn, "stopType": "ROLLBACK"},
            was=was,
            becomes=becomes,
            undo=undo,
            proof=Proof(
                operation="ecs:DescribeServiceDeployments",
                parameters={"serviceDeploymentArns": [newest.arn]},
                path="starts_with(serviceDeployments[0].status, 'ROLLBACK')",
                equals=True,
            ),
        )
    return Change(
        phase=PHASE,
        operation="ecs:UpdateService",
        parameters={
            "cluster": given.cluster,
            "service": given.service,
            "taskDefinition": back_to.task_definition,
        },
        was=was,
        becomes=becomes,
        undo=undo,
        proof=runs(back_to.task_definition),
        repeat_harmless=True,
    )


def findings(facts: Facts) -> list[Finding]:
    """What was seen, worst first."""
    service, found = facts.service, []
    primary = service.primary if service else None
    if service is None:
        return []
    if primary is not None and primary.failed_tasks:
        found.append(
            Finding(
                id="tasks-fail",
                severity=Severity.CRITICAL,
                evidence=f"{primary.failed_tasks} tasks of {short(primary.task_definition)} failed"
                f" since {primary.since}",
                meaning=primary.rollout_reason or "the deployment cannot reach a steady state",
                symptom=_SYMPTOM,
            )
        )
    if service.running < service.desired:
        found.append(
            Finding(
                id="too-few-tasks",
                severity=Severity.CRITICAL,
                evidence=f"{service.running} of {service.desired} tasks of {service.name} run",
                meaning="the service serves with less than it should, or not at all",
                symptom=_SYMPTOM,
            )
        )
    found += [
        Finding(
            id="task-stopped",
            severity=Severity.WARNING,
            evidence=reason,
            meaning="why ECS stopped a task of this service",
            symptom="Task Fails to Start",
        )
        for reason in facts.stopped_tasks
    ]
    if facts.candidate is not None and not service.steady:
        found.append(
            Finding(
                id="last-steady-revision",
                severity=Severity.INFO,
                evidence=f"{short(facts.candidate.task_definition)} was steady until {facts.candidate.steady_until}",
                meaning="the newest revision other than the current one that ever reached a steady state",
            )
        )
    return found


def service_is_steady(given: Input, facts: Facts) -> Progress:
    """Whether ECS calls the service steady on the wanted revision."""
    service = facts.service
    primary = service.primary if service else None
    if service is None or primary is None:
        return failed(f"{given.service} is gone")
    revision = short(primary.task_definition)
    if primary.rollout_state == "FAILED":
        return failed(f"the deployment of {revision} failed: {primary.rollout_reason}")
    if service.steady and primary.task_definition == given.task_definition:
        return settled(f"{service.running} of {service.desired} tasks of {revision} run steadily")
    return pending(f"{primary.running} of {service.desired} tasks of {revision} run", look_again_in=_LOOK_AGAIN_IN)


def what_the_rollback_rests_on(facts: Facts) -> JsonValue:
    """The rollback is right as long as nobody else has deployed, and the revision to go back to is usable."""
    service, candidate = facts.service, facts.candidate
    if service is None:
        return None
    return {
        "status": service.status,
        "controller": service.controller,
        "task_definition": service.task_definition,
        "deployment": service.primary.id if service.primary else None,
        "runs": service.desired > 0,
        "steady": service.steady,
        "back_to": candidate.model_dump(mode="json", exclude={"steady_until"}) if candidate else None,
    }
