"""What a command reaches: the installation of this machine, or a service elsewhere by its API.

Both answer the same. The commands that can only work on the machine with the data directory open a session instead.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TextIO

from deskwright import jobs
from deskwright.cli.output import refusals
from deskwright.cli.remote import Remote, segment
from deskwright.cli.session import Session, open_session, service_elsewhere
from deskwright.domain.rules import Refused
from deskwright.operations import cloud_pcs, faults, tenants, view
from deskwright.operations.change import TenantRef
from deskwright.operations.named import LARGEST_PAGE, Item

# What the API calls the actions.
_ACTIONS: dict[str, Callable[..., Mapping[str, Any]]] = {
    "retry": cloud_pcs.retry,
    "repair": cloud_pcs.repair,
    "reprovision": cloud_pcs.reprovision,
    "endGracePeriod": cloud_pcs.end_grace,
    "keep": cloud_pcs.keep,
    "cancel": cloud_pcs.cancel,
}


class Service(Protocol):
    """One tenant, near or far. Options of an action have the API's names."""

    @property
    def tenant_name(self) -> str: ...
    def cloud_pcs(self, statuses: list[str] | None = None, user: str | None = None) -> list[Item]: ...
    def timeline(self, cloud_pc: str) -> Item: ...
    def explain(self, user: str) -> Item: ...
    def act(self, action: str, cloud_pc: str, options: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def nobody_works(self) -> bool: ...
    def faults(self) -> list[Item]: ...
    def add_fault(self, fault: Item) -> Item: ...
    def clear_faults(self, fault: int | None) -> list[Item]: ...
    def clock(self) -> Item: ...
    def advance_clock(self, by: timedelta, *, confirmed: bool) -> Item: ...
    def export(self, out: TextIO) -> None: ...


@dataclass
class Near:
    """The installation of this machine."""

    session: Session
    tenant: TenantRef

    @property
    def tenant_name(self) -> str:
        return self.tenant.name

    def cloud_pcs(self, statuses: list[str] | None = None, user: str | None = None) -> list[Item]:
        with self.session.database.engine.connect() as connection:
            return view.cloud_pcs(connection, self.tenant, statuses=statuses, user=user)

    def timeline(self, cloud_pc: str) -> Item:
        with self.session.database.engine.connect() as connection:
            return view.timeline(connection, self.tenant, cloud_pcs.find(connection, self.tenant, cloud_pc))

    def explain(self, user: str) -> Item:
        with self.session.database.engine.connect() as connection:
            return view.explain_user(connection, self.tenant, user)

    def act(self, action: str, cloud_pc: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        given = {"user_account_type" if k == "userAccountType" else k: v for k, v in options.items()}
        return _ACTIONS[action](self.session.world, self.tenant, self.session.actor, cloud_pc, **given)

    def nobody_works(self) -> bool:
        with self.session.database.single.connect() as connection:
            return jobs.workers_alive(connection, self.session.settings.stalled_seconds) == 0

    def faults(self) -> list[Item]:
        found: list[Item] = []
        after = 0
        while page := faults.list_(self.session.database, self.tenant, after, LARGEST_PAGE):
            found += page
            after = found[-1]["id"]
        return found

    def add_fault(self, fault: Item) -> Item:
        given = {"delay_seconds" if k == "delaySeconds" else k: v for k, v in fault.items()}
        return faults.add(self.session.database, self.tenant, self.session.actor, **given)

    def clear_faults(self, fault: int | None) -> list[Item]:
        return faults.clear(self.session.database, self.tenant, self.session.actor, fault)

    def clock(self) -> Item:
        return tenants.show_clock(self.session.database, self.tenant)

    def advance_clock(self, by: timedelta, *, confirmed: bool) -> Item:
        return tenants.advance_clock(self.session.database, self.tenant, self.session.actor, by, confirmed=confirmed)

    def export(self, out: TextIO) -> None:
        from deskwright.document.export import export

        export(self.session.database, self.tenant, out)


@dataclass
class Far:
    """A service elsewhere; the tenant is the token's."""

    api: Remote
    tenant_name: str

    def cloud_pcs(self, statuses: list[str] | None = None, user: str | None = None) -> list[Item]:
        return self.api.all("/cloudPCs", status=statuses, user=user, limit=1000)

    def timeline(self, cloud_pc: str) -> Item:
        found: Item = self.api.get(f"/cloudPCs/{segment(cloud_pc)}/timeline")
        return found

    def explain(self, user: str) -> Item:
        found: Item = self.api.get(f"/explain/{segment(user)}")
        return found

    def act(self, action: str, cloud_pc: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        told: Item = self.api.post(f"/cloudPCs/{segment(cloud_pc)}/{action}", dict(options) or None)
        return {k: v for k, v in told.items() if v is not None}

    def nobody_works(self) -> bool:
        return False  # whoever runs the service looks after that

    def faults(self) -> list[Item]:
        return self.api.all("/faults", limit=1000)

    def add_fault(self, fault: Item) -> Item:
        found: Item = self.api.post("/faults", fault)
        return found

    def clear_faults(self, fault: int | None) -> list[Item]:
        if fault is not None:
            return [self.api.delete(f"/faults/{fault}")]
        found: list[Item] = self.api.delete("/faults")["value"]
        return found

    def clock(self) -> Item:
        found: Item = self.api.get("/clock")
        return found

    def advance_clock(self, by: timedelta, *, confirmed: bool) -> Item:
        found: Item = self.api.post("/clock/advance", {"seconds": by.total_seconds()}, confirmed=confirmed)
        return found

    def export(self, out: TextIO) -> None:
        out.write(self.api.text("/export"))


@contextmanager
def reach(tenant: str | None) -> Iterator[Service]:
    """The tenant named, or the only one there is, here or elsewhere; a refusal is printed and ends with 1."""
    with refusals():
        elsewhere = remote()
        if elsewhere is None:
            with open_session() as session:
                yield Near(session, session.tenant(tenant))
        else:
            yield far(elsewhere, tenant)


def remote() -> Remote | None:
    """The service elsewhere, where one is set."""
    elsewhere = service_elsewhere()
    return None if elsewhere is None else Remote(*elsewhere)


def far(api: Remote, tenant: str | None) -> Far:
    """Raises Refused where the token is for another tenant than the one named."""
    there = api.get("/tenant")
    if tenant is not None and tenant.lower() not in (there["name"].lower(), there["id"]):
        rule = f"the token is for {there['name']}"
        raise Refused("--tenant", tenant, rule, remedy="Leave it out, or use a token of that tenant")
    return Far(api, there["name"])
