"""Inviting people: a one-time link by which they choose their password; and a tenant's first administrator (R16)."""

import logging
import re
from typing import Any

from sqlalchemy import Connection, Row, text

from deskwright.domain.notices import invitation
from deskwright.domain.rules import Refused
from deskwright.identity import links, sign_in
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import mail, named, roles, users
from deskwright.operations.change import TenantRef, change
from deskwright.operations.mail import Mailer, NotSent
from deskwright.operations.named import Item
from deskwright.operations.users import USER
from deskwright.settings import Settings
from deskwright.store.audit import event
from deskwright.store.database import Database

log = logging.getLogger(__name__)

_SIGNED_IN = text(
    """
    SELECT EXISTS (
      SELECT 1 FROM users u LEFT JOIN user_credentials c ON c.user_id = u.id
        LEFT JOIN domains d ON d.id = u.domain_id AND d.tenant_id = u.tenant_id AND d.sign_in = 'ldap'
       WHERE u.deleted_at IS NULL AND u.account_enabled AND (c.password_hash IS NOT NULL OR d.id IS NOT NULL)
         AND u.id IN (SELECT user_id FROM held_roles WHERE tenant_id = :tenant AND role = :role))
    """
)


def invite(
    database: Database, tenant: TenantRef, actor: str, user: str, *, base: str, settings: Settings | None = None
) -> Item:
    """Make a one-time link for a person; the links they have not used yet end.

    Answers userPrincipalName, url, expiresDateTime and mailed. The url stands here and nowhere else. `base`: where
    people reach the service. With `settings`, and a mail server in them, the link is mailed; where that fails it is
    still there to be passed on.
    """
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, USER, user)
        if not row.account_enabled:
            remedy = f"deskwright user set {row.user_principal_name} --enabled"
            raise Refused("user", row.user_principal_name, "is disabled and may not sign in", remedy=remedy)
        sign_in.refuse_kept_elsewhere(opened.connection, row.id)
        link = links.make(opened.connection, tenant.id, row.id, actor)
        after = {"oneTimeLink": "made", "expiresDateTime": link.expires_at}
        opened.audit("Invite user", USER.kind, [event(row.id, row.user_principal_name, None, after)])
    url = link.address(base)
    return {
        "userPrincipalName": row.user_principal_name,
        "url": url,
        "expiresDateTime": link.expires_at,
        "mailed": settings is not None and _mail(settings, row, url, link),
    }


def first_administrator(
    database: Database,
    tenant: TenantRef,
    actor: str,
    user_principal_name: str | None = None,
    *,
    base: str,
    settings: Settings | None = None,
) -> Item | None:
    """Make sure that the tenant has an administrator, and invite them: what `invite` answers.

    Without a name it is admin@TENANT, and None where an administrator has a password already: then nothing is done.
    """
    with database.single.connect() as connection:
        if user_principal_name is None and _somebody_administers(connection, tenant):
            return None
        upn = (user_principal_name or f"admin@{_domain(tenant.name)}").strip()
        known = named.find(connection, tenant, USER, upn)
    if known is None:
        users.create(database, tenant, actor, user_principal_name=upn, display_name="Administrator")
    roles.assign(database, tenant, actor, ADMINISTRATOR, upn)
    return invite(database, tenant, actor, upn, base=base, settings=settings)


def _somebody_administers(connection: Connection, tenant: TenantRef) -> bool:
    return bool(connection.execute(_SIGNED_IN, {"tenant": tenant.id, "role": ADMINISTRATOR}).scalar_one())


def _domain(name: str) -> str:
    """A tenant's name as the part of a user name after the @."""
    return re.sub(r"[^\w.-]+", "-", name.strip().lower()).strip("-.") or "localhost"


def _mail(settings: Settings, row: "Row[Any]", url: str, link: links.Link) -> bool:
    try:
        server = mail.server(settings)
        if server is None:
            return False
        written = invitation(row.display_name, row.user_principal_name, url, link.expires_at)
        address = row.mail or row.user_principal_name
        with Mailer(server) as mailer:
            mailer.send(mail.compose(server.sender, row.display_name, address, written))
    except (NotSent, Refused) as failure:
        log.warning("the invitation of %s could not be mailed: %s", row.user_principal_name, failure)
        return False
    return True
