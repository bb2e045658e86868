"""The embedded AWS: one object that boots, deploys, runs and forgets."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal import mock_random

from workbench.embedded import iam, interpreter, moto_clock, moto_speed
from workbench.embedded.calls import CLIENT, CLIENT_NAMES, Call, Response, ServiceError
from workbench.embedded.clock import VirtualClock
from workbench.embedded.courier import Courier
from workbench.embedded.ecs import Ecs
from workbench.embedded.events import Events
from workbench.embedded.faults import Faults
from workbench.embedded.functions import Functions, Invocation
from workbench.embedded.gateway import Gateway
from workbench.embedded.patches import Patches
from workbench.embedded.people import Unsigned, person_of
from workbench.embedded.rds import OTHER_ACCOUNT, Rds, RdsWorld, keys
from workbench.embedded.rds_data import DataApi
from workbench.embedded.sagemaker import SageMaker
from workbench.embedded.server import Endpoint, SeenCall
from workbench.embedded.stack import Machinery, Stack
from workbench.embedded.states import States
from workbench.embedded.surroundings import NO_FILES, left_alone
from workbench.embedded.tables import Tables
from workbench.embedded.template import parameters_of, read, translated
from workbench.iam.actions import Need, Request, Unreviewed, needs_of

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
OTHER_ALIAS = "sales"
"""What the stack knows the other account by that scenarios have snapshots in."""
KEY = "embedded"
"""Access key and secret of every caller; the endpoint knows functions by their app id."""

_PREFIXES = {name: prefix for prefix, name in CLIENT_NAMES.items()}
"""How actions begin in IAM where boto3 calls the service by another name."""

_one_at_a_time = threading.Lock()


class EmbeddedAws:
    """An AWS account in this process: moto, the deployed stack, and what moto lacks.

    moto keeps its world in module globals, so there is one at a time; a second one raises RuntimeError.
    """

    def __init__(
        self,
        *,
        stage: str = "dev",
        region: str = "eu-central-1",
        pace: float = 0.0,
        template: Path = TEMPLATE,
        stack_name: str | None = None,
        parameters: Mapping[str, str] | None = None,
        api_port: int = 0,
    ) -> None:
        """Boots and deploys. `pace`: the real seconds that a wait of a state machine lasts at most.

        `parameters` are the template's besides the stage; without them another account is known by an alias. `api_port`
        is where the HTTP API answers; 0 for any that is free. Raises TemplateError if the template cannot be deployed,
        OSError if the port is taken.
        """
        if not _one_at_a_time.acquire(blocking=False):
            raise RuntimeError("an embedded AWS is running in this process already; close it first")
        self.region = region
        self.account_id = DEFAULT_ACCOUNT_ID
        self.stage = stage
        self.stack_name = stack_name or f"runbooks-{stage}"
        self.clock = VirtualClock(pace)
        self.messages: list[dict[str, Any]] = []
        """What was published to SNS since the last reset: subject, message, topic, attributes and who published it."""
        self.faults = Faults(self)
        self._patches = Patches()
        self._surroundings = ExitStack()
        self._surroundings.enter_context(left_alone())
        self._clients: dict[tuple[str, str], Any] = {}
        self._client_lock = threading.Lock()
        self._session: Any = boto3.session.Session(KEY, KEY, region_name=region)
        self._stacks: list[Stack] = []
        self._keys: dict[str, str] = {}
        self._ecs: dict[str, Ecs] = {}
        self.rds_world = RdsWorld(self.clock)
        """The fake of RDS in all accounts and regions."""
        self._data_api = DataApi(self.rds_world)
        self._sagemaker: dict[str, SageMaker] = {}
        self._functions = Functions(self.clock, {"AWS_REGION": region, "AWS_DEFAULT_REGION": region})
        self._courier = Courier()
        self._states = States(self.clock, self._courier, self.account_id, region)
        self._events = Events(
            self.clock, self._courier, self._functions, lambda: self._stacks, self.account_id, region, self._park
        )
        mock_random.seed(0)
        self._endpoint = Endpoint(self.faults)
        self._gateway: Gateway | None = None
        try:
            self._gateway = Gateway(
                self.clock,
                self.account_id,
                region,
                lambda: self._stacks[0].routes if self._stacks else [],
                self._invoke_for_api,
                api_port,
            )
            self._connect()
            if parameters is None and template == TEMPLATE:
                parameters = {"OtherAccounts": f"{OTHER_ALIAS}={OTHER_ACCOUNT}"}
            self.stack = self.deploy(template, stack_name=self.stack_name, parameters=parameters)
            self._endpoint.reset()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        for name, level in (("werkzeug", logging.ERROR), ("moto", logging.CRITICAL)):
            logging.getLogger(name).setLevel(level)
        self._surroundings.enter_context(left_alone(MOTO_PORT=str(self._endpoint.port)))
        secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        self._functions.configure({"AWS_ENDPOINT_URL": self.endpoint_url, **NO_FILES, **dict.fromkeys(secrets, KEY)})
        moto_speed.remember(self._patches)
        moto_clock.put_on_clock(self._patches, self.clock)
        interpreter.put_on_clock(self._patches, self.clock, self.endpoint_url)
        self._tables = Tables(self.clock, self._patches)
        self._states.listeners.append(self._events.execution_ended)
        self._tables.listeners.append(self._events.table_changed)
        self._endpoint.fake("stepfunctions:*", self._states.answer)
        self._endpoint.fake("cloudformation:*", self._answer_cloudformation)
        self._endpoint.fake("events:PutEvents", lambda call: self._events.put(call.params["Entries"]))
        self._endpoint.fake("lambda:*", self._answer_lambda)
        self._endpoint.fake("ecs:*", self._answer_ecs)
        self._endpoint.fake("rds:*", self.rds_world.answer)
        self._endpoint.fake("kms:DescribeKey", keys.describe)
        self._endpoint.fake("rds-data:*", self._data_api.answer)
        self._endpoint.fake("iam:SimulatePrincipalPolicy", self._simulate)
        self._endpoint.fake("sagemaker:*", self._answer_sagemaker)
        self._endpoint.fake("sagemaker-runtime:*", self._invoke_sagemaker)
        self._endpoint.guard("dynamodb", self._tables.guarded)
        self._endpoint.observe("sns:Publish", self._published)

    # -- life ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops everything, waits for the functions' processes, and gives moto its own names back."""
        self.clock.release()
        self._courier.abandon()
        self._functions.retire()
        self._states.reset()
        self._courier.close()
        self._functions.close()
        self._endpoint.close()
        if self._gateway is not None:
            self._gateway.close()
        self._data_api.reset()
        self.rds_world.close()
        self._forget_moto()
        self._patches.undo()
        self._surroundings.close()
        _one_at_a_time.release()

    def reset(self, *, cold: bool = False) -> None:
        """Forgets everything but the deployed stack: items, messages, other resources, executions, faults, time.

        The functions' processes that are idle stay, with whatever they keep between invocations, unless `cold`.
        """
        self._endpoint.gate = None
        self._api.reset()
        self.faults.clear()
        self.clock.release()
        self._courier.abandon()
        self._functions.retire(idle_too=cold)
        self._states.reset()
        self._courier.abandon()
        self.settle()
        self._courier.reset()
        self._events.reset()
        self._forget_moto()
        self._tables.reset()
        self._ecs.clear()
        self._data_api.reset()
        self.rds_world.reset()
        self._sagemaker.clear()
        self.clock.reset()
        mock_random.seed(0)
        self.messages.clear()
        self._stacks = [self.stack]
        self.stack.deploy(self.clock.now())
        self._functions.define(self.stack.functions)
        self._functions.reset()
        self._endpoint.reset()

    def deploy(self, template: Path, *, stack_name: str, parameters: Mapping[str, str] | None = None) -> Stack:
        """Deploys another stack into the account, until the next reset. Raises TemplateError."""
        source = read(template)
        values = parameters_of(source, self.stage, parameters or {})
        machinery = Machinery(self.client, self._states, self.account_id, self.region, self.api_url)
        translation = translated(source, values, self.region)
        stack = Stack(stack_name, source, translation, values, template.resolve().parent, machinery)
        stack.deploy(self.clock.now())
        self._stacks.append(stack)
        self._functions.define(spec for each in self._stacks for spec in each.functions)
        return stack

    @staticmethod
    def _forget_moto() -> None:
        BackendDict.reset()
        reset_model_data()

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str:
        return self._endpoint.url

    @property
    def api_url(self) -> str:
        """Where the stack's HTTP API answers."""
        return self._api.url

    @property
    def _api(self) -> Gateway:
        if self._gateway is None:
            raise RuntimeError("the embedded AWS has not been booted")
        return self._gateway

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the deployed stack."""
        return self.stack.outputs

    @property
    def calls(self) -> list[SeenCall]:
        """Every call that reached the endpoint since the last reset, in the order of their answers."""
        return self._endpoint.calls

    @property
    def defects(self) -> list[str]:
        """Calls that the embedded AWS could not answer as AWS does, with tracebacks; a test run wants none."""
        return self._endpoint.defects

    @property
    def undelivered(self) -> list[str]:
        """Asynchronous invocations that failed in every attempt."""
        return self._courier.undelivered

    @property
    def ecs(self) -> Ecs:
        """The fake of ECS in the stack's region; `workbench.embedded.ecs` has building blocks for it."""
        return self.ecs_in(self.region)

    def ecs_in(self, region: str) -> Ecs:
        """The fake of ECS in a region."""
        return self._ecs.setdefault(region, Ecs(self.clock, self.account_id, region))

    @property
    def rds(self) -> Rds:
        """The fake of RDS in the stack's region; `workbench.embedded.rds` has building blocks for it."""
        return self.rds_in(self.region)

    def rds_in(self, region: str, account: str | None = None) -> Rds:
        """The fake of RDS in a region, of our account or another one."""
        return self.rds_world.at(account or self.account_id, region)

    @property
    def sagemaker(self) -> SageMaker:
        """The fake of SageMaker in the stack's region; `workbench.embedded.sagemaker` has building blocks for it."""
        return self.sagemaker_in(self.region)

    def sagemaker_in(self, region: str) -> SageMaker:
        """The fake of SageMaker in a region."""
        return self._sagemaker.setdefault(region, SageMaker(self.clock, self.account_id, region))

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client on the endpoint. Thread-safe, and kept."""
        key = (service, region or self.region)
        with self._client_lock:
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service,
                    region_name=key[1],
                    endpoint_url=self.endpoint_url,
                    config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64),
                )
            return self._clients[key]

    # -- what it does --------------------------------------------------------------------------------------------------

    def invoke(self, function: str, event: Any) -> Any:
        """Invokes a function by logical id or name and returns its result. Raises EmbeddedFunctionError if it fails."""
        return self._functions.invoke(function, json.dumps(event)).result()

    def enforce_iam(self) -> None:
        """From now until the next reset, people may do what their policies in IAM allow, and nothing else.

        Functions are not asked: their roles are proved against what they call. An access key that IAM did not make is
        the account's own.
        """
        from workbench.iam.template import keys_of, translation_of

        self._keys = keys_of(self.stack, translation_of(self.stack))
        self._api.enforced = True
        self._endpoint.gate = self._permitted

    def log(self, function: str) -> str:
        """What the function has printed since the last reset."""
        return self._functions.log(function)

    def kill(self, function: str) -> int:
        """Kills the processes that serve the function now; use it in a fault's hook. Returns how many there were."""
        return self._functions.kill(function)

    def sweep(self) -> list[Any]:
        """Runs every schedule of a function once, and returns the functions' results."""
        return [
            self.invoke(target, self._events.scheduled(rule))
            for rule in self._events.rules()
            if rule.schedule is not None
            for target in rule.targets
            if self._functions.find(target) is not None
        ]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was put onto the default event bus since the last reset, as its rules saw it."""
        return self._events.sent

    def emit(self, event: dict[str, Any]) -> None:
        """An AWS service sends an event, whole, as its documentation shows it: the rules that it matches are told."""
        self._events.emit(event)

    def cloudtrail(self, user: str, execution_arn: str | None = None) -> None:
        """Hands CloudTrail's record of each execution's start to the rules: those that functions started, as theirs.

        All others were started by that IAM user or, if it is the ARN of a role, by a session of that role. With an
        execution's ARN only that one's. CloudTrail takes some minutes for it, so it does not come by itself.
        """
        for run in list(self._states.runs):
            if execution_arn in (None, run.arn):
                self._events.execution_started(run, user)
        self.settle()

    def policy(self, document: Mapping[str, Any] | None) -> None:
        """Puts the policy document into its parameter, or removes the parameter."""
        name = self.outputs["PolicyParameterName"]
        client = self.client("ssm")
        if document is not None:
            client.put_parameter(Name=name, Value=json.dumps(document), Type="String", Overwrite=True)
        elif client.get_parameters(Names=[name])["Parameters"]:
            client.delete_parameter(Name=name)

    def settle(self, timeout: float = 10.0) -> None:
        """Waits until every event of an ended execution and every stream record is handled. Raises TimeoutError."""
        self._courier.settle(timeout)

    def _invoke_for_api(self, function: str, event: str) -> Invocation:
        known = self._functions.find(function)
        if known is None:
            raise KeyError(f"{function} is not a function of the stack")
        return self.faults.invocation(known, event, functools.partial(self._functions.invoke, known.name, event))

    # -- fakes ---------------------------------------------------------------------------------------------------------

    def _permitted(self, call: Call) -> None:
        if call.caller != CLIENT or call.name == "sts:GetCallerIdentity":
            return
        token = call.environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        try:
            person, _ = person_of(self.account_id, call.region, call.access_key, token)
        except Unsigned as unsigned:
            raise ServiceError("UnrecognizedClientException", str(unsigned)) from None
        if person.policies is None:
            return
        try:
            needs = needs_of(Request(call.name, call.params, call.region, self.account_id, self._keys))
        except Unreviewed:
            needs = {Need(f"{_PREFIXES.get(call.service, call.service)}:{call.operation}", "*")}
        for need in sorted(needs, key=str):
            if not person.may(need.action, need.resource or "*", dict(need.context)):
                text = (
                    f"User: {person.arn} is not authorized to perform: {need.action} on resource: {need.resource}"
                    f" because no identity-based policy allows the {need.action} action"
                )
                raise ServiceError("AccessDeniedException", text)

    def _answer_ecs(self, call: Call) -> dict[str, Any]:
        return self.ecs_in(call.region).answer(call)

    def _simulate(self, call: Call) -> dict[str, Any]:
        return iam.simulate(call, self.account_id)

    def _answer_sagemaker(self, call: Call) -> dict[str, Any] | None:
        return self.sagemaker_in(call.region).answer(call)

    def _invoke_sagemaker(self, call: Call) -> Response:
        return self.sagemaker_in(call.region).invoke(call)

    def _answer_cloudformation(self, call: Call) -> dict[str, Any] | None:
        for stack in self._stacks:
            answer = stack.answer(call)
            if answer is not None:
                return answer
        return None

    def _answer_lambda(self, call: Call) -> Response | None:
        name = str(call.path_parameters.get("FunctionName", ""))
        known = self._functions.find(name) if name else None
        if call.operation != "Invoke":
            if known is not None:
                raise NotImplementedError(f"{call.operation} of a function of the stack")
            return None
        if known is None:
            arn = self.stack.arn("lambda", f"function:{name}")
            raise ServiceError("ResourceNotFoundException", f"Function not found: {arn}", 404)
        event = call.body.decode() or "{}"
        try:
            json.loads(event)
        except ValueError as error:
            text = f"Could not parse request body into json: {error}"
            raise ServiceError("InvalidRequestContentException", text) from error
        kind = call.environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse")
        if kind == "DryRun":
            return 204, {}, b""
        if kind == "Event":
            self._events.invoke_later(known.name, json.loads(event))
            return 202, {}, b""
        invoke = functools.partial(self._functions.invoke, known.name, event)
        outcome = self.faults.invocation(known, event, invoke)
        headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
        if outcome.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return 200, headers, outcome.payload.encode()

    def _park(self, queue: str, message: dict[str, Any]) -> None:
        client = self.client("sqs")
        url = client.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody=json.dumps(message))

    def _published(self, call: Call, body: bytes) -> None:
        given = call.params
        attributes = given.get("MessageAttributes") or {}
        self.messages.append(
            {
                "subject": given.get("Subject"),
                "message": given.get("Message"),
                "topic": given.get("TopicArn") or given.get("TargetArn"),
                "attributes": {name: value.get("StringValue") for name, value in attributes.items()},
                "from": call.caller,
            }
        )
