"""Functions that are killed at the worst moments: the step is delivered again, and nothing happens twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import pytest

from workbench import scenario
from workbench.incident import Incident, run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.scenario import Scenario

RUNBOOK = "ecs-service-rollback"
ACT = "EcsServiceRollbackActFunction"
SCENARIOS = scenario.of(RUNBOOK)
WRITE, CHANGE = "dynamodb:TransactWriteItems", "ecs:UpdateService"


@dataclass(frozen=True)
class Kill:
    """Kill the acting function before or after its nth call of an operation, `times` times in a row."""

    moment: str
    when: Literal["before", "after"]
    operation: str
    nth: int
    times: int = 1

    def arm(self, aws: EmbeddedAws) -> None:
        seen = 0

        def strike(aws: EmbeddedAws) -> None:
            nonlocal seen
            seen += 1
            if self.nth <= seen < self.nth + self.times:
                aws.kill(ACT)

        hook = aws.faults.before if self.when == "before" else aws.faults.after
        hook(self.operation, strike, only_from=f"-{RUNBOOK}-act")


# The acting function writes in this order: phase.started, change.intended, change.done, phase.applied.
APPLYING = [
    Kill("before the phase", "before", WRITE, 1),
    Kill("before the intent", "before", WRITE, 2),
    Kill("after the intent", "after", WRITE, 2),
    Kill("after the call", "after", CHANGE, 1),
    Kill("after the outcome", "after", WRITE, 3),
    Kill("after the phase", "after", WRITE, 4),
    Kill("after the call, and again while it looks", "after", CHANGE, 1, times=2),
]
# And then, undoing: undo.started, undo.intended, undo.done.
UNDOING = [
    Kill("before the undo", "before", WRITE, 5),
    Kill("before the intent to undo", "before", WRITE, 6),
    Kill("after the intent to undo", "after", WRITE, 6),
    Kill("after the call that undoes", "after", CHANGE, 2),
    Kill("after the outcome of the undo", "after", WRITE, 7),
]


def broken(incident: Scenario, kill: Kill) -> Scenario:
    def arrange(aws: EmbeddedAws) -> None:
        incident.arrange(aws)
        kill.arm(aws)

    return replace(incident, arrange=arrange)


def sent(aws: EmbeddedAws) -> int:
    return sum(call.operation == CHANGE and call.caller.endswith("-act") for call in aws.calls)


def moments(kill: Kill) -> str:
    return kill.moment


@pytest.mark.parametrize("kill", APPLYING, ids=moments)
def test_a_run_whose_function_is_killed_ends_healed_after_one_mutation(aws: EmbeddedAws, kill: Kill) -> None:
    ended = run_scenario(aws, RUNBOOK, broken(SCENARIOS["health-checks-fail"], kill))
    assert ended.unexpected() == []
    assert sent(aws) == 1


@pytest.mark.parametrize("kill", UNDOING, ids=moments)
def test_an_undo_whose_function_is_killed_restores_the_world_with_one_inverse(aws: EmbeddedAws, kill: Kill) -> None:
    ended = run_scenario(aws, RUNBOOK, broken(SCENARIOS["fix-does-not-take"], kill))
    assert ended.unexpected() == []
    assert sent(aws) == 2


def test_a_call_that_happened_without_its_outcome_is_recognised_by_looking(aws: EmbeddedAws) -> None:
    ended = run_scenario(aws, RUNBOOK, broken(SCENARIOS["health-checks-fail"], APPLYING[3]))
    assert events(ended).count("change.intended") == 1
    assert "change.recognised" in events(ended)
    assert "change.done" not in events(ended)


def test_a_call_that_did_not_happen_is_made_once_its_deadline_has_passed(aws: EmbeddedAws) -> None:
    ended = run_scenario(aws, RUNBOOK, broken(SCENARIOS["health-checks-fail"], APPLYING[2]))
    assert events(ended).count("change.intended") == 2
    assert "change.recognised" not in events(ended)


def events(incident: Incident) -> list[str]:
    return [entry.event for entry in incident.audit]


def stop(aws: EmbeddedAws) -> None:
    """Stop every execution that runs, as somebody would in the console."""
    client = aws.client("stepfunctions")
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    for execution in client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
        client.stop_execution(executionArn=execution["executionArn"], cause="somebody pressed Stop")


@pytest.mark.parametrize(
    ("moment", "operation", "nth", "happened"),
    [
        ("before the intent", WRITE, 1, False),
        ("after the intent", WRITE, 2, False),
        ("after the call", CHANGE, 1, True),
    ],
)
def test_a_run_that_is_killed_stopped_and_reaped_can_be_started_anew_and_ends_healthy(
    aws: EmbeddedAws, moment: str, operation: str, nth: int, happened: bool
) -> None:
    def arm(aws: EmbeddedAws) -> None:
        SCENARIOS["health-checks-fail"].arrange(aws)
        seen = 0

        def strike(aws: EmbeddedAws) -> None:
            nonlocal seen
            seen += 1
            if seen == nth:
                stop(aws)
                aws.kill(ACT)

        aws.faults.after(operation, strike, only_from=f"-{RUNBOOK}-act")

    killed = replace(
        SCENARIOS["health-checks-fail"],
        arrange=arm,
        ends="ABORTED",
        error="RunAborted",
        world_after=SCENARIOS["health-checks-fail"].world_after if happened else None,
        changes=None,
    )
    reaped = run_scenario(aws, RUNBOOK, killed)
    assert reaped.unexpected() == []
    assert ("The next run would: ecs:UpdateService" in (reaped.cause or "")) is not happened
    # Whether the call took effect is only known once the function that made it is surely over.
    aws.clock.advance(minutes=2)
    again = replace(SCENARIOS["health-checks-fail"], arrange=lambda _: None, changes=0 if happened else 1)
    ended = run_scenario(aws, RUNBOOK, again, execution_name="anew")
    assert ended.unexpected() == []
    assert sent(aws) == 1
