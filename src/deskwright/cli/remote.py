"""The API of a service elsewhere, as commands call it: DESKWRIGHT_URL, with the token DESKWRIGHT_TOKEN."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from deskwright.document.problems import DocumentProblems, Problem
from deskwright.document.source import Document
from deskwright.domain.rules import Refused

_SECONDS = 60.0
_DOCUMENT_SECONDS = 1800.0
_LARGEST_REFUSAL = 10_000_000
_MANY = re.compile(r"has ([\d,]+) problems")
_ENVIRONMENT = re.compile(
    rb"\{\s*env\s*:\s*[\"']?([A-Za-z_][A-Za-z0-9_]*)[\"']?\s*\}|^\s*env:\s*([A-Za-z_]\w*)\s*$", re.M
)


class Refusal(Refused):
    """What the service refused, in its own words."""

    def __init__(self, status: int, code: str, message: str, details: list[dict[str, Any]]) -> None:
        super().__init__("", None, message, code=code)
        self.status, self.details = status, details

    def __str__(self) -> str:
        return self.rule


class Remote:
    """Calls, and their answers as the functions of `operations` give them: times are times."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", path, query=query)

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """A list, page after page."""
        answer = self.get(path, **query)
        found: list[dict[str, Any]] = answer["value"]
        while link := answer.get("nextLink"):
            answer = self._json("GET", link.removeprefix("/deskwright"))
            found += answer["value"]
        return found

    def post(self, path: str, body: Any = None, *, confirmed: bool = False, **query: Any) -> Any:
        content = None if body is None else json.dumps(body).encode()
        return self._json("POST", path, content, "application/json", query, confirmed)

    def delete(self, path: str) -> Any:
        return self._json("DELETE", path)

    def text(self, path: str) -> str:
        return self._send("GET", path).decode()

    def send(
        self, path: str, document: Document, environment: Mapping[str, str], *, confirmed: bool = False, **query: Any
    ) -> Any:
        """A tenant document, and of `environment` what it names: passwords are looked up here, never over there."""
        with document.open() as file:
            content = file.read()
        named = {(a or b).decode() for a, b in _ENVIRONMENT.findall(content)}
        parts = {f"environment.{n}": environment[n].encode() for n in sorted(named) if n in environment}
        boundary = uuid4().hex
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
            for name, value in {**parts, "document": content}.items()
        )
        media = f"multipart/form-data; boundary={boundary}"
        try:
            return self._json("POST", path, body + f"--{boundary}--\r\n".encode(), media, query, confirmed)
        except Refusal as refusal:
            if refusal.code != "invalidDocument":
                raise
            raise _problems(refusal, document.name) from None

    def _json(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        media: str | None = None,
        query: Mapping[str, Any] | None = None,
        confirmed: bool = False,
    ) -> Any:
        found = self._send(method, path, body, media, query, confirmed)
        return json.loads(found, object_hook=_with_times) if found else None

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        media: str | None = None,
        query: Mapping[str, Any] | None = None,
        confirmed: bool = False,
    ) -> bytes:
        given = {k: v for k, v in (query or {}).items() if v is not None}
        address = f"{self._url}/deskwright{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        if not address.startswith(("http://", "https://")):
            raise Refused("DESKWRIGHT_URL", self._url, "must begin with https:// or http://")
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json, application/yaml"}
        if body is not None and media:
            headers["Content-Type"] = media
        if confirmed:
            headers["Deskwright-Confirm"] = "true"
        request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310 - checked above
        patience = _DOCUMENT_SECONDS if path in ("/plan", "/apply", "/export") else _SECONDS
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:  # noqa: S310
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except urllib.error.URLError as error:
            raise Refused("DESKWRIGHT_URL", self._url, f"cannot be reached: {error.reason}") from None
        except (TimeoutError, ConnectionError) as error:
            raise Refused("DESKWRIGHT_URL", self._url, f"did not answer: {error}") from None


def segment(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="@")


def _refusal(error: urllib.error.HTTPError) -> Refusal:
    try:
        told = json.loads(error.read(_LARGEST_REFUSAL))["error"]
        return Refusal(error.code, str(told["code"]), str(told["message"]), list(told.get("details") or ()))
    except (ValueError, KeyError, TypeError):
        return Refusal(error.code, "", f"The service answered {error.code} {error.reason}, and not as Deskwright", [])


def _problems(refusal: Refusal, name: str) -> DocumentProblems:
    found = [
        Problem(name, d["line"], d["field"], d.get("value"), d["rule"], d.get("column", 0)) for d in refusal.details
    ]
    many = _MANY.search(refusal.rule)
    return DocumentProblems(found, int(many[1].replace(",", "")) if many else len(found))


def _with_times(told: dict[str, Any]) -> dict[str, Any]:
    for name, value in told.items():
        if isinstance(value, str) and (name.endswith(("DateTime", "dateTime")) or name in ("since", "now")):
            told[name] = datetime.fromisoformat(value)
    return told
