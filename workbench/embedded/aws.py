"""The embedded AWS: one object that boots, deploys, runs and forgets."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal import mock_random

from workbench.embedded import interpreter, moto_clock
from workbench.embedded.calls import CLIENT, Call, Response, ServiceError
from workbench.embedded.clock import VirtualClock
from workbench.embedded.courier import Courier
from workbench.embedded.ecs import Ecs
from workbench.embedded.events import Events
from workbench.embedded.faults import Faults
from workbench.embedded.functions import Functions
from workbench.embedded.patches import Patches
from workbench.embedded.server import Endpoint, SeenCall
from workbench.embedded.stack import Machinery, Stack
from workbench.embedded.states import States
from workbench.embedded.tables import Tables
from workbench.embedded.template import parameters_of, read, translated

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "embedded"
"""Access key and secret of every caller; the endpoint knows functions by their app id."""

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
        template: Path = REPOSITORY / "template.yaml",
        parameters: Mapping[str, str] | None = None,
        stack_name: str | None = None,
    ) -> None:
        """Boots and deploys. `pace`: the real seconds that a wait of a state machine lasts at most.

        Raises TemplateError if the template cannot be deployed.
        """
        if not _one_at_a_time.acquire(blocking=False):
            raise RuntimeError("an embedded AWS is running in this process already; close it first")
        self.region = region
        self.account_id = DEFAULT_ACCOUNT_ID
        self.stage = stage
        self.stack_name = stack_name or f"runbooks-{stage}"
        self.clock = VirtualClock(pace)
        self.messages: list[dict[str, Any]] = []
        self._clients: dict[tuple[str, str], Any] = {}
        self._client_lock = threading.Lock()
        self._session: Any = boto3.session.Session(KEY, KEY, region_name=region)
        self._patches = Patches()
        self._environment = {name: os.environ.get(name) for name in ("MOTO_PORT", "MOTO_ALLOW_NONEXISTENT_REGION")}
        template = template.resolve()
        source = read(template)
        self._functions = Functions(
            self.clock, template.parent / _code_folder(source), {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        )
        try:
            self._boot(source, template.parent, parameters or {})
        except BaseException:
            self.close()
            raise

    def _boot(self, source: Mapping[str, Any], folder: Path, parameters: Mapping[str, str]) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        logging.getLogger("moto").setLevel(logging.CRITICAL)
        mock_random.seed(0)
        self.faults = Faults(self)
        self._endpoint = Endpoint(self.faults)
        os.environ["MOTO_PORT"] = str(self._endpoint.port)
        self._functions.configure(
            {
                "AWS_ENDPOINT_URL": self.endpoint_url,
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": KEY,
                "AWS_SESSION_TOKEN": KEY,
            }
        )
        moto_clock.put_on_clock(self._patches, self.clock)
        interpreter.put_on_clock(self._patches, self.clock, self.endpoint_url)
        self._tables = Tables(self.clock, self._patches)
        self._courier = Courier()
        self._states = States(self.clock, self._courier, self.account_id, self.region)
        self._events = Events(self.clock, self._courier, self._functions, lambda: self.stack)
        self._states.listeners.append(self._events.execution_ended)
        self._tables.listeners.append(self._events.table_changed)
        self._ecs: dict[str, Ecs] = {}
        self._connect()
        values = parameters_of(source, self.stage, parameters)
        machinery = Machinery(self.client, self._states, self.account_id, self.region, self.endpoint_url)
        self.stack = Stack(self.stack_name, source, translated(source, values, self.region), values, folder, machinery)
        self._deploy()

    def _connect(self) -> None:
        endpoint = self._endpoint
        endpoint.fake("stepfunctions:*", self._states.answer)
        endpoint.fake("cloudformation:*", self._cloudformation)
        endpoint.fake("lambda:*", self._lambda)
        endpoint.fake("ecs:*", lambda call: self.ecs_in(call.region).answer(call))
        endpoint.guard("dynamodb", self._tables.guarded)
        endpoint.observe("sns:Publish", self._published)

    def _deploy(self) -> None:
        self.stack.deploy(self.clock.now())
        self._functions.define(self.stack.functions)
        self.outputs = dict(self.stack.outputs)
        self._endpoint.calls.clear()

    # -- life ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops everything, waits for the functions' processes, and gives moto its own names back."""
        if hasattr(self, "_states"):
            self.clock.release()
            self._states.reset()
            self._courier.close()
        self._functions.close()
        if hasattr(self, "_endpoint"):
            self._endpoint.close()
        self._forget_moto()
        self._patches.undo()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _one_at_a_time.release()

    def reset(self) -> None:
        """Forgets everything but the deployed stack: items, messages, other resources, executions, faults, time."""
        self.faults.clear()
        self.clock.release()
        self._functions.reset()
        self._states.reset()
        self.settle()
        self._courier.reset()
        self._forget_moto()
        self._tables.reset()
        self._ecs.clear()
        self.clock.reset()
        mock_random.seed(0)
        self.messages.clear()
        self._endpoint.defects.clear()
        self._deploy()

    @staticmethod
    def _forget_moto() -> None:
        BackendDict.reset()
        reset_model_data()

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str:
        return self._endpoint.url

    @property
    def calls(self) -> list[SeenCall]:
        """Every call that reached the endpoint since the start or the last reset, in the order of their answers."""
        return self._endpoint.calls

    @property
    def defects(self) -> list[str]:
        """Calls that the embedded AWS could not answer as AWS does, with tracebacks; a test run wants none."""
        return self._endpoint.defects

    @property
    def undelivered(self) -> list[str]:
        """Asynchronous invocations that failed in every attempt."""
        return self._courier.undelivered

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

    @property
    def ecs(self) -> Ecs:
        """The fake of ECS in the stack's region; `workbench.embedded.ecs` has building blocks for it."""
        return self.ecs_in(self.region)

    def ecs_in(self, region: str) -> Ecs:
        """The fake of ECS in a region."""
        return self._ecs.setdefault(region, Ecs(self.clock, self.account_id, region))

    # -- what it does --------------------------------------------------------------------------------------------------

    def invoke(self, function: str, event: Any) -> Any:
        """Invokes a function by logical id or name and returns its result. Raises EmbeddedFunctionError if it fails."""
        return self._functions.invoke(function, json.dumps(event)).result()

    def log(self, function: str) -> str:
        """What the function has printed since the last reset."""
        return self._functions.log(function)

    def kill(self, function: str) -> int:
        """Kills the processes that serve the function now; use it in a fault's hook. Returns how many there were."""
        return self._functions.kill(function)

    def sweep(self) -> list[Any]:
        """Runs every schedule of the stack once, and returns the functions' results."""
        return [
            self.invoke(target, self._events.scheduled(rule.arn))
            for rule in self.stack.rules
            if rule.schedule is not None
            for target in rule.targets
        ]

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

    # -- fakes ---------------------------------------------------------------------------------------------------------

    def _cloudformation(self, call: Call) -> dict[str, Any] | None:
        return self.stack.answer(call)

    def _lambda(self, call: Call) -> Response | None:
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
        outcome = self._functions.invoke(known.name, event)
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": outcome.request_id}
        headers["X-Amz-Executed-Version"] = "$LATEST"
        if outcome.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return 200, headers, outcome.payload.encode()

    def _published(self, call: Call, body: bytes) -> None:
        given = call.params
        attributes = {name: value.get("StringValue") for name, value in (given.get("MessageAttributes") or {}).items()}
        self.messages.append(
            {
                "subject": given.get("Subject"),
                "message": given.get("Message"),
                "topic": given.get("TopicArn") or given.get("TargetArn"),
                "attributes": attributes,
                "from": call.caller,
            }
        )


def _code_folder(source: Mapping[str, Any]) -> str:
    """The folder that the functions' code comes from, as the template's globals say."""
    return str(source.get("Globals", {}).get("Function", {}).get("CodeUri", "src/"))


__all__ = ["CLIENT", "EmbeddedAws"]
