"""A simulated device management: enrolment by a one-time token, and the primary user."""

import hashlib
from collections.abc import Iterator, Mapping

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Call, Compute, Found, Made, NotYet, ProviderError
from deskwright.providers.simulator import durations, faults, making, world
from deskwright.providers.simulator.making import Wanted
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.statements import statement

_ASSIGN = statement(
    f"""
    {faults.prelude()},
    device AS MATERIALIZED (
      SELECT o.data, (o.data->>'primaryUser') IS NOT DISTINCT FROM CAST(:upn AS text) AS asked_before
        FROM simulator.objects o
       WHERE o.external_id = :device AND {faults.OURS} AND o.kind = 'managedDevice'
    ),
    assigned AS (
      UPDATE simulator.objects o
         SET data = o.data || jsonb_build_object('primaryUser', CAST(:upn AS text), 'primaryUserSince',
                                                 {faults.ready_at("CAST(:seconds AS float8)")})
        FROM tenant, fault, device
       WHERE o.external_id = :device AND {faults.OURS} AND fault.code IS NULL AND NOT device.asked_before
      RETURNING o.data
    ),
    result AS (
      SELECT data FROM assigned UNION ALL SELECT data FROM device WHERE asked_before
    )
    SELECT fault.code, fault.code_delay, EXISTS (SELECT FROM device) AS known,
           (r.data->>'primaryUserSince')::timestamptz AS at,
           (r.data->>'primaryUserSince')::timestamptz <= tenant.at AS ready
      FROM tenant CROSS JOIN fault LEFT JOIN result r ON true
    """
)


class SimulatedManagement:
    """Configuration: ``{kind: simulator}``."""

    def __init__(self, database: Database, site: Site, compute: Compute | None = None) -> None:
        del compute  # a simulated machine knows of its devices without being told
        self._database, self._site = database, site

    def enrol(self, call: Call, device_id: str, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        # The token is good for this one device; what is kept of it is only which one it was.
        token = hashlib.sha256(call.key(Kind.MANAGED_DEVICE).encode()).hexdigest()[:12]
        data = {
            "deviceName": computer_name,
            "azureADDeviceId": device_id,
            "enrolmentToken": token,
            **attributes,
        }
        wanted = Wanted(Kind.MANAGED_DEVICE, call.key(Kind.MANAGED_DEVICE), computer_name, data)
        known = {"device": computer_name, "site": self._site.name}
        made = making.make(self._database, call, [wanted], durations.ENROL, needs=device_id, known=known)
        return making.as_made(made[Kind.MANAGED_DEVICE])

    def set_primary_user(self, call: Call, managed_device_id: str, user_principal_name: str) -> None:
        parameters = {
            **faults.asking(call),
            "device": managed_device_id,
            "upn": user_principal_name,
            "seconds": durations.SET_PRIMARY_USER.seconds,
        }
        rows = making.run(self._database, _ASSIGN, parameters)
        if not rows:
            raise ProviderError("internalServerError", step=call.step, reason=f"there is no tenant {call.tenant_id}")
        row = rows[0]
        faults.raise_matching(self._database, call, row, {"site": self._site.name})
        if not row.known:
            reason = f"there is no managed device {managed_device_id}"
            raise ProviderError("internalServerError", step=call.step, reason=reason)
        if not row.ready:
            raise NotYet(row.at, durations.SET_PRIMARY_USER.doing)

    def describe(self, call: Call, managed_device_id: str, attributes: Mapping[str, str]) -> None:
        making.describe(self._database, call, Kind.MANAGED_DEVICE, managed_device_id, attributes, durations.DESCRIBE)

    def release(self, kind: Kind, key: str) -> None:
        making.release(self._database, self._site.tenant_id, kind, key)

    def inventory(self) -> Iterator[Found]:
        return world.inventory(self._database, self._site.tenant_id, self._site.id, (Kind.MANAGED_DEVICE,))
