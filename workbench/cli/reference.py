"""`list`, `show` and `compile`: what there is, without any AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.failures import Stop
from workbench.cli.output import print_json, stdout, table
from workbench.cli.texts import Json, example

REPOSITORY = Path(__file__).parent.parent.parent
MACHINES = REPOSITORY / "statemachines"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("list", epilog=example("runbook list", "runbook list --json"))(list_runbooks)
    app.command("show", epilog=example("runbook show ecs-service-rollback"))(show)
    app.command("compile", epilog=example("runbook compile", "runbook compile --check"))(compile_machines)


def runbook_named(name: str) -> Any:
    """The declaration of a runbook. Raises Stop that lists those that there are."""
    from runbooks import catalogue

    if name not in catalogue.names():
        raise Stop(f"There is no runbook {name!r}. There are: {', '.join(catalogue.names())}.")
    return catalogue.load(name)


def runbooks_like(incomplete: str) -> list[str]:
    """The names that a shell may complete to."""
    from runbooks import catalogue

    return [name for name in catalogue.names() if name.startswith(incomplete)]


def list_runbooks(as_json: Json = False) -> None:
    """List the runbooks, and the incidents that `demo` can show for each."""
    from runbooks import catalogue
    from workbench import scenario

    runbooks = [catalogue.load(name) for name in catalogue.names()]
    documents: list[dict[str, Any]] = [
        {
            "name": runbook.name,
            "title": runbook.title,
            "risk": runbook.risk.value,
            "scenarios": [
                {"name": each.name, "title": each.title, "status": each.ends, "error": each.error}
                for each in scenario.of(runbook.name).values()
            ],
        }
        for runbook in runbooks
    ]
    if as_json:
        print_json(documents)
        return
    from rich.text import Text

    console = stdout()
    for document in documents:
        console.print(Text.assemble((document["name"], "bold"), f"  {document['title']}  ", (document["risk"], "dim")))
        table(
            console,
            [
                (f"    {each['name']}", each["error"] or each["status"], Text(each["title"], "dim"))
                for each in document["scenarios"]
            ],
        )


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The runbook.", autocompletion=runbooks_like)],
    as_json: Json = False,
) -> None:
    """Show a runbook: its procedure, the fields of its input, and the graph of its state machine."""
    from runbooks import catalogue
    from workbench.cli import graph

    runbook = runbook_named(name)
    folder = catalogue.FOLDER / name.replace("-", "_")
    readme, machine = folder / "README.md", MACHINES / f"{name}.asl.json"
    procedure = readme.read_text(encoding="utf-8") if readme.exists() else None
    if not machine.exists():
        raise Stop(f"The state machine of {name} has not been compiled. Run `runbook compile`.")
    definition = json.loads(machine.read_text(encoding="utf-8"))
    schema = runbook.input.model_json_schema()
    if as_json:
        print_json(
            {
                "name": runbook.name,
                "title": runbook.title,
                "risk": runbook.risk.value,
                "input_schema": schema,
                "procedure": procedure,
                "states": list(definition["States"]),
                "graph": graph.as_document(definition),
            }
        )
        return
    _print(runbook, procedure, schema, graph.as_text(definition))


def _print(runbook: Any, procedure: str | None, schema: dict[str, Any], drawing: str) -> None:
    from rich.markdown import Markdown
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(Text.assemble((runbook.name, "bold cyan"), f"  {runbook.title}  ", (runbook.risk.value, "dim")))
    if procedure is None:
        console.print("\nThe procedure is not written down yet.")
    else:
        console.print()
        if console.is_terminal:
            console.print(Markdown(procedure))
        else:
            console.print(procedure.strip(), soft_wrap=True)
    console.print(Text("\nInput", "bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    required = set(schema.get("required", ()))
    for field, about in schema["properties"].items():
        absent = f"default {about['default']}" if about.get("default") else "optional"
        about_it = Text(about.get("description", ""), "dim")
        table.add_row(f"  {field}", "required" if field in required else absent, about_it)
    console.print(table)
    console.print(Text("\nStates", "bold"))
    console.print(Text("\n".join(f"  {line}" for line in drawing.splitlines())))


def compile_machines(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file differs.")] = False,
    as_json: Json = False,
) -> None:
    """Compile every runbook's declaration to `statemachines/`, and all of them to `docs/catalogue.md`."""
    from workbench import catalogue_page
    from workbench.asl.compiler import drift, write_all

    if check:
        sentences = drift(MACHINES) + catalogue_page.drift(REPOSITORY)
        if as_json:
            print_json({"drift": sentences})
        elif sentences:
            raise Stop("\n".join(sentences), 1)
        else:
            stdout().print("The compiled state machines and the catalogue are what the declarations say.")
        if sentences:
            raise typer.Exit(1)
        return
    changed = write_all(MACHINES) + catalogue_page.write(REPOSITORY)
    written = [str(path.relative_to(REPOSITORY)) for path in changed]
    if as_json:
        print_json({"written": written})
    else:
        stdout().print("\n".join(f"Wrote {path}." for path in written) or "Nothing has changed.")
