"""Events of AWS start plans: the right one, once, and seldom enough; and where none is started, somebody says why."""

from __future__ import annotations

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import catalogue
from runbooks.triggers.reading import Nothing, read
from workbench import scenario
from workbench.embedded import EmbeddedFunctionError
from workbench.embedded.aws import TEMPLATE
from workbench.embedded.patterns import matches
from workbench.incident import start_input
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from runbooks.store.runs import Ledger, Run
    from workbench.embedded import EmbeddedAws

EVENTS = Path(__file__).parents[2] / "events" / "triggers"
SAMPLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))}
ROLL_BACK, MEND = "ecs-service-rollback", "sagemaker-variant-fix"
SERVICE = {"cluster": "snowflake-analytics-cluster", "service": "snowflake-report-service"}
STARTS = {
    "alarm-on-an-ecs-service": (ROLL_BACK, SERVICE),
    "ecs-deployment-failed": (ROLL_BACK, SERVICE),
    "ecs-task-failed": (ROLL_BACK, SERVICE),
    "alarm-on-an-endpoint": (MEND, {"endpoint": "churn-prediction"}),
    "endpoint-failed": (MEND, {"endpoint": "churn-prediction"}),
}


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


def another(sample: str, number: int = 1, **detail: Any) -> dict[str, Any]:
    """The sample as another event, some of whose details differ."""
    event: dict[str, Any] = copy.deepcopy(SAMPLES[sample])
    return event | {"id": f"event-{number}", "detail": event["detail"] | detail}


def triggered(aws: EmbeddedAws, event: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = aws.invoke("TriggerFunction", event)
    return answer


def ended(aws: EmbeddedAws, ledger: Ledger, run_id: str) -> Run:
    give_up = time.monotonic() + 30
    while (run := ledger.find(run_id)) is None or run.status == "open":
        assert time.monotonic() < give_up, run
        time.sleep(0.02)
    aws.settle()
    return run


@pytest.mark.parametrize("sample", STARTS)
def test_a_sample_event_starts_the_right_plan(aws: EmbeddedAws, ledger: Ledger, sample: str) -> None:
    name, fields = STARTS[sample]
    standard = next(iter(scenario.of(name).values()))
    standard.arrange(aws)
    before = standard.world(aws)
    run = ended(aws, ledger, triggered(aws, SAMPLES[sample])["started"])
    assert (run.runbook, run.mode, run.outcome, run.verdict) == (name, "plan", "SUCCEEDED", "remediable")
    assert run.given is not None
    assert fields.items() <= run.given.items()
    assert (run.requested_by, run.identity) == (read(SAMPLES[sample]).source, "verified")
    assert run.reason == read(SAMPLES[sample]).reason[:500]
    assert standard.world(aws) == before


def test_the_rules_let_the_samples_through_and_nothing_that_is_well(aws: EmbeddedAws) -> None:
    patterns = rules_of(aws)
    for sample, event in SAMPLES.items():
        assert sum(matches(pattern, event) for pattern in patterns) == 1, sample
    for well in (
        another("alarm-on-an-ecs-service", state={"value": "OK"}),
        another("ecs-deployment-failed", eventName="SERVICE_DEPLOYMENT_COMPLETED"),
        another("ecs-task-failed", stopCode="ServiceSchedulerInitiated"),
        another("ecs-task-failed", lastStatus="RUNNING"),
        another("ecs-task-failed", group="family:batch"),
        another("endpoint-failed", EndpointStatus="IN_SERVICE"),
    ):
        assert not any(matches(pattern, well) for pattern in patterns), well


def rules_of(aws: EmbeddedAws) -> list[dict[str, Any]]:
    on = aws.deploy(TEMPLATE, stack_name="runbooks-on", parameters={"Triggers": "enabled"})
    return [dict(rule.pattern) for rule in on.rules if rule.pattern and "trigger" in rule.targets[0]]


def test_events_reach_nobody_until_the_rules_are_switched_on(aws: EmbeddedAws, ledger: Ledger) -> None:
    scenario.of(ROLL_BACK)["health-checks-fail"].arrange(aws)
    aws.emit(SAMPLES["ecs-deployment-failed"])
    aws.settle()
    assert ledger.runs_of(ROLL_BACK) == []
    on = aws.deploy(TEMPLATE, stack_name="runbooks-on", parameters={"Triggers": "enabled"})
    for _ in range(10):
        aws.emit(SAMPLES["ecs-deployment-failed"])
    aws.settle(60)
    theirs = ledger_of(on.outputs, aws.client("dynamodb"))
    give_up = time.monotonic() + 20
    while not (runs := theirs.runs_of(ROLL_BACK)):
        assert time.monotonic() < give_up, aws.log("runbooks-on-trigger")
    assert [run.mode for run in runs] == ["plan"]
    ended(aws, theirs, runs[0].run_id)
    assert ledger.runs_of(ROLL_BACK) == []


def test_the_same_event_ten_times_at_once_is_one_run(aws: EmbeddedAws, ledger: Ledger) -> None:
    scenario.of(ROLL_BACK)["health-checks-fail"].arrange(aws)
    with ThreadPoolExecutor(10) as crowd:
        answers = list(crowd.map(lambda _: triggered(aws, SAMPLES["ecs-task-failed"]), range(10)))
    assert len({answer["started"] for answer in answers}) == 1
    ended(aws, ledger, answers[0]["started"])
    assert len(ledger.runs_of(ROLL_BACK)) == 1
    assert triggered(aws, SAMPLES["ecs-task-failed"])["started"] == answers[0]["started"]


def test_many_events_about_one_target_are_one_run_until_it_was_quiet(aws: EmbeddedAws, ledger: Ledger) -> None:
    scenario.of(ROLL_BACK)["health-checks-fail"].arrange(aws)
    first = triggered(aws, another("ecs-deployment-failed", 1))["started"]
    ended(aws, ledger, first)
    refused = triggered(aws, another("alarm-on-an-ecs-service", 2))
    assert refused["started"] is None
    assert "and is not again until" in refused["why"]
    aws.clock.advance(timedelta(minutes=61))
    second = triggered(aws, another("ecs-task-failed", 3))["started"]
    assert second is not None
    assert second != first


def test_a_target_is_triggered_so_often_a_day_and_no_more(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.policy({"trigger_quiet_minutes": 0, "triggered_per_target_and_day": 2})
    for number in range(2):
        ended(aws, ledger, triggered(aws, another("ecs-deployment-failed", number))["started"])
    refused = triggered(aws, another("ecs-deployment-failed", 2))
    assert refused["started"] is None
    assert refused["why"].endswith("today, which is the limit")
    aws.clock.advance(timedelta(days=1))
    assert triggered(aws, another("ecs-deployment-failed", 3))["started"] is not None


def test_a_run_of_somebody_else_on_the_target_goes_first(aws: EmbeddedAws, ledger: Ledger) -> None:
    scenario.of(ROLL_BACK)["health-checks-fail"].arrange(aws)
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{ROLL_BACK}"
    text = start_input(ROLL_BACK, "health-checks-fail")
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name="alices", input=text)
    give_up = time.monotonic() + 20
    while not (runs := ledger.runs_of(ROLL_BACK)):
        assert time.monotonic() < give_up
    refused = triggered(aws, SAMPLES["ecs-deployment-failed"])
    assert refused["started"] is None
    assert refused["why"].startswith(f"the run {runs[0].run_id} is at arn:aws:ecs:")


def test_a_start_that_was_throttled_is_made_when_the_event_comes_again(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.faults.fail("states:StartExecution", code="ThrottlingException", message="Rate exceeded", times=3)
    with pytest.raises(EmbeddedFunctionError, match="AwsThrottled"):
        triggered(aws, SAMPLES["ecs-deployment-failed"])
    run_id = triggered(aws, SAMPLES["ecs-deployment-failed"])["started"]
    assert ended(aws, ledger, run_id).identity == "verified"


def test_policy_says_whether_events_plan_act_or_start_nothing(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.policy({"triggers": {ROLL_BACK: "off"}})
    assert triggered(aws, SAMPLES["ecs-deployment-failed"])["why"] == (
        "policy has switched triggers of ecs-service-rollback off"
    )
    aws.policy({"triggers": {ROLL_BACK: "execute"}, "kill_switch": True})
    assert "the kill switch is on" in triggered(aws, SAMPLES["ecs-deployment-failed"])["why"]
    aws.policy({"triggers": {ROLL_BACK: "execute"}})
    run = ended(aws, ledger, triggered(aws, SAMPLES["ecs-deployment-failed"])["started"])
    assert run.mode == "execute"


def unknown_service(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"resources": ["arn:aws:ecs:eu-central-1:123456789012:service/old-format"]}


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (SAMPLES["alarm-on-something-else"], "is on AWS/EC2 by InstanceId, which no runbook is for"),
        (another("alarm-on-an-endpoint", configuration={"alarmRule": "ALARM(a)"}), "as composite alarms are not"),
        (another("endpoint-failed", EndpointStatus="IN_SERVICE"), "the endpoint churn-prediction is IN_SERVICE"),
        (another("ecs-task-failed", group="family:batch"), "the task belongs to family:batch"),
        (another("ecs-task-failed", stopCode="UserInitiated"), "the task did not fail"),
        (unknown_service(another("ecs-deployment-failed")), "does not name its cluster"),
        (another("ecs-deployment-failed", eventName="SERVICE_DEPLOYMENT_COMPLETED"), "has not failed"),
        (another("ecs-task-failed", group="service:no such name!"), "the event does not fit ecs-service-rollback"),
        ({**another("endpoint-failed"), "detail": {}}, "'EndpointName' is missing"),
        ({**another("endpoint-failed"), "detail-type": "SageMaker Model State Change"}, "no runbook is for events of"),
        ({**another("endpoint-failed"), "account": "210987654321"}, "the event is of the account 210987654321"),
    ],
    ids=range(11),
)
def test_an_event_that_starts_nothing_says_why(
    aws: EmbeddedAws, ledger: Ledger, event: dict[str, Any], why: str
) -> None:
    answer = triggered(aws, event)
    assert answer["started"] is None
    assert why in answer["why"]
    assert why in aws.log("TriggerFunction").replace('\\"', '"')
    assert [run for name in catalogue.names() for run in ledger.runs_of(name)] == []


def test_an_event_about_a_service_that_is_not_there_ends_in_a_run_that_says_so(
    aws: EmbeddedAws, ledger: Ledger
) -> None:
    run = ended(aws, ledger, triggered(aws, SAMPLES["ecs-deployment-failed"])["started"])
    assert (run.outcome, run.error_name) == ("FAILED", "Refused")
    assert "snowflake-report-service" in str(run.error_cause)


def test_every_sample_is_read_or_refused_with_a_reason() -> None:
    for sample, event in SAMPLES.items():
        if sample in STARTS:
            assert STARTS[sample][0] in read(event).runbooks
        else:
            with pytest.raises(Nothing):
                read(event)
