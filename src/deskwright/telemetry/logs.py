"""How the log is written: a line for each event, as JSON or for people, with the ids of what was being worked on.

Modules log with the standard library's loggers and know nothing of this. What a line may hold is ids and names;
should a secret stand in a message all the same, `masked` takes it out.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

from deskwright.settings import Settings
from deskwright.telemetry import correlation

Event = MutableMapping[str, Any]

_SECRET = re.compile(
    r"""(?ix)
    (?P<bearer> \b(?:bearer|basic)\s+ )  [\w.~+/=-]{8,}
  | (?P<named> \b[\w-]*(?:password|passwd|secret|token|api[_-]?key)["']?\s*[=:]\s*["']? )  [^\s"',;&}]+
  | (?P<url> ://[^\s/:@]+: )  [^\s/@]+ (?=@)
  | (?P<webhook> \bwhsec_ )  [\w+/=]+
    """
)


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Let the whole process log this way, from DESKWRIGHT_LOG_LEVEL on, on standard error."""
    import structlog

    out = sys.stderr if stream is None else stream
    as_json = settings.log_format == "json" or (settings.log_format is None and not out.isatty())
    before: list[Any] = [
        _correlated,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        # As text: as data it would bring local variables along.
        last += [structlog.processors.format_exc_info, _arranged, _masked]
        last += [structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False, default=str)]
    else:
        plain = structlog.dev.plain_traceback
        last += [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain, timestamp_key="time")]
        last += [lambda _logger, _method, line: masked(line)]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=last))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    # Of these the rest is about every job, every connection, every export.
    for name in ("procrastinate", "alembic", "urllib3", "opentelemetry", "ldap3", "websockets"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def masked(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRET.sub(lambda found: f"{next(g for g in found.groups() if g is not None)}***", text)


def _correlated(_logger: Any, _method: str, event: Event) -> Event:
    for name, value in correlation.current().items():
        if value is not None:
            event.setdefault(name, value if isinstance(value, int | float) else str(value))
    return event


def _arranged(_logger: Any, _method: str, event: Event) -> Event:
    first = {name: event.pop(name) for name in ("time", "level", "logger") if name in event}
    return {**first, "message": event.pop("event", ""), **event, "pid": os.getpid()}


def _masked(_logger: Any, _method: str, event: Event) -> Event:
    return {name: masked(value) if isinstance(value, str) else value for name, value in event.items()}
