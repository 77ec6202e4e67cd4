"""What an administrator asked to go wrong (R5), and the simulated tenant's time: the beginning of every statement.

A fault is a row of the table ``faults``. It matches an operation of its step, where given only for one user, one
policy, some attempts. Its rate is decided by the tenant's seed and by who, which attempt and which step: never by a
random identifier, so that the same document with the same seed fails in the same places each time. Faults are read by
the very statement they act on, so they act at once and cost no round trip.

| code | what happens |
|---|---|
| ``delay`` | the operation takes `delay_seconds` longer |
| ``deploymentTimeout`` | the operation never finishes; the step's own deadline ends it |
| ``hybridAADJoinFailed`` at a domain join | the join succeeds, the device object never appears |
| any other | the operation fails with it, after `delay_seconds` where given |

Step ``release`` makes the clean-up fail; ``health``, or ``health:`` and a check's id, a connection's check.
"""

from collections.abc import Mapping
from typing import Any

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Call, NotYet, ProviderError
from deskwright.store.database import Database
from deskwright.store.statements import Row, ask, statement

# For objects found by their external id. As a plain comparison it would tempt the planner, which knows nothing of a
# table that is new, to walk through all of a tenant's objects by the index that begins with the tenant.
OURS = "(o.tenant_id = :tenant) IS TRUE"


def _fraction(of: str) -> str:
    """SQL: a number in [0, 1) that `of` and the tenant's seed decide."""
    return f"(((hashtextextended({of}, t.seed) >> 32) & 16777215) / 16777216.0::float8)"


def prelude(steps: str = ":step") -> str:
    """SQL: the CTEs ``tenant`` (time, speed, jitter) and ``fault`` (always one row).

    Parameters: those of `asking`. The time is read after the statement's snapshot was taken, not at its beginning
    as now() is: an object that the statement sees was made earlier, and at infinite speed is therefore ready.
    """
    return f"""
    WITH tenant AS MATERIALIZED (
      SELECT clock_timestamp() + make_interval(secs => t.clock_offset) AS at, t.created_at, t.speed, t.seed,
             0.7 + 0.6 * {_fraction(":subject")} AS jitter, {_fraction("'synchronisation'")} AS phase
        FROM tenants t WHERE t.id = :tenant
    ),
    fault AS MATERIALIZED (
      SELECT (array_agg(m.code ORDER BY m.id) FILTER (WHERE m.fails))[1] AS code,
             (array_agg(m.delay_seconds ORDER BY m.id) FILTER (WHERE m.fails))[1] AS code_delay,
             coalesce(sum(m.delay_seconds) FILTER (WHERE m.code = 'delay'), 0) AS delay,
             coalesce(bool_or(m.code = 'deploymentTimeout'), false) AS stuck,
             coalesce(bool_or(m.code = 'hybridAADJoinFailed'), false) AS unseen
        FROM (SELECT f.*, NOT (f.code IN ('delay', 'deploymentTimeout')
                               OR (:hybrid AND f.code = 'hybridAADJoinFailed')) AS fails
                FROM faults f CROSS JOIN tenant t
               WHERE f.tenant_id = :tenant AND f.step IN ({steps})
                 AND (f.user_principal_name IS NULL OR lower(f.user_principal_name) = :user)
                 AND (f.policy_name IS NULL OR lower(f.policy_name) = :policy)
                 AND (coalesce(jsonb_typeof(f.attempts), 'null') <> 'array'
                      OR f.attempts @> to_jsonb(CAST(:attempt AS integer)))
                 AND (f.rate >= 1 OR {_fraction(":subject || ':' || f.step || ':' || f.code")} < f.rate)) m
    )"""


def ready_at(seconds: str) -> str:
    """SQL: when an operation begun now and lasting `seconds` at speed 1 is finished; infinite speed means now."""
    return (
        f"(tenant.at + make_interval(secs => ({seconds} * tenant.jitter + fault.delay) / tenant.speed)"
        " + CASE WHEN fault.stuck THEN interval '10 years' ELSE interval '0' END)"
    )


def asking(call: Call, *, hybrid: bool = False) -> dict[str, Any]:
    """The parameters of `prelude`. `hybrid`: a device that never appears is this operation's way to fail."""
    who = (call.user or str(call.cloud_pc_id)).lower()
    return {
        "tenant": call.tenant_id,
        "step": call.step,
        "user": call.user.lower(),
        "policy": call.policy.lower(),
        "attempt": call.attempt,
        "subject": f"{who}:{call.run}:{call.attempt}:{call.step}",
        "hybrid": hybrid,
    }


_BEGIN_TO_FAIL = statement(
    """
    INSERT INTO simulator.operations AS o (tenant_id, subject, operation, ready_at)
    SELECT t.id, :subject, :operation, now() + make_interval(secs => t.clock_offset + :seconds / t.speed)
      FROM tenants t WHERE t.id = :tenant
    ON CONFLICT (tenant_id, subject, operation) DO UPDATE SET operation = excluded.operation
    RETURNING ready_at, ready_at <= tenant_now(tenant_id) AS over
    """
)
_FAILED = statement(
    "DELETE FROM simulator.operations WHERE tenant_id = :tenant AND subject = :subject AND operation = :operation"
    " RETURNING operation"
)


def delayed(database: Database, tenant: Any, subject: str, code: str, seconds: float) -> None:
    """Let a failure come late: raises NotYet until its delay is over."""
    what = {"tenant": tenant, "subject": subject, "operation": f"fault:{code}"}
    [row] = ask(database.world, _BEGIN_TO_FAIL, {**what, "seconds": float(seconds)})
    if not row.over:
        raise NotYet(row.ready_at, "the operation is under way")
    ask(database.world, _FAILED, what)


def raise_matching(database: Database, call: Call, row: Row, known: Mapping[str, Any]) -> None:
    """Raise what the fault in `row` (code, code_delay) asks for, if there is one."""
    if row.code is None:
        return
    if row.code_delay:
        delayed(
            database,
            call.tenant_id,
            f"{call.cloud_pc_id}:{call.run}:{call.attempt}:{call.step}",
            row.code,
            row.code_delay,
        )
    given: dict[str, Any] = {"user": call.user, "policy": call.policy, "step": call.step}
    plausible = _PLAUSIBLE.get(row.code, {"reason": "a simulated fault"})
    raise ProviderError(row.code, **{**given, **plausible, **_made_before(database, call), **known})


_MADE_BEFORE = statement(
    """
    SELECT data FROM simulator.objects
     WHERE tenant_id = :tenant AND starts_with(key, :attempt) AND kind IN ('vm', 'nic', 'computerAccount')
    """
)
# What the catalogue's messages call them.
_NAMES = {
    "computerName": "device",
    "image": "image",
    "network": "network",
    "subnet": "subnet",
    "domain": "domain",
    "organizationalUnit": "organizationalUnit",
}


def _made_before(database: Database, call: Call) -> dict[str, Any]:
    """What the attempt's earlier steps made, for the message."""
    attempt = call.key(Kind.VM).rsplit(":", 2)[0] + ":"
    made = ask(database.world, _MADE_BEFORE, {"tenant": call.tenant_id, "attempt": attempt})
    return {_NAMES[name]: value for row in made for name, value in row.data.items() if name in _NAMES}


# What was really asked for (`known`) goes before these.
_PLAUSIBLE: dict[str, dict[str, Any]] = {
    "capacityUnavailable": {"reason": "no host has room for it at the moment"},
    "requestDisallowedByPolicy": {
        "rule": "Allowed virtual machine sizes",
        "reason": "the size is not on its list",
    },
    "imageDiskSizeOverMatch": {"imageGB": 256, "reason": "the image's disk is larger than the licence's"},
    "imageNotSupportedFail": {"reason": "its operating system left support"},
    "imageNotSupportTPM": {"reason": "it is a generation 1 image"},
    "CpuOrRamNotFitImageOS": {"reason": "the operating system asks for 4 GB of memory"},
    "noEnoughIpAddress": {"free": 0, "needed": 1, "total": 0},
    "CreateNic_ReadOnlyDisabledSubscription": {"reason": "the subscription is read-only"},
    "CreateNic_ResourceGroupNotFound": {"reason": "there is no such resource group"},
    "CreateNic_ArmAuthorizationFailed": {"reason": "no permission to join the subnet"},
    "scpMisconfigured": {"reason": "the service connection point names no tenant"},
    "joinDomainFailed": {"reason": "no domain controller answered on port 389"},
    "hybridAADJoinFailed": {"minutes": 90, "reason": "the device object did not appear"},
    "scriptDownloadFailed": {"reason": "the download was reset"},
    "intuneEnrollFailed": {"reason": "the management service answered 0x80180014"},
    "localAdminError": {"reason": "the group could not be changed"},
    "diskAllocationError": {"reason": "the partition's supported size could not be read"},
    "highRiskPortsError": {"ports": "445, 3389", "reason": "another rule allows them"},
    "endpointCheckFailed": {"reason": "the connection was refused on port 3389"},
    "userNotFound": {"reason": "the management service does not know the user"},
    "deploymentTimeout": {"reason": "the operation did not finish"},
    "internalServerError": {"reason": "the service answered 500"},
    "internalError": {"reason": "the service answered 503"},
}
