"""What a handler may answer besides a dictionary (200) and None (204)."""

from collections.abc import Mapping
from typing import Any


class Bytes:
    """200, and not JSON of ours: reports, and ``/$count``."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.content, self.media_type = content, media_type


class Created:
    """201."""

    def __init__(self, entity: Mapping[str, Any]) -> None:
        self.entity = entity


class Accepted:
    """202."""

    def __init__(self, entity: Mapping[str, Any]) -> None:
        self.entity = entity


def number(value: int) -> Bytes:
    """The answer of ``/$count``."""
    return Bytes(str(value).encode(), "text/plain")
