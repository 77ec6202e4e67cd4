"""Templates: their environment, and what all of them may use."""

import hmac
import secrets as random
import shlex
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from deskwright import __version__
from deskwright.web import static_files, words
from deskwright.web.view import Shown, View, admin

_environment = Environment(
    loader=PackageLoader("deskwright.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def _when(value: datetime | None) -> Markup:
    """A moment as ``<time>``, which the browser tells in its own time zone where it can."""
    if value is None:
        return Markup("—")
    utc = value.astimezone(UTC)
    machine = utc.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-local>{}</time>').format(machine, utc.strftime("%Y-%m-%d %H:%M UTC"))


def _ago(value: datetime | None, now: datetime) -> Markup:
    """The distance in words; the moment itself when one points at it."""
    if value is None:
        return Markup("—")
    utc = value.astimezone(UTC)
    machine = utc.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        machine, utc.strftime("%Y-%m-%d %H:%M:%S UTC"), words.relative(value, now)
    )


def _breakable(text: str) -> Markup:
    """A user name or a plan that may be broken after its at sign or slashes."""
    return Markup(str(escape(text)).replace("@", "@<wbr>").replace("/", "/<wbr>"))  # noqa: S704 - escaped before


def _query(pairs: Iterable[tuple[str, str]], **changes: str | None) -> str:
    """A query string with some values changed, or taken out by None."""
    from urllib.parse import urlencode

    kept = [(n, v) for n, v in pairs if n not in changes]
    return urlencode([*kept, *((n, v) for n, v in changes.items() if v is not None)])


_environment.filters |= {
    "when": _when,
    "ago": _ago,
    "duration": words.duration,
    "count": words.count,
    "plain": words.plain,
    "breakable": _breakable,
    "number": lambda n: f"{n:,}",
    "quoted": shlex.quote,
}
_environment.globals |= {
    "static": static_files.url,
    "version": __version__,
    "query": _query,
    "admin": admin,
    "words": words,
}


@cache
def _ui() -> Any:
    return _environment.get_template("parts/ui.html").module


def render(view: View, shown: Shown, csrf: str, values: Mapping[str, Any] | None = None) -> str:
    """The page, or its block, as HTML."""
    template = _environment.get_template(shown.template)
    given = {
        "view": view,
        "ui": _ui(),
        "csrf": csrf,
        "notice": None,
        "theme": view.request.cookies.get("deskwright-theme", ""),
        **(values or {}),
        **shown.values,
    }
    if shown.block is None:
        return template.render(given)
    return "".join(template.blocks[shown.block](template.new_context(given)))


def part(template: str, block: str, **values: Any) -> str:
    """A block of a template without a request, for what is sent to those who watch."""
    found = _environment.get_template(template)
    return "".join(found.blocks[block](found.new_context({"ui": _ui(), **values})))


def names() -> list[str]:
    """Every template there is."""
    return _environment.list_templates()


def source(name: str) -> str:
    """A template as it is written."""
    assert _environment.loader is not None
    return _environment.loader.get_source(_environment, name)[0]


def csrf_of(token: str) -> str:
    """What the forms of a session carry: never twice the same text, so that compression cannot reveal it."""
    mask = random.token_bytes(32)
    kept = _digest(token)
    return urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(mask, kept, strict=True))).decode()


def is_csrf_of(token: str, sent: str) -> bool:
    """Whether a form was made for that session."""
    from base64 import urlsafe_b64decode

    try:
        raw = urlsafe_b64decode(sent.encode())
    except ValueError:
        return False
    if len(raw) != 64:
        return False
    return hmac.compare_digest(bytes(a ^ b for a, b in zip(raw[:32], raw[32:], strict=True)), _digest(token))


def _digest(token: str) -> bytes:
    return hmac.digest(token.encode(), b"deskwright form", "sha256")
