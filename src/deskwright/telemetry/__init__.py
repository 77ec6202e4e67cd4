"""What an operator watches: logs, metrics and traces. Nothing is decided by them."""
