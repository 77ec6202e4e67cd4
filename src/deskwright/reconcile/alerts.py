"""Raising alerts: which rules hold now, written as records that begin and end.

Records are brought up to date whenever someone reads them and with every comparison of ledger and inventory (about
once an hour), so that what nobody looked at is recorded too.
"""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.alerts import PERCENTAGES, SCENARIOS, Template, holds, system_conditions, system_rule_id
from deskwright.store.database import Database

_MOST_NAMED = 50


def _counted(template: Template, table: str, affected: str, name: str, since: str, live: str = "true") -> str:
    """How many objects are affected, the first of them by name, and, where a percentage is asked for, of how many."""
    return f"""
    SELECT '{template}' AS template, count(*) AS affected,
           (array_agg({name} ORDER BY {since}))[1:{_MOST_NAMED}] AS names,
           CASE WHEN :percentages THEN (SELECT count(*) FROM {table} WHERE tenant_id = :tenant AND {live}) END AS of
      FROM {table} WHERE tenant_id = :tenant AND {affected}"""


_LIVE = "status <> 'gone'"
_SEEN = text(
    " UNION ALL ".join(
        (
            _counted(Template.PROVISIONING, "cloud_pcs", "status = 'failed'", "display_name", "status_since", _LIVE),
            _counted(Template.GRACE, "cloud_pcs", "status = 'inGracePeriod'", "display_name", "status_since", _LIVE),
            _counted(Template.CONNECTION, "connections", "health_status = 'failed'", "display_name", "checked_at"),
            _counted(
                Template.IMAGE, "device_images", "status = 'failed'", "display_name || ' ' || version", "created_at"
            ),
        )
    )
)
_RULES = text("SELECT * FROM alert_rules WHERE tenant_id = :tenant ORDER BY created_at, id")
_RAISE = text(
    """
    INSERT INTO alert_records AS r (tenant_id, rule_id, template, display_name, severity, impact, detected_at,
                                    updated_at)
    SELECT :tenant, a.rule_id, a.template, a.display_name, a.severity, a.impact, tenant_now(:tenant),
           tenant_now(:tenant)
      FROM jsonb_to_recordset(CAST(:raised AS jsonb))
        AS a (rule_id uuid, template text, display_name text, severity text, impact jsonb)
    ON CONFLICT (tenant_id, rule_id) WHERE resolved_at IS NULL
    DO UPDATE SET impact = excluded.impact, updated_at = excluded.updated_at WHERE r.impact <> excluded.impact
    """
)
_RESOLVE = text(
    """
    UPDATE alert_records SET resolved_at = tenant_now(:tenant), updated_at = tenant_now(:tenant)
     WHERE tenant_id = :tenant AND resolved_at IS NULL AND NOT (rule_id = ANY(:holding))
    """
)


def rules(connection: Connection, tenant: UUID) -> list[dict[str, Any]]:
    """Every rule of the tenant: the system's first, as they were changed, then those that were added."""
    stored = {row.id: _rule(row) for row in connection.execute(_RULES, {"tenant": tenant})}
    system = [
        stored.pop(key) if key in stored else _unchanged(key, template)
        for template in Template
        for key in (system_rule_id(tenant, template),)
    ]
    return [*system, *stored.values()]


def raise_alerts(database: Database, tenant: UUID) -> None:
    """Open a record for each enabled rule that holds now and has none; close those whose rule holds no more."""
    with database.begin() as connection:
        enabled = [rule for rule in rules(connection, tenant) if rule["enabled"]]
        percentages = any(c["aggregation"] in PERCENTAGES for rule in enabled for c in rule["conditions"])
        asked = {"tenant": tenant, "percentages": percentages}
        seen = {row.template: row for row in connection.execute(_SEEN, asked)}
        raised = [
            {
                "rule_id": str(rule["id"]),
                "template": rule["template"],
                "display_name": rule["displayName"],
                "severity": rule["severity"],
                "impact": _impact(rule, seen[rule["template"]]),
            }
            for rule in rules(connection, tenant)
            if rule["enabled"] and holds(rule["conditions"], seen[rule["template"]].affected, seen[rule["template"]].of)
        ]
        connection.execute(_RESOLVE, {"tenant": tenant, "holding": [UUID(r["rule_id"]) for r in raised]})
        if raised:
            connection.execute(_RAISE, {"tenant": tenant, "raised": json.dumps(raised)})


def _impact(rule: dict[str, Any], seen: "Row[Any]") -> dict[str, Any]:
    aggregation = rule["conditions"][0]["aggregation"]
    return {
        "aggregationType": aggregation,
        "value": round(100 * seen.affected / seen.of) if aggregation in PERCENTAGES else seen.affected,
        "details": [{"name": "affected", "value": name} for name in seen.names or []],
    }


def _unchanged(key: UUID, template: Template) -> dict[str, Any]:
    scenario = SCENARIOS[template]
    return {
        "id": key,
        "template": str(template),
        "isSystemRule": True,
        "displayName": scenario.name,
        "description": scenario.description,
        "severity": scenario.severity,
        "enabled": True,
        "conditions": system_conditions(scenario),
        "notificationChannels": [{"notificationChannelType": "portal", "notificationReceivers": []}],
    }


def _rule(row: "Row[Any]") -> dict[str, Any]:
    return {
        "id": row.id,
        "template": row.template,
        "isSystemRule": row.system_rule,
        "displayName": row.display_name,
        "description": row.description,
        "severity": row.severity,
        "enabled": row.enabled,
        "conditions": row.conditions,
        "notificationChannels": row.notification_channels,
    }
