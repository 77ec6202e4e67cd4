"""Whether what happens in the domain comes here: C4 waits for it, and people's rights follow it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from deskwright.providers.contract import Answer
from deskwright.store.database import Database
from deskwright.store.statements import Row, ask_one, statement

LATE, MISSED = 2, 3
"""It warns after so many intervals without a success, and fails after so many."""
_RECOMMENDED_MINUTES = 30
_DOMAIN = statement(
    """
    SELECT d.*, tenant_now(d.tenant_id) AS now FROM domains d WHERE d.tenant_id = :tenant AND lower(d.name) = :name
    """
)


def look(database: Database, tenant: UUID, connection: Mapping[str, Any]) -> Answer:
    name = str(connection.get("ad_domain_name") or "")
    row = ask_one(database.single, _DOMAIN, {"tenant": tenant, "name": name.lower()})
    if row is None:
        detail = f"{name} is not one of the tenant's domains, so nothing is synchronised: deskwright domain create"
        return "failed", "azureAdDeviceSyncCheckConnectDisabled", detail
    if not row.sync_enabled:
        return "failed", "azureAdDeviceSyncCheckConnectDisabled", f"the synchronisation of {name} is switched off"
    unit = str(connection.get("organizational_unit") or "")
    if row.search_bases and unit and not any(_within(unit, base) for base in row.search_bases):
        detail = f"{unit} is outside of what is synchronised: {'; '.join(row.search_bases)}"
        return "failed", "azureAdDeviceSyncCheckDeviceNotFound", detail
    return _fresh(row)


def _fresh(row: Row) -> Answer:
    interval = timedelta(minutes=row.sync_interval_minutes)
    every = f"it runs every {row.sync_interval_minutes} minutes"
    since = row.synced_at or row.created_at
    age = row.now - since
    last = (
        f"last succeeded at {_time(row.synced_at)}, {_minutes(age)} ago" if row.synced_at else "has not succeeded yet"
    )
    trouble = ""
    if row.sync_status == "failed":
        trouble = f"; it failed since: {row.sync_error_code or ''} {row.sync_detail}".rstrip()
    elif row.sync_status == "confirmationRequired":
        trouble = f"; it waits for somebody to confirm what it would change: {row.sync_detail}".rstrip()
    detail = f"synchronisation of {row.name} {last}, {every}{trouble}"
    if age > MISSED * interval:
        return "failed", "azureAdDeviceSyncCheckDurationExceeded", detail
    if trouble:
        return "warning", "azureAdDeviceSyncCheckTransientServiceError", detail
    if age > LATE * interval:
        return "warning", "azureAdDeviceSyncCheckDurationExceeded", detail
    if row.sync_interval_minutes > _RECOMMENDED_MINUTES:
        return "warning", "azureAdDeviceSyncCheckLongSyncCircle", detail
    if row.synced_at is None:
        return "informational", None, detail
    return "passed", None, detail


def _within(unit: str, base: str) -> bool:
    below, above = unit.replace(" ", "").lower(), base.replace(" ", "").lower()
    return below == above or below.endswith(f",{above}")


def _time(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _minutes(age: timedelta) -> str:
    return f"{age.total_seconds() / 60:.0f} minutes"
