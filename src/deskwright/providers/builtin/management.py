"""The built-in device management: a record of the device here, and in the machine what it was enrolled as.

Enrolment is the device's own: by a token made for it alone and told to nobody else, with no user's credentials.
"""

import hmac
import json
import secrets
from collections.abc import Iterator, Mapping

from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.guest.actions import WriteRecord
from deskwright.identity.passwords import digest
from deskwright.providers.builtin.records import ObjectRecords
from deskwright.providers.contract import Call, Compute, Found, Made, ProviderError
from deskwright.providers.site import Site
from deskwright.store.database import Database

_OF_THIS_PROCESS = secrets.token_bytes(32)


class BuiltinManagement:
    """Configuration: ``{kind: builtin}``."""

    def __init__(self, database: Database, site: Site, compute: Compute) -> None:
        for key in site.management:
            if key != "kind":
                rule = "is not known: the built-in management has nothing to configure"
                raise Refused(f"management.{key}", site.management[key], rule, where=f"site {site.name}")
        self._managed, self._compute = ObjectRecords(database, site, Kind.MANAGED_DEVICE), compute
        self._devices = ObjectRecords(database, site, Kind.DEVICE)
        self._secrets = database.secrets

    def enrol(self, call: Call, device_id: str, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        if self._devices.find(device_id) is None:
            raise ProviderError("internalServerError", step=call.step, reason=f"there is no device {device_id}")
        token = self._token(call)
        enrolled = {"deviceName": computer_name, "azureADDeviceId": device_id, **attributes}
        record = WriteRecord("enrolment", json.dumps({**enrolled, "token": token}, sort_keys=True, ensure_ascii=False))
        self._compute.configure_guest(call, vm_id, (record,))
        made = self._managed.make(
            call.key(Kind.MANAGED_DEVICE), computer_name, {**enrolled, "tokenDigest": digest(token)}
        )
        return Made(made.external_id, enrolled)

    def _token(self, call: Call) -> str:
        """The same again when the same is asked again, as it is where the machine is not done yet; kept nowhere."""
        known = self._secrets
        key = known.derive("device enrolment")[0] if known else _OF_THIS_PROCESS
        return hmac.new(key, call.key(Kind.MANAGED_DEVICE).encode(), "sha256").hexdigest()

    def set_primary_user(self, call: Call, managed_device_id: str, user_principal_name: str) -> None:
        if not self._managed.describe(managed_device_id, {"primaryUser": user_principal_name}):
            raise self._unknown(call, managed_device_id)

    def describe(self, call: Call, managed_device_id: str, attributes: Mapping[str, str]) -> None:
        if not self._managed.describe(managed_device_id, attributes):
            raise self._unknown(call, managed_device_id)

    def release(self, kind: Kind, key: str) -> None:
        self._managed.delete(key)

    def inventory(self) -> Iterator[Found]:
        return self._managed.inventory()

    def _unknown(self, call: Call, device: str) -> ProviderError:
        return ProviderError("internalServerError", step=call.step, reason=f"there is no managed device {device}")
