"""What the sign-in flows have under way: authorization codes, device codes, refresh tokens.

Each is used once. A code that is shown again, and a refresh token that is shown again after its successor was given
out, end everything that came of that sign-in (its family): one of the two who have it is a thief.
"""

import secrets as random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, text

from deskwright.identity.passwords import digest, new_code
from deskwright.store.database import Database

CODE_LIFE = timedelta(minutes=5)
DEVICE_CODE_LIFE = timedelta(minutes=15)
REFRESH_LIFE = timedelta(days=90)
POLL_SECONDS = 5
MOST_DEVICES = 10_000
"""Device codes that count at a time: anybody may ask for one."""
SAME_MOMENT = timedelta(seconds=10)
"""Two processes that share a token cache may both send the same refresh token; that is no theft."""
_USER_CODE = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628, section 6.1: no vowels, so no words
_FORGET = timedelta(days=1)


@dataclass(frozen=True)
class Code:
    """What an authorization code stands for."""

    tenant_id: UUID
    app_id: UUID
    user_id: UUID
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str | None
    code_challenge_method: str | None
    family: UUID


@dataclass(frozen=True)
class DeviceCode:
    """A device that waits for somebody to sign in."""

    hash: str
    user_code: str
    tenant_id: UUID | None
    app_id: UUID
    scope: str
    user_id: UUID | None
    declined: bool
    expired: bool
    hurried: bool
    """It asked again too soon."""


@dataclass(frozen=True)
class Refresh:
    tenant_id: UUID
    app_id: UUID
    user_id: UUID
    scope: str
    family: UUID


def keep_code(database: Database, code: Code) -> str:
    """Store an authorization code; returns what the client gets."""
    made = new_code()
    query = text(
        """
        INSERT INTO authorization_codes (hash, tenant_id, app_id, user_id, redirect_uri, scope, nonce, code_challenge,
                                         code_challenge_method, family, expires_at)
        VALUES (:hash, :tenant_id, :app_id, :user_id, :redirect_uri, :scope, :nonce, :code_challenge,
                :code_challenge_method, :family, now() + :life)
        """
    )
    with database.begin() as connection:
        _forget(connection, "authorization_codes")
        connection.execute(query, {**vars(code), "hash": digest(made), "life": CODE_LIFE})
    return made


def use_code(database: Database, code: str, app: UUID) -> Code | None:
    """Take an authorization code, once; None where there is none (left). A second use ends its family."""
    of = {"hash": digest(code), "app": app}
    take = "UPDATE authorization_codes SET used_at = now() WHERE hash = :hash AND app_id = :app AND used_at IS NULL"
    with database.begin() as connection:
        row = connection.execute(text(f"{take} AND expires_at > now() RETURNING *"), of).one_or_none()
        if row is not None:
            return Code(**{name: row._mapping[name] for name in Code.__dataclass_fields__})
        used = "SELECT family FROM authorization_codes WHERE hash = :hash AND used_at IS NOT NULL"
        family = connection.execute(text(used), of).scalar_one_or_none()
        if family is not None:
            _revoke(connection, family)
    return None


def keep_device_code(database: Database, tenant: UUID | None, app: UUID, scope: str) -> tuple[str, str] | None:
    """Begin a device's sign-in; returns (device code, user code), None where `MOST_DEVICES` wait already."""
    made = new_code()
    query = text(
        """
        INSERT INTO device_codes (hash, user_code, tenant_id, app_id, scope, expires_at)
        VALUES (:hash, :user_code, :tenant, :app, :scope, now() + :life) ON CONFLICT (user_code) DO NOTHING
        """
    )
    counted = text("SELECT count(*) FROM (SELECT FROM device_codes WHERE expires_at > now() LIMIT :most) waiting")
    of = {"hash": digest(made), "tenant": tenant, "app": app, "scope": scope, "life": DEVICE_CODE_LIFE}
    with database.begin() as connection:
        _forget(connection, "device_codes")
        if connection.execute(counted, {"most": MOST_DEVICES}).scalar_one() >= MOST_DEVICES:
            return None
        while True:
            user_code = "".join(random.choice(_USER_CODE) for _ in range(9))
            if connection.execute(query, {**of, "user_code": user_code}).rowcount:
                return made, user_code


def poll_device_code(database: Database, code: str) -> DeviceCode | None:
    """Look at a device code, as its device does every few seconds; None where there is none (left)."""
    query = text(
        """
        WITH before AS (SELECT hash, polled_at FROM device_codes WHERE hash = :hash AND used_at IS NULL FOR UPDATE)
        UPDATE device_codes d SET polled_at = now() FROM before b WHERE d.hash = b.hash
        RETURNING d.*, d.expires_at <= now() AS expired,
                  COALESCE(b.polled_at > now() - make_interval(secs => :soon), false) AS hurried
        """
    )
    with database.begin() as connection:
        row = connection.execute(query, {"hash": digest(code), "soon": POLL_SECONDS - 1.0}).one_or_none()
    return _device(row) if row is not None else None


def use_device_code(database: Database, waiting: DeviceCode) -> bool:
    """Take an approved device code, once."""
    query = text("UPDATE device_codes SET used_at = now() WHERE hash = :hash AND used_at IS NULL")
    with database.begin() as connection:
        return bool(connection.execute(query, {"hash": waiting.hash}).rowcount)


def find_user_code(database: Database, user_code: str) -> DeviceCode | None:
    """The device that waits under this code, as a person typed it."""
    plain = "".join(c for c in user_code.upper() if c.isalnum())
    query = text(
        """
        SELECT *, false AS expired, false AS hurried FROM device_codes
         WHERE user_code = :code AND expires_at > now() AND used_at IS NULL AND user_id IS NULL AND NOT declined
        """
    )
    with database.single.connect() as connection:
        row = connection.execute(query, {"code": plain[:16]}).one_or_none()
    return _device(row) if row is not None else None


def decide_device_code(database: Database, waiting: DeviceCode, tenant: UUID | None, user: UUID | None) -> bool:
    """Approve it as `user` of `tenant`, or decline it (both None); False where it was decided or expired meanwhile."""
    query = text(
        """
        UPDATE device_codes SET user_id = :user, tenant_id = COALESCE(:tenant, tenant_id), declined = :declined
         WHERE hash = :hash AND user_id IS NULL AND NOT declined AND used_at IS NULL AND expires_at > now()
        """
    )
    of = {"hash": waiting.hash, "user": user, "tenant": tenant, "declined": user is None}
    with database.begin() as connection:
        return bool(connection.execute(query, of).rowcount)


def keep_refresh(database: Database, token: Refresh) -> str:
    """Store a refresh token; returns what the client gets. One of an ended family is stored as ended."""
    made = new_code()
    query = text(
        """
        INSERT INTO refresh_tokens (hash, tenant_id, family, app_id, user_id, scope, expires_at, revoked_at)
        SELECT :hash, :tenant_id, :family, :app_id, :user_id, :scope, now() + :life,
               (SELECT min(revoked_at) FROM refresh_tokens WHERE family = :family)
        """
    )
    with database.begin() as connection:
        _forget(connection, "refresh_tokens")
        connection.execute(query, {**vars(token), "hash": digest(made), "life": REFRESH_LIFE})
    return made


def find_refresh(database: Database, token: str) -> Refresh | None:
    """What a refresh token stands for; None where it does not count. Shown again after its use, it ends its family."""
    query = text(
        "SELECT *, COALESCE(used_at < now() - :moment, false) AS again FROM refresh_tokens "
        "WHERE hash = :hash AND expires_at > now()"
    )
    with database.begin() as connection:
        row = connection.execute(query, {"hash": digest(token), "moment": SAME_MOMENT}).one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        if row.again:
            _revoke(connection, row.family)
            return None
        return Refresh(row.tenant_id, row.app_id, row.user_id, row.scope, row.family)


def use_refresh(database: Database, token: str) -> bool:
    """Take a refresh token; False where its family was ended meanwhile."""
    query = text(
        "UPDATE refresh_tokens SET used_at = COALESCE(used_at, now()) WHERE hash = :hash AND revoked_at IS NULL"
    )
    with database.begin() as connection:
        return bool(connection.execute(query, {"hash": digest(token)}).rowcount)


def end_codes(connection: Connection, user: UUID) -> None:
    """Codes of a person that were not redeemed yet, and approvals that no device has fetched, count no more."""
    for table in ("authorization_codes", "device_codes"):
        end = f"UPDATE {table} SET used_at = now() WHERE user_id = :user AND used_at IS NULL AND expires_at > now()"
        connection.execute(text(end), {"user": user})


def new_family() -> UUID:
    return uuid4()


def _revoke(connection: Any, family: UUID) -> None:
    query = "UPDATE refresh_tokens SET revoked_at = now() WHERE family = :family AND revoked_at IS NULL"
    connection.execute(text(query), {"family": family})


def _device(row: "Row[Any]") -> DeviceCode:
    return DeviceCode(**{name: row._mapping[name] for name in DeviceCode.__dataclass_fields__})


def _forget(connection: Any, table: str) -> None:
    """Rows that expired long ago go when a new one comes; by index, a bounded number at a time."""
    old = f"SELECT hash FROM {table} WHERE expires_at < now() - :age ORDER BY expires_at LIMIT 100"
    connection.execute(text(f"DELETE FROM {table} WHERE hash IN ({old} FOR UPDATE SKIP LOCKED)"), {"age": _FORGET})
