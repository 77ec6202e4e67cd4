"""`/deskwright`: what Graph has no word for (timeline, plan, explain, faults, the ledger), in the same style."""
