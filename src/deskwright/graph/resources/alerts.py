"""deviceManagement/monitoring: alert rules, and the records of the alerts they raised."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, case, select

from deskwright.domain.alerts import SCENARIOS, Template
from deskwright.domain.rules import NotFound
from deskwright.graph import bodies
from deskwright.graph.access import CONFIGURATION_READ, CONFIGURATION_WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, one, values_source
from deskwright.graph.render import Known, complex_value
from deskwright.graph.routes import serves
from deskwright.operations import alerts as operations
from deskwright.operations.named import as_id
from deskwright.store.tables import alert_records

_ROOT = "/deviceManagement/monitoring"
_RULES, _RECORDS = f"{_ROOT}/alertRules", f"{_ROOT}/alertRecords"
_SPACE = "microsoft.graph.deviceManagement"
_RULE, _RECORD = "deviceManagement.alertRule", "deviceManagement.alertRecord"
_NOTIFICATION = "deviceManagement.portalNotification"
_a = alert_records.c
_STATUS = case((_a.resolved_at.is_(None), "active"), else_="resolved")


@serves("GET", _ROOT, CONFIGURATION_READ, returns="deviceManagement.monitoring")
def get_monitoring(call: Call) -> Any:
    """Get monitoring; rules and records have sets of their own."""
    return {"@odata.context": f"{call.root}/$metadata#deviceManagement/monitoring/$entity", "id": "monitoring"}


# --- rules -------------------------------------------------------------------------------------------


def _known(rule: Mapping[str, Any]) -> Known:
    first = rule["conditions"][0]
    return {
        "id": str(rule["id"]),
        "alertRuleTemplate": rule["template"],
        "displayName": rule["displayName"],
        "description": rule["description"],
        "severity": rule["severity"],
        "enabled": rule["enabled"],
        "isSystemRule": rule["isSystemRule"],
        "conditions": rule["conditions"],
        "notificationChannels": rule["notificationChannels"],
        # The older name: one threshold instead of conditions.
        "threshold": {
            "aggregation": first["aggregation"],
            "operator": first["operator"],
            "target": int(first["thresholdValue"]),
        },
    }


def _rules(call: Call) -> Source:
    values = [_known(rule) for rule in operations.rules(call.world.database, call.tenant)]
    kinds = {
        "displayName": "text",
        "alertRuleTemplate": "enum",
        "severity": "enum",
        "enabled": "bool",
        "isSystemRule": "bool",
    }
    return values_source(_RULE, values, kinds)


@serves("GET", _RULES, CONFIGURATION_READ, returns=f"Collection({_RULE})")
def list_rules(call: Call) -> Any:
    """List alert rules."""
    return collection(call, _rules(call), path="deviceManagement/monitoring/alertRules")


@serves("GET", f"{_RULES}/$count", CONFIGURATION_READ, returns="Int32")
def count_rules(call: Call) -> Any:
    """Count alert rules."""
    return number(count(call, _rules(call)))


@serves("GET", f"{_RULES}/{{id}}", CONFIGURATION_READ, returns=_RULE)
def get_rule(call: Call) -> Any:
    """Get an alert rule."""
    return _rule(call, call.key("alert rule"))


def _rule(call: Call, key: UUID) -> dict[str, Any]:
    return one(call, _rules(call), "alert rule", str(key))


@serves("POST", _RULES, CONFIGURATION_WRITE, body=_RULE, returns=_RULE)
def create_rule(call: Call) -> Any:
    """Add an alert rule beside the system's."""
    given = bodies.entity(call, _RULE)
    template = given.get("alertRuleTemplate")
    if template is None:
        raise bad("A value is required for property 'alertRuleTemplate' of resource 'alertRule'.", "alertRuleTemplate")
    known = SCENARIOS.get(Template(template)) if template in set(Template) else None
    made = operations.create_rule(
        *call.change,
        template=template,
        display_name=given.get("displayName") or (known.name if known else template),
        description=given.get("description") or "",
        severity=given.get("severity") or (known.severity if known else "warning"),
        enabled=given.get("enabled") is not False,
        conditions=_conditions(given) or [],
        channels=given.get("notificationChannels") or [],
    )
    return Created(_rule(call, made["id"]))


@serves("PATCH", f"{_RULES}/{{id}}", CONFIGURATION_WRITE, body=_RULE, returns=_RULE)
def update_rule(call: Call) -> Any:
    """Change an alert rule."""
    given = bodies.entity(call, _RULE)
    key = call.key("alert rule")
    template = given.get("alertRuleTemplate")
    if template is not None and template != _rule(call, key)["alertRuleTemplate"]:
        raise bad("The template of an alert rule cannot be changed; add another rule.", "alertRuleTemplate")
    operations.set_rule(
        *call.change,
        key,
        display_name=given.get("displayName"),
        description=given.get("description"),
        severity=given.get("severity"),
        enabled=given.get("enabled"),
        conditions=_conditions(given),
        channels=given.get("notificationChannels"),
    )
    return _rule(call, key)


@serves("DELETE", f"{_RULES}/{{id}}", CONFIGURATION_WRITE)
def delete_rule(call: Call) -> None:
    """Delete an alert rule that was added."""
    operations.delete_rule(*call.change, call.key("alert rule"))


def _conditions(given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What the body says by either name, the newer one first; None where it says nothing."""
    if given.get("conditions"):
        conditions: list[dict[str, Any]] = given["conditions"]
        return conditions
    threshold = given.get("threshold")
    if not threshold:
        return None
    kept = {name: threshold[name] for name in ("aggregation", "operator") if threshold.get(name)}
    return [{**kept, "thresholdValue": threshold.get("target")}]


# --- records -----------------------------------------------------------------------------------------


def _rows(call: Call) -> "Select[Any]":
    return select(alert_records, _STATUS.label("status")).where(_a.tenant_id == call.tenant.id)


def _impact(row: "Row[Any]") -> Known:
    return {
        "aggregationType": row.impact["aggregationType"],
        "value": row.impact["value"],
        "alertImpactDetails": row.impact["details"],
    }


def _present(_call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [
        {
            "id": row.id,
            "alertRuleId": str(row.rule_id),
            "alertRuleTemplate": row.template,
            "displayName": row.display_name,
            "severity": row.severity,
            "status": row.status,
            "alertImpact": _impact(row),
            "detectedDateTime": row.detected_at,
            "lastUpdatedDateTime": row.updated_at,
            "resolvedDateTime": row.resolved_at,
        }
        for row in rows
    ]


RECORDS = Source(
    _RECORD,
    _rows,
    _a.id,
    Fields(
        {
            "id": Field(_a.id, "id"),
            "alertRuleId": Field(_a.rule_id, "id"),
            "alertRuleTemplate": Field(_a.template, "enum"),
            "displayName": Field(_a.display_name),
            "severity": Field(_a.severity, "enum"),
            "status": Field(_STATUS, "enum"),
            "detectedDateTime": Field(_a.detected_at, "time"),
            "lastUpdatedDateTime": Field(_a.updated_at, "time"),
            "resolvedDateTime": Field(_a.resolved_at, "time"),
        }
    ),
    _present,
)


@serves("GET", _RECORDS, CONFIGURATION_READ, returns=f"Collection({_RECORD})")
def list_records(call: Call) -> Any:
    """List alerts, past and present."""
    operations.look(call.world.database, call.tenant)
    return collection(call, RECORDS, path="deviceManagement/monitoring/alertRecords")


@serves("GET", f"{_RECORDS}/$count", CONFIGURATION_READ, returns="Int32")
def count_records(call: Call) -> Any:
    """Count alerts, past and present."""
    operations.look(call.world.database, call.tenant)
    return number(count(call, RECORDS))


@serves("GET", f"{_RECORDS}/{{id}}", CONFIGURATION_READ, returns=_RECORD)
def get_record(call: Call) -> Any:
    """Get an alert."""
    operations.look(call.world.database, call.tenant)
    return one(call, RECORDS, "alert record", call.key("alert record"))


@serves(
    "GET", f"{_RECORDS}/{_SPACE}.getPortalNotifications()", CONFIGURATION_READ, returns=f"Collection({_NOTIFICATION})"
)
def list_notifications(call: Call) -> Any:
    """The alerts that are active and that no portal has shown yet."""
    operations.look(call.world.database, call.tenant)
    told = {
        str(rule["id"]) for rule in operations.rules(call.world.database, call.tenant) if rule["notificationChannels"]
    }
    with call.reading() as connection:
        unseen = _rows(call).where(_a.resolved_at.is_(None), _a.notification_sent.is_(False))
        rows = connection.execute(unseen.order_by(_a.detected_at, _a.id)).all()
    found = [
        complex_value(
            call,
            _NOTIFICATION,
            {
                "id": str(row.id),
                "alertRecordId": str(row.id),
                "alertRuleId": str(row.rule_id),
                "alertRuleName": row.display_name,
                "alertRuleTemplate": row.template,
                "severity": row.severity,
                "alertImpact": _impact(row),
                "isPortalNotificationSent": False,
            },
        )
        for row in rows
        if str(row.rule_id) in told
    ]
    context = f"{call.root}/$metadata#Collection({_SPACE}.portalNotification)"
    return {"@odata.context": context, "value": found}


@serves("POST", f"{_RECORDS}/{{id}}/{_SPACE}.setPortalNotificationAsSent", CONFIGURATION_WRITE)
def set_sent(call: Call) -> None:
    """Note that a portal has shown an alert."""
    operations.notification_sent(call.world.database, call.tenant, [call.key("alert record", 0)])


@serves("POST", f"{_RECORDS}/{_SPACE}.changeAlertRecordsPortalNotificationAsSent", CONFIGURATION_WRITE)
def set_several_sent(call: Call) -> None:
    """Note that a portal has shown several alerts."""
    ids = call.fields.get("alertrecordids")
    keys = [as_id(i) for i in ids if isinstance(i, str)] if isinstance(ids, list) else []
    if not isinstance(ids, list) or not 1 <= len(ids) <= 1000 or len(keys) != len(ids) or None in keys:
        raise bad("'alertRecordIds' must be a list of 1 to 1000 ids.", "alertRecordIds")
    try:
        operations.notification_sent(call.world.database, call.tenant, [k for k in keys if k is not None])
    except NotFound as missing:
        raise bad(f"The alert record '{missing.value}' does not exist in this tenant.", "alertRecordIds") from None
