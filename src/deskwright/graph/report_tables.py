"""The reports there are, by the API's name: which columns each has, and the rows it is made from."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
)

from deskwright.domain.runs import MAKING, RunKind
from deskwright.domain.status import USABLE, Status
from deskwright.graph.reports import Report
from deskwright.operations.remote_action_results import ACTIONS
from deskwright.store.tables import (
    bulk_action_items,
    bulk_actions,
    cloud_pcs,
    runs,
    service_plans,
    sites,
    users,
)

_c, _u, _p, _s, _r = cloud_pcs.c, users.c, service_plans.c, sites.c, runs.c
_b, _i = bulk_actions.c, bulk_action_items.c
_LIVE = _c.status != literal_column("'gone'")


def _no(type_: Any) -> "ColumnElement[Any]":
    """A column of which nothing is known."""
    return cast(null(), type_)


def _id(column: "ColumnElement[Any]") -> "ColumnElement[Any]":
    return cast(column, Text)


def _handed_over(tenant: UUID) -> "Select[Any]":
    """Every Cloud PC that was handed over: without a recorded session."""
    return (
        select(
            _id(_c.id).label("CloudPcId"),
            _c.device_name.label("ManagedDeviceName"),
            _u.user_principal_name.label("UserPrincipalName"),
            cast(literal(0), Double).label("TotalUsageInHour"),
            _no(Integer).label("DaysSinceLastSignIn"),
            _no(DateTime(timezone=True)).label("LastActiveTime"),
            cast(literal(True), Boolean).label("NeverSignedIn"),
            literal("dedicated").label("PcType"),
            _c.created_at.label("CreatedDate"),
        )
        .select_from(cloud_pcs.join(users, _u.id == _c.user_id))
        .where(_c.tenant_id == tenant, _LIVE, _c.provisioned_at.is_not(None))
    )


_ACTION_NAME = case({kind.value: kind.action_name for kind in RunKind}, value=_r.kind, else_=_r.kind)
_CANCELLED = _r.error["code"].astext.in_(("provisioningCancelled", "remoteActionCancelled"))
_ACTION_STATE = case(
    (and_(_r.state == "active", _r.lease == 0), "pending"),
    (_r.state == "active", "active"),
    (_r.state == "succeeded", "done"),
    (_r.state == "stopped", "canceled"),
    (_CANCELLED, "canceled"),
    else_="failed",
)


def _actions(tenant: UUID) -> "Select[Any]":
    """Every remote action that was begun."""
    of_bulk = and_(_i.run_id == _r.id, _i.cloud_pc_id == _r.cloud_pc_id)
    joined = runs.join(cloud_pcs, _c.id == _r.cloud_pc_id).join(users, _u.id == _c.user_id)
    return (
        select(
            _id(_r.id).label("Id"),
            _id(_c.id).label("CloudPcId"),
            _c.device_name.label("CloudPcDeviceDisplayName"),
            _r.requested_by.label("InitiatedByUserPrincipalName"),
            _u.user_principal_name.label("DeviceOwnerUserPrincipalName"),
            _ACTION_NAME.label("Action"),
            _ACTION_STATE.label("ActionState"),
            _r.started_at.label("RequestDateTime"),
            func.coalesce(_r.ended_at, _r.started_at).label("LastUpdatedDateTime"),
            _r.error["code"].astext.label("ErrorCode"),
            _id(_i.bulk_action_id).label("BulkActionId"),
        )
        .select_from(joined.outerjoin(bulk_action_items, of_bulk))
        .where(_r.tenant_id == tenant, _r.kind.in_([kind.value for kind in ACTIONS]))
    )


def _troubleshoots(tenant: UUID) -> "Select[Any]":
    """Every time somebody looked whether a Cloud PC answers."""
    return (
        select(
            _id(_c.id).label("CloudPcId"),
            _c.device_name.label("ManagedDeviceName"),
            _u.user_principal_name.label("UserPrincipalName"),
            _r.started_at.label("EventDateTime"),
            _ACTION_STATE.label("Result"),
            _r.error["code"].astext.label("ErrorCode"),
        )
        .select_from(runs.join(cloud_pcs, _c.id == _r.cloud_pc_id).join(users, _u.id == _c.user_id))
        .where(_r.tenant_id == tenant, _r.kind == RunKind.TROUBLESHOOT.value)
    )


def _inaccessible(tenant: UUID) -> "Select[Any]":
    """Cloud PCs that cannot be used now: failed, powered off, or not answering when it was last looked."""
    later = runs.alias("later")
    found_again = exists().where(
        later.c.cloud_pc_id == _r.cloud_pc_id,
        later.c.number > _r.number,
        later.c.state == "succeeded",
        later.c.kind.in_([RunKind.TROUBLESHOOT.value, *(kind.value for kind in MAKING)]),
    )
    silent = (
        select(func.max(_r.ended_at))
        .where(_r.cloud_pc_id == _c.id, _r.kind == RunKind.TROUBLESHOOT.value, _r.state == "failed", ~found_again)
        .scalar_subquery()
    )
    usable = _c.status.in_([status.value for status in USABLE])
    health = case(
        (_c.status == Status.FAILED.value, "Failed"),
        (_c.power_state == "poweredOff", "PoweredOff"),
        (silent.is_not(None), "NotResponding"),
    )
    rows = (
        select(
            _id(_c.id).label("CloudPcId"),
            _c.display_name.label("CloudPcName"),
            _c.device_name.label("ManagedDeviceName"),
            _u.user_principal_name.label("UserPrincipalName"),
            _s.region.label("Region"),
            _c.status.label("ProvisioningStatus"),
            health.label("DeviceHealthStatus"),
            func.coalesce(silent, _c.modified_at).label("DeviceHealthStatusDateTime"),
        )
        .select_from(cloud_pcs.join(users, _u.id == _c.user_id).outerjoin(sites, _s.id == _c.site_id))
        .where(_c.tenant_id == tenant, _LIVE, (_c.status == Status.FAILED.value) | usable)
        .subquery()
    )
    return select(rows).where(rows.c.DeviceHealthStatus.is_not(None))


def _bulk_items(tenant: UUID) -> "Select[Any]":
    """Every Cloud PC of every bulk action, with what became of it."""
    outcome = case(
        (_i.state.in_(("pending", "begun")), "pending"),
        (_i.state == "refused", "failed"),
        ((_i.state == "done") | (_r.state == "succeeded"), "successful"),
        (_r.state == "active", "inProgress"),
        (_i.state == "accepted", "failed"),
        else_=_i.state,
    )
    joined = bulk_action_items.join(bulk_actions, _b.id == _i.bulk_action_id).join(cloud_pcs, _c.id == _i.cloud_pc_id)
    joined = joined.join(users, _u.id == _c.user_id).outerjoin(runs, _r.id == _i.run_id)
    return (
        select(
            _id(_b.id).label("BulkActionId"),
            _b.display_name.label("BulkActionDisplayName"),
            _b.kind.label("Action"),
            _b.requested_by.label("InitiatedByUserPrincipalName"),
            _b.created_at.label("RequestDateTime"),
            _id(_c.id).label("CloudPcId"),
            _c.display_name.label("CloudPcDisplayName"),
            _u.user_principal_name.label("UserPrincipalName"),
            outcome.label("ActionState"),
            func.coalesce(_i.error["code"].astext, _r.error["code"].astext).label("ErrorCode"),
            func.coalesce(_r.ended_at, _i.changed_at).label("LastUpdatedDateTime"),
        )
        .select_from(joined)
        .where(_b.tenant_id == tenant)
    )


def _inventory(tenant: UUID) -> "Select[Any]":
    """Every Cloud PC."""
    joined = cloud_pcs.join(users, _u.id == _c.user_id).join(service_plans, _p.id == _c.plan_id)
    return (
        select(
            _id(_c.id).label("CloudPcId"),
            _c.display_name.label("CloudPcName"),
            _c.device_name.label("ManagedDeviceName"),
            _u.user_principal_name.label("UserPrincipalName"),
            _c.status.label("Status"),
            _p.display_name.label("ServicePlanName"),
            _id(_c.policy_id).label("ProvisioningPolicyId"),
            _c.policy_name.label("ProvisioningPolicyName"),
            _c.image_name.label("Image"),
            _s.region.label("Region"),
            _c.power_state.label("PowerState"),
            _c.provisioned_at.label("ProvisionedDateTime"),
            _c.grace_ends_at.label("GracePeriodEndDateTime"),
            _c.modified_at.label("LastModifiedDateTime"),
        )
        .select_from(joined.outerjoin(sites, _s.id == _c.site_id))
        .where(_c.tenant_id == tenant, _LIVE)
    )


def _typed(names: str, **types: str) -> dict[str, str]:
    """Columns in order; texts, but for those whose type is given."""
    return {name: types.get(name, "String") for name in names.split()}


_TIMES = dict.fromkeys(
    [
        "RequestDateTime",
        "LastUpdatedDateTime",
        "EventDateTime",
        "DeviceHealthStatusDateTime",
        "ProvisionedDateTime",
        "GracePeriodEndDateTime",
        "LastModifiedDateTime",
        "SignInDateTime",
        "SignOutDateTime",
        "ActivityDate",
        "Timestamp",
        "LastActiveTime",
        "CreatedDate",
        "EventDate",
    ],
    "DateTime",
)
_NUMBERS = dict.fromkeys(
    [
        "UsageInHour",
        "TotalUsageInHour",
        "RoundTripTimeInMs",
        "RoundTripTimeInMsP50",
        "AvailableBandwidthInMBps",
        "AvailableBandwidthInMBpsP50",
        "RemoteSignInTimeInSec",
        "RemoteSignInTimeInSecP50",
        "MetricValue",
    ],
    "Double",
)
_WHO = "CloudPcId ManagedDeviceName UserPrincipalName"

_SESSIONS = Report(
    _typed(
        f"ActivityId {_WHO} SignInDateTime SignOutDateTime UsageInHour RoundTripTimeInMsP50 "
        "AvailableBandwidthInMBpsP50 RemoteSignInTimeInSec",
        **_TIMES,
        **_NUMBERS,
    )
)
_QUALITY = Report(
    _typed(
        f"{_WHO} RoundTripTimeInMsP50 AvailableBandwidthInMBpsP50 RemoteSignInTimeInSecP50 EventDate",
        **_TIMES,
        **_NUMBERS,
    )
)
_FRONTLINE = Report(
    _typed(
        "ServicePlanId DisplayName LicenseCount ClaimedLicenseCount Timestamp",
        **_TIMES,
        LicenseCount="Int64",
        ClaimedLicenseCount="Int64",
    )
)
_PERFORMANCE = Report(_typed(f"{_WHO} MetricName MetricValue Timestamp", **_TIMES, **_NUMBERS))

TOTAL_USE = Report(
    _typed(
        f"{_WHO} TotalUsageInHour DaysSinceLastSignIn LastActiveTime NeverSignedIn PcType CreatedDate",
        **_TIMES,
        **_NUMBERS,
        DaysSinceLastSignIn="Int64",
        NeverSignedIn="Boolean",
    ),
    _handed_over,
)
ACTION_STATUS = Report(
    _typed(
        "Id CloudPcId CloudPcDeviceDisplayName InitiatedByUserPrincipalName DeviceOwnerUserPrincipalName Action "
        "ActionState RequestDateTime LastUpdatedDateTime ErrorCode BulkActionId",
        **_TIMES,
    ),
    _actions,
)
BULK_STATUS = Report(
    _typed(
        "BulkActionId BulkActionDisplayName Action InitiatedByUserPrincipalName RequestDateTime CloudPcId "
        "CloudPcDisplayName UserPrincipalName ActionState ErrorCode LastUpdatedDateTime",
        **_TIMES,
    ),
    _bulk_items,
)
INACCESSIBLE = Report(
    _typed(
        "CloudPcId CloudPcName ManagedDeviceName UserPrincipalName Region ProvisioningStatus DeviceHealthStatus "
        "DeviceHealthStatusDateTime",
        **_TIMES,
    ),
    _inaccessible,
)
TROUBLESHOOT = Report(_typed(f"{_WHO} EventDateTime Result ErrorCode", **_TIMES), _troubleshoots)
INVENTORY = Report(
    _typed(
        "CloudPcId CloudPcName ManagedDeviceName UserPrincipalName Status ServicePlanName ProvisioningPolicyId "
        "ProvisioningPolicyName Image Region PowerState ProvisionedDateTime GracePeriodEndDateTime "
        "LastModifiedDateTime",
        **_TIMES,
    ),
    _inventory,
)
DAILY_USE = Report(_typed(f"{_WHO} ActivityDate UsageInHour", **_TIMES, **_NUMBERS))
RAW_USE = Report(
    _typed(f"{_WHO} Timestamp RoundTripTimeInMs AvailableBandwidthInMBps RemoteSignInTimeInSec", **_TIMES, **_NUMBERS)
)
RECOMMENDATIONS = Report(_typed(f"{_WHO} ServicePlanName UsageCategory RecommendedServicePlanName"))
DISASTER_RECOVERY = Report(_typed(f"{_WHO} LicenseType DisasterRecoveryStatus PrimaryRegion BackupRegion"))
TRENDS = Report(_typed("EventDate Region Count", **_TIMES, Count="Int64"))
HISTORY, QUALITY, FRONTLINE, PERFORMANCE = _SESSIONS, _QUALITY, _FRONTLINE, _PERFORMANCE

REPORTS: dict[str, Report] = {
    "remoteConnectionHistoricalReports": HISTORY,
    "dailyAggregatedRemoteConnectionReports": DAILY_USE,
    "totalAggregatedRemoteConnectionReports": TOTAL_USE,
    "rawRemoteConnectionReports": RAW_USE,
    "inaccessibleCloudPcReports": INACCESSIBLE,
    "actionStatusReport": ACTION_STATUS,
    "bulkActionStatusReport": BULK_STATUS,
    "troubleshootDetailsReport": TROUBLESHOOT,
    "cloudPCInventoryReport": INVENTORY,
    "cloudPcUsageCategoryReports": RECOMMENDATIONS,
    "cloudPcUsageCategoryReport": RECOMMENDATIONS,
    "crossRegionDisasterRecoveryReport": DISASTER_RECOVERY,
    "disasterRecoveryReport": DISASTER_RECOVERY,
    "remoteConnectionQualityReports": QUALITY,
    "remoteConnectionQualityReport": QUALITY,
    "regionalConnectionQualityTrendReport": QUALITY,
    "regionalConnectionQualityInsightsReport": QUALITY,
    "performanceTrendReport": PERFORMANCE,
    "cloudPcInsightReport": PERFORMANCE,
    "inaccessibleCloudPcTrendReport": TRENDS,
    "regionalInaccessibleCloudPcTrendReport": TRENDS,
    "troubleshootTrendCountReport": TRENDS,
    "troubleshootRegionalReport": TRENDS,
    "troubleshootIssueCountReport": TRENDS,
    "noLicenseAvailableConnectivityFailureReport": FRONTLINE,
    "frontlineLicenseUsageReport": FRONTLINE,
    "frontlineLicenseUsageRealTimeReport": FRONTLINE,
    "frontlineLicenseHourlyUsageReport": FRONTLINE,
    "frontlineRealtimeUserConnectionsReport": FRONTLINE,
    "licenseUsageReport": FRONTLINE,
    "licenseUsageRealTimeReport": FRONTLINE,
    "licenseHourlyUsageReport": FRONTLINE,
    "connectedUserRealtimeReport": FRONTLINE,
}
"""By cloudPcReportName and the other enumerations of report names: every member has its report."""
