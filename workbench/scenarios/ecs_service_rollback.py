"""What goes wrong with ECS deployments, as guide 002 describes it, and what a rollback must end in."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from workbench.embedded import ecs
from workbench.embedded.functions import Invocation
from workbench.incident import signed_request, start_input
from workbench.ledger import ledger_of
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
CLUSTER, SERVICE = "snowflake-analytics-cluster", "snowflake-report-service"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
NO_BREAKER = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}

_PATIENCE = 30.0
"""Real seconds to wait for another run to get where a scenario wants it."""


def revision(aws: EmbeddedAws, tag: str, *, minutes_ago: float, steady_after: float | None = 30) -> str:
    """A revision of the service's task definition, with its image in ECR; `family:revision`."""
    image = ecs.push_image(aws, SERVICE, tag)
    arn = ecs.register(aws, SERVICE, image, container="report-service", port=8000, minutes_ago=minutes_ago)
    ecs.script(aws, arn, steady_after=steady_after)
    return arn.rpartition("/")[2]


def history(aws: EmbeddedAws, **fields: Any) -> None:
    """Two revisions that each were steady for days; the second runs."""
    ecs.cluster(aws, CLUSTER)
    first = revision(aws, "1.0", minutes_ago=20_000)
    ecs.deploy(aws, CLUSTER, SERVICE, first, minutes_ago=19_000, desiredCount=2, **fields)
    second = revision(aws, "1.1", minutes_ago=10_000)
    ecs.deploy(aws, CLUSTER, SERVICE, second, minutes_ago=9_000)


def health_checks_fail(aws: EmbeddedAws) -> None:
    """The third revision never became steady, and neither does the hot fix after it: the way back is not n-1."""
    history(aws, deploymentConfiguration=BREAKER)
    ecs.deploy(aws, CLUSTER, SERVICE, revision(aws, "1.2", minutes_ago=60, steady_after=None), minutes_ago=55)
    ecs.deploy(aws, CLUSTER, SERVICE, revision(aws, "1.2.1", minutes_ago=30, steady_after=None), minutes_ago=25)


def under_way(aws: EmbeddedAws) -> None:
    """The third revision fails its health checks, and without a circuit breaker ECS keeps trying."""
    history(aws)
    ecs.deploy(aws, CLUSTER, SERVICE, revision(aws, "1.2", minutes_ago=60, steady_after=None), minutes_ago=20)


def rolled_back_by_ecs(aws: EmbeddedAws) -> None:
    """The circuit breaker was told to roll back, and has."""
    history(aws, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}})
    ecs.deploy(aws, CLUSTER, SERVICE, revision(aws, "1.2", minutes_ago=60, steady_after=None), minutes_ago=55)


def just_deployed(aws: EmbeddedAws) -> None:
    """A good revision whose tasks are still starting."""
    history(aws)
    ecs.deploy(aws, CLUSTER, SERVICE, revision(aws, "1.2", minutes_ago=60, steady_after=600), minutes_ago=1)


def first_deployment_fails(aws: EmbeddedAws) -> None:
    """The service is new and never worked."""
    ecs.cluster(aws, CLUSTER)
    first = revision(aws, "1.0", minutes_ago=60, steady_after=None)
    ecs.deploy(aws, CLUSTER, SERVICE, first, minutes_ago=55, desiredCount=2, deploymentConfiguration=BREAKER)


def scaled_to_zero(aws: EmbeddedAws) -> None:
    """Somebody has scaled the failing service to zero."""
    health_checks_fail(aws)
    aws.client("ecs").update_service(cluster=CLUSTER, service=SERVICE, desiredCount=0)


def image_gone(aws: EmbeddedAws) -> None:
    """A lifecycle policy has expired the image of the last steady revision."""
    health_checks_fail(aws)
    aws.client("ecr").batch_delete_image(repositoryName=SERVICE, imageIds=[{"imageTag": "1.1"}])


def revision_inactive(aws: EmbeddedAws) -> None:
    """Somebody has cleaned up and deregistered the last steady revision."""
    health_checks_fail(aws)
    aws.client("ecs").deregister_task_definition(taskDefinition=f"{SERVICE}:2")


def does_not_become_steady_any_more(aws: EmbeddedAws) -> None:
    """What the old revision needs is gone too, so going back to it does not help."""
    health_checks_fail(aws)
    ecs.script(aws, f"{SERVICE}:2", steady_after=None)


def verification_is_denied(aws: EmbeddedAws, _execution: str) -> None:
    """Somebody takes the reading role's permission away while the run is under way."""
    aws.faults.fail(
        "ecs:DescribeServices",
        code="AccessDeniedException",
        message="You are not authorized to perform ecs:DescribeServices",
        only_from=f"-{RUNBOOK}-diagnose",
    )


def owned_by(controller: str) -> Callable[[EmbeddedAws], None]:
    """A service that ECS does not deploy itself."""

    def arrange(aws: EmbeddedAws) -> None:
        ecs.cluster(aws, CLUSTER)
        aws.client("ecs").create_service(
            cluster=CLUSTER,
            serviceName=SERVICE,
            desiredCount=2,
            deploymentController={"type": controller},
            taskDefinition=revision(aws, "1.0", minutes_ago=60),
        )

    return arrange


def denied(aws: EmbeddedAws) -> None:
    """The acting role lacks ecs:UpdateService."""
    health_checks_fail(aws)
    aws.faults.fail(
        "ecs:UpdateService", code="AccessDeniedException", message="You are not authorized to perform ecs:UpdateService"
    )


def throttled(aws: EmbeddedAws) -> None:
    """ECS throttles reads and the change for a while."""
    health_checks_fail(aws)
    for operation in ("ecs:DescribeServices", "ecs:UpdateService"):
        aws.faults.fail(
            operation, code="ThrottlingException", message="Rate exceeded", times=4, only_from=f"-{RUNBOOK}-"
        )


def frozen(aws: EmbeddedAws) -> None:
    """It is the night of the year-end close."""
    health_checks_fail(aws)
    now = aws.clock.now()
    window = {
        "starts": (now - timedelta(hours=1)).isoformat(),
        "ends": (now + timedelta(hours=8)).isoformat(),
        "reason": "year-end close",
    }
    aws.policy({"freeze_windows": [window]})


def somebody_deploys(aws: EmbeddedAws, _execution: str = "") -> None:
    """A fifth revision is deployed while the plan waits for approval."""
    ecs.deploy(aws, CLUSTER, SERVICE, revision(aws, "1.3", minutes_ago=0))


def nobody_decides(aws: EmbeddedAws, _execution: str) -> None:
    aws.clock.advance(timedelta(hours=4, seconds=1))


def stop(aws: EmbeddedAws, execution: str) -> None:
    """Somebody presses Stop in the console."""
    aws.client("stepfunctions").stop_execution(
        executionArn=execution, error="Stopped", cause="somebody pressed Stop in the console"
    )


def another_run_acts_first(aws: EmbeddedAws, _execution: str) -> None:
    """A second run on the same service is approved sooner, and is now waiting for the service to become steady."""
    aws.clock.hold()
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    text = start_input(RUNBOOK, "health-checks-fail")
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name="the-other-run", input=text)
    ledger = ledger_of(aws.outputs, aws.client("dynamodb"))
    give_up, decided = time.monotonic() + _PATIENCE, False
    while not aws.clock.waiting:
        other = next((run for run in ledger.runs_of(RUNBOOK) if run.execution_arn.endswith(":the-other-run")), None)
        approval = ledger.approval(other.run_id) if other and not decided else None
        if other is not None and approval is not None and approval.status == "pending":
            ballot = {"decision": "approve", "plan_hash": approval.plan_hash, "comment": "go"}
            aws.invoke("ApiFunction", signed_request(aws.account_id, other.run_id, ballot, user="carol"))
            decided = True
        if time.monotonic() > give_up:
            raise TimeoutError("the other run did not get to its wait")
        time.sleep(0.03)


def let_the_other_go_on(aws: EmbeddedAws, _execution: str) -> None:
    aws.clock.release()


def world(aws: EmbeddedAws) -> dict[str, Any]:
    """What the service is told to be, which is what a rollback changes and an undo must restore."""
    (service,) = aws.client("ecs").describe_services(cluster=CLUSTER, services=[SERVICE])["services"]
    return {
        "taskDefinition": service.get("taskDefinition", "").rpartition("/")[2],
        "desiredCount": service["desiredCount"],
        "deploymentConfiguration": service.get("deploymentConfiguration"),
    }


def runs(number: int, breaker: Mapping[str, Any] = NO_BREAKER) -> dict[str, Any]:
    """The world with the service on that revision."""
    configuration = {
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    return {
        "taskDefinition": f"{SERVICE}:{number}",
        "desiredCount": 2,
        "deploymentConfiguration": configuration | dict(breaker),
    }


def decided_before_asked_again(aws: EmbeddedAws) -> None:
    """The answer of the first request is lost, so whoever decides then has a task token that is worth nothing."""
    health_checks_fail(aws)
    deliveries = itertools.count(1)

    def ask(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        if event["step"] != "request":
            return invoke()
        if next(deliveries) == 1:
            invoke()
            report = {"errorType": "AwsUnavailable", "errorMessage": "sns:Publish got no answer"}
            return Invocation("lost", json.dumps(report), failed=True)
        run_id = event["document"]["run_id"]
        run = ledger_of(aws.outputs, aws.client("dynamodb")).open_run(run_id)
        ballot = {"decision": "approve", "plan_hash": run.plan_hash or "", "comment": "as the first message says"}
        answer = aws.invoke("ApiFunction", signed_request(aws.account_id, run_id, ballot))
        if answer["statusCode"] != 200:
            raise ValueError(f"the decision was not taken: {answer}")
        return invoke()

    aws.faults.around(f"{aws.stack_name}-approval", ask)


STANDARD = Scenario(
    name="health-checks-fail",
    title="A new revision and its hot fix fail their health checks",
    event="health-checks-fail",
    arrange=health_checks_fail,
    world=world,
    world_after=runs(2, BREAKER),
    changes=1,
    moves=somebody_deploys,
)


def failing(name: str, title: str, error: str, **more: Any) -> Scenario:
    """The standard incident in which the run fails, and the world is as it was unless `world_after` says otherwise."""
    changed = {"ends": "FAILED", "world_after": None, "changes": 0} | more
    return replace(STANDARD, name=name, title=title, error=error, **changed)


SCENARIOS = (
    STANDARD,
    replace(
        STANDARD,
        name="deployment-under-way",
        title="ECS keeps trying a revision that fails: its own rollback is used",
        arrange=under_way,
        world_after=runs(2),
    ),
    replace(
        STANDARD,
        name="to-a-revision",
        title="A revision is named to go back to",
        event="to-a-revision",
        world_after=runs(1, BREAKER),
    ),
    replace(STANDARD, name="throttled", title="AWS throttles, and recovers", arrange=throttled),
    replace(
        STANDARD,
        name="healthy-already",
        title="The service is steady: nothing to do",
        arrange=history,
        world_after=None,
        changes=0,
    ),
    replace(
        STANDARD,
        name="rolled-back-by-ecs",
        title="The circuit breaker has rolled back already",
        arrange=rolled_back_by_ecs,
        world_after=None,
        changes=0,
    ),
    replace(
        STANDARD,
        name="plan-only",
        title="Only a plan is asked for",
        event="plan-only",
        world_after=None,
        changes=0,
    ),
    replace(
        STANDARD,
        name="decided-before-asked-again",
        title="The plan is approved after a request that got lost, and before it is made again",
        arrange=decided_before_asked_again,
        decision="ignore",
    ),
    failing("denied-by-approver", "The approver says no", "ApprovalDenied", decision="deny"),
    failing(
        "approval-expired",
        "Nobody decides within four hours",
        "ApprovalExpired",
        decision="ignore",
        on_state={"Wait for approval": nobody_decides},
    ),
    failing("deployed-by-codedeploy", "CodeDeploy owns the service", "Refused", arrange=owned_by("CODE_DEPLOY")),
    failing("deployed-externally", "An external controller owns the service", "Refused", arrange=owned_by("EXTERNAL")),
    failing("scaled-to-zero", "The desired count is 0", "Refused", arrange=scaled_to_zero),
    failing("just-deployed", "A deployment is in progress and nothing failed", "Refused", arrange=just_deployed),
    failing("never-steady", "No revision ever was steady", "HandOff", arrange=first_deployment_fails),
    failing("image-gone", "The image of the last steady revision is gone", "HandOff", arrange=image_gone),
    failing("revision-inactive", "The last steady revision is inactive", "HandOff", arrange=revision_inactive),
    failing("change-freeze", "Changes are frozen for the year-end close", "ChangeFreeze", arrange=frozen),
    failing(
        "target-locked",
        "Another run acts on the service first",
        "TargetLocked",
        world_after=runs(2, BREAKER),
        on_state={"Wait for approval": another_run_acts_first, "Record failure": let_the_other_go_on},
    ),
    failing(
        "world-moved",
        "Somebody deploys between plan and approval",
        "PlanStale",
        world_after=runs(5, BREAKER),
        on_state={"Wait for approval": somebody_deploys},
    ),
    failing(
        "fix-does-not-take",
        "The old revision does not become steady either: undone",
        "RemediationFailed",
        arrange=does_not_become_steady_any_more,
        changes=1,
    ),
    failing(
        "cannot-be-verified",
        "ECS has rolled back, and that cannot be verified: undone",
        "RemediationFailed",
        arrange=under_way,
        changes=1,
        on_state={"Verify": verification_is_denied},
    ),
    failing("aws-denies", "AWS denies the change", "AccessDenied", arrange=denied),
    failing(
        "aborted-while-waiting",
        "The execution is stopped while it waits for approval",
        "RunAborted",
        ends="ABORTED",
        decision="ignore",
        on_state={"Wait for approval": stop},
    ),
    failing(
        "aborted-after-the-change",
        "The execution is stopped while the service becomes steady",
        "RunAborted",
        ends="ABORTED",
        world_after=runs(2, BREAKER),
        changes=1,
        on_state={"Wait: is the service steady?": stop},
    ),
)
