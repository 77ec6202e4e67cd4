"""The built-in directory: a device record here, and in the machine its name and what it is recorded as.

People sign in with an account of the machine itself; the directory calls it just that.
"""

import json
from collections.abc import Iterator, Mapping

from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.guest.actions import SetComputerName, WriteRecord
from deskwright.providers.builtin.records import ObjectRecords
from deskwright.providers.contract import Call, Compute, DomainJoin, Found, Made, ProviderError
from deskwright.providers.site import Site
from deskwright.store.database import Database


class BuiltinDirectory:
    """Configuration: ``{kind: builtin}``."""

    identity = "local"

    def __init__(self, database: Database, site: Site, compute: Compute) -> None:
        for key in site.directory:
            if key != "kind":
                rule = "is not known: the built-in directory has nothing to configure"
                raise Refused(f"directory.{key}", site.directory[key], rule, where=f"site {site.name}")
        self._devices, self._compute = ObjectRecords(database, site, Kind.DEVICE), compute

    def join_entra(self, call: Call, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        recorded = {"displayName": computer_name, "trustType": "Local", **attributes}
        record = WriteRecord("device", json.dumps(recorded, sort_keys=True, ensure_ascii=False))
        # The machine first: a device that was never told its name must not stand in the directory.
        self._compute.configure_guest(call, vm_id, (SetComputerName(computer_name), record))
        return self._devices.make(call.key(Kind.DEVICE), computer_name, recorded)

    def join_domain(self, call: Call, computer_name: str, vm_id: str, domain: DomainJoin) -> Made:
        raise self._no_domains(call, computer_name, domain.domain)

    def find_device(self, call: Call, computer_name: str, attributes: Mapping[str, str]) -> Made:
        raise self._no_domains(call, computer_name, "")

    def describe(self, call: Call, device_id: str, attributes: Mapping[str, str]) -> None:
        if not self._devices.describe(device_id, attributes):
            raise ProviderError("internalServerError", step=call.step, reason=f"there is no device {device_id}")

    def release(self, kind: Kind, key: str) -> None:
        if kind is Kind.DEVICE:
            self._devices.delete(key)

    def inventory(self) -> Iterator[Found]:
        return self._devices.inventory()

    def _no_domains(self, call: Call, computer_name: str, domain: str) -> ProviderError:
        reason = "this site's directory is the built-in one, which has no domains"
        return ProviderError("joinDomainFailed", device=computer_name, domain=domain, step=call.step, reason=reason)
