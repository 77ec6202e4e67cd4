"""The installation's signing keys: RSA, made at the first need, stored encrypted, published as a JWK set.

A retired key signs no more, and what it signed stays valid until it has expired. Processes keep the keys for a
minute, so a new one is known everywhere before that: an unknown key id makes them look again.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey
from sqlalchemy import text

from deskwright.store.database import Database
from deskwright.store.secrets import Secrets

TOKEN_LIFE = timedelta(hours=1)
_BITS = 2048
_KEPT_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 1.0
_LOCK = 7_311_905_323

# Those that sign, and those whose tokens may still be valid.
_READ = text(
    """
    SELECT id, private_key, retired_at FROM signing_keys
     WHERE retired_at IS NULL OR retired_at > now() - CAST(:life AS interval)
     ORDER BY retired_at IS NULL DESC, created_at DESC, id
    """
)


@dataclass(frozen=True)
class SigningKey:
    id: UUID
    key: RSAKey
    retired_at: datetime | None


@dataclass
class KeyRing:
    """The keys as this process knows them."""

    database: Database
    secrets: Secrets
    _keys: dict[str, SigningKey] = field(default_factory=dict)
    _read_at: float = -_KEPT_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> SigningKey:
        """The key to sign with; makes the first one."""
        for key in self._known().values():
            if key.retired_at is None:
                return key
        _make(self.database, self.secrets, only_first=True)
        self._read()
        return next(k for k in self._keys.values() if k.retired_at is None)

    def find(self, kid: str) -> RSAKey | None:
        """The key with that id, None where this installation has no such one (any more)."""
        known = self._known()
        if kid not in known and time.monotonic() - self._read_at > _LOOK_AGAIN_SECONDS:
            self._read()  # at most once a second: made-up ids must not cost a query each
            known = self._keys
        found = known.get(kid)
        return found.key if found else None

    def public(self) -> dict[str, Any]:
        """The JWK set that clients verify with; never a private part."""
        self.current()
        return {
            "keys": [
                {**k.key.as_dict(private=False), "kid": str(k.id), "use": "sig", "alg": "RS256"}
                for k in self._known().values()
            ]
        }

    def _known(self) -> dict[str, SigningKey]:
        if time.monotonic() - self._read_at > _KEPT_SECONDS:
            self._read()
        return self._keys

    def _read(self) -> None:
        with self._lock:
            with self.database.single.connect() as connection:
                rows = connection.execute(_READ, {"life": TOKEN_LIFE * 2}).all()
            kept = self._keys
            self._keys = {
                str(row.id): SigningKey(row.id, _loaded(kept, row.id, row.private_key, self.secrets), row.retired_at)
                for row in rows
            }
            self._read_at = time.monotonic()


def rotate(database: Database, secrets: Secrets) -> UUID:
    """Make a new key to sign with and retire those before it. Other processes sign with it within a minute."""
    return _make(database, secrets, only_first=False)


def _loaded(kept: dict[str, SigningKey], key_id: UUID, encrypted: bytes, secrets: Secrets) -> RSAKey:
    known = kept.get(str(key_id))
    return known.key if known else RSAKey.import_key(secrets.decrypt(encrypted))


def _make(database: Database, secrets: Secrets, *, only_first: bool) -> UUID:
    made = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        there = connection.execute(text("SELECT id FROM signing_keys WHERE retired_at IS NULL")).scalars().first()
        if there is not None and only_first:
            return UUID(str(there))
        connection.execute(
            text("UPDATE signing_keys SET retired_at = :now WHERE retired_at IS NULL"), {"now": datetime.now(UTC)}
        )
        new = text("INSERT INTO signing_keys (private_key) VALUES (:key) RETURNING id")
        return UUID(str(connection.execute(new, {"key": secrets.encrypt(pem)}).scalar_one()))
