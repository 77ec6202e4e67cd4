"""What a page's function is given, and what it answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import Connection
from starlette.requests import Request

from deskwright.domain.rules import Refused
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.identity.sessions import Session
from deskwright.operations import tenants
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World
from deskwright.store.database import Database
from deskwright.web.forms import Form


@dataclass
class View:
    """One request of one browser."""

    world: World
    request: Request
    path: Mapping[str, str]
    """Values of the path's placeholders."""
    session: Session | None = None
    tenant_: TenantRef | None = None
    role: str = ""
    form: Form = field(default_factory=Form)
    form_is_ours: bool = False
    """Made by us for this browser: only pages that are open to all need to ask."""
    errors: dict[str, str] = field(default_factory=dict)
    """By the name of the field, "" for what belongs to none."""

    @property
    def tenant(self) -> TenantRef:
        """The tenant of the path. Only for pages below ``/admin/{tenant}``."""
        assert self.tenant_ is not None
        return self.tenant_

    @property
    def who(self) -> Session:
        """Who is signed in. Not for pages that are open to all."""
        assert self.session is not None
        return self.session

    @property
    def home(self) -> TenantRef:
        """The person's own tenant: the portal's."""
        return TenantRef(self.who.tenant_id, self.who.tenant_name)

    @property
    def actor(self) -> str:
        return self.who.user_principal_name

    @property
    def database(self) -> Database:
        return self.world.database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading."""
        with self.world.database.single.connect() as connection:
            yield connection

    @property
    def may_change(self) -> bool:
        return self.role == ADMINISTRATOR

    @property
    def confirmed(self) -> bool:
        """What the safety brake stopped (R13) is meant."""
        return self.form.flag("confirmed")

    @property
    def fragment(self) -> bool:
        """Asked by htmx for a part of the page."""
        return self.request.headers.get("hx-request") == "true" and "hx-boosted" not in self.request.headers

    def asked(self, name: str, default: str = "") -> str:
        """A value of the query string."""
        return self.request.query_params.get(name, default)

    @cached_property
    def now(self) -> datetime:
        """The tenant's time, which deadlines are read against."""
        found: datetime = tenants.show_clock(self.database, self.tenant_ or self.home)["now"]
        return found

    @property
    def base(self) -> str:
        """Where people reach the service."""
        url = self.request.url
        return self.world.settings.public_address or f"{url.scheme}://{url.netloc}"

    def to(self, *parts: str, **query: str) -> str:
        """The address of a page of this tenant's admin center."""
        return admin(self.tenant.name, *parts, **query)

    def value(self, name: str, default: Any = "") -> Any:
        """What a field of a form shows: what was entered, else `default`."""
        return self.form.get(name) if name in self.form else default

    def chosen(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """The same for fields with several values; a form that was sent without any has none."""
        return self.form.some(name) if self.form.fields else list(default)

    def refuse(self, refused: Refused) -> None:
        """Tell an error beside its field."""
        self.errors[refused.field] = told(refused)


@dataclass(frozen=True)
class Shown:
    """A page, or only a block of it."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    block: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sign_in: str | None = None
    """The token of a session that begins with this page."""


@dataclass(frozen=True)
class Went:
    """On to another page, where `said` is told."""

    url: str
    said: str = ""
    bad: bool = False
    sign_in: str | None = None
    """The token of a session that begins here; "" ends the present one."""
    cookies: Mapping[str, str] = field(default_factory=dict)
    """Kept for a year."""
    passing: Mapping[str, str] = field(default_factory=dict)
    """Cookies that are kept for ten minutes; an empty one ends."""


@dataclass(frozen=True)
class File:
    """Something to download, or an image."""

    content: bytes | Iterator[bytes]
    media_type: str
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Shown | Went | File


def show(template: str, block: str | None = None, status: int = 200, **values: Any) -> Shown:
    """A page by its template, such as ``admin/groups.html``; with `block` only that part of it."""
    return Shown(template, values, status, block)


def admin(tenant: str, *parts: str, **query: str) -> str:
    """The address of a page of a tenant's admin center."""
    path = "/".join(("/admin", quote(tenant, safe=""), *(quote(str(p), safe="") for p in parts)))
    return path + (f"?{urlencode(query)}" if query else "")


def told(refused: Refused) -> str:
    """A refusal beside its field: a sentence that names the value, the rule and the way out."""
    value = "" if refused.value in (None, "") else f"“{refused.value}” "
    rule = refused.rule.strip()
    text = f"{value}{rule}" if value else rule[:1].upper() + rule[1:]
    remedy = f". {refused.remedy}" if refused.remedy else ""
    return f"{text}{remedy}".rstrip(".") + "."
