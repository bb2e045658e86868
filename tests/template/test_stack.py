"""What is kept, watched and told, as the translated template has it."""

import json
import os
from importlib import import_module
from typing import Any

import pytest

from runbooks import catalogue
from runbooks.api.document import document
from runbooks.settings import Settings
from workbench.asl import standard
from workbench.embedded.template import Resolver, parameters_of

from .conftest import Resources, of_type

TAGS = {"Environment", "GxP", "System", "DataType"}
UNTAGGED = {
    "AWS::Scheduler::Schedule",  # only groups of schedules have tags
    "AWS::ApiGatewayV2::Api",  # its tags are in the OpenAPI body, see below
    "AWS::CloudWatch::Dashboard",
    "AWS::Athena::NamedQuery",
    "AWS::Events::Rule",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::KMS::Alias",
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::StepFunctions::StateMachineAlias",
    "AWS::StepFunctions::StateMachineVersion",
}
"""What CloudFormation or SAM takes no tags for in the template; the stack's own tags reach those that can have any."""

INDEXES = {
    "StateTable": {
        "by-runbook": ("gsi_runbook", "started_at"),
        "by-target": ("gsi_target", "started_at"),
        "open-runs": ("open", "started_at"),
    },
    "AuditTable": {
        "by-target": ("target", "at"),
        "by-actor": ("actor_index", "at"),
        "by-outcome": ("runbook_outcome", "at"),
        "by-day": ("day", "at"),
    },
}
KEYS = {"StateTable": ("pk", "sk"), "AuditTable": ("run_id", "seq")}


def key_schema(schema: list[dict[str, str]]) -> tuple[str, str]:
    first, second = schema
    assert (first["KeyType"], second["KeyType"]) == ("HASH", "RANGE")
    return first["AttributeName"], second["AttributeName"]


@pytest.mark.parametrize("table", ["StateTable", "AuditTable"])
def test_a_table_cannot_be_lost(resources: Resources, table: str) -> None:
    resource, properties = resources[table], resources[table]["Properties"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]},
    }
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert "TimeToLiveSpecification" not in properties


@pytest.mark.parametrize("table", ["StateTable", "AuditTable"])
def test_a_table_has_its_keys_and_indexes(resources: Resources, table: str) -> None:
    properties = resources[table]["Properties"]
    assert key_schema(properties["KeySchema"]) == KEYS[table]
    found = {index["IndexName"]: key_schema(index["KeySchema"]) for index in properties["GlobalSecondaryIndexes"]}
    assert found == INDEXES[table]
    assert all(index["Projection"] == {"ProjectionType": "ALL"} for index in properties["GlobalSecondaryIndexes"])
    types = {item["AttributeName"]: item["AttributeType"] for item in properties["AttributeDefinitions"]}
    assert types.pop("seq", "N") == "N"
    assert set(types.values()) == {"S"}


def test_the_audit_tables_stream_tells_of_every_change(resources: Resources) -> None:
    assert resources["AuditTable"]["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    mapping = resources["TamperFunctionTampering"]["Properties"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["AuditTable", "StreamArn"]}
    (pattern,) = mapping["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"]) == {"eventName": ["MODIFY", "REMOVE"]}
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["TamperQueue", "Arn"]}
    assert 0 < mapping["MaximumRetryAttempts"] < 100
    assert mapping["StartingPosition"] == "TRIM_HORIZON"


def test_the_archive_is_locked_versioned_encrypted_and_logged(source: dict[str, Any], resources: Resources) -> None:
    bucket, properties = resources["Archive"], resources["Archive"]["Properties"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert properties["ObjectLockEnabled"] is True
    retention = properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert retention == {"Mode": {"Ref": "RetentionMode"}, "Years": {"Ref": "RetentionYears"}}
    assert source["Parameters"]["RetentionYears"]["AllowedValues"] == [7, 8, 9, 10]
    assert source["Parameters"]["RetentionMode"]["AllowedValues"] == ["GOVERNANCE", "COMPLIANCE"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]},
    }
    assert properties["LoggingConfiguration"]["DestinationBucketName"] == {"Ref": "ArchiveLogs"}


@pytest.mark.parametrize("name", ["Archive", "ArchiveLogs"])
def test_a_bucket_is_never_public_and_never_read_in_clear(resources: Resources, name: str) -> None:
    assert set(resources[name]["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    statements = {each["Sid"]: each for each in resources[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]}
    refused = statements["EncryptedTransportOnly"]
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert refused["Resource"] == [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}]


def test_nobody_at_all_may_delete_or_unlock_what_is_archived(resources: Resources) -> None:
    statements = resources["ArchivePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (refused,) = [each for each in statements if each["Sid"] == "NobodyDeletesOrUnlocks"]
    assert (refused["Effect"], refused["Principal"]) == ("Deny", "*")
    assert "Condition" not in refused
    assert {"s3:BypassGovernanceRetention", "s3:DeleteObjectVersion", "s3:PutObjectRetention"} <= set(refused["Action"])


def test_every_seal_on_the_stream_calls_the_archiver_and_what_it_cannot_do_is_parked(resources: Resources) -> None:
    mapping = resources["ArchiveFunctionSealed"]["Properties"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["AuditTable", "StreamArn"]}
    (pattern,) = mapping["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"NewImage": {"event": {"S": ["run.sealed", "manifest.sealed"]}}},
    }
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["ArchiveQueue", "Arn"]}
    alarm = resources["ArchiveUnhandledAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["ArchiveQueue", "QueueName"]}}]


def test_the_key_turns_over(resources: Resources) -> None:
    assert resources["Key"]["Properties"]["EnableKeyRotation"] is True
    assert resources["Key"]["DeletionPolicy"] == "Retain"


def test_everything_that_rests_is_encrypted(resources: Resources) -> None:
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    assert all(group["KmsKeyId"] == key for group in of_type(resources, "AWS::Logs::LogGroup").values())
    assert resources["Topic"]["Properties"]["KmsMasterKeyId"] == {"Ref": "Key"}
    queues = of_type(resources, "AWS::SQS::Queue")
    assert len(queues) == 3
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


def test_three_log_groups_serve_all(resources: Resources) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert {name: group["LogGroupName"]["Fn::Sub"] for name, group in groups.items()} == {
        "FunctionLogs": "/${AWS::StackName}/functions",
        "MachineLogs": "/aws/vendedlogs/states/${AWS::StackName}",
        "ApiLogs": "/aws/vendedlogs/apis/${AWS::StackName}",
    }
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


def test_the_key_lets_exactly_those_log_groups_use_it(resources: Resources) -> None:
    statement = next(
        statement
        for statement in resources["Key"]["Properties"]["KeyPolicy"]["Statement"]
        if statement["Sid"] == "LogGroupsOfThisStack"
    )
    arns = statement["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"]
    named = {arn["Fn::Sub"].partition(":log-group:")[2] for arn in arns}
    assert named == {group["LogGroupName"]["Fn::Sub"] for group in of_type(resources, "AWS::Logs::LogGroup").values()}


def test_logs_can_be_kept_for_ten_years(source: dict[str, Any]) -> None:
    assert 3653 in source["Parameters"]["LogRetentionDays"]["AllowedValues"]


FUNCTIONS = {
    "BeginFunction": ("runbooks.frame.begin.handler", "${AWS::StackName}-begin", 30),
    "LockFunction": ("runbooks.frame.lock.handler", "${AWS::StackName}-lock", 30),
    "ApprovalFunction": ("runbooks.frame.approval.handler", "${AWS::StackName}-approval", 30),
    "FinishFunction": ("runbooks.frame.finish.handler", "${AWS::StackName}-finish", 30),
    "FailFunction": ("runbooks.frame.fail.handler", "${AWS::StackName}-fail", 30),
    "ReapFunction": ("runbooks.frame.reap.handler", "${AWS::StackName}-reap", 120),
    "AttributeFunction": ("runbooks.frame.attribute.handler", "${AWS::StackName}-attribute", 30),
    "ArchiveFunction": ("runbooks.frame.archive.handler", "${AWS::StackName}-archive", 60),
    "ReconcileFunction": ("runbooks.frame.reconcile.handler", "${AWS::StackName}-reconcile", 300),
    "SealFunction": ("runbooks.frame.seal.handler", "${AWS::StackName}-seal", 300),
    "TamperFunction": ("runbooks.frame.tamper.handler", "${AWS::StackName}-tamper", 30),
    "ApiFunction": ("runbooks.api.routes.handler", "${AWS::StackName}-api", 30),
    "ScheduleFunction": ("runbooks.frame.schedule.handler", "${AWS::StackName}-schedule", 30),
    "TriggerFunction": ("runbooks.triggers.router.handler", "${AWS::StackName}-trigger", 30),
}


def of_runbooks() -> dict[str, tuple[str, str, int]]:
    """The two functions of each runbook, named as every runbook's are."""
    return {
        f"{name.title().replace('-', '')}{role.title()}Function": (
            f"runbooks.frame.{role}.handler",
            f"${{AWS::StackName}}-{name}-{role}",
            standard.act_of(catalogue.load(name)).timeout if role == "act" else standard.DIAGNOSE.timeout,
        )
        for name in catalogue.names()
        for role in ("diagnose", "act")
    }


def test_the_functions(resources: Resources) -> None:
    found = {
        name: (function["Handler"], function["FunctionName"]["Fn::Sub"], function["Timeout"])
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }
    assert found == FUNCTIONS | of_runbooks()


def test_every_handler_exists(resources: Resources) -> None:
    for function in of_type(resources, "AWS::Lambda::Function").values():
        module, _, name = function["Handler"].rpartition(".")
        assert callable(getattr(import_module(module), name)), function["Handler"]


def test_every_function_runs_alike(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        assert function["Runtime"] == "python3.13", name
        assert function["Architectures"] == [{"Ref": "Architecture"}], name
        assert function["TracingConfig"] == {"Mode": "Active"}, name
        assert function["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": "FunctionLogs"}}, name


def test_every_function_is_told_what_its_settings_need(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        variables = function["Environment"]["Variables"]
        with monkeypatch.context() as patched:
            for variable in list(os.environ):
                patched.delenv(variable)
            patched.setenv("AWS_REGION", "eu-central-1")  # Lambda sets this one itself
            for variable in variables:
                patched.setenv(variable, "given=given" if variable == "ACCOUNTS" else "given")
            assert Settings.from_env(), name
        assert variables["POWERTOOLS_SERVICE_NAME"] == "runbooks"
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "Runbooks"


def test_the_runbooks_functions_know_their_runbook(resources: Resources) -> None:
    told = {
        name: function["Environment"]["Variables"].get("RUNBOOK")
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
        if "RUNBOOK" in function["Environment"]["Variables"]
    }
    assert told == {
        f"{name.title().replace('-', '')}{role}Function": name
        for name in catalogue.names()
        for role in ("Diagnose", "Act")
    }


def test_the_machines_log_trace_and_have_an_alias(resources: Resources) -> None:
    aliases = of_type(resources, "AWS::StepFunctions::StateMachineAlias")
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine").items():
        assert machine["StateMachineType"] == "STANDARD"
        assert machine["TracingConfiguration"] == {"Enabled": True}
        assert machine["LoggingConfiguration"] == {
            "Level": "ALL",
            "IncludeExecutionData": True,
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["MachineLogs", "Arn"]}}}],
        }
        assert aliases[f"{name}Aliaslive"]["Name"] == "live"


def test_ended_executions_and_a_sweep_call_reap(resources: Resources) -> None:
    rules = of_type(resources, "AWS::Events::Rule")
    ended = rules["ReapFunctionEnded"]
    pattern = ended["EventPattern"]
    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert set(pattern["detail"]["status"]) == {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
    (machines,) = pattern["detail"]["stateMachineArn"]
    assert machines["prefix"]["Fn::Sub"].endswith(":stateMachine:${AWS::StackName}-")
    sweep = rules["ReapFunctionSweep"]
    assert sweep["ScheduleExpression"] == "rate(15 minutes)"
    for rule in (ended, sweep):
        assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["ReapFunction", "Arn"]}]


def test_starts_that_cloudtrail_saw_call_attribute(resources: Resources) -> None:
    rule = resources["AttributeFunctionStarted"]["Properties"]
    pattern = rule["EventPattern"]
    assert pattern["detail-type"] == ["AWS API Call via CloudTrail"]
    assert pattern["detail"]["eventName"] == ["StartExecution"]
    (machines,) = pattern["detail"]["requestParameters"]["stateMachineArn"]
    assert machines["prefix"]["Fn::Sub"].endswith(":stateMachine:${AWS::StackName}-")
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["AttributeFunction", "Arn"]}]


def test_the_sealer_is_called_by_a_schedule(resources: Resources) -> None:
    assert resources["SealFunctionDue"]["Properties"]["ScheduleExpression"] == "rate(15 minutes)"


def test_the_signing_key_is_an_elliptic_one_that_stays(resources: Resources) -> None:
    key = resources["SigningKey"]
    assert (key["Properties"]["KeySpec"], key["Properties"]["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"


def test_events_start_nothing_unless_that_is_switched_on(source: dict[str, Any], resources: Resources) -> None:
    assert source["Parameters"]["Triggers"]["Default"] == "disabled"
    rules = {name: rule for name, rule in of_type(resources, "AWS::Events::Rule").items() if "Trigger" in name}
    assert {rule["EventPattern"]["source"][0] for rule in rules.values()} == {
        "aws.cloudwatch",
        "aws.ecs",
        "aws.sagemaker",
    }
    for rule in rules.values():
        assert rule["State"] == {"Fn::If": ["HasTriggers", "ENABLED", "DISABLED"]}
        assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["TriggerFunction", "Arn"]}]


def test_an_event_that_comes_to_nothing_waits_in_a_queue_and_raises_an_alarm(resources: Resources) -> None:
    queue = {"Fn::GetAtt": ["TriggerQueue", "Arn"]}
    rules = {name: rule for name, rule in of_type(resources, "AWS::Events::Rule").items() if "Trigger" in name}
    assert len(rules) == 4
    for name, rule in rules.items():
        (target,) = rule["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": queue}, name
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 900, "MaximumRetryAttempts": 5}, name
    configured = of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    (tries,) = (each for each in configured if each["FunctionName"] == {"Ref": "TriggerFunction"})
    assert tries["FunctionName"] == {"Ref": "TriggerFunction"}
    assert tries["DestinationConfig"]["OnFailure"]["Destination"] == queue
    (allowed,) = resources["TriggerQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    senders = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert sorted(sender["Fn::GetAtt"][0] for sender in senders) == sorted(rules)
    alarm = resources["TriggerUnhandledAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["TriggerQueue", "QueueName"]}}]
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"


def test_the_api_asks_iam_on_every_route(resources: Resources) -> None:
    (api,) = of_type(resources, "AWS::ApiGatewayV2::Api").values()
    methods = {(path, method): call for path, calls in api["Body"]["paths"].items() for method, call in calls.items()}
    documented = {(path, method) for path, calls in document()["paths"].items() for method in calls}
    assert set(methods) == documented
    assert all(call["security"] == [{"AWS_IAM": []}] for call in methods.values())
    scheme = api["Body"]["components"]["securitySchemes"]["AWS_IAM"]
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"


def test_the_api_logs_and_throttles(resources: Resources) -> None:
    (stage,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 20, "ThrottlingRateLimit": 10}
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["ApiLogs", "Arn"]}
    assert "caller" in json.loads(stage["AccessLogSettings"]["Format"])


@pytest.mark.parametrize(
    "metric",
    ["RunsFailed", "UndosFailed", "RunsStuck", "LedgerTampered", "RequestersContradicted", "ArchiveDifferences"],
)
def test_what_needs_a_look_raises_an_alarm(resources: Resources, metric: str) -> None:
    (alarm,) = [
        alarm for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values() if alarm.get("MetricName") == metric
    ]
    assert alarm["Namespace"] == "Runbooks"
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "runbooks"}]
    assert alarm["TreatMissingData"] == "notBreaching"


def test_every_alarm_notifies_and_says_what_it_means(resources: Resources) -> None:
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == [{"Ref": "Topic"}], name
        assert alarm["AlarmDescription"].endswith("."), name
        assert alarm["AlarmName"]["Fn::Sub"].startswith("${AWS::StackName}-"), name


def test_the_dashboard_shows_every_alarm(resources: Resources) -> None:
    body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    shown = {arn for widget in widgets for arn in widget["properties"].get("alarms", ())}
    assert shown == {f"${{{name}.Arn}}" for name in of_type(resources, "AWS::CloudWatch::Alarm")}


def test_everything_that_can_be_tagged_is(resources: Resources) -> None:
    for name, resource in resources.items():
        if resource["Type"] in UNTAGGED:
            continue
        tags = resource["Properties"].get("Tags")
        found = {tag["Key"] for tag in tags} if isinstance(tags, list) else set(tags or ())
        assert found >= TAGS, name


def test_the_api_is_tagged_in_its_body(resources: Resources) -> None:
    (api,) = of_type(resources, "AWS::ApiGatewayV2::Api").values()
    assert {tag["name"] for tag in api["Body"]["tags"]} >= TAGS


def test_the_outputs(source: dict[str, Any]) -> None:
    assert set(source["Outputs"]) == {
        "StateTableName",
        "AuditTableName",
        "SigningKeyAlias",
        "ArchiveName",
        "PolicyParameterName",
        "TopicArn",
        "Notified",
        "ApiUrl",
        "ApiFunctionName",
        "ReaderPolicy",
        "StarterPolicy",
        "ApproverPolicy",
        "AuditorPolicy",
    }


def test_the_nightly_restore_is_off_until_somebody_gives_its_input(resources: Resources) -> None:
    (schedule,) = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "cron(5 0 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["State"] == {"Fn::If": ["HasNightlyRestore", "ENABLED", "DISABLED"]}
    condition, given, nothing = schedule["Target"]["Input"]["Fn::If"]
    assert (condition, nothing) == ("HasNightlyRestore", "{}")
    handed_over = given["Fn::Sub"].replace("${NightlyRestoreInput}", '{"target": "reporting"}')
    assert json.loads(handed_over) == {
        "runbook": "aurora-snapshot-restore",
        "schedule": "${AWS::StackName}-nightly-restore",
        "due": "<aws.scheduler.scheduled-time>",
        "input": {"target": "reporting"},
    }
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["ScheduleFunction", "Arn"]}
    assert schedule["Target"]["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["TriggerQueue", "Arn"]}}


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "nobody: set AlarmEmail"), ({"AlarmEmail": "oncall@example.com"}, "oncall@example.com")],
)
def test_the_stack_says_who_is_told_and_that_nobody_is(
    source: dict[str, Any], given: dict[str, str], told: str
) -> None:
    values = parameters_of(source, "prod", given)
    says = Resolver(source, values, {}, lambda *_: "").resolve(source["Outputs"]["Notified"]["Value"])
    assert says.startswith(told)
