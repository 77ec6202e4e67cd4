"""Deskwright: open, self-hosted Cloud PC provisioning."""

__version__ = "0.1.0"
