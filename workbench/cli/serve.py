"""`serve`: the embedded AWS and the HTTP API on this machine, for the AWS CLI, boto3, curl and `runbook` itself."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.demo import FIRST, PACE, chosen_scenario, embedded
from workbench.cli.failures import Stop
from workbench.cli.output import print_json, stdout
from workbench.cli.reference import runbooks_like
from workbench.cli.texts import Json, example

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

PORT = 8642
PEOPLE = ("alice", "bob")
"""Users with access keys of their own: one to ask, and one to decide."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    examples = ("runbook serve", f"runbook serve {FIRST} --scenario health-checks-fail --port 9000")
    app.command("serve", epilog=example(*examples))(serve)


def serve(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The runbook that --scenario is of.", autocompletion=runbooks_like),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Break things first, as this incident does; nothing if absent.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where the API answers; 0 for any.")] = PORT,
    as_json: Json = False,
) -> None:
    """Serve the HTTP API and an AWS in this process on 127.0.0.1, until it is interrupted.

    Nothing of it leaves this machine, and nothing of it is kept.
    """
    incident = chosen_scenario(name, scenario) if name or scenario else None
    for ending in (signal.SIGINT, signal.SIGTERM):
        # A shell that starts it in the background has it ignore interrupts.
        signal.signal(ending, signal.default_int_handler)
    try:
        with embedded(PACE, api_port=port) as aws, tempfile.TemporaryDirectory() as folder:
            if incident is not None:
                incident.arrange(aws)
            config = Path(folder) / "config"
            config.write_text("\n".join(_profile(aws, person) for person in PEOPLE), encoding="utf-8")
            _tell(aws, config, incident.title if incident else None, as_json=as_json)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("Stopped. Nothing of it is kept.", file=sys.stderr)
    except OSError as failure:
        if port and failure.errno is not None:
            why = os.strerror(failure.errno)
            raise Stop(f"The API cannot answer on port {port}: {why}. Give another --port.") from None
        raise


def _profile(aws: EmbeddedAws, person: str) -> str:
    """A user of the embedded AWS, as the configuration of every AWS tool has one."""
    iam = aws.client("iam")
    iam.create_user(UserName=person)
    key = iam.create_access_key(UserName=person)["AccessKey"]
    return (
        f"[profile {person}]\nregion = {aws.region}\nendpoint_url = {aws.endpoint_url}\n"
        f"aws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    )


def _tell(aws: EmbeddedAws, config: Path, broken: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "api": aws.api_url,
                "aws": aws.endpoint_url,
                "region": aws.region,
                "stack": aws.stack_name,
                "aws_config_file": str(config),
                "profiles": list(PEOPLE),
                "broken": broken,
            }
        )
    else:
        console = stdout()
        lines = [
            f"API   {aws.api_url}   (every request signed; docs/openapi.json says which there are)",
            f"AWS   {aws.endpoint_url}   (region {aws.region}, stack {aws.stack_name})",
            *([f"\nBroken: {broken}"] if broken else []),
            "\nIn another terminal, as alice, who asks, and bob, who decides:\n",
            f"  export AWS_CONFIG_FILE={config}",
            f"  runbook start {FIRST} --input events/{FIRST}/health-checks-fail.json --api --profile alice",
            "  runbook runs --open --profile alice",
            "  runbook approve RUN --profile bob",
            "  aws stepfunctions list-state-machines --profile alice",
            "\nCtrl-C ends it.",
        ]
        for line in lines:
            console.print(line, soft_wrap=True)
    sys.stdout.flush()
