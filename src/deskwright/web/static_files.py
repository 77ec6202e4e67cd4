"""What browsers load: served under an address that changes with the content, so that it may be kept for ever."""

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_ROOT = Path(__file__).parent / "static"
_TEXT = {".css", ".js", ".svg", ".map", ".txt"}
_YEAR = "public, max-age=31536000, immutable"


@cache
def _version() -> str:
    """Of everything together: modules load each other by relative addresses."""
    found = hashlib.sha256()
    for file in sorted(p for p in _ROOT.rglob("*") if p.is_file()):
        found.update(str(file.relative_to(_ROOT)).encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


def url(name: str) -> str:
    """The address of a file of `static/`."""
    return f"/static/{_version()}/{name}"


@cache
def _names() -> frozenset[str]:
    """What is served, each under the one name it has; other ways to write a path lead nowhere."""
    return frozenset(p.relative_to(_ROOT).as_posix() for p in _ROOT.rglob("*") if p.is_file())


@cache
def _content(name: str, packed: bool) -> bytes:
    """Of one of `_names`: only so many are remembered."""
    content = (_ROOT / name).read_bytes()
    return gzip.compress(content, 9, mtime=0) if packed else content


def serve(request: Request) -> Response:
    name = request.path_params["name"]
    file = Path(name)
    packed = file.suffix in _TEXT and "gzip" in request.headers.get("accept-encoding", "")
    if name not in _names():
        return Response("There is no such file.", 404, media_type="text/plain")
    content = _content(name, packed)
    headers = {
        "Cache-Control": _YEAR if request.path_params["version"] == _version() else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    if packed:
        headers["Content-Encoding"] = "gzip"
    media = "text/javascript" if file.suffix == ".js" else mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=media, headers=headers)


ROUTE = Route("/static/{version}/{name:path}", serve)
