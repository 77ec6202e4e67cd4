"""Reading what browsers and clients send, and the pages they get back."""

import asyncio
import hmac
import json
import secrets as random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from cryptography.fernet import InvalidToken
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from deskwright.identity.sign_in import SignedIn
from deskwright.identity.tokens import Person
from deskwright.provision.context import World
from deskwright.store.secrets import Secrets

LARGEST_FORM = 64 * 1024
_FORM_SECONDS = 30.0
_TICKET_SECONDS = 600
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class BadForm(Exception):
    """What was sent is no form, or too large."""


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of an urlencoded form, at most 64 KiB within 30 seconds. Raises BadForm."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadForm("The request must be a form: Content-Type application/x-www-form-urlencoded.")
    body = bytearray()
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_FORM:
                    raise BadForm("The form is too large.")
    except TimeoutError:
        raise BadForm("The form took too long to come.") from None
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as bad:
        raise BadForm("The form is not valid.") from bad
    if any("\0" in name or "\0" in value for name, value in fields):
        raise BadForm("The form is not valid.")
    return fields


def base_address(world: World, request: Request) -> str:
    """Where the client reaches us: as set, else as it named us."""
    return world.settings.public_address or f"{request.url.scheme}://{request.url.netloc}"


@dataclass(frozen=True)
class FormCookie:
    """Tells our own forms from those of other sites, for browsers that are not signed in: a hidden field equals it."""

    request: Request

    @property
    def _name(self) -> str:
        return "__Host-deskwright-form" if self.request.url.scheme == "https" else "deskwright-form"

    def token(self) -> str:
        """What the hidden field must hold: the browser's own, or a new one."""
        kept = self.request.cookies.get(self._name, "")
        return kept if len(kept) > 20 else random.token_urlsafe(32)

    def is_ours(self, sent: str) -> bool:
        """Whether a form with that hidden field was made by us for this browser: it equals the cookie."""
        kept = self.request.cookies.get(self._name, "")
        return len(kept) > 20 and hmac.compare_digest(kept.encode(), sent.encode())

    def set_on(self, answer: Response, token: str) -> None:
        answer.set_cookie(
            self._name,
            token,
            max_age=3600,
            path="/",
            httponly=True,
            samesite="strict",
            secure=self.request.url.scheme == "https",
        )


@dataclass(frozen=True)
class Page:
    """A page to be sent; the same for every flow."""

    request: Request

    def show(self, name: str, status: int = 200, *, goes_to: str | None = None, **values: Any) -> Response:
        """Render a template. `goes_to`: the address that the form's answer may redirect to."""
        cookie, nonce = FormCookie(self.request), random.token_urlsafe(16)
        token = cookie.token()
        text = _TEMPLATES.get_template(f"{name}.html").render(nonce=nonce, csrf=token, **values)
        answer = HTMLResponse(text, status, headers={**NO_STORE, **_headers(nonce, goes_to)})
        cookie.set_on(answer, token)
        return answer

    def is_ours(self, form: Mapping[str, str]) -> bool:
        return FormCookie(self.request).is_ours(form.get("csrf", ""))


def ticket(secrets: Secrets, who: SignedIn) -> str:
    """Carries who signed in with a one-time password to the page where they choose their own."""
    held = {
        "for": "new-password",
        "until": time.time() + _TICKET_SECONDS,
        "tenant": [str(who.tenant_id), who.tenant_name],
        "person": [str(who.person.id), who.person.user_principal_name, who.person.display_name],
        "proof": who.proof,
    }
    return secrets.encrypt(json.dumps(held)).decode()


def read_ticket(secrets: Secrets, text: str) -> SignedIn | None:
    """The same again; None where it is not ours or older than ten minutes."""
    try:
        held = json.loads(secrets.decrypt(text.encode()))
    except (InvalidToken, ValueError):
        return None
    if held.get("for") != "new-password" or held["until"] < time.time():
        return None
    (tenant, tenant_name), (person, upn, name) = held["tenant"], held["person"]
    return SignedIn(UUID(tenant), tenant_name, Person(UUID(person), upn, name), True, held["proof"])


def _headers(nonce: str, goes_to: str | None) -> dict[str, str]:
    # Browsers apply form-action to where the form's answer redirects, so the client's address must stand there.
    targets = f"'self' {_origin(goes_to)}" if goes_to else "'self'"
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"
