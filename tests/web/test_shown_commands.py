"""The commands that pages show are commands that there are: the CLI's own parser takes each of them."""

import re
import shlex
from html import unescape
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from deskwright.cli.app import app
from deskwright.operations import groups, user_settings
from deskwright.web import pages as table
from tests.company import Company
from tests.web.conftest import Browser
from tests.web.museum import furnish, path_of
from tests.web.test_every_page import SHOWN

_USAGE_ERROR: type[Any] = typer.BadParameter.__bases__[0]  # typer's own, which it does not name in public
_COPIED = re.compile(r'data-copy="(deskwright [^"]*)"')
_FOR_A_PERSON_TO_FILL = re.compile(r"[A-Z@-]{3,}(\.yaml)?")
"""NAME, USER, TENANT.yaml: the parser may dislike these, not what stands around them."""


def shown(html: str) -> list[str]:
    return [unescape(command) for command in _COPIED.findall(html)]


def wrong(command: str) -> str:
    """What the CLI's parser has against a command; "" when it takes it."""
    words = shlex.split(command)[1:]
    at = get_command(app)
    context = typer.Context(at, info_name="deskwright")
    while isinstance(at, TyperGroup):
        inner = at.get_command(context, words[0]) if words else None
        if inner is None:
            return f"no command {' '.join(words[:1])}"
        at, words = inner, words[1:]
    try:
        at.make_context(at.name or "", list(words), parent=context)
    except _USAGE_ERROR as refused:
        said = refused.format_message()
        filled = [w for w in words if _FOR_A_PERSON_TO_FILL.fullmatch(w)]
        return "" if any(f"'{w}'" in said for w in filled) else said
    return ""


def test_the_parser_sees_what_is_wrong() -> None:
    assert wrong("deskwright group list") == ""
    assert wrong("deskwright apply -f TENANT.yaml") == ""
    assert wrong("deskwright group lost") == "no command lost"
    assert "--purple" in wrong("deskwright group list --purple")
    assert "Missing" in wrong("deskwright group add")
    assert "unexpected" in wrong("deskwright explain adele vance")


def _paths(examples: dict[str, str]) -> list[str]:
    """Every page, and the page of a Cloud PC in each state there is."""
    states = ("cloud_pc", "failed", "in_grace", "with_warnings")
    own = [f"/admin/{examples['tenant']}/cloud-pcs/{examples[state]}" for state in states]
    return [path_of(entry, examples) for entry in SHOWN if entry.needs is not table.Needs.NOBODY] + own


def test_every_command_on_every_page_is_one_that_the_command_line_takes(pages: Browser, company: Company) -> None:
    found: dict[str, str] = {}
    for path in _paths(furnish(company)):
        for command in shown(pages.get(path).text):
            found.setdefault(command, path)
    bad = {f"{path}: {command}": said for command, path in found.items() if (said := wrong(command))}
    assert bad == {}
    assert len(found) > 60


def test_a_name_in_a_command_is_one_word_of_it(pages: Browser, company: Company) -> None:
    """Whoever copies a command runs that command, however an object is called."""
    name = "O'Brien's; $(touch x) `id` \"y\""
    company.site()
    made = groups.create(company.world.database, company.tenant, "test", display_name=name)
    setting = user_settings.create(
        company.world.database, company.tenant, "test", display_name=name, local_admin_enabled=True
    )
    for path, verb in ((f"groups/{made['id']}", "add"), (f"user-settings/{setting['id']}", "set")):
        command = next(c for c in shown(pages.get(path).text) if f" {verb} " in c)
        assert name in shlex.split(command)
        assert wrong(command) == ""
