"""Every private name of moto that is replaced or read, so that an upgrade says which module has to be looked at."""

from __future__ import annotations

import datetime
import inspect
from typing import Any

import pytest
from botocore import loaders
from botocore.hooks import EventAliaser
from moto import backends
from moto.core import responses, utils
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import StreamShard, Table
from moto.ecr.models import Image, Repository
from moto.kms.models import Key
from moto.kms.utils import RESERVED_ALIASES
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.stepfunctions.parser import utils as parser_utils
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import JitterStrategyDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state import state
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint, CallbackPoolManager
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from pg8000.core import CoreConnection

from workbench.embedded import EmbeddedAws
from workbench.embedded.patches import Patches
from workbench.embedded.postgres import _binaries


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (WaitFunction, "_wait_interval", ["self", "env", "wait_seconds"]),
        (Timestamp, "_get_wait_seconds", ["self", "env"]),
        (RetrierDecl, "_eval_body", ["self", "env"]),
        (JitterStrategyDecl, "_eval_body", ["self", "env"]),
        (ExecutionState, "_evaluate_with_timeout", ["self", "env"]),
        (ExecutionState, "_eval_execution", ["self", "env"]),
        (Program, "eval", ["self", "env"]),
        (EventManager, "_get_current_timestamp", []),
        (Environment, "set_ended", ["self"]),
        (Environment, "set_error", ["self", "error"]),
        (Environment, "set_timed_out", ["self"]),
        (Environment, "set_stop", ["self", "stop_date", "cause", "error"]),
        (Environment, "open_frame", ["self", "event_history_context"]),
        (Environment, "close_frame", ["self", "frame"]),
        (CallbackPoolManager, "get", ["self", "callback_id"]),
        (CallbackEndpoint, "notify", ["self", "outcome"]),
        (CallbackEndpoint, "report", ["self", "consumer_error"]),
        (CallbackEndpoint, "interrupt_all", ["self"]),
        (Execution, "_get_start_execution_worker", ["self"]),
        (Execution, "_get_start_execution_worker_comm", ["self"]),
        (Execution, "get_start_execution_details", ["self"]),
        (ExecutionWorker, "_get_evaluation_entrypoint", ["self"]),
        (lambda_eval_utils, "boto_client_for", ["region", "service", "state_credentials"]),
        (DynamoDBBackend, "transact_write_items", ["self", "transact_items"]),
        (DynamoDBBackend, "get_keys_value", ["self", "table", "keys"]),
        (StreamShard, "add", ["self", "old", "new"]),
        (Table, "get_item", ["self", "hash_key", "range_key", "projection_expression"]),
        (Table, "delete_item", ["self", "hash_key", "range_key"]),
        (Image, "get_image_digest", ["self"]),
        (DomainDispatcherApplication, "__call__", ["self", "environ", "start_response"]),
        (BackendDict, "reset", ["cls"]),
        (get_serializer_class, "__call__", None),
        (reset_model_data, "__call__", None),
        (loaders.JSONFileLoader, "load_file", ["self", "file_path"]),
        (loaders.Loader, "list_available_services", None),
        (EventAliaser, "_alias_event_name", ["self", "event_name"]),
        (backends, "list_of_moto_modules", []),
        (responses, "method_names_from_class", ["clazz"]),
    ],
)
def test_a_replaced_or_called_method_is_still_there(
    embedded: EmbeddedAws, owner: Any, name: str, parameters: list[str] | None
) -> None:
    found = embedded._patches.original(owner, name)
    found = getattr(found, "__func__", found)
    if parameters is not None:
        assert list(inspect.signature(found).parameters) == parameters


def test_an_update_takes_the_table_and_the_key_first() -> None:
    assert list(inspect.signature(DynamoDBBackend.update_item).parameters)[:3] == ["self", "table_name", "key"]


def test_names_that_are_read_are_still_there(embedded: EmbeddedAws) -> None:
    assert isinstance(embedded._patches.original(EvalComponent, "heap_key"), property)
    assert embedded._patches.original(state, "datetime") is datetime
    assert embedded._patches.original(utils, "datetime") is datetime
    assert isinstance(parser_utils.TMP_THREADS, list)
    assert {"json", "query", "rest-json", "rest-xml", "ec2"} <= set(PROTOCOL_PARSERS)
    assert "images" in inspect.getsource(Repository.__init__)
    assert "image_tags" in inspect.getsource(Image.__init__)


def test_keys_still_have_what_the_fake_of_rds_looks_at() -> None:
    key = Key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", "123456789012", "eu-central-1")
    assert (key.key_state, key.key_manager, key.aliases, key.grants) == ("Enabled", "CUSTOMER", {}, {})
    assert '"kms:*"' in key.policy
    assert "alias/aws/rds" in RESERVED_ALIASES


def test_the_driver_of_postgresql_still_has_what_is_used_beneath_its_interface() -> None:
    source = inspect.getsource(CoreConnection)
    assert "self._transaction_status" in source
    assert "self.pg_types[" in source
    assert list(inspect.signature(CoreConnection.execute_unnamed).parameters)[1:4] == ["statement", "vals", "oids"]
    assert list(inspect.signature(CoreConnection.execute_simple).parameters)[1:] == ["statement"]


def test_the_package_still_carries_the_programs_of_postgresql() -> None:
    assert {"initdb", "postgres"} <= {each.name for each in _binaries().iterdir()}


def test_utcnow_still_asks_the_datetime_module_of_its_own_module() -> None:
    assert "datetime.datetime.now(UTC)" in inspect.getsource(utils.utcnow)


def test_the_interpreter_still_evaluates_a_task_as_the_replacement_expects() -> None:
    source = inspect.getsource(ExecutionState._eval_state)
    assert "self._evaluate_with_timeout(env)" in source
    assert "while env.is_running():" in source


def test_a_name_that_is_gone_is_an_error_and_a_replaced_one_comes_back() -> None:
    class Owner:
        name = 1

    patches = Patches()
    with pytest.raises(AttributeError):
        patches.replace(Owner, "gone", 2)
    patches.replace(Owner, "name", 2)
    assert Owner.name == 2
    patches.undo()
    assert Owner.name == 1
