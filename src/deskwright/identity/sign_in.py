"""People sign in with user name and password: found, compared, counted, and locked out for a while after many errors.

The password is kept here, or in the Active Directory domain that the person was synchronised from, where that domain
is to be asked (`ldap_sign_in`). Unknown user, no password set, wrong password and locked account get the same answer,
after the same work. All times are real time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import Refused
from deskwright.identity import flows, ldap_sign_in
from deskwright.identity.failures import LOCKED_MINUTES, Failure
from deskwright.identity.ldap_sign_in import Bound
from deskwright.identity.passwords import check_password, digest, hash_password, password_matches
from deskwright.identity.tokens import Person
from deskwright.store import audit
from deskwright.store.database import Database

ATTEMPTS = 10

_MOST = 5

_BY_NAME = """
    SELECT u.id, u.tenant_id, t.name AS tenant, u.user_principal_name, u.display_name, u.account_enabled,
           CASE WHEN d.id IS NULL THEN c.password_hash END AS password_hash,
           d.id IS NULL AND c.must_change AS must_change, COALESCE(c.locked_until > now(), false) AS locked,
           d.id AS domain_id, d.name AS domain, o.source_id,
           COALESCE(u.on_premises_user_principal_name, u.user_principal_name) AS bind_name
      FROM tenants t JOIN users u ON u.tenant_id = t.id AND u.deleted_at IS NULL
      LEFT JOIN user_credentials c ON c.user_id = u.id
      LEFT JOIN domains d ON d.id = u.domain_id AND d.tenant_id = t.id AND d.sign_in = 'ldap'
      LEFT JOIN domain_objects o ON o.object_id = u.id AND o.domain_id = d.id
"""
# A name may exist in several tenants: the one whose domain it is counts alone, and else the password tells which.
# Otherwise who administers one tenant could keep people of another out, by giving their names to people of their own.
_ANYWHERE = text(
    f"{_BY_NAME} WHERE lower(u.user_principal_name) = lower(:upn) "
    f"ORDER BY lower(t.name) = split_part(lower(:upn), '@', 2) DESC, u.created_at, u.id LIMIT {_MOST}"
)
_IN_TENANT = text(f"{_BY_NAME} WHERE t.id = :tenant AND lower(u.user_principal_name) = lower(:upn)")
_BY_ID = text(f"{_BY_NAME} WHERE t.id = :tenant AND u.id = :user")
_FAILED = text(
    """
    UPDATE user_credentials
       SET failed_attempts = CASE WHEN failed_attempts + 1 >= :most THEN 0 ELSE failed_attempts + 1 END,
           locked_until = CASE WHEN failed_attempts + 1 >= :most THEN now() + make_interval(mins => :minutes)
                               ELSE locked_until END
     WHERE user_id = :user RETURNING failed_attempts = 0 AS locked
    """
)


@dataclass(frozen=True)
class SignedIn:
    tenant_id: UUID
    tenant_name: str
    person: Person
    must_change: bool
    """A one-time password: nothing is to be given out before it is replaced."""
    proof: str = ""
    """Which password it was, without saying it: changes when the password does."""
    domain: str = ""
    """The Active Directory domain that keeps the password; empty: it is kept here, if there is one."""


def sign_in(database: Database, tenant: UUID | None, user_principal_name: str, password: str) -> "SignedIn | Failure":
    """Compare a password. `tenant` None: whichever tenant the name is of."""
    name = user_principal_name.strip()
    with database.single.connect() as connection:
        rows = _find(connection, tenant, name)
    # Compared in every case: the time it takes must not tell who exists.
    kept = [None if r.locked else r.password_hash for r in rows] or [None]
    right = next((n for n, hashed in enumerate(kept) if password_matches(hashed, password)), None)
    if right is None:
        for wrong in rows:
            if not wrong.locked and wrong.password_hash is not None:
                _count(database, wrong)
        asked = _ask_domain(database, tenant, name, rows, password)
        if isinstance(asked, Failure):
            return asked
        return Failure.DISABLED if not asked.account_enabled else _signed_in(asked)
    row = rows[right]
    if not row.account_enabled:
        return Failure.DISABLED
    with database.begin() as connection:
        clear = "UPDATE user_credentials SET failed_attempts = 0, locked_until = NULL WHERE user_id = :user"
        connection.execute(text(f"{clear} AND (failed_attempts > 0 OR locked_until IS NOT NULL)"), {"user": row.id})
    return _signed_in(row)


def _ask_domain(
    database: Database, tenant: UUID | None, name: str, rows: "Sequence[Row[tuple[object, ...]]]", password: str
) -> "Row[tuple[object, ...]] | Failure":
    """Whoever of `rows` the domain knows by this password.

    Only where the name can mean one person: a password is never shown to the domain of a tenant that has given
    somebody else's name to a person of its own. Every other name of the domain's people costs it a question too.
    """
    if len(rows) == 1 and rows[0].domain_id is not None:
        row = rows[0]
        bound = Bound(row.id, row.tenant_id, row.user_principal_name, row.bind_name, row.domain_id, row.source_id)
        return ldap_sign_in.check(database, bound, password) or row
    with database.single.connect() as connection:
        domain = ldap_sign_in.domain_of(connection, tenant, name)
    return Failure.WRONG if domain is None else ldap_sign_in.ask_as_nobody(database, domain)


def find(connection: Connection, tenant: UUID, user: UUID) -> SignedIn | None:
    """The person, if they exist and are enabled (E1: a disabled one does not sign in)."""
    row = connection.execute(_BY_ID, {"tenant": tenant, "user": user}).one_or_none()
    return _signed_in(row) if row is not None and row.account_enabled else None


def change_own_password(database: Database, who: SignedIn, new: str) -> bool:
    """Replace one's own password; False where it was changed since `who` signed in. Raises Refused by a rule.

    What was signed in with the old one is signed out.
    """
    check_password(new, who.person.user_principal_name)
    with database.begin() as connection:
        kept = connection.execute(
            text("SELECT password_hash FROM user_credentials WHERE user_id = :user FOR UPDATE"), {"user": who.person.id}
        ).scalar_one_or_none()
        if kept is None or digest(kept) != who.proof:
            return False
        if password_matches(kept, new):
            raise Refused("password", None, "must be another one than before")
        set_password(connection, who.tenant_id, who.person.id, new, must_change=False)
        changed = audit.event(who.person.id, who.person.user_principal_name, None, {"password": "changed"})
        audit.write(connection, who.tenant_id, who.person.user_principal_name, "Change own password", "user", [changed])
    return True


def set_password(connection: Connection, tenant: UUID, user: UUID, password: str, *, must_change: bool) -> None:
    """Store a password's hash, lift a lock, and end what was signed in with the old one.

    Raises Refused where the person signs in with the password of a domain.
    """
    refuse_kept_elsewhere(connection, user)
    query = text(
        """
        INSERT INTO user_credentials (user_id, tenant_id, password_hash, must_change, changed_at)
        VALUES (:user, :tenant, :hash, :must_change, now())
        ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, must_change = excluded.must_change,
            changed_at = excluded.changed_at, failed_attempts = 0, locked_until = NULL
        """
    )
    hashed = hash_password(password)
    connection.execute(query, {"user": user, "tenant": tenant, "hash": hashed, "must_change": must_change})
    revoke = "UPDATE refresh_tokens SET revoked_at = now() WHERE user_id = :user AND revoked_at IS NULL"
    connection.execute(text(revoke), {"user": user})
    connection.execute(text("DELETE FROM web_sessions WHERE user_id = :user"), {"user": user})
    connection.execute(text("DELETE FROM sign_in_links WHERE user_id = :user AND used_at IS NULL"), {"user": user})
    flows.end_codes(connection, user)


def refuse_kept_elsewhere(connection: Connection, user: UUID) -> None:
    """Refused where the person's password is kept in an Active Directory domain, and nowhere else."""
    query = text(
        "SELECT d.name FROM users u JOIN domains d ON d.id = u.domain_id AND d.tenant_id = u.tenant_id "
        "WHERE u.id = :user AND d.sign_in = 'ldap'"
    )
    domain = connection.execute(query, {"user": user}).scalar_one_or_none()
    if domain is not None:
        raise Refused("password", None, f"is kept in {domain}", code="notAllowed", remedy="Set or change it there")


def _count(database: Database, row: "Row[tuple[object, ...]]") -> None:
    """One more error; after so many the account is locked for a while."""
    with database.begin() as connection:
        failed = connection.execute(
            _FAILED, {"user": row.id, "most": ATTEMPTS, "minutes": LOCKED_MINUTES}
        ).one_or_none()
        if failed is not None and failed.locked:
            after = {"lockedForMinutes": LOCKED_MINUTES}
            locked = audit.event(row.id, row.user_principal_name, None, after)
            audit.write(connection, row.tenant_id, "deskwright", "Lock sign-in", "user", [locked])


def _find(connection: Connection, tenant: UUID | None, upn: str) -> "Sequence[Row[tuple[object, ...]]]":
    """Whom the name may mean; nearly always one person, or nobody."""
    if tenant is not None:
        return connection.execute(_IN_TENANT, {"tenant": tenant, "upn": upn}).all()
    rows = connection.execute(_ANYWHERE, {"upn": upn}).all()
    own = bool(rows) and rows[0].tenant.lower() == upn.rpartition("@")[2].lower()
    return rows[:1] if own else rows


def _signed_in(row: "Row[tuple[object, ...]]") -> SignedIn:
    person = Person(row.id, row.user_principal_name, row.display_name)
    proof = digest(row.password_hash or "")
    return SignedIn(row.tenant_id, row.tenant, person, bool(row.must_change), proof, row.domain or "")
