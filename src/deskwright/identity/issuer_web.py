"""Asking issuers by HTTP: where their endpoints are, their keys, and tokens for codes. Nothing is followed elsewhere.

Addresses are https; http only where the issuer itself is on this machine.
"""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.oidc.discovery import get_well_known_url

SECONDS = 10.0
LARGEST = 1024 * 1024
KEPT_SECONDS = 600.0
AGAIN_SECONDS = 10.0
"""So often at most, because of a key that is not known, the keys are asked for again."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class IssuerProblem(Exception):
    """A sign-in with an issuer cannot go on. The text is for the person, and holds no token and no secret."""


@dataclass(frozen=True)
class Description:
    """What an issuer says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    methods: tuple[str, ...]
    """How it wants clients to authenticate."""
    algorithms: tuple[str, ...]
    says_iss: bool
    """Its answers name it (RFC 9207)."""


@dataclass
class _Kept:
    at: float
    value: Any


_kept: dict[str, _Kept] = {}
_lock = threading.Lock()
_MOST = 1000


def is_address(url: str, *, beside: str | None = None) -> bool:
    """Whether it may be an issuer's: https, or http on this machine. `beside`: an issuer it is an endpoint of, which
    must be on this machine too where this one is asked by http."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.fragment or any(c.isspace() for c in url):
        return False
    if parts.scheme == "https":
        return True
    local = parts.scheme == "http" and parts.hostname in _LOCAL
    return local and (beside is None or urlsplit(beside).scheme == "http")


def describe(issuer: str) -> Description:
    """The issuer's metadata, kept for ten minutes. Raises IssuerProblem."""
    found = _remembered(f"describe {issuer}", KEPT_SECONDS, lambda: _get(get_well_known_url(issuer, external=True)))
    if found.get("issuer") != issuer:
        raise IssuerProblem(f"The address {issuer} is described by another issuer, {_short(found.get('issuer'))}")
    for name in _ENDPOINTS:
        if not isinstance(found.get(name), str) or not is_address(found[name], beside=issuer):
            raise IssuerProblem(f"Its description has no usable address {name}")
    return Description(
        authorization_endpoint=found["authorization_endpoint"],
        token_endpoint=found["token_endpoint"],
        jwks_uri=found["jwks_uri"],
        methods=tuple(found.get("token_endpoint_auth_methods_supported") or ("client_secret_basic",)),
        algorithms=tuple(found.get("id_token_signing_alg_values_supported") or ("RS256",)),
        says_iss=found.get("authorization_response_iss_parameter_supported") is True,
    )


def keys(described: Description, *, anew: bool = False) -> Mapping[str, Any]:
    """Its JWK set. `anew`: a key was not found in the one we had. Raises IssuerProblem."""
    seconds = AGAIN_SECONDS if anew else KEPT_SECONDS
    return _remembered(f"keys {described.jwks_uri}", seconds, lambda: _get(described.jwks_uri))


def forget() -> None:
    """Ask everything anew: for tests."""
    with _lock:
        _kept.clear()


class Session:
    """As much of an HTTP session as Authlib's client asks for."""

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any, **_: Any) -> "Answer":
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return _ask(url, body.encode() if isinstance(body, str) else body, sent)


@dataclass(frozen=True)
class Answer:
    status_code: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise IssuerProblem(f"It answered {self.status_code}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _get(url: str) -> dict[str, Any]:
    answer = _ask(url, None, {"Accept": "application/json"})
    if answer.status_code != 200:
        raise IssuerProblem(f"{url} answered {answer.status_code}")
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise IssuerProblem(f"{url} answered something else than a JSON object")
    return found


def _ask(url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 - checked by is_address
    handlers: list[urllib.request.BaseHandler] = [
        _NoRedirects(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if urlsplit(url).hostname in _LOCAL:
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            return Answer(answer.status, _read(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _read(error))
    except (OSError, HTTPException, ValueError) as broken:
        said = str(getattr(broken, "reason", broken)) or type(broken).__name__
        raise IssuerProblem(f"{urlsplit(url).netloc} cannot be reached: {_short(said)}") from broken


def _read(answer: Any) -> bytes:
    """At most a mebibyte within ten seconds: who drips holds up nobody."""
    until, read = time.monotonic() + SECONDS, bytearray()
    while part := answer.read1(65_536):
        read += part
        if len(read) > LARGEST or time.monotonic() > until:
            raise ValueError("the answer is too long")
    return bytes(read)


def _remembered(name: str, seconds: float, ask: Any) -> dict[str, Any]:
    now = time.monotonic()
    with _lock:
        kept = _kept.get(name)
    if kept is not None and now - kept.at < seconds:
        return dict(kept.value)
    value = ask()
    with _lock:
        if len(_kept) >= _MOST:
            _kept.pop(next(iter(_kept)))
        _kept[name] = _Kept(now, value)
    return dict(value)


def _short(value: object) -> str:
    return " ".join(str(value).split())[:200]
