"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""


def main() -> None:
    """The console script `runbook`. Ends the process: 0 well, 1 a run or a check failed, 2 it could not be done."""
    from workbench.cli.app import app

    app(prog_name="runbook")
