"""What is being worked on right now: the ids that every line of the log and every span carries.

They follow a job or a request through all functions, also onto the threads that a request's handler runs on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

_NONE: Mapping[str, Any] = {}
_FIELDS: ContextVar[dict[str, Any] | None] = ContextVar("deskwright_correlation", default=None)


def current() -> Mapping[str, Any]:
    """The ids that hold now."""
    return _FIELDS.get() or _NONE


@contextmanager
def bound(**ids: Any) -> Iterator[dict[str, Any]]:
    """Within this block these hold too."""
    fields = {**current(), **ids}
    token = _FIELDS.set(fields)
    try:
        yield fields
    finally:
        _FIELDS.reset(token)


def note(**ids: Any) -> None:
    """Add to what the innermost block holds, for everybody who is inside it; outside of any block, nothing."""
    fields = _FIELDS.get()
    if fields is not None:
        fields.update(ids)


def request_id() -> str:
    """The id of the request that is being served, or a fresh one."""
    return str(current().get("request_id") or uuid4())
