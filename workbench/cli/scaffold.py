"""`new`: a runbook to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.failures import Stop
from workbench.cli.output import print_json, stderr, stdout
from workbench.cli.reference import REPOSITORY
from workbench.cli.texts import Json, example


def register(app: typer.Typer) -> None:
    """Adds the command."""
    titled = 'runbook new watermark-reset --title "Set a watermark back"'
    app.command("new", epilog=example("runbook new watermark-reset --dry-run", titled))(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: lower-case words with hyphens between them.")],
    title: Annotated[
        str | None, typer.Option("--title", help="What it does, as a sentence in the imperative; its name if absent.")
    ] = None,
    service: Annotated[str, typer.Option("--service", help="The AWS service of the example to start from.")] = "logs",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be written.")] = False,
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="The repository; this one if absent.", show_default=False)
    ] = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Write a new runbook: small, working, and marked wherever you replace something.

    It adds the runbook's folder, a start input, a test, incidents, a block of the template and what is compiled.
    """
    from workbench import catalogue_page, scaffold

    try:
        plan = scaffold.planned(root, name, title, service)
        paths = [*plan.paths, *scaffold.compiled_to(name)] if dry_run else scaffold.write(root, plan, name)
    except scaffold.Unfit as unfit:
        raise Stop(str(unfit)) from None
    written = [path.as_posix() for path in paths]
    if as_json:
        print_json({"name": name, "dry_run": dry_run, "written": written})
        return
    console = stdout()
    for path in paths:
        changes = path in plan.changed or path == catalogue_page.PAGE
        would, did = ("Would change", "Changed") if changes else ("Would write", "Wrote")
        console.print(f"{would if dry_run else did} {path.as_posix()}.")
    if not dry_run:
        stderr().print(f"It works as it is: `runbook demo {name}`. Now replace what is marked with {scaffold.MARK!r}.")
