"""The names of what Deskwright keeps of a machine in the machine."""

import re

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def record_name(name: str) -> str:
    """`name`, if it can be a file's name everywhere; else ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a record: lower case, digits and hyphens")
    return name
