"""HOW one Cloud PC comes to be: the pipeline (start reading there), the engine that carries a run, the ledger."""
