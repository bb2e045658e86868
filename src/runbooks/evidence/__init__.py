"""What makes the audit trail evidence: seals, daily manifests, and the archive's form. Pure; none of it knows AWS."""
