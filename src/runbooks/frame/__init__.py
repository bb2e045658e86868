"""The Lambda functions of every run: one module a step, each parsing, calling one decision, and storing it."""
