"""``python -m bench``: the benchmark of `deskwright.bench`, from a checkout."""
