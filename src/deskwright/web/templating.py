"""Templates: their environment, and what all of them may use."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

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
    return Markup('<time datetime="{:%Y-%m-%dT%H:%M:%SZ}" data-local>{:%Y-%m-%d %H:%M UTC}</time>').format(utc, utc)


def _ago(value: datetime | None, now: datetime) -> Markup:
    """The distance in words; the moment itself when one points at it."""
    if value is None:
        return Markup("—")
    utc, said = value.astimezone(UTC), words.relative(value, now)
    return Markup('<time datetime="{0:%Y-%m-%dT%H:%M:%SZ}" title="{0:%Y-%m-%d %H:%M:%S UTC}">{1}</time>').format(
        utc, said
    )


def _breakable(text: str) -> Markup:
    """A user name or a plan that may be broken after its at sign or slashes."""
    return Markup(str(escape(text)).replace("@", "@<wbr>").replace("/", "/<wbr>"))  # noqa: S704 - escaped before


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
