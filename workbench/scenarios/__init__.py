"""Incident scenarios, one module a runbook."""
