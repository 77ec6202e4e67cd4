"""What is configured inside a Cloud PC, per operating system."""
