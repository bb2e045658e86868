"""What AWS's own events start: which runbook, with which input, and how often."""
