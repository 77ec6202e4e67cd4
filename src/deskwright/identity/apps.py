"""Applications as the authorisation server and the door look them up: registered ones, and those built in."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.identity.passwords import HINT_LENGTH, secret_matches
from deskwright.identity.permissions import PERMISSIONS, included_in

COMMAND_LINE = UUID("de5c0000-0000-4000-8000-00000000c11e")
"""The built-in public client of every tenant, also what `deskwright token` issues for."""

_BUILT_IN = {
    COMMAND_LINE: "Deskwright command line",
    # The ids that Microsoft's own tools sign people in with, so that these need no configuration but the address.
    UUID("14d82eec-204b-4c2f-b7e8-296a70dab67e"): "Microsoft Graph Command Line Tools",
    UUID("04b07795-8ddb-461a-bbee-02f9e1bf7b46"): "Microsoft Azure CLI",
}
_LOOPBACK = ("http://localhost", "http://127.0.0.1", "http://[::1]")


@dataclass(frozen=True)
class App:
    """An application that may ask for tokens."""

    id: UUID
    name: str
    tenant_id: UUID | None
    """None: built in, so every tenant has it."""
    permissions: frozenset[str]
    """What it has been granted, with everything that includes."""
    public: bool
    redirect_uris: tuple[str, ...] = ()
    disabled: bool = False

    def allows_redirect(self, uri: str) -> bool:
        """Registered exactly; a public client on this machine may use any port (RFC 8252, section 7.3)."""
        if uri in self.redirect_uris:
            return True
        return self.public and _without_port(uri) is not None and _without_port(uri) in self.redirect_uris


@dataclass(frozen=True)
class SecretCheck:
    """What became of a client's secret."""

    matches: bool
    expired: bool = False


def granted(permissions: list[str] | tuple[str, ...]) -> frozenset[str]:
    """What an application with these permissions may do; names that are known no more count for nothing."""
    return frozenset[str]().union(*(included_in(p) for p in permissions if p in PERMISSIONS))


def built_in(app_id: UUID) -> App | None:
    name = _BUILT_IN.get(app_id)
    # A person's role limits what they can do through it; consent is not asked for inside one organisation.
    return App(app_id, name, None, frozenset(PERMISSIONS), public=True, redirect_uris=_LOOPBACK) if name else None


def find(connection: Connection, app_id: UUID) -> App | None:
    """The application with that client id, whatever its tenant; the caller compares the tenants."""
    if there := built_in(app_id):
        return there
    row = connection.execute(text("SELECT * FROM app_registrations WHERE id = :id"), {"id": app_id}).one_or_none()
    if row is None:
        return None
    return App(
        row.id,
        row.display_name,
        row.tenant_id,
        granted(row.permissions),
        row.public_client,
        tuple(row.redirect_uris),
        row.disabled,
    )


def check_secret(connection: Connection, app_id: UUID, secret: str) -> SecretCheck:
    """Compare a secret with those of the application; one that has expired says so only to who has it."""
    query = text(
        "SELECT hash, expires_at <= now() AS expired FROM app_secrets WHERE app_id = :app AND hint = :hint "
        "ORDER BY expires_at DESC"
    )
    for row in connection.execute(query, {"app": app_id, "hint": secret[:HINT_LENGTH]}).all():
        if secret_matches(row.hash, secret):
            return SecretCheck(not row.expired, bool(row.expired))
    return SecretCheck(False)


def _without_port(uri: str) -> str | None:
    """A loopback address without its port, None for any other: ``http://localhost:8400/`` -> ``http://localhost/``."""
    for origin in _LOOPBACK:
        rest = uri.removeprefix(origin)
        if rest == uri or (rest and rest[0] not in ":/"):
            continue
        port, slash, path = rest.removeprefix(":").partition("/") if rest.startswith(":") else ("", "", "")
        if not rest.startswith(":"):
            return uri
        if port.isascii() and port.isdigit() and int(port) < 65536:
            # The browser adds the slash of an empty path; both mean the same place.
            return origin + (slash + path if path else "")
    return None
