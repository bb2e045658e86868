"""From a runbook's declaration to its Amazon States Language definition, and the rules that a definition keeps."""
