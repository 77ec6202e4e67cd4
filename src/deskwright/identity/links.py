"""One-time links: they lead a person to choosing their own password, once.

For the first administrator and for everybody who is invited. The link holds 256 random bits, the table their SHA-256.
Looking at a link does not use it up, for mail scanners follow links; only the password that is chosen does. All times
are real time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.identity import sign_in
from deskwright.identity.passwords import check_password, digest, new_code
from deskwright.identity.sign_in import SignedIn
from deskwright.store import audit
from deskwright.store.database import Database

LIFE = timedelta(hours=24)
PATH = "/sign-in/link/"
_LONGEST = 200
_FORGET = timedelta(days=1)

_PERSON = text("SELECT id FROM users WHERE id = :user AND tenant_id = :tenant FOR NO KEY UPDATE")
_END = text("DELETE FROM sign_in_links WHERE user_id = :user AND used_at IS NULL")
_OLD = text(
    "DELETE FROM sign_in_links WHERE hash IN (SELECT hash FROM sign_in_links WHERE expires_at < now() - :age "
    "ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)"
)
_KEEP = text(
    """
    INSERT INTO sign_in_links (hash, tenant_id, user_id, made_by, expires_at)
    VALUES (:hash, :tenant, :user, :made_by, now() + :life) RETURNING expires_at
    """
)
_OPEN = "SELECT tenant_id, user_id FROM sign_in_links WHERE hash = :hash AND used_at IS NULL AND expires_at > now()"
_LOOK = text(_OPEN)
_TAKE = text(f"{_OPEN} FOR UPDATE")
_USED = text("UPDATE sign_in_links SET used_at = now() WHERE hash = :hash")


@dataclass(frozen=True)
class Link:
    token: str
    """Shown now and never again."""
    expires_at: datetime

    def address(self, base: str) -> str:
        """`base` is where people reach the service, such as ``https://desktops.contoso.com``."""
        return f"{base.rstrip('/')}{PATH}{self.token}"


def make(connection: Connection, tenant: UUID, user: UUID, made_by: str, *, life: timedelta = LIFE) -> Link:
    """A link for a person. The links they have not used yet end: only the newest counts."""
    of = {"tenant": tenant, "user": user}
    connection.execute(_PERSON, of)  # two at once: the second waits here, and then ends the first one's
    connection.execute(_END, of)
    connection.execute(_OLD, {"age": _FORGET})
    token = new_code()
    kept = {**of, "hash": digest(token), "made_by": made_by, "life": life}
    return Link(token, connection.execute(_KEEP, kept).scalar_one())


def look(database: Database, token: str) -> SignedIn | None:
    """Whom the link is for; None where it does not count (any more), or its person may not sign in, or by a domain."""
    if not _may_be_one(token):
        return None
    with database.begin() as connection:
        row = connection.execute(_LOOK, {"hash": digest(token)}).one_or_none()
        who = None if row is None else sign_in.find(connection, row.tenant_id, row.user_id)
    return None if who is None or who.domain else who


def use(database: Database, token: str, password: str) -> SignedIn | None:
    """Set the password that the person chose, and use the link up; None as for `look`.

    Raises Refused where the password breaks a rule; the link still counts then.
    """
    who = look(database, token)
    if who is None:
        return None
    name = who.person.user_principal_name
    check_password(password, name)
    with database.begin() as connection:
        # Whoever makes a link holds the person's row first: in another order the two would wait for each other.
        connection.execute(_PERSON, {"tenant": who.tenant_id, "user": who.person.id})
        if connection.execute(_TAKE, {"hash": digest(token)}).one_or_none() is None:
            return None
        if sign_in.find(connection, who.tenant_id, who.person.id) is None:
            return None
        connection.execute(_USED, {"hash": digest(token)})
        sign_in.set_password(connection, who.tenant_id, who.person.id, password, must_change=False)
        changed = audit.event(who.person.id, name, None, {"password": "set"})
        audit.write(connection, who.tenant_id, name, "Choose password by link", "user", [changed])
        return sign_in.find(connection, who.tenant_id, who.person.id)


def _may_be_one(token: str) -> bool:
    return token.isascii() and 0 < len(token) <= _LONGEST
