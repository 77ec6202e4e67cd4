"""What a client asks for: OpenID's scopes, permissions by name, or ``.default``, for one resource."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from deskwright.authority.errors import Refusal
from deskwright.identity.apps import App
from deskwright.identity.permissions import known
from deskwright.identity.tokens import GRAPH

OPENID = ("openid", "profile", "email", "offline_access")
_GRAPH_ID = "00000003-0000-0000-c000-000000000000"
_SAME_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Scope:
    asked: tuple[str, ...]
    """As the client wrote them."""
    names: frozenset[str]
    """Permissions, as we spell them."""
    default: bool
    """``.default``: everything that was granted."""
    openid: frozenset[str]
    audience: str
    """The resource as the client named it: the token's ``aud``."""

    def permissions(self, app: App) -> frozenset[str]:
        """What a person's token gets. Raises Refusal where the application has not been granted it."""
        has = app.permissions | {"User.Read"}
        if missing := sorted(self.names - has):
            raise Refusal(
                "invalid_grant",
                65001,
                f"The application '{app.name}' has not been granted {', '.join(missing)}: "
                "deskwright app set NAME --permission ... grants it.",
            )
        return frozenset(has) if self.default else self.names | {"User.Read"}


def read(text: str | None, host: str | None) -> Scope:
    """Read a scope parameter. `host` is where we are reached; None where it was read before, so is ours.

    Raises Refusal: invalid_scope names what is not known, invalid_resource a resource that is not ours.
    """
    asked = tuple(dict.fromkeys((text or "").split()))
    if not asked:
        raise Refusal("invalid_request", 900144, "The request must contain the parameter 'scope'.")
    names, openid, audiences, default = set(), set(), set(), False
    for one in asked:
        if one.lower() in OPENID:
            openid.add(one.lower())
            continue
        resource, slash, name = one.rpartition("/")
        audience = _audience(resource.rstrip("/"), host, one) if slash else GRAPH
        audiences.add(audience)
        if name.lower() == ".default":
            default = True
        elif (permission := known(name)) is not None:
            names.add(permission)
        else:
            raise Refusal("invalid_scope", 70011, f"The scope '{one}' is not known to this server.")
    if len(audiences) > 1:
        raise Refusal("invalid_scope", 28000, "All scopes of one request must be of one resource.")
    if default and names:
        raise Refusal("invalid_scope", 70011, "'.default' cannot be combined with other scopes of the resource.")
    return Scope(asked, frozenset(names), default, frozenset(openid), audiences.pop() if audiences else GRAPH)


def _audience(resource: str, host: str | None, asked: str) -> str:
    if resource.lower() in (GRAPH, _GRAPH_ID):
        return GRAPH
    try:
        parts = urlsplit(resource)
        name = parts.hostname
    except ValueError:
        name = None
    # Clients derive the resource from the address they call; that may be another name or port of this machine.
    ours = name is not None and (host is None or name == host or name in _SAME_MACHINE)
    if not ours or parts.scheme not in ("http", "https") or parts.path:
        raise Refusal("invalid_resource", 500011, f"The resource of '{asked}' is not served here; use {GRAPH}/.default")
    return f"{parts.scheme}://{parts.netloc}"
