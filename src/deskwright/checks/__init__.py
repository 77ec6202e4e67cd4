"""Health checks of network connections: what is looked at, and what the results together mean."""
