"""What this provider remembers: which computer accounts it made, how far each is, and by whose account.

A row is written before its account is made: so none is ever made that nobody knows of.
"""

import base64
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from deskwright.active_directory.accounts import Computer
from deskwright.active_directory.client import Account, Opened
from deskwright.active_directory.discovery import Controller, Domain
from deskwright.providers.contract import DomainJoin, ProviderError
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.domains import where_is
from deskwright.store.secrets import Secrets
from deskwright.store.statements import Row, ask, ask_one, statement

_OWN = "tenant_id = :tenant AND site_id = :site"
_BEGIN = statement(
    """
    INSERT INTO activedirectory.computer_accounts (key, tenant_id, site_id, connection_id, domain, name)
    VALUES (:key, :tenant, :site, :connection, :domain, :name) ON CONFLICT (key) DO NOTHING
    """
)
_FIND = statement(f"SELECT * FROM activedirectory.computer_accounts WHERE {_OWN} AND key = :key")
# Before the account gets another password: if nobody comes back to say that it did, the one after that is a new one.
_TURN = statement(
    f"""
    UPDATE activedirectory.computer_accounts SET turn = turn + 1, preset_at = NULL, joined_at = NULL
     WHERE {_OWN} AND key = :key RETURNING *
    """
)
_PRESET = statement(
    f"""
    UPDATE activedirectory.computer_accounts SET preset_at = now(), released_at = NULL, source_id = :source,
           distinguished_name = :distinguished_name, controller = :controller
     WHERE {_OWN} AND key = :key RETURNING *
    """
)
_JOINED = statement(
    f"UPDATE activedirectory.computer_accounts SET joined_at = now() WHERE {_OWN} AND key = :key RETURNING *"
)
_RELEASED = statement(f"UPDATE activedirectory.computer_accounts SET released_at = now() WHERE {_OWN} AND key = :key")
_FORGET = statement(f"DELETE FROM activedirectory.computer_accounts WHERE {_OWN} AND key = :key AND source_id IS NULL")
_HELD = statement(
    f"SELECT * FROM activedirectory.computer_accounts WHERE {_OWN} AND released_at IS NULL ORDER BY made_at"
)
_CONNECTION = statement(
    """
    SELECT id, display_name, network, ad_domain_name, organizational_unit, ad_domain_username, ad_domain_password
      FROM connections WHERE tenant_id = :tenant AND id = :connection
    """
)
_CONNECTIONS = statement(
    """
    SELECT id, display_name, network, ad_domain_name, organizational_unit, ad_domain_username, ad_domain_password
      FROM connections WHERE tenant_id = :tenant AND site_id = :site AND connection_type = 'hybridAzureADJoin'
       AND ad_domain_password IS NOT NULL ORDER BY created_at
    """
)
_SYNCHRONISED = statement(
    """
    SELECT tenant_now(:tenant) AS now, d.id AS domain, d.synced_at, d.sync_enabled, o.source_id IS NOT NULL AS seen
      FROM (SELECT 1) one LEFT JOIN domains d ON d.tenant_id = :tenant AND lower(d.name) = lower(:domain)
      LEFT JOIN domain_objects o ON o.domain_id = d.id AND o.source_id = :source AND o.kind = 'computer'
    """
)
# One that is switched off, or waits for somebody's word, stays as it is.
_SYNCHRONISE_SOON = statement(
    """
    UPDATE domains SET next_sync_at = tenant_now(tenant_id)
     WHERE tenant_id = :tenant AND lower(name) = lower(:domain) AND sync_enabled
       AND next_sync_at > tenant_now(tenant_id)
    """
)
_NOW = statement("SELECT tenant_now(:tenant) AS at")
_TRY_ALONE = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
_NO_LONGER_ALONE = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")


@dataclass(frozen=True)
class Joining:
    """A computer account as it is remembered."""

    key: str
    connection_id: UUID
    domain: str
    name: str
    turn: int
    source_id: UUID | None
    """Of the object in the directory, once it was seen there."""
    distinguished_name: str
    controller: Controller
    """Where it got its one-time password."""
    preset: bool
    """It has the one-time password of this turn."""
    joined: bool
    released: bool


@dataclass(frozen=True)
class JoinAccount:
    """A connection's own account in its domain."""

    connection: str
    """Its display name."""
    network: str
    domain: Domain
    organizational_unit: str
    account: Account


@dataclass(frozen=True)
class Synchronised:
    """What the synchronisation of a domain says of a computer."""

    now: datetime
    """The tenant's time."""
    seen: bool
    known: bool
    """Whether the tenant has described the domain."""
    enabled: bool
    last: datetime | None


class AccountRecords:
    """One site's rows."""

    def __init__(self, database: Database, site: Site) -> None:
        self._database = database
        self._own = {"tenant": site.tenant_id, "site": site.id}

    def now(self) -> datetime:
        """The tenant's time."""
        (row,) = ask(self._database.single, _NOW, self._own)
        at: datetime = row.at
        return at

    @contextmanager
    def alone(self, key: str) -> Iterator[bool]:
        """Whether nobody else works on this account now. It ends with the process at the latest."""
        values = {"key": f"activedirectory:{key}"}
        with self._database.single.connect() as connection:
            mine = bool(connection.execute(_TRY_ALONE, values).scalar_one())
            try:
                yield mine
            finally:
                if mine:
                    connection.execute(_NO_LONGER_ALONE, values)

    def find(self, key: str) -> Joining | None:
        row = ask_one(self._database.single, _FIND, {**self._own, "key": key})
        return _joining(row) if row else None

    def begin(self, key: str, name: str, domain: DomainJoin) -> Joining:
        """The row of this key, new or as it is, in its next turn: its account has no password of that turn yet."""
        values = {**self._own, "key": key, "name": name, "domain": domain.domain, "connection": domain.connection_id}
        ask(self._database.single, _BEGIN, values)
        return self._changed(_TURN, key)

    def preset(self, key: str, computer: Computer, opened: Opened) -> Joining:
        """Its account is there, with the turn's password."""
        at = opened.controller
        values = {"source": computer.id, "distinguished_name": computer.distinguished_name}
        return self._changed(_PRESET, key, **values, controller=f"{at.host}={at.address}")

    def never_made(self, key: str) -> None:
        """The directory refused to make it: there is nothing to release."""
        ask(self._database.single, _FORGET, {**self._own, "key": key})

    def joined(self, key: str) -> Joining:
        return self._changed(_JOINED, key)

    def released(self, key: str) -> None:
        ask(self._database.single, _RELEASED, {**self._own, "key": key})

    def held(self) -> list[Joining]:
        """Those that were not released."""
        return [_joining(row) for row in ask(self._database.single, _HELD, self._own)]

    def one_time_password(self, joining: Joining) -> str:
        """That of its turn: the same whoever asks, and kept nowhere."""
        key = self._secrets().derive("one-time passwords of computer accounts")[0]
        made = hmac.digest(key, f"{joining.key}:{joining.turn}".encode(), "sha256")
        return f"{base64.urlsafe_b64encode(made[:24]).decode()}.aA1"

    def domain(self, name: str) -> Domain:
        return where_is(self._database.single, self._own["tenant"], name)

    def join_account(self, connection_id: UUID) -> JoinAccount | None:
        row = ask_one(self._database.single, _CONNECTION, {**self._own, "connection": connection_id})
        return self._account(row) if row and row.ad_domain_password else None

    def join_accounts(self) -> Iterator[JoinAccount]:
        """Of every connection of the site that computers join by."""
        for row in ask(self._database.single, _CONNECTIONS, self._own):
            yield self._account(row)

    def network(self, connection_id: UUID) -> str:
        row = ask_one(self._database.single, _CONNECTION, {**self._own, "connection": connection_id})
        return str(row.network) if row else ""

    def synchronised(self, joining: Joining) -> Synchronised:
        values = {**self._own, "domain": joining.domain, "source": joining.source_id}
        (row,) = ask(self._database.single, _SYNCHRONISED, values)
        return Synchronised(row.now, row.seen, row.domain is not None, bool(row.sync_enabled), row.synced_at)

    def synchronise_soon(self, domain: str) -> None:
        """What is synchronised from this domain has changed: there is no need to wait for the usual time."""
        ask(self._database.single, _SYNCHRONISE_SOON, {**self._own, "domain": domain})

    def _changed(self, change: str, key: str, **values: object) -> Joining:
        (row,) = ask(self._database.single, change, {**self._own, **values, "key": key})
        return _joining(row)

    def _account(self, row: Row) -> JoinAccount:
        return JoinAccount(
            connection=row.display_name,
            network=row.network,
            domain=self.domain(row.ad_domain_name),
            organizational_unit=row.organizational_unit or "",
            account=Account(row.ad_domain_username, self._secrets().decrypt(row.ad_domain_password)),
        )

    def _secrets(self) -> Secrets:
        if self._database.secrets is None:
            reason = "the installation's key file was not opened by this process"
            raise ProviderError("internalServerError", reason=reason)
        return self._database.secrets


def _joining(row: Row) -> Joining:
    host, _, address = row.controller.partition("=")
    return Joining(
        key=row.key,
        connection_id=row.connection_id,
        domain=row.domain,
        name=row.name,
        turn=row.turn,
        source_id=row.source_id,
        distinguished_name=row.distinguished_name,
        controller=Controller(host, address),
        preset=row.preset_at is not None,
        joined=row.joined_at is not None,
        released=row.released_at is not None,
    )
