"""A simulated directory: Entra join at once, domain join with the half-hourly synchronisation that follows it."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta

from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.providers.contract import Call, Compute, DomainJoin, Found, Made, NotYet, ProviderError
from deskwright.providers.simulator import durations, faults, making, world
from deskwright.providers.simulator.making import Wanted
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.statements import ask, statement

_IDENTITIES = ("entra", "local")

_FIND = statement(
    f"""
    {faults.prelude()},
    found AS MATERIALIZED (
      SELECT o.external_id, o.data,
             CASE WHEN fault.unseen THEN tenant.at + interval '10 years' ELSE o.ready_at END AS at
        FROM simulator.objects o CROSS JOIN tenant CROSS JOIN fault
       WHERE o.tenant_id = :tenant AND o.key = :key AND o.kind = 'device'
    ),
    named AS (
      UPDATE simulator.objects o SET data = o.data || CAST(:attributes AS jsonb) FROM found, fault, tenant
       WHERE o.external_id = found.external_id AND found.at <= tenant.at AND fault.code IS NULL
         AND NOT o.data @> CAST(:attributes AS jsonb)
    )
    SELECT fault.code, fault.code_delay, tenant.at AS now, 1800 / tenant.speed AS period, found.external_id,
           found.data || CAST(:attributes AS jsonb) AS data, found.at, found.at <= tenant.at AS ready
      FROM tenant CROSS JOIN fault LEFT JOIN found ON true
    """
)


class SimulatedDirectory:
    """Configuration: ``{kind: simulator, identity: entra | local}``."""

    def __init__(self, database: Database, site: Site, compute: Compute | None = None) -> None:
        del compute  # a simulated machine knows of its devices without being told
        self._database, self._site = database, site
        self.identity: str = site.directory.get("identity", "entra")
        if self.identity not in _IDENTITIES:
            rule = f"must be one of: {', '.join(_IDENTITIES)}"
            raise Refused("directory.identity", self.identity, rule, where=f"site {site.name}")

    def join_entra(self, call: Call, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        data = {"displayName": computer_name, "trustType": "AzureAd", **attributes}
        wanted = Wanted(Kind.DEVICE, call.key(Kind.DEVICE), computer_name, data)
        known = {"device": computer_name, "site": self._site.name}
        made = making.make(self._database, call, [wanted], durations.JOIN_ENTRA, needs=vm_id, known=known)
        return making.as_made(made[Kind.DEVICE])

    def join_domain(self, call: Call, computer_name: str, vm_id: str, domain: DomainJoin) -> Made:
        account = {
            "computerName": computer_name,
            "domain": domain.domain,
            "organizationalUnit": domain.organizational_unit,
        }
        device = {"displayName": computer_name, "trustType": "ServerAd", "domain": domain.domain}
        wanted = [
            Wanted(Kind.COMPUTER_ACCOUNT, call.key(Kind.COMPUTER_ACCOUNT), computer_name, account),
            Wanted(Kind.DEVICE, call.key(Kind.DEVICE), computer_name, device, synchronised=True),
        ]
        known = {
            "device": computer_name,
            "domain": domain.domain,
            "organizationalUnit": domain.organizational_unit,
            "account": domain.username,
            "site": self._site.name,
        }
        made = making.make(self._database, call, wanted, durations.JOIN_DOMAIN, needs=vm_id, known=known, hybrid=True)[
            Kind.COMPUTER_ACCOUNT
        ]
        if made.disabled:  # a computer that joins again under its name is enabled again
            making.enable(self._database, call.tenant_id, Kind.COMPUTER_ACCOUNT, call.key(Kind.COMPUTER_ACCOUNT))
        return making.as_made(made)

    def find_device(self, call: Call, computer_name: str, attributes: Mapping[str, str]) -> Made:
        parameters = {
            **faults.asking(call, hybrid=True),
            "key": call.key(Kind.DEVICE),
            "attributes": json.dumps(dict(attributes)),
        }
        rows = ask(self._database.world, _FIND, parameters)
        if not rows:
            raise ProviderError("internalServerError", step=call.step, reason=f"there is no tenant {call.tenant_id}")
        row = rows[0]
        faults.raise_matching(self._database, call, row, {"device": computer_name, "site": self._site.name})
        if row.external_id is None:
            # Never joined, or removed meanwhile. Even an infinitely fast directory is not asked without a pause.
            again = row.now + timedelta(seconds=max(row.period, 60.0))
            raise NotYet(again, f"{computer_name} is not in the directory")
        if not row.ready:
            raise NotYet(row.at, durations.SYNCHRONISE.doing)
        return Made(row.external_id, row.data)

    def describe(self, call: Call, device_id: str, attributes: Mapping[str, str]) -> None:
        making.describe(self._database, call, Kind.DEVICE, device_id, attributes, durations.DESCRIBE)

    def release(self, kind: Kind, key: str) -> None:
        act = making.disable if kind is Kind.COMPUTER_ACCOUNT else making.release
        act(self._database, self._site.tenant_id, kind, key)

    def inventory(self) -> Iterator[Found]:
        return world.inventory(
            self._database, self._site.tenant_id, self._site.id, (Kind.DEVICE, Kind.COMPUTER_ACCOUNT)
        )
