"""The proof that each function may do exactly what it does: its policies against the calls that were seen."""
