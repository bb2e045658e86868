"""The State table and the Audit table: runs, step ledger, locks, and the chain of what happened."""
