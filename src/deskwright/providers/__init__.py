"""The outside world behind three contracts: compute, directory, management. See `contract` and `registry`."""
