"""Writing a tenant as a document which, applied to an empty installation, makes it again: streaming, without secrets.

Assignments carry their numbers, so that the same policies win (E4); passwords are only said where to be found. What a
tenant is doing (Cloud PCs, health, audit) is no part of it, nor are the people and groups that come from a domain: they
come again by synchronisation.
"""

import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any, TextIO
from uuid import UUID

import yaml
from sqlalchemy import Connection, text

from deskwright.document.kinds import KINDS, RELATIONS, Kind
from deskwright.document.reader import plain_value
from deskwright.document.write_tenant import faults_of
from deskwright.domain.simulation import shown_speed
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database

_BATCH = 1000
_WIDTH = 10_000
_SAFE = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_@./+-]*( [A-Za-z0-9_@./+-]+)*")
# Order of the document: what is referred to comes first.
_SECTIONS = (
    "sites",
    "domains",
    "identityProviders",
    "users",
    "groups",
    "roleGroups",
    "servicePlans",
    "licenses",
    "onPremisesConnections",
    "deviceImages",
    "userSettings",
    "provisioningPolicies",
)
_HAS_PASSWORD = {
    "onPremisesConnections": "t.ad_domain_password IS NOT NULL",
    "domains": "true",
    "identityProviders": "t.client_secret IS NOT NULL",
}
_PASSWORD_OF = {"onPremisesConnections": "JOIN", "domains": "READER", "identityProviders": "CLIENT"}
_LISTS = {"groups": "members", "userSettings": "userSettingAssignments", "provisioningPolicies": "policyAssignments"}


def export(database: Database, tenant: TenantRef, out: TextIO) -> None:
    """Write the document of a tenant, as of one instant."""
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        out.write(f"# {tenant.name}, written by `deskwright export`. Passwords are read from the environment.\n")
        for key, value in _tenant(connection, tenant).items():
            out.write(f"{key}: {_flow(value)}\n")
        for section in _SECTIONS:
            empty = True
            for item in (
                _licenses(connection, tenant) if section == "licenses" else _items(connection, tenant, KINDS[section])
            ):
                if empty:
                    out.write(f"{section}:\n")
                    empty = False
                _write_item(out, item)
            if empty:
                out.write(f"{section}: []\n")


def one(database: Database, tenant: TenantRef, section: str, id_: UUID) -> str:
    """A single object as a document has it, such as a policy's lines under ``provisioningPolicies:``."""
    out = StringIO()
    out.write(f"{section}:\n")
    with database.engine.connect() as connection:
        for item in _items(connection, tenant, KINDS[section], id_):
            _write_item(out, item)
    return out.getvalue()


def _tenant(connection: Connection, tenant: TenantRef) -> dict[str, Any]:
    query = text("SELECT name, settings, speed, seed FROM tenants WHERE id = :id")
    row = connection.execute(query, {"id": tenant.id}).one()
    simulation: dict[str, Any] = {"speed": shown_speed(row.speed), "seed": row.seed}
    if faults := faults_of(connection, tenant):
        simulation["faults"] = faults
    settings = {"settings": row.settings} if row.settings else {}
    return {"tenant": row.name, **settings, "simulation": simulation}


def _items(connection: Connection, tenant: TenantRef, kind: Kind, only: UUID | None = None) -> Iterator[dict[str, Any]]:
    listed = f", ({_members(kind)}) AS listed" if kind.section in _LISTS else ", NULL AS listed"
    password = _HAS_PASSWORD.get(kind.section, "false")
    query = f"""SELECT {kind.document} AS document{listed}, {password} AS password FROM {kind.table} t
        WHERE t.tenant_id = :tenant AND {kind.live} {"AND t.id = :only" if only else f"AND {kind.own}"}
        ORDER BY {kind.order or kind.key}"""
    for row in _stream(connection, query, tenant, only=only):
        item = {k: v for k, v in row.document.items() if v is not None and v != ""}
        item = _in_order(kind, item)
        if kind.section == "userSettings":
            points = ("userRestoreEnabled", "frequencyInHours")
            item["restorePointSetting"] = {name: item.pop(name) for name in points}
        if row.password:
            name = item.get("displayName") or item["domainName"]
            item[kind.secret] = {"env": _variable(name, _PASSWORD_OF[kind.section])}
        if kind.section in _LISTS:
            item["members" if kind.section == "groups" else "assignments"] = row.listed or []
        yield item


def _members(kind: Kind) -> str:
    """SQL over ``t``: the list inside an object, as jsonb."""
    r = RELATIONS[_LISTS[kind.section]]
    name = r.target.name.replace("t.", "x.")
    shown = f"jsonb_build_object('group', {name}, 'number', e.number)" if r.name == "policyAssignments" else name
    order = "e.number" if r.name == "policyAssignments" else f"lower({name})"
    return f"""SELECT jsonb_agg({shown} ORDER BY {order}) FROM {r.table} e
        JOIN {r.target.table} x ON x.id = e.{r.target_column}
        WHERE e.{r.owner_column} = t.id AND {r.target.live.replace("t.", "x.")}"""


def _licenses(connection: Connection, tenant: TenantRef) -> Iterator[dict[str, Any]]:
    query = """SELECT t.display_name AS plan,
        (SELECT jsonb_agg(u.user_principal_name ORDER BY lower(u.user_principal_name)) FROM license_users l
           JOIN users u ON u.id = l.user_id AND u.deleted_at IS NULL WHERE l.plan_id = t.id) AS users,
        (SELECT jsonb_agg(g.display_name ORDER BY lower(g.display_name)) FROM license_groups l
           JOIN groups g ON g.id = l.group_id WHERE l.plan_id = t.id) AS groups
      FROM service_plans t WHERE t.tenant_id = :tenant ORDER BY lower(t.display_name)"""
    for row in _stream(connection, query, tenant):
        held = {k: v for k, v in (("users", row.users), ("groups", row.groups)) if v}
        if held:
            yield {"servicePlan": row.plan, **held}


def _stream(connection: Connection, query: str, tenant: TenantRef, **values: Any) -> Iterator[Any]:
    streaming = connection.execution_options(stream_results=True, yield_per=_BATCH)
    yield from streaming.execute(text(query), {"tenant": tenant.id, **values})


def _in_order(kind: Kind, item: dict[str, Any]) -> dict[str, Any]:
    """Properties in the order in which `kinds` names them, which jsonb does not keep."""
    order = re.findall(r"'([A-Za-z]+)',", kind.document)
    return {name: item[name] for name in dict.fromkeys(order) if name in item}


def _variable(name: str, of: str) -> str:
    """``HQ`` -> ``HQ_JOIN_PASSWORD``"""
    word = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "CONNECTION"
    return f"{'C_' if word[0].isdigit() else ''}{word}_{of}_PASSWORD"


def _write_item(out: TextIO, item: dict[str, Any]) -> None:
    """Small objects on one line, larger ones with a property on each, lists of people with a person on each."""
    lists = {k for k, v in item.items() if isinstance(v, list) and len(v) > 3}
    line = "  - {" + ", ".join(f"{k}: {_flow(v)}" for k, v in item.items()) + "}" if not lists else ""
    if line and len(line) <= 160:
        out.write(line + "\n")
        return
    lead = "  - "
    for key, value in item.items():
        if key in lists:
            out.write(f"{lead}{key}:\n")
            out.writelines(f"      - {_flow(v)}\n" for v in value)
        else:
            out.write(f"{lead}{key}: {_flow(value)}\n")
        lead = "    "


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, str):
        # Nearly all are plain; YAML's own emitter is asked about the rest, being a hundred times slower.
        means_itself = isinstance(plain_value(value), str) and value.lower() not in _WORDS
        if means_itself and _SAFE.fullmatch(value):
            return value
        return json.dumps(value, ensure_ascii=False) if value.isprintable() else _quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    return json.dumps(value)


def _quoted(value: str) -> str:
    dumped: str = yaml.safe_dump(value, default_style='"', width=_WIDTH, allow_unicode=True)
    return dumped.strip()


# Text here, but something else to tools that read YAML 1.1.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
