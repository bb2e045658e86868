"""Texts and options that several commands share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from workbench.cli.failures import Stop


def example(*lines: str) -> str:
    """The end of a help text: examples to paste, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _url(option: typer.CallbackParam, value: str | None) -> str | None:
    """A URL that an option was given. Raises Stop for what is none."""
    if value is not None and not re.match(r"https?://[^/\s]", value):
        raise Stop(
            f"--{(option.name or '').replace('_', '-')} must begin with http:// or https://, and {value!r} does not."
        )
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for other programs.")]
Stack = Annotated[
    str, typer.Option("--stack", envvar="RUNBOOK_STACK", help="The CloudFormation stack that the runbooks are in.")
]
Region = Annotated[
    str | None, typer.Option("--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="The stack's AWS region.")
]
Profile = Annotated[str | None, typer.Option("--profile", help="A profile of your AWS configuration.")]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        callback=_url,
        help="Where AWS answers, for an emulator; AWS_ENDPOINT_URL works as well.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="TARGET", help="Only those on this target: its ARN, or what the table shows of it."
    ),
]
OverApi = Annotated[
    bool, typer.Option("--api", envvar="RUNBOOK_API", help="Go through the stack's HTTP API instead of AWS itself.")
]
ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url",
        envvar="RUNBOOK_API_URL",
        callback=_url,
        help="Where the HTTP API answers; the stack says so if absent.",
    ),
]
DEFAULT_STACK = "runbooks-dev"
