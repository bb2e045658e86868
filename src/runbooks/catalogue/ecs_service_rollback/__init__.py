"""Roll an ECS service back to the last task definition that was steady. The procedure is in README.md beside this."""

from datetime import timedelta

from runbooks.arn import arn
from runbooks.catalogue.ecs_service_rollback.decide import PHASE, decide, service_is_steady, what_the_rollback_rests_on
from runbooks.catalogue.ecs_service_rollback.facts import Facts, gather, recheck, watch
from runbooks.catalogue.ecs_service_rollback.input import Input
from runbooks.model import Phase, Risk, Runbook


def targets(given: Input, account: str, region: str) -> list[str]:
    """The service's ARN."""
    return [arn("ecs", region, account, f"service/{given.cluster}/{given.service}")]


RUNBOOK = Runbook(
    name="ecs-service-rollback",
    title="Roll an ECS service back to its last steady task definition",
    risk=Risk.CHANGES_PRODUCTION,
    input=Input,
    facts=Facts,
    targets=targets,
    gather=gather,
    decide=decide,
    phases=(
        Phase(
            name=PHASE,
            question="Is the service steady?",
            settled=service_is_steady,
            rests_on=what_the_rollback_rests_on,
            within=timedelta(minutes=20),
            recheck=recheck,
            watch=watch,
        ),
    ),
)
