"""Who comes back from an identity provider to an authorization request that was waiting for them.

The pages here keep no session, so the browser brings it along: sealed, for two minutes, and for that one request.
"""

import json
import re
import time
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from cryptography.fernet import InvalidToken
from starlette.requests import Request
from starlette.responses import Response

from deskwright.identity.passwords import digest
from deskwright.identity.sign_in import SignedIn
from deskwright.store.secrets import Secrets

LONGEST = 2000
"""Characters of a request's address that a sign-in elsewhere can keep: a cookie holds about 4,000."""
_SECONDS = 120
_PATH = re.compile(r"/[^/?#]+/oauth2/v2\.0/authorize\?.*")


def is_request(address: str) -> bool:
    """Whether a path with its query is an authorization request's."""
    return bool(_PATH.fullmatch(address)) and len(address) <= LONGEST


def address_of(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}"


def cookie(request: Request) -> str:
    return "__Host-deskwright-brought" if request.url.scheme == "https" else "deskwright-brought"


def seal(secrets: Secrets, who: SignedIn, address: str) -> str:
    held = {
        "for": "authorize",
        "until": time.time() + _SECONDS,
        "request": _mark(address),
        "tenant": str(who.tenant_id),
        "user": str(who.person.id),
    }
    return secrets.encrypt(json.dumps(held)).decode()


def read(secrets: Secrets, request: Request) -> tuple[UUID, UUID] | None:
    """Tenant and user; None where nobody was brought to this very request, or too long ago."""
    try:
        held = json.loads(secrets.decrypt(request.cookies.get(cookie(request), "").encode()))
    except (InvalidToken, ValueError):
        return None
    if held.get("for") != "authorize" or held["until"] < time.time():
        return None
    return (UUID(held["tenant"]), UUID(held["user"])) if held["request"] == _mark(address_of(request)) else None


def forget(request: Request, answer: Response) -> Response:
    answer.delete_cookie(cookie(request), path="/", httponly=True, secure=request.url.scheme == "https")
    return answer


def _mark(address: str) -> str:
    """The same for the same request, however it is quoted."""
    parts = urlsplit(address)
    return digest(json.dumps([parts.path, sorted(parse_qsl(parts.query, keep_blank_values=True))]))
