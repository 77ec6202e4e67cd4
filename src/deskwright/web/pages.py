"""The table of pages: path, method, who may, and the function that serves it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pkgutil import iter_modules

from deskwright.web.view import Answer, View

Handler = Callable[[View], Answer]


class Needs(Enum):
    """Who may see a page or do what it does."""

    NOBODY = "nobody"
    """Open to all: the sign-in."""
    PERSON = "person"
    """Anybody signed in; the page limits itself to what is theirs."""
    READER = "reader"
    """A role in the tenant of the path."""
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class Page:
    path: str
    """With Starlette's placeholders; pages of a tenant begin with ``/admin/{tenant}``."""
    method: str
    needs: Needs
    serve: Handler
    shown_by: Handler | None = None
    """Of an action: the page that has its form, shown again with the errors beside the fields."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


PAGES: list[Page] = []


def page(path: str, needs: Needs = Needs.READER) -> Callable[[Handler], Handler]:
    """Serve GET of a path."""

    def add(serve: Handler) -> Handler:
        PAGES.append(Page(path, "GET", needs, serve))
        return serve

    return add


def action(
    path: str, needs: Needs = Needs.ADMINISTRATOR, *, shown_by: Handler | None = None
) -> Callable[[Handler], Handler]:
    """Serve POST of a path. What it refuses is told by `shown_by`, or on the page the form came from."""

    def add(serve: Handler) -> Handler:
        PAGES.append(Page(path, "POST", needs, serve, shown_by))
        return serve

    return add


def load() -> list[Page]:
    """The whole table: every module of `admin` and `portal` adds its own when it is loaded."""
    from deskwright.web import admin, external_sign_in, portal, sign_in, theme

    _ = external_sign_in, sign_in, theme
    for package in (admin, portal):
        for module in iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")
    return PAGES
