"""The audit trail for an auditor: exports, their offline check, searches, and the report on a run."""
