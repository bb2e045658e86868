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
    from workbench.embedded.stack import Stack

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
    "endpoint-rolled-back": (MEND, {"endpoint": "churn-prediction"}),
}


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


@pytest.fixture
def on(aws: EmbeddedAws) -> Stack:
    """A second stack, whose rules are switched on."""
    return aws.deploy(TEMPLATE, stack_name="runbooks-on", parameters={"Triggers": "enabled"})


@pytest.fixture
def service(aws: EmbeddedAws) -> str:
    """The ARN of the service that the samples are about; its last deployment fails."""
    scenario.of(ROLL_BACK)["health-checks-fail"].arrange(aws)
    return f"arn:aws:ecs:{aws.region}:{aws.account_id}:service/{SERVICE['cluster']}/{SERVICE['service']}"


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


def told(aws: EmbeddedAws, function: str = "TriggerFunction") -> list[dict[str, Any]]:
    """The lines of the function's log that are JSON: messages, and metrics by their names."""
    return [json.loads(line) for line in aws.log(function).splitlines() if line.startswith("{")]


def counted(aws: EmbeddedAws, metric: str, function: str = "TriggerFunction") -> float:
    return sum(sum(line.get(metric, ())) for line in told(aws, function))


def runs_of(ledger: Ledger) -> list[Run]:
    return [run for name in catalogue.names() for run in ledger.runs_of(name)]


def patterns_of(stack: Stack) -> list[dict[str, Any]]:
    """What the rules let through that call the stack's trigger."""
    return [dict(rule.pattern) for rule in stack.rules if rule.pattern and rule.targets[0].endswith("-trigger")]


@pytest.mark.parametrize("sample", STARTS)
def test_a_sample_event_on_the_bus_starts_the_right_plan(aws: EmbeddedAws, on: Stack, sample: str) -> None:
    name, fields = STARTS[sample]
    standard = next(iter(scenario.of(name).values()))
    standard.arrange(aws)
    before = standard.world(aws)
    aws.emit(SAMPLES[sample])
    aws.settle(60)
    ledger = ledger_of(on.outputs, aws.client("dynamodb"))
    (message,) = [line for line in told(aws, "runbooks-on-trigger") if line.get("message") == "started"]
    run = ended(aws, ledger, message["run_id"])
    assert (run.runbook, run.mode, run.outcome, run.verdict) == (name, "plan", "SUCCEEDED", "remediable")
    assert run.given is not None
    assert fields.items() <= run.given.items()
    assert (run.requested_by, run.identity) == (read(SAMPLES[sample]).source, "verified")
    assert run.reason == read(SAMPLES[sample]).reason[:500]
    assert standard.world(aws) == before
    assert [each.run_id for each in runs_of(ledger)] == [run.run_id]
    assert counted(aws, "RunsTriggered", "runbooks-on-trigger") == 1


@pytest.mark.parametrize("sample", sorted(SAMPLES.keys() - STARTS.keys()))
def test_any_other_sample_on_the_bus_is_looked_at_and_starts_nothing(aws: EmbeddedAws, on: Stack, sample: str) -> None:
    aws.emit(SAMPLES[sample])
    aws.settle(60)
    (message,) = [line for line in told(aws, "runbooks-on-trigger") if line.get("message") == "nothing was started"]
    assert (message["event_id"], message["about"]) == (SAMPLES[sample]["id"], SAMPLES[sample]["resources"])
    assert message["why"].endswith("which no runbook is for")
    assert runs_of(ledger_of(on.outputs, aws.client("dynamodb"))) == []


def test_each_rule_has_a_sample_and_no_event_is_for_two_rules(on: Stack) -> None:
    rules = patterns_of(on)
    assert len(rules) == 4
    met = [[number for number, rule in enumerate(rules) if matches(rule, event)] for event in SAMPLES.values()]
    assert all(len(each) == 1 for each in met), met
    assert {number for each in met for number in each} == set(range(4))


WELL_OR_UNDER_WAY = (
    another("alarm-on-an-ecs-service", state={"value": "OK"}),
    another("ecs-deployment-failed", eventName="SERVICE_DEPLOYMENT_COMPLETED"),
    another("ecs-task-failed", stopCode="ServiceSchedulerInitiated"),
    another("ecs-task-failed", lastStatus="RUNNING"),
    another("ecs-task-failed", group="family:batch"),
    {**SAMPLES["endpoint-failed"], "detail": {"EndpointName": "churn", "EndpointStatus": "IN_SERVICE"}},
    another("endpoint-failed", EndpointStatus="DELETING"),
    another("endpoint-failed", EndpointStatus="UPDATING"),
    another("endpoint-failed", EndpointStatus="ROLLING_BACK"),
    another("endpoint-failed", EndpointStatus="RollingBack"),
)


def test_the_rules_let_nothing_through_that_is_well_or_under_way(on: Stack) -> None:
    rules = patterns_of(on)
    for event in WELL_OR_UNDER_WAY:
        assert [rule for rule in rules if matches(rule, event)] == [], event["detail"]
        with pytest.raises(Nothing):
            read(event)


def test_an_endpoint_that_came_to_rest_unwell_is_let_through_in_either_spelling(on: Stack) -> None:
    rules = patterns_of(on)
    for status in ("FAILED", "OUT_OF_SERVICE", "UPDATE_ROLLBACK_FAILED", "Failed", "OutOfService", "InService"):
        event = another("endpoint-failed", EndpointStatus=status)
        assert sum(matches(rule, event) for rule in rules) == 1, status
        assert read(event).reason.startswith(f"endpoint churn-prediction is {status}"), status


def test_events_reach_nobody_until_the_rules_are_switched_on(aws: EmbeddedAws, ledger: Ledger, service: str) -> None:
    assert patterns_of(aws.stack) == []
    aws.emit(SAMPLES["ecs-deployment-failed"])
    aws.settle()
    assert ledger.runs_of(ROLL_BACK) == []
    assert aws.log("TriggerFunction") == ""


def test_the_same_event_ten_times_on_the_bus_is_one_run(aws: EmbeddedAws, on: Stack, service: str) -> None:
    for _ in range(10):
        aws.emit(SAMPLES["ecs-deployment-failed"])
    aws.settle(60)
    theirs = ledger_of(on.outputs, aws.client("dynamodb"))
    (started,) = {line["run_id"] for line in told(aws, "runbooks-on-trigger") if line.get("message") == "started"}
    assert ended(aws, theirs, started).mode == "plan"
    assert [run.run_id for run in runs_of(theirs)] == [started]
    assert counted(aws, "EventsWithoutRun", "runbooks-on-trigger") == 0
    assert runs_of(ledger_of(aws.outputs, aws.client("dynamodb"))) == []


def test_the_same_event_ten_times_at_once_is_one_run(aws: EmbeddedAws, ledger: Ledger, service: str) -> None:
    with ThreadPoolExecutor(10) as crowd:
        answers = list(crowd.map(lambda _: triggered(aws, SAMPLES["ecs-task-failed"]), range(10)))
    assert len({answer["started"] for answer in answers}) == 1
    ended(aws, ledger, answers[0]["started"])
    assert len(ledger.runs_of(ROLL_BACK)) == 1
    assert triggered(aws, SAMPLES["ecs-task-failed"])["started"] == answers[0]["started"]
    assert len(ledger.runs_of(ROLL_BACK)) == 1


def test_many_events_about_one_target_are_one_run_until_it_was_quiet(
    aws: EmbeddedAws, ledger: Ledger, service: str
) -> None:
    first = triggered(aws, another("ecs-deployment-failed", 1))["started"]
    ended(aws, ledger, first)
    refused = triggered(aws, another("alarm-on-an-ecs-service", 2))
    assert refused["started"] is None
    assert "and is not again until" in refused["why"]
    aws.clock.advance(timedelta(minutes=61))
    second = triggered(aws, another("ecs-task-failed", 3))["started"]
    assert second is not None
    assert second != first


def test_a_target_is_triggered_so_often_a_day_and_no_more(aws: EmbeddedAws, ledger: Ledger, service: str) -> None:
    aws.policy({"trigger_quiet_minutes": 0, "triggered_per_target_and_day": 2})
    for number in range(2):
        ended(aws, ledger, triggered(aws, another("ecs-deployment-failed", number))["started"])
    refused = triggered(aws, another("ecs-deployment-failed", 2))
    assert refused["started"] is None
    assert refused["why"].endswith("today, which is the limit")
    aws.clock.advance(timedelta(days=1))
    assert triggered(aws, another("ecs-deployment-failed", 3))["started"] is not None


def test_a_run_of_somebody_else_on_the_target_goes_first(aws: EmbeddedAws, ledger: Ledger, service: str) -> None:
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{ROLL_BACK}"
    text = start_input(ROLL_BACK, "health-checks-fail")
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name="alices", input=text)
    give_up = time.monotonic() + 20
    while not (runs := ledger.runs_of(ROLL_BACK)):
        assert time.monotonic() < give_up
    refused = triggered(aws, SAMPLES["ecs-deployment-failed"])
    assert refused["started"] is None
    assert refused["why"] == f"the run {runs[0].run_id} is at {service} already"


def throttle(aws: EmbeddedAws, times: int = 3) -> None:
    """StartExecution is refused; the SDK tries it three times in an invocation."""
    aws.faults.fail("states:StartExecution", code="ThrottlingException", message="Rate exceeded", times=times)


def test_a_start_that_was_throttled_is_made_when_the_event_comes_again(
    aws: EmbeddedAws, ledger: Ledger, service: str
) -> None:
    throttle(aws)
    with pytest.raises(EmbeddedFunctionError, match="AwsThrottled"):
        triggered(aws, SAMPLES["ecs-deployment-failed"])
    run_id = triggered(aws, SAMPLES["ecs-deployment-failed"])["started"]
    assert ended(aws, ledger, run_id).identity == "verified"
    assert triggered(aws, another("ecs-task-failed"))["started"] is None


def test_a_start_that_failed_spends_neither_quiet_time_nor_budget(
    aws: EmbeddedAws, ledger: Ledger, service: str
) -> None:
    aws.policy({"triggered_per_target_and_day": 1})
    throttle(aws)
    with pytest.raises(EmbeddedFunctionError, match="AwsThrottled"):
        triggered(aws, another("ecs-deployment-failed", 1))
    run_id = triggered(aws, another("ecs-task-failed", 2))["started"]
    assert ended(aws, ledger, run_id).verdict == "remediable"
    aws.clock.advance(timedelta(minutes=61))
    assert triggered(aws, another("ecs-task-failed", 3))["why"] == (
        f"1 runs of {ROLL_BACK} were triggered for {service} today, which is the limit"
    )


def test_a_start_that_was_cut_short_is_made_when_the_event_comes_again(
    aws: EmbeddedAws, ledger: Ledger, service: str
) -> None:
    aws.faults.before("states:StartExecution", lambda there: there.kill("TriggerFunction"), times=1)
    with pytest.raises(EmbeddedFunctionError, match=r"Runtime\.ExitError"):
        triggered(aws, SAMPLES["ecs-deployment-failed"])
    run_id = triggered(aws, SAMPLES["ecs-deployment-failed"])["started"]
    ended(aws, ledger, run_id)
    assert [run.run_id for run in ledger.runs_of(ROLL_BACK)] == [run_id]


def test_a_start_whose_answer_was_lost_is_found_again_and_not_made_twice(
    aws: EmbeddedAws, ledger: Ledger, service: str
) -> None:
    aws.faults.lose("states:StartExecution", took_effect=True, times=3)
    with pytest.raises(EmbeddedFunctionError, match="AwsUnavailable"):
        triggered(aws, SAMPLES["ecs-deployment-failed"])
    run_id = triggered(aws, SAMPLES["ecs-deployment-failed"])["started"]
    ended(aws, ledger, run_id)
    assert [run.run_id for run in ledger.runs_of(ROLL_BACK)] == [run_id]
    assert triggered(aws, another("ecs-task-failed"))["started"] is None


def test_an_event_that_cannot_be_handled_waits_in_the_queue(aws: EmbeddedAws, on: Stack, service: str) -> None:
    throttle(aws, times=9)
    aws.emit(SAMPLES["ecs-deployment-failed"])
    aws.settle(60)
    assert aws.undelivered == []
    queues = aws.client("sqs")
    url = queues.get_queue_url(QueueName=on.resources["TriggerQueue"].attributes["QueueName"])["QueueUrl"]
    (message,) = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    parked = json.loads(message["Body"])
    assert parked["requestPayload"] == SAMPLES["ecs-deployment-failed"]
    assert parked["responsePayload"]["errorType"] == "AwsThrottled"
    theirs = ledger_of(on.outputs, aws.client("dynamodb"))
    assert runs_of(theirs) == []
    again = aws.invoke("runbooks-on-trigger", parked["requestPayload"])["started"]
    assert ended(aws, theirs, again).verdict == "remediable"


def test_policy_says_whether_events_plan_act_or_start_nothing(aws: EmbeddedAws, ledger: Ledger, service: str) -> None:
    aws.policy({"triggers": {ROLL_BACK: "off"}})
    assert triggered(aws, SAMPLES["ecs-deployment-failed"])["why"] == (
        "policy has switched triggers of ecs-service-rollback off"
    )
    aws.policy({"triggers": {ROLL_BACK: "execute"}, "kill_switch": True})
    assert "the kill switch is on" in triggered(aws, SAMPLES["ecs-deployment-failed"])["why"]
    aws.policy({"triggers": {ROLL_BACK: "execute"}})
    run_id = triggered(aws, SAMPLES["ecs-deployment-failed"])["started"]
    give_up = time.monotonic() + 30
    while (run := ledger.find(run_id)) is None:
        assert time.monotonic() < give_up
    assert run.mode == "execute"


def of_the_old_format(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"resources": ["arn:aws:ecs:eu-central-1:123456789012:service/old-format"]}


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (SAMPLES["alarm-on-something-else"], "is on AWS/EC2 by InstanceId, which no runbook is for"),
        (another("alarm-on-an-endpoint", configuration={"alarmRule": "ALARM(a)"}), "as composite alarms are not"),
        (another("endpoint-rolled-back", FailureReason=""), "the endpoint churn-prediction is IN_SERVICE"),
        (another("endpoint-failed", EndpointStatus="ROLLING_BACK"), "the endpoint churn-prediction is ROLLING_BACK"),
        (another("ecs-task-failed", group="family:batch"), "the task belongs to family:batch"),
        (another("ecs-task-failed", stopCode="UserInitiated"), "the task did not fail"),
        (of_the_old_format(another("ecs-deployment-failed")), "does not name its cluster"),
        (another("ecs-deployment-failed", eventName="SERVICE_DEPLOYMENT_COMPLETED"), "has not failed"),
        (another("ecs-task-failed", group="service:no such name!"), "the event does not fit ecs-service-rollback"),
        ({**another("endpoint-failed"), "detail": {}}, "'EndpointName' is missing"),
        ({**another("endpoint-failed"), "detail-type": "SageMaker Model State Change"}, "no runbook is for events of"),
        ({**another("endpoint-failed"), "account": "210987654321"}, "the event is of the account 210987654321"),
    ],
    ids=range(12),
)
def test_an_event_that_starts_nothing_says_why(
    aws: EmbeddedAws, ledger: Ledger, event: dict[str, Any], why: str
) -> None:
    answer = triggered(aws, event)
    assert answer["started"] is None
    assert why in answer["why"]
    assert why in aws.log("TriggerFunction").replace('\\"', '"')
    assert counted(aws, "EventsWithoutRun") == 1
    assert counted(aws, "RunsTriggered") == 0
    assert runs_of(ledger) == []


def elsewhere(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"region": "us-east-1"}


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (
            another("alarm-on-an-ecs-service"),
            "there is no cluster snowflake-analytics-cluster in eu-central-1",
        ),
        (
            another("ecs-task-failed", group="service:unheard-of", clusterArn="arn:aws:ecs:eu:1:cluster/full"),
            "there is no service unheard-of in the cluster full in eu-central-1",
        ),
        (another("endpoint-failed"), "there is no endpoint churn-prediction in eu-central-1"),
        (elsewhere(another("endpoint-rolled-back")), "there is no endpoint churn-prediction in us-east-1"),
    ],
    ids=["no cluster", "no service", "no endpoint", "not in that region"],
)
def test_an_event_about_what_is_not_there_starts_nothing_and_says_why(
    aws: EmbeddedAws, ledger: Ledger, event: dict[str, Any], why: str
) -> None:
    aws.client("ecs").create_cluster(clusterName="full")
    assert triggered(aws, event) == {"started": None, "why": why}
    (message,) = [line for line in told(aws) if line.get("message") == "nothing was started"]
    assert (message["event_id"], message["why"]) == (event["id"], why)
    assert counted(aws, "EventsWithoutRun") == 1
    assert runs_of(ledger) == []


def test_an_event_about_what_is_not_there_spends_nothing(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.policy({"triggered_per_target_and_day": 1})
    for number in range(3):
        assert triggered(aws, another("ecs-deployment-failed", number))["started"] is None
    scenario.of(ROLL_BACK)["health-checks-fail"].arrange(aws)
    run_id = triggered(aws, another("ecs-deployment-failed", 4))["started"]
    assert ended(aws, ledger, run_id).verdict == "remediable"


def test_an_event_about_a_service_that_is_being_deleted_starts_nothing(
    aws: EmbeddedAws, ledger: Ledger, service: str
) -> None:
    aws.client("ecs").delete_service(**SERVICE, force=True)
    told_why = triggered(aws, SAMPLES["ecs-task-failed"])["why"]
    assert told_why.startswith("the service snowflake-report-service of the cluster snowflake-analytics-cluster is ")
    assert runs_of(ledger) == []


def test_while_sagemaker_is_at_it_nothing_is_started_and_afterwards_the_plan_is_made(
    aws: EmbeddedAws, ledger: Ledger
) -> None:
    scenario.of(MEND)["update-in-progress"].arrange(aws)
    assert triggered(aws, another("alarm-on-an-endpoint", 1))["why"] == (
        "the endpoint churn-prediction is Updating, and SageMaker does one thing at a time"
    )
    assert runs_of(ledger) == []
    aws.clock.advance(timedelta(minutes=20))
    run = ended(aws, ledger, triggered(aws, another("endpoint-rolled-back", 2))["started"])
    assert (run.runbook, run.mode, run.outcome) == (MEND, "plan", "SUCCEEDED")


def test_a_target_that_cannot_be_looked_at_is_looked_at_again(aws: EmbeddedAws, ledger: Ledger, service: str) -> None:
    aws.faults.fail("ecs:DescribeServices", code="ServerException", status=500, times=3)
    with pytest.raises(EmbeddedFunctionError, match="AwsUnavailable"):
        triggered(aws, SAMPLES["ecs-task-failed"])
    assert ended(aws, ledger, triggered(aws, SAMPLES["ecs-task-failed"])["started"]).verdict == "remediable"


def test_an_event_of_another_region_is_about_that_region(aws: EmbeddedAws, ledger: Ledger) -> None:
    ecs = aws.client("ecs", "us-east-1")
    ecs.create_cluster(clusterName=SERVICE["cluster"])
    ecs.register_task_definition(family="report", containerDefinitions=[{"name": "report", "image": "report:1"}])
    ecs.create_service(cluster=SERVICE["cluster"], serviceName=SERVICE["service"], taskDefinition="report")
    run = ended(aws, ledger, triggered(aws, elsewhere(SAMPLES["ecs-task-failed"]))["started"])
    assert run.given is not None
    assert run.given["region"] == "us-east-1"
    assert run.targets == (f"arn:aws:ecs:us-east-1:{aws.account_id}:service/{SERVICE['cluster']}/{SERVICE['service']}",)
