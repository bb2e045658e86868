"""The start input that a person means, checked here before AWS sees it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runbooks.errors import InputInvalid
from runbooks.frame.begin import parse_input
from runbooks.model import Runbook
from workbench.cli.failures import Stop

LARGEST = 262_144
"""Bytes of input that StartExecution takes."""
_NOT_IN_A_NAME = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")
_LONGEST_NAME = 80


def document_from(source: str | None) -> Any:
    """The JSON in a file, or in standard input for `-`; an empty object without a source. Raises Stop."""
    if source is None:
        return {}
    if source == "-":
        where, content = "standard input", sys.stdin.buffer.read()
    else:
        where, content = source, Path(source).read_bytes()
    _within_limit(len(content), where)
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as wrong:
        raise Stop(f"{where} is not UTF-8 text: byte {wrong.start} cannot be read.") from None
    except json.JSONDecodeError as wrong:
        raise Stop(f"{where} is not JSON: {wrong.msg} at line {wrong.lineno}, column {wrong.colno}.") from None
    except ValueError as wrong:
        raise Stop(f"{where} is not JSON: {wrong}.") from None
    except RecursionError:
        raise Stop(f"{where} is nested too deeply.") from None


def with_fields(document: Any, pairs: Sequence[str], runbook: Runbook) -> Any:
    """The input with `key=value` pairs set. A value is read as JSON where the field is not a text. Raises Stop."""
    if not pairs:
        return document
    if not isinstance(document, dict):
        raise Stop("--field sets a field of an object, and the input is none.")
    properties = runbook.input.model_json_schema()["properties"]
    changed = dict(document)
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise Stop(f"--field takes key=value, and {pair!r} is not of that form.")
        if key not in properties:
            raise Stop(f"{runbook.name} has no field {key!r}. It has: {', '.join(properties)}.")
        changed[key] = text if _is_text(properties[key]) else _value(key, text)
    return changed


def checked(runbook: Runbook, document: Any) -> str:
    """The input's text for StartExecution. Raises Stop for what `Begin run` or StartExecution would refuse."""
    text = json.dumps(document, ensure_ascii=False)
    _within_limit(len(text.encode()), "the input")
    try:
        parse_input(runbook, document)
    except InputInvalid as invalid:
        raise Stop(f"The input does not fit {runbook.name}: {invalid}.") from None
    except ValueError as invalid:
        raise Stop(f"The input does not fit {runbook.name}: {invalid}.") from None
    return text


def execution_name(name: str | None, otherwise: Callable[[], str]) -> str:
    """A name that Step Functions takes. Raises Stop for one that it would refuse."""
    if name is None:
        return otherwise()
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise Stop(f"An execution's name has 1 to {_LONGEST_NAME} characters, and this one has {len(name)}.")
    if wrong := _NOT_IN_A_NAME.search(name):
        raise Stop(f"{wrong[0]!r} cannot stand in an execution's name.")
    return name


def _within_limit(size: int, where: str) -> None:
    if size > LARGEST:
        raise Stop(f"{where} has {size:,} bytes, and an execution's input has {LARGEST:,} at most.")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _is_text(schema: dict[str, Any]) -> bool:
    kinds = {one.get("type") for one in schema.get("anyOf", [schema])} - {"null"}
    return kinds <= {"string", None}


def _value(key: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        raise Stop(f"{key} is not a text, so its value is JSON, and {text!r} is not.") from None
