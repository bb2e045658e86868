"""`python -m workbench.cli` is `runbook`."""

from workbench.cli import main

main()
