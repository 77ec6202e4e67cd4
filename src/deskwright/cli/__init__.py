"""The command line. Every command calls the same application functions as the API and the pages."""

from deskwright.cli.app import main

__all__ = ["main"]
