"""Domain join by a real directory: the account is made first, by the connection; then the machine joins by itself.

So the connection's own password never enters a machine. An account that is not ours is never touched, and one that is
ours is disabled when its machine is gone, never deleted (L3).
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta

from deskwright.active_directory import accounts, looking
from deskwright.active_directory.accounts import Computer
from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.problems import DirectoryProblem, Reason
from deskwright.domain.resources import Kind, is_ours
from deskwright.guest.actions import NEEDS_RESTART, JoinDomain, SetComputerName
from deskwright.providers.activedirectory import host_join
from deskwright.providers.activedirectory.configuration import configuration
from deskwright.providers.activedirectory.failures import join_failed, not_reached, reason_of
from deskwright.providers.activedirectory.records import AccountRecords, JoinAccount, Joining
from deskwright.providers.builtin.directory import BuiltinDirectory
from deskwright.providers.builtin.records import ObjectRecords
from deskwright.providers.contract import Call, Compute, DomainJoin, Found, Made, NotYet, ProviderError
from deskwright.providers.site import Site
from deskwright.store.database import Database

log = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(minutes=1)
"""In the tenant's time: how soon a computer is looked for again among what was synchronised."""
_SOON = timedelta(seconds=1)


class ActiveDirectory:
    """Configuration: ``{kind: activedirectory, join: guest | host, serviceConnectionPoint: ignored | required}``."""

    identity = "local"

    def __init__(self, database: Database, site: Site, compute: Compute) -> None:
        self._at = configuration(site)
        self._site, self._compute = site, compute
        self._accounts = AccountRecords(database, site)
        self._devices = ObjectRecords(database, site, Kind.DEVICE)
        # Cloud PCs that join no domain are kept in a record, as everywhere without Entra.
        plain = Site(site.tenant_id, site.id, site.name, site.compute, {"kind": "builtin"}, site.management)
        self._builtin = BuiltinDirectory(database, plain, compute)

    # --- joining -------------------------------------------------------------------------------------------

    def join_entra(self, call: Call, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        return self._builtin.join_entra(call, computer_name, vm_id, attributes)

    def join_domain(self, call: Call, computer_name: str, vm_id: str, domain: DomainJoin) -> Made:
        key = call.key(Kind.COMPUTER_ACCOUNT)
        known = self._accounts.find(key)
        if known is not None and _is_joined(known):
            return _made(known)
        # The machine first: it has its name when it joins, and no account is made for one that is not there.
        self._compute.configure_guest(call, vm_id, (SetComputerName(computer_name),))
        with self._accounts.alone(key) as mine:
            if not mine:
                raise NotYet(self._accounts.now() + _SOON, f"{computer_name} is being joined to {domain.domain}")
            known = self._accounts.find(key)
            if known is not None and _is_joined(known):
                return _made(known)
            try:
                return self._joined(call, computer_name, vm_id, domain, known)
            except DirectoryProblem as problem:
                if problem.reason is Reason.CLOCK_SKEW:
                    problem = self._with_times(problem, key)
                values = {
                    "device": computer_name,
                    "domain": domain.domain,
                    "organizationalUnit": domain.organizational_unit,
                    "account": domain.username,
                    "network": self._accounts.network(domain.connection_id),
                }
                raise join_failed(problem, values) from problem

    def _joined(self, call: Call, computer_name: str, vm_id: str, domain: DomainJoin, known: Joining | None) -> Made:
        # A machine may be at it since it was asked before: then its account must not get another password.
        if known is None or not known.preset or known.released or self._at.join == "host":
            known = self._preset(call, computer_name, domain)
        password, reached = self._accounts.one_time_password(known), self._accounts.domain(domain.domain)
        if self._at.join == "host":
            host_join.join(reached, known.controller, computer_name, password)
        else:
            self._join_inside(
                call,
                vm_id,
                JoinDomain(
                    domain=domain.domain,
                    controller=known.controller.host,
                    address=known.controller.address,
                    computer_name=computer_name,
                    one_time_password=password,
                    name_servers=reached.name_servers,
                ),
            )
        known = self._accounts.joined(known.key)
        self._accounts.synchronise_soon(known.domain)
        return _made(known)

    def _preset(self, call: Call, computer_name: str, domain: DomainJoin) -> Joining:
        """The account in the directory, with a one-time password that is not used up."""
        reached, key = self._accounts.domain(domain.domain), call.key(Kind.COMPUTER_ACCOUNT)
        with signed_in(reached, Account(domain.username, domain.password)) as opened:
            self._look_for_connection_point(opened, computer_name, domain)
            unit = accounts.unit_of(opened, domain.organizational_unit)
            existing = self._existing(opened, computer_name, key)
            known = self._accounts.begin(key, computer_name, domain)
            password = self._accounts.one_time_password(known)
            if existing is not None:
                computer = accounts.renew(opened, existing, password)
            else:
                whose = f"Cloud PC of {call.user}, made by Deskwright"
                try:
                    computer = accounts.preset(
                        opened, computer_name, unit, password, mark=self._mark(key), description=whose
                    )
                except DirectoryProblem as problem:
                    if problem.reason is not Reason.SERVER_NOT_OPERATIONAL:  # else nobody knows what became of it
                        self._accounts.never_made(key)
                    raise _by_right_or_quota(opened, problem, unit) from problem
            return self._accounts.preset(key, computer, opened)

    def _existing(self, opened: Opened, computer_name: str, key: str) -> Computer | None:
        """Our account of this key, if it is there. One of anybody else's, or of another key, is refused."""
        found = accounts.find(opened, computer_name)
        if found is None or found.mark == self._mark(key):
            return found
        whose = "which another Cloud PC left" if found.mark.startswith("deskwright:") else "which is not Deskwright's"
        detail = (
            f"{found.distinguished_name} is there already, {whose}. It is not taken over: rename or delete it where "
            "nobody needs it; the next attempt takes another name"
        )
        raise DirectoryProblem(Reason.NAME_TAKEN, detail)

    def _join_inside(self, call: Call, vm_id: str, action: JoinDomain) -> None:
        try:
            printed = self._compute.configure_guest(call, vm_id, (action,))
        except ProviderError as failed:
            said = str(failed.values.get("reason", ""))
            if failed.code != "internalServerError" or not said:
                raise
            raise DirectoryProblem(reason_of(said), said) from failed
        if NEEDS_RESTART in printed:
            # Then it says again what it is, started anew. It is told once for each call.
            self._compute.restart(call, vm_id)
            self._compute.configure_guest(call, vm_id, (action,))

    def _with_times(self, problem: DirectoryProblem, key: str) -> DirectoryProblem:
        known = self._accounts.find(key)
        if known is None:
            return problem
        try:
            seen = looking.times(self._accounts.domain(known.domain), known.controller)
        except DirectoryProblem:
            return problem
        times = f"{known.controller.host} has {seen.there:%Y-%m-%d %H:%M:%S} UTC, Deskwright {seen.here:%H:%M:%S}"
        return DirectoryProblem(problem.reason, f"{problem.detail}. {times}")

    def _look_for_connection_point(self, opened: Opened, computer_name: str, domain: DomainJoin) -> None:
        if not self._at.needs_connection_point:
            return
        keywords = looking.service_connection_point(opened)
        if keywords is None or not any(word.lower().startswith("azureadid:") for word in keywords):
            seen = "there is none" if keywords is None else f"it names no tenant ({', '.join(keywords) or 'empty'})"
            raise ProviderError(
                "scpMisconfigured",
                device=computer_name,
                domain=domain.domain,
                network=self._accounts.network(domain.connection_id),
                reason=f"{seen}, as {opened.controller.host} says",
            )

    # --- devices -------------------------------------------------------------------------------------------

    def find_device(self, call: Call, computer_name: str, attributes: Mapping[str, str]) -> Made:
        known = self._accounts.find(call.key(Kind.COMPUTER_ACCOUNT))
        if known is None:
            raise NotYet(self._accounts.now() + _LOOK_AGAIN, f"{computer_name} has not joined a domain")
        synchronised = self._accounts.synchronised(known)
        if not synchronised.seen:
            if not synchronised.known:
                said = (
                    f"the tenant knows no domain {known.domain} that is synchronised: deskwright domain create adds it"
                )
            elif not synchronised.enabled:
                said = f"the synchronisation of {known.domain} is switched off"
            else:
                last = f"{synchronised.last:%Y-%m-%d %H:%M} UTC" if synchronised.last else "never"
                said = f"{computer_name} has not come by the synchronisation of {known.domain}, last done: {last}"
            raise NotYet(synchronised.now + _LOOK_AGAIN, said)
        recorded = {"displayName": computer_name, "trustType": "ServerAd", "domain": known.domain, **attributes}
        return self._devices.make(call.key(Kind.DEVICE), computer_name, recorded)

    def describe(self, call: Call, device_id: str, attributes: Mapping[str, str]) -> None:
        self._builtin.describe(call, device_id, attributes)

    # --- what goes, and what there is ----------------------------------------------------------------------

    def release(self, kind: Kind, key: str) -> None:
        if kind is not Kind.COMPUTER_ACCOUNT:
            self._builtin.release(kind, key)
            return
        known = self._accounts.find(key)
        if known is None or known.released:
            return
        joiner = self._accounts.join_account(known.connection_id)
        if joiner is None:
            reason = f"the connection by whose account {known.name} joined {known.domain} is gone"
            raise ProviderError("internalServerError", site=self._site.name, reason=reason)
        try:
            with signed_in(self._accounts.domain(known.domain), joiner.account) as opened:
                there = self._of(opened, known)
                if there is not None:
                    accounts.disable(opened, there)
        except DirectoryProblem as problem:
            raise not_reached(problem, self._site.name, f"computer account {known.name} is not disabled") from problem
        self._accounts.released(key)

    def inventory(self) -> Iterator[Found]:
        yield from self._builtin.inventory()
        yield from self._computers()

    def _computers(self) -> Iterator[Found]:
        """Those with this site's mark in the units of its connections, and those that were moved elsewhere since."""
        held = {row.key: row for row in self._accounts.held()}
        told: set[str] = set()
        for joiner in self._accounts.join_accounts():
            its = [row for row in held.values() if row.domain.lower() == joiner.domain.name.lower()]
            try:
                found = list(self._seen_by(joiner, its))
            except DirectoryProblem as problem:
                if its:
                    what = f"the computer accounts of connection {joiner.connection} cannot be listed"
                    raise not_reached(problem, self._site.name, what) from problem
                log.warning("connection %s, which has no accounts here: %s", joiner.connection, problem)
                continue
            for computer, key in found:
                if key not in told:
                    told.add(key)
                    kind, external = str(Kind.COMPUTER_ACCOUNT), str(computer.id)
                    yield Found(kind, key, external, computer.name, disabled=not computer.enabled)

    def _seen_by(self, joiner: JoinAccount, held: list[Joining]) -> Iterator[tuple[Computer, str]]:
        beginning, seen = self._mark(""), set()
        with signed_in(joiner.domain, joiner.account) as opened:
            unit = accounts.unit_of(opened, joiner.organizational_unit)
            for computer in accounts.marked(opened, unit, beginning):
                seen.add(computer.id)
                if is_ours(computer.mark.removeprefix(beginning)):
                    yield computer, computer.mark.removeprefix(beginning)
            for row in held:
                if row.source_id is not None and row.source_id not in seen:
                    computer_elsewhere = self._of(opened, row)
                    if computer_elsewhere is not None:
                        yield computer_elsewhere, row.key

    def _of(self, opened: Opened, known: Joining) -> Computer | None:
        """The account of a row, if it is there."""
        found = accounts.by_id(opened, known.source_id) if known.source_id else accounts.find(opened, known.name)
        return found if found is not None and found.mark == self._mark(known.key) else None

    def _mark(self, key: str) -> str:
        return f"deskwright:{self._site.id}:{key}"


def _is_joined(known: Joining) -> bool:
    return known.joined and not known.released


def _made(known: Joining) -> Made:
    details = {
        "computerName": known.name,
        "domain": known.domain,
        "distinguishedName": known.distinguished_name,
        "controller": known.controller.host,
    }
    return Made(str(known.source_id), details)


def _by_right_or_quota(opened: Opened, problem: DirectoryProblem, unit: str) -> DirectoryProblem:
    """An account without a right of its own is refused for that, or because it has made as many as everyone may."""
    if problem.reason is not Reason.ACCESS_DENIED:
        return problem
    try:
        quota = looking.quota(opened)
    except DirectoryProblem:
        return problem
    if quota.left > 0:
        return problem
    detail = f"it has no right of its own in {unit}, and has made {quota.made} of the {quota.most} computers that every"
    return DirectoryProblem(Reason.QUOTA_EXCEEDED, f"{detail} account of the domain may make ({problem.detail})")
