"""What pages show about people: lists with what they have, and everything that decides about one of them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.operations import named
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.operations.users import DELETED, USER
from deskwright.reconcile import facts

_HELD = text(
    """
    SELECT wanted AS id,
           (SELECT count(*) FROM cloud_pcs c WHERE c.user_id = wanted AND c.status <> 'gone') AS cloud_pcs,
           (SELECT count(DISTINCT held.plan_id) FROM (
              SELECT plan_id FROM license_users WHERE user_id = wanted
              UNION ALL SELECT l.plan_id FROM memberships m JOIN license_groups l ON l.group_id = m.group_id
               WHERE m.user_id = wanted) held) AS licences
      FROM unnest(CAST(:users AS uuid[])) AS wanted
    """
)
_GROUPS = text(
    """
    SELECT g.id, g.display_name,
           ARRAY(SELECT p.display_name FROM policy_assignments a JOIN policies p ON p.id = a.policy_id
                  WHERE a.group_id = g.id ORDER BY a.number) AS policies,
           ARRAY(SELECT p.display_name FROM license_groups l JOIN service_plans p ON p.id = l.plan_id
                  WHERE l.group_id = g.id ORDER BY p.display_name) AS plans,
           ARRAY(SELECT s.display_name FROM user_setting_assignments a JOIN user_settings s ON s.id = a.setting_id
                  WHERE a.group_id = g.id ORDER BY s.number DESC) AS settings
      FROM memberships m JOIN groups g ON g.id = m.group_id
     WHERE m.tenant_id = :tenant AND m.user_id = :user ORDER BY lower(g.display_name)
    """
)
_ACCOUNT = text(
    """
    SELECT c.password_hash IS NOT NULL AS password,
           (SELECT d.name FROM domains d WHERE d.id = u.domain_id AND d.tenant_id = u.tenant_id AND d.sign_in = 'ldap')
             AS domain,
           COALESCE(c.must_change, false) AS must_change,
           CASE WHEN c.locked_until > now() THEN c.locked_until END AS locked_until,
           (SELECT max(expires_at) FROM sign_in_links l
             WHERE l.user_id = u.id AND l.used_at IS NULL AND l.expires_at > now()) AS link_until,
           ARRAY(SELECT DISTINCT role FROM held_roles r WHERE r.user_id = u.id AND r.tenant_id = :tenant
                  ORDER BY role) AS roles
      FROM users u LEFT JOIN user_credentials c ON c.user_id = u.id WHERE u.id = :user AND u.tenant_id = :tenant
    """
)
# On conflict the most recently created wins (the opposite of policies).
_SETTINGS = text(
    """
    SELECT s.id, s.display_name, s.local_admin_enabled, s.reset_enabled, s.restore_enabled,
           array_agg(g.display_name ORDER BY lower(g.display_name)) AS groups
      FROM memberships m JOIN user_setting_assignments a ON a.group_id = m.group_id
      JOIN user_settings s ON s.id = a.setting_id JOIN groups g ON g.id = m.group_id
     WHERE m.tenant_id = :tenant AND m.user_id = :user
     GROUP BY s.id, s.display_name, s.local_admin_enabled, s.reset_enabled, s.restore_enabled, s.number
     ORDER BY s.number DESC
    """
)


def people(
    connection: Connection, tenant: TenantRef, wanted: str, after: str | None, limit: int, *, deleted: bool = False
) -> list[Item]:
    """People whose names contain `wanted`, with `cloudPCs` and `licenses` as numbers; `deleted`: those instead."""
    noun = DELETED if deleted else USER
    rows = named.page(connection, tenant, noun, after, limit, *named.matching(noun, wanted))
    held = {row.id: row for row in connection.execute(_HELD, {"users": [row.id for row in rows]})}
    return [
        {**noun.present(row), "cloudPCs": held[row.id].cloud_pcs, "licenses": held[row.id].licences} for row in rows
    ]


def about(connection: Connection, tenant: TenantRef, user: UUID) -> Item:
    """What decides about a person, deleted or not: `groups` with what each brings, `policies` that reach them (first
    assigned first, E4), `userSettings` (the first one wins), `account`: how they sign in (`passwordDomain`: with that
    domain's password), and their `roles`."""
    of = {"tenant": tenant.id, "user": user}
    known = facts.load(connection, tenant.id, [user])
    reaching = sorted(known[user].candidates, key=lambda c: c.number) if user in known else []
    account = connection.execute(_ACCOUNT, of).one_or_none()
    return {
        "groups": [_group(row._mapping) for row in connection.execute(_GROUPS, of)],
        "policies": [
            {
                "id": str(c.policy_id),
                "displayName": c.policy_name,
                "groupName": c.group_name,
                "assignmentNumber": c.number,
            }
            for c in reaching
        ],
        "userSettings": [_setting(row._mapping) for row in connection.execute(_SETTINGS, of)],
        "account": {
            "passwordSet": bool(account and account.password),
            "passwordDomain": account.domain if account else None,
            "forceChangePasswordNextSignIn": bool(account and account.must_change),
            "lockedUntilDateTime": account.locked_until if account else None,
            "linkExpiresDateTime": account.link_until if account else None,
        },
        "roles": list(account.roles) if account else [],
    }


def _group(row: Mapping[Any, Any]) -> Item:
    return {
        "id": str(row["id"]),
        "displayName": row["display_name"],
        "provisioningPolicies": row["policies"],
        "servicePlans": row["plans"],
        "userSettings": row["settings"],
    }


def _setting(row: Mapping[Any, Any]) -> Item:
    return {
        "id": str(row["id"]),
        "displayName": row["display_name"],
        "localAdminEnabled": row["local_admin_enabled"],
        "resetEnabled": row["reset_enabled"],
        "userRestoreEnabled": row["restore_enabled"],
        "groups": row["groups"],
    }
