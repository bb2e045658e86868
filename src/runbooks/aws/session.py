"""The one way to AWS for runbooks: reads are recorded, and nothing is changed outside an open change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from botocore.config import Config
from pydantic import JsonValue

from runbooks.aws.adapters import adapter_of
from runbooks.aws.connection import new_session
from runbooks.aws.operations import is_read
from runbooks.aws.redaction import redact
from runbooks.errors import MutationRefused, Refused
from runbooks.model import Model

_PATIENT = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_ONCE = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 1})
"""A mutation is sent once: whether to send it again is the step ledger's decision, not the SDK's."""
_SLOW = {"sagemaker-runtime": 70}
"""Seconds to wait for an answer, of the services that do the caller's work before they answer. A model may take 60 to
answer an invocation, and AWS asks for a socket timeout of 70."""

_CALL = "runbooks_call"


def _no_other_account(alias: str) -> str:
    raise Refused(f"the account {alias!r} is not on the deployed list of accounts")


class Call(Model):
    """One AWS call as the audit trail shows it. `duration_ms` is in milliseconds."""

    operation: str
    parameters: dict[str, JsonValue]
    region: str
    request_id: str | None = None
    status: int | None = None
    error: str | None = None
    duration_ms: int | None = None
    attempts: int = 1


class AwsSession:
    """AWS clients whose every call passes here.

    A call on the reviewed list of reads is recorded. Any other is a mutation, and raises MutationRefused unless it
    is the very call (operation and parameters) that `open_change` was entered with, or one of those that the open
    change's adapter makes. One session serves one invocation after the other, so that its clients and their connections
    are made once. `role_in` names the role to take in another account, by the account's alias; it raises Refused for
    an account that is not on the deployed list.
    """

    def __init__(self, region: str, role_in: Callable[[str], str] = _no_other_account) -> None:
        self.region = region
        self._role_in = role_in
        self._calls: list[Call] = []
        self._open: tuple[str, dict[str, Any]] | None = None
        self._secrets: set[str] = set()
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._elsewhere: dict[tuple[str, str, str, bool], Any] = {}
        self._credentials: dict[str, dict[str, str]] = {}
        self._session = new_session()
        events = self._session.get_component("event_emitter")
        events.register_first("before-parameter-build", self._admit)
        events.register_last("after-call", self._answered)
        events.register_last("after-call-error", self._unanswered)

    def begin(self) -> Self:
        """Forget what an earlier invocation has left: its calls, its change, and the secrets that it revealed."""
        self._calls, self._open = [], None
        self._secrets.clear()
        # A role is taken for one invocation: its credentials run out.
        self._elsewhere.clear()
        self._credentials.clear()
        return self

    def client(self, service: str, region: str | None = None, account: str | None = None) -> Any:
        """A client by boto3's name of the service, in another account if its alias is given."""
        return self._client(service, region or self.region, account, changing=False)

    def read(
        self, operation: str, parameters: dict[str, Any], region: str | None = None, account: str | None = None
    ) -> dict[str, Any]:
        """Call `service:Operation`, which must be on the list of reads, and return its response."""
        service, _, name = operation.partition(":")
        return self._send(self.client(service, region, account), name, parameters)

    def change(
        self, operation: str, parameters: dict[str, Any], region: str | None = None, account: str | None = None
    ) -> dict[str, Any]:
        """Send the open change's call, once; or have its adapter do it, if the operation is an adapter's."""
        service, _, name = operation.partition(":")
        if adapter := adapter_of(operation):
            client = self._client(adapter.service, region or self.region, account, changing=True)
            return adapter.run(client, parameters)
        return self._send(self._client(service, region or self.region, account, changing=True), name, parameters)

    @contextmanager
    def open_change(self, operation: str, parameters: dict[str, Any]) -> Iterator[None]:
        """Within the block exactly this call may change the world."""
        if self._open is not None:
            raise MutationRefused(f"{operation}: another change ({self._open[0]}) is still open")
        self._open = (operation, parameters)
        try:
            yield
        finally:
            self._open = None

    def reveal(self, secret: str, version_id: str) -> str:
        """A secret's value, for the moment of a call. It is redacted from everything this session records."""
        client = self._client("secretsmanager", self.region, None, changing=False)
        with self.open_change("secretsmanager:GetSecretValue", {"SecretId": secret, "VersionId": version_id}):
            value: str = client.get_secret_value(SecretId=secret, VersionId=version_id)["SecretString"]
        self.hide(value)
        return value

    def hide(self, value: str) -> None:
        """Redact this value from everything that is recorded from now on."""
        self._secrets.add(value)

    def redact(self, value: Any) -> Any:
        """`value` without anything secret, those that this session has revealed included."""
        return redact(value, self._secrets)

    def take_calls(self) -> list[Call]:
        """The calls since the last time this was asked, oldest first."""
        calls, self._calls = self._calls, []
        return calls

    def _client(self, service: str, region: str, account: str | None, *, changing: bool) -> Any:
        config = _ONCE if changing else _PATIENT
        if service in _SLOW:
            config = config.merge(Config(read_timeout=_SLOW[service]))
        if account is not None:
            elsewhere = (service, region, account, changing)
            if elsewhere not in self._elsewhere:
                keys: Any = self._credentials_in(account)
                self._elsewhere[elsewhere] = self._session.create_client(
                    service, region_name=region, config=config, **keys
                )
            return self._elsewhere[elsewhere]
        key = (service, region, changing)
        if key not in self._clients:
            self._clients[key] = self._session.create_client(service, region_name=region, config=config)
        return self._clients[key]

    def _credentials_in(self, account: str) -> dict[str, str]:
        """Keys of the role in another account, for the rest of this invocation."""
        if account not in self._credentials:
            wanted = {"RoleArn": self._role_in(account), "RoleSessionName": "runbooks"}
            answer = self._client("sts", self.region, None, changing=False).assume_role(**wanted)["Credentials"]
            self._credentials[account] = {
                "aws_access_key_id": answer["AccessKeyId"],
                "aws_secret_access_key": answer["SecretAccessKey"],
                "aws_session_token": answer["SessionToken"],
            }
        return self._credentials[account]

    @staticmethod
    def _send(client: Any, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
        response: dict[str, Any] = getattr(client, methods[name])(**parameters)
        return response

    def _admit(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        operation = f"{model.service_model.service_name}:{model.name}"
        if not (is_read(operation) or self._open == (operation, params) or self._is_of_the_adapter(operation)):
            raise MutationRefused(
                f"{operation} is not on the list of reads, and it is not the change that is open"
                f" ({self._open[0] if self._open else 'none is'}); put it into the plan"
            )
        context[_CALL] = (operation, self.redact(_plain(params)), time.monotonic())

    def _is_of_the_adapter(self, operation: str) -> bool:
        adapter = adapter_of(self._open[0]) if self._open else None
        return adapter is not None and operation in adapter.calls

    def _answered(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        self._record(
            context,
            request_id=metadata.get("RequestId"),
            status=metadata.get("HTTPStatusCode"),
            error=parsed.get("Error", {}).get("Code"),
            attempts=metadata.get("RetryAttempts", 0) + 1,
        )

    def _unanswered(self, exception: Exception, context: dict[str, Any], **_: Any) -> None:
        self._record(context, error=type(exception).__name__)

    def _record(self, context: dict[str, Any], **outcome: Any) -> None:
        operation, parameters, began = context[_CALL]
        duration = round((time.monotonic() - began) * 1000)
        region = context.get("client_region", self.region)
        self._calls.append(
            Call(operation=operation, parameters=parameters, region=region, duration_ms=duration, **outcome)
        )


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return f"{len(value)} bytes"
        case _:
            return str(value)
