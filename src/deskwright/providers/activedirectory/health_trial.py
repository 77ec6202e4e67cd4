"""The trial join of a connection, by its one account, which is remembered before it is made."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from deskwright.active_directory import trial
from deskwright.active_directory.client import Account
from deskwright.active_directory.discovery import Domain
from deskwright.providers.contract import Answer
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.statements import ask, statement

PREFIX = "CPC-HTH"
"""A computer's name has at most 15 characters (NetBIOS)."""
_BEGIN = statement(
    """
    INSERT INTO activedirectory.trial_accounts (connection_id, tenant_id, name, distinguished_name, state)
    VALUES (:connection, :tenant, :name, '', 'trying')
    ON CONFLICT (connection_id) DO UPDATE SET state = 'trying', tried_at = now()
    RETURNING name
    """
)
_END = statement(
    """
    UPDATE activedirectory.trial_accounts SET state = :state, distinguished_name = :dn, tried_at = now()
     WHERE connection_id = :connection RETURNING name
    """
)


def name_of(connection: UUID) -> str:
    """The same at every trial of a connection, another for every connection."""
    return f"{PREFIX}{connection.hex[-8:]}".upper()


def look(database: Database, site: Site, connection: Mapping[str, Any], domain: Domain, account: Account) -> Answer:
    """Raises DirectoryProblem."""
    own = connection["id"]
    [row] = ask(database.single, _BEGIN, {"connection": own, "tenant": site.tenant_id, "name": name_of(own)})
    unit = str(connection.get("organizational_unit") or "")
    joined = trial.join(domain, account, unit, row.name, mark=f"deskwright-trial:{own}")
    ask(database.single, _END, {"connection": own, "state": joined.left, "dn": joined.distinguished_name})
    detail = f"{joined.distinguished_name} joined at {joined.controller} by {account.name}"
    if joined.left == "deleted":
        return "passed", None, f"{detail}, and was deleted"
    why = f"{account.name} may not delete it and it stays there, disabled, for the next trial"
    return "passed", None, f"{detail}; {why} ({joined.why_left})"
