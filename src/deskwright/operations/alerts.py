"""Alert rules of a tenant, and the records of alerts they raised."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from deskwright.domain.alerts import AGGREGATIONS, OPERATORS, SCENARIOS, SEVERITIES, Template
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item
from deskwright.reconcile import alerts
from deskwright.store.audit import event
from deskwright.store.database import Database

_MOST_RULES, _MOST_CONDITIONS = 100, 10

_SAVE = text(
    """
    INSERT INTO alert_rules (tenant_id, id, template, system_rule, display_name, description, severity, enabled,
                             conditions, notification_channels, created_at)
    VALUES (:tenant, :id, :template, :isSystemRule, :displayName, :description, :severity, :enabled,
            CAST(:conditions AS jsonb), CAST(:notificationChannels AS jsonb), tenant_now(:tenant))
    ON CONFLICT (tenant_id, id) DO UPDATE SET display_name = excluded.display_name, description = excluded.description,
      severity = excluded.severity, enabled = excluded.enabled, conditions = excluded.conditions,
      notification_channels = excluded.notification_channels
    """
)
_DELETE = text("DELETE FROM alert_rules WHERE tenant_id = :tenant AND id = :id")
_SENT = text(
    "UPDATE alert_records SET notification_sent = true WHERE tenant_id = :tenant AND id = ANY(:ids) RETURNING id"
)


def rules(database: Database, tenant: TenantRef) -> list[Item]:
    """Every rule; those of the system have been there from the start."""
    with database.single.connect() as connection:
        return alerts.rules(connection, tenant.id)


def look(database: Database, tenant: TenantRef) -> None:
    """Bring the records up to date: which rules hold now."""
    alerts.raise_alerts(database, tenant.id)


def create_rule(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    template: str,
    display_name: str,
    description: str = "",
    severity: str = "warning",
    enabled: bool = True,
    conditions: Sequence[Mapping[str, Any]] = (),
    channels: Sequence[Mapping[str, Any]] = (),
) -> Item:
    """Add a rule beside the system's. Raises Refused naming what is wrong with it."""
    known = _template(template)
    rule: Item = {
        "id": uuid4(),
        "template": str(known),
        "isSystemRule": False,
        "displayName": named.check_name("displayName", display_name),
        "description": description,
        "severity": _severity(severity),
        "enabled": enabled,
        "conditions": _conditions(known, conditions),
        "notificationChannels": _channels(channels),
    }
    with change(database, tenant, actor) as opened:
        if len(alerts.rules(opened.connection, tenant.id)) >= _MOST_RULES:
            raise Refused("alertRule", display_name, f"a tenant has at most {_MOST_RULES}", code="quotaLimitReached")
        _save(opened, rule)
        opened.audit("Create alert rule", "alertRule", [event(rule["id"], rule["displayName"], None, _shown(rule))])
    return rule


def set_rule(
    database: Database,
    tenant: TenantRef,
    actor: str,
    rule_id: UUID,
    *,
    display_name: str | None = None,
    description: str | None = None,
    severity: str | None = None,
    enabled: bool | None = None,
    conditions: Sequence[Mapping[str, Any]] | None = None,
    channels: Sequence[Mapping[str, Any]] | None = None,
) -> Item:
    """Change what is given. A system rule keeps its name and description."""
    with change(database, tenant, actor) as opened:
        before = _find(opened.connection, tenant, rule_id)
        if before["isSystemRule"]:
            for field, value, kept in (
                ("displayName", display_name, before["displayName"]),
                ("description", description, before["description"]),
            ):
                if value not in (None, kept):
                    raise Refused(field, value, "of a system rule cannot be changed", code="notAllowed")
        given = {
            "displayName": None if display_name is None else named.check_name("displayName", display_name),
            "description": description,
            "severity": None if severity is None else _severity(severity),
            "enabled": enabled,
            "conditions": None if conditions is None else _conditions(Template(before["template"]), conditions),
            "notificationChannels": None if channels is None else _channels(channels),
        }
        different = {k: v for k, v in given.items() if v is not None and v != before[k]}
        after = {**before, **different}
        if different:
            _save(opened, after)
            old = {k: before[k] for k in different}
            opened.audit("Update alert rule", "alertRule", [event(rule_id, after["displayName"], old, different)])
        return after


def delete_rule(database: Database, tenant: TenantRef, actor: str, rule_id: UUID) -> None:
    """Delete a rule that was added; a system rule can be disabled instead."""
    with change(database, tenant, actor) as opened:
        rule = _find(opened.connection, tenant, rule_id)
        if rule["isSystemRule"]:
            remedy = "Disable it instead"
            raise Refused("alertRule", rule["displayName"], "is a system rule", code="notAllowed", remedy=remedy)
        opened.connection.execute(_DELETE, {"tenant": tenant.id, "id": rule_id})
        opened.audit("Delete alert rule", "alertRule", [event(rule_id, rule["displayName"], _shown(rule), None)])


def notification_sent(database: Database, tenant: TenantRef, records: Sequence[UUID]) -> None:
    """Note that a portal has shown these alerts. Raises NotFound naming the first that does not exist."""
    with database.begin() as connection:
        found = set(connection.execute(_SENT, {"tenant": tenant.id, "ids": list(records)}).scalars())
        for record in records:
            if record not in found:
                raise NotFound("alertRecord", str(record))


def _find(connection: Connection, tenant: TenantRef, rule_id: UUID) -> Item:
    for rule in alerts.rules(connection, tenant.id):
        if rule["id"] == rule_id:
            return rule
    raise NotFound("alertRule", str(rule_id))


def _save(opened: Change, rule: Item) -> None:
    lists = {name: json.dumps(rule[name]) for name in ("conditions", "notificationChannels")}
    opened.connection.execute(_SAVE, {**rule, **lists, "tenant": opened.tenant.id})


def _shown(rule: Item) -> Item:
    return {k: v for k, v in rule.items() if k not in ("id", "isSystemRule")}


def _template(value: str) -> Template:
    if value not in set(Template):
        rule = f"is not watched here; these are: {', '.join(Template)}"
        raise Refused("alertRuleTemplate", value, rule, code="notSupported")
    return Template(value)


def _severity(value: str) -> str:
    if value not in SEVERITIES:
        raise Refused("severity", value, f"must be one of: {', '.join(SEVERITIES)}")
    return value


def _conditions(template: Template, given: Sequence[Mapping[str, Any]]) -> list[Item]:
    """The rule's conditions, whole; all of the template's category."""
    scenario = SCENARIOS[template]
    if not 1 <= len(given) <= _MOST_CONDITIONS:
        raise Refused("conditions", None, f"a rule has 1 to {_MOST_CONDITIONS}, or a threshold")
    made = []
    for n, condition in enumerate(given):
        where = f"conditions[{n}]/"
        category = condition.get("conditionCategory") or scenario.category
        if category != scenario.category:
            raise Refused(f"{where}conditionCategory", category, f"of {template} must be {scenario.category}")
        aggregation, operator = condition.get("aggregation") or "count", condition.get("operator") or "greaterOrEqual"
        if aggregation not in AGGREGATIONS:
            raise Refused(f"{where}aggregation", aggregation, f"must be one of: {', '.join(AGGREGATIONS)}")
        if operator not in OPERATORS:
            raise Refused(f"{where}operator", operator, f"must be one of: {', '.join(OPERATORS)}")
        made.append(
            {
                "relationshipType": condition.get("relationshipType") or "and",
                "conditionCategory": category,
                "aggregation": aggregation,
                "operator": operator,
                "thresholdValue": _threshold(f"{where}thresholdValue", condition.get("thresholdValue")),
            }
        )
    return made


def _threshold(field: str, value: Any) -> str:
    text_ = str(value).strip()
    if not text_.isascii() or not text_.isdigit() or len(text_) > 9:
        raise Refused(field, value, "must be a whole number, 0 or more")
    return str(int(text_))


def _channels(given: Sequence[Mapping[str, Any]]) -> list[Item]:
    made: list[Item] = []
    for n, channel in enumerate(given):
        kind = channel.get("notificationChannelType") or "portal"
        if kind != "portal":
            rule = "is not delivered by this version; portal is"
            field = f"notificationChannels[{n}]/notificationChannelType"
            raise Refused(field, kind, rule, code="notSupported")
        made.append({"notificationChannelType": kind, "notificationReceivers": []})
    return made
