"""The failure matrix: every Task state of every runbook, in every failure that it can meet."""
