"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""


def main() -> None:
    """The console script `runbook`. Ends the process: 0 well, 1 a run or a check failed, 2 it could not be done."""
    import sys

    from workbench.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a sign that a terminal does not have must not end a command
    app(prog_name="runbook")
