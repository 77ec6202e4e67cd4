"""One module per kind of object: which calls it serves, and how its objects are told."""

from importlib import import_module
from pkgutil import iter_modules


def load() -> None:
    """Import every module here, so that its routes stand in the table."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
