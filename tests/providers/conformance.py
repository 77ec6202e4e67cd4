"""The rules of `deskwright.providers.contract` as tests; every implementation passes them.

An implementation subclasses `Conformance` in a test module of its own and gives the fixture ``outside``.
"""

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from deskwright.domain.plans import Size
from deskwright.domain.resources import RESOURCES, Kind, is_ours
from deskwright.errors import CATALOGUE
from deskwright.guest.actions import SetRegistry, WriteFile
from deskwright.providers.contract import (
    Call,
    DomainJoin,
    Found,
    MachineSpec,
    Made,
    Network,
    NotYet,
    ProviderError,
    Providers,
)
from tests.providers.viewer import seen

T = TypeVar("T")
SIZE = Size(2, 8, 128)
ATTRIBUTES = {"model": "Cloud PC Enterprise 2vCPU/8GB/128GB", "enrollmentProfileName": "Sales desktops"}
DOMAIN = DomainJoin(
    uuid4(), "corp.contoso.com", "OU=CloudPCs,DC=corp,DC=contoso,DC=com", "joiner@corp.contoso.com", "secret"
)


@dataclass
class Outside:
    """The providers of one site, whose they are, and how its time passes."""

    providers: Providers
    tenant_id: UUID
    site_id: UUID
    pass_time: Callable[[NotYet], None]
    """Let the time come at which a NotYet says to ask again; a real implementation waits."""
    os_family: str = "windows"
    image: str = "debian-12-desktop"
    patience: int = 20
    """How often something is asked for, before it is taken for never done."""
    cloud_pc_id: UUID = field(default_factory=uuid4)
    domain: DomainJoin = DOMAIN
    synchronise: Callable[[str], None] = lambda name: None
    """Let a computer of the domain come into the directory, where that does not happen by itself."""
    own_names: bool = False
    """Whether each attempt has a computer name of its own, as Cloud PCs have: a real domain takes each only once."""

    def computer(self, call: Call) -> str:
        return f"CPC-{call.cloud_pc_id.hex[:8]}-{call.attempt}".upper() if self.own_names else "CPC-ADELE-TEST1"

    def call(self, step: str, **changes: Any) -> Call:
        call = Call(self.tenant_id, self.site_id, self.cloud_pc_id, 1, 1, step, "adele@contoso.com", "Sales desktops")
        return replace(call, **changes)

    def until_done(self, ask: Callable[[], T]) -> T:
        """Ask the same again for as long as the answer is NotYet."""
        for _ in range(self.patience):
            try:
                return ask()
            except NotYet as later:
                waited = later
            assert waited.reason, "the administrator is shown what is waited for"
            assert waited.until.tzinfo is not None
            self.pass_time(waited)
        raise AssertionError("never done")

    def inventory(self) -> list[Found]:
        p = self.providers
        return [*p.compute.inventory(), *p.directory.inventory(), *p.management.inventory()]

    def spec(self, name: str = "CPC-ADELE-TEST1") -> MachineSpec:
        return MachineSpec(name, SIZE, self.image, self.os_family, ATTRIBUTES["model"])

    def vm(self, **changes: Any) -> str:
        made = self.until_done(lambda: self.providers.compute.create_vm(self.call("C2", **changes), self.spec()))
        return made[Kind.VM].external_id

    def device(self, vm_id: str, **changes: Any) -> Made:
        call = self.call("C4", **changes)
        return self.until_done(lambda: self.providers.directory.join_entra(call, "CPC-ADELE-TEST1", vm_id, ATTRIBUTES))

    def nic(self, vm_id: str, network: Network | None = None, **changes: Any) -> Made:
        call, where = self.call("C3", **changes), network or Network()
        return self.until_done(lambda: self.providers.compute.attach_nic(call, vm_id, where))


# For each kind, how it is asked for: (outside, changes of the call) -> external id.
def _capacity(outside: Outside, **changes: Any) -> str:
    call = outside.call("C1", **changes)
    return outside.until_done(lambda: outside.providers.compute.allocate(call, SIZE)).external_id


def _vm(outside: Outside, **changes: Any) -> str:
    return outside.vm(**changes)


def _disk(outside: Outside, **changes: Any) -> str:
    call = outside.call("C2", **changes)
    made = outside.until_done(lambda: outside.providers.compute.create_vm(call, outside.spec()))
    return made[Kind.DISK].external_id


def _nic(outside: Outside, **changes: Any) -> str:
    outside.until_done(lambda: outside.providers.compute.ensure_network(outside.call("C3", **changes)))
    return outside.nic(outside.vm(**changes), **changes).external_id


def _device(outside: Outside, **changes: Any) -> str:
    return outside.device(outside.vm(**changes), **changes).external_id


def _account(outside: Outside, **changes: Any) -> str:
    vm, call = outside.vm(**changes), outside.call("C4", **changes)
    join = outside.providers.directory.join_domain
    return outside.until_done(lambda: join(call, outside.computer(call), vm, outside.domain)).external_id


def _managed(outside: Outside, **changes: Any) -> str:
    vm, call = outside.vm(**changes), outside.call("C5", **changes)
    device, enrol = outside.device(vm, **changes).external_id, outside.providers.management.enrol
    return outside.until_done(lambda: enrol(call, device, "CPC-ADELE-TEST1", vm, ATTRIBUTES)).external_id


def _snapshot(outside: Outside, **changes: Any) -> str:
    vm, call = outside.vm(**changes), outside.call("R5", **changes)
    return outside.until_done(lambda: outside.providers.compute.snapshot(call, vm)).external_id


MAKING: dict[Kind, tuple[str, Callable[..., str]]] = {
    Kind.CAPACITY: ("C1", _capacity),
    Kind.VM: ("C2", _vm),
    Kind.DISK: ("C2", _disk),
    Kind.NIC: ("C3", _nic),
    Kind.DEVICE: ("C4", _device),
    Kind.COMPUTER_ACCOUNT: ("C4", _account),
    Kind.MANAGED_DEVICE: ("C5", _managed),
    Kind.SNAPSHOT: ("R5", _snapshot),
}


class _Rules:
    """What every provider keeps: one object for each key, found again, released as often as one likes."""

    serves: tuple[str, ...] = ()
    """Which of the three contracts the class tries."""
    domains = True
    """Whether the directory can join machines to a domain."""

    @pytest.fixture
    def outside(self) -> Outside:
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", [kind for kind in MAKING if kind in self.kinds()], ids=str)

    def kinds(self) -> set[Kind]:
        """What the providers under trial make."""
        here = {kind for kind in Kind if RESOURCES[kind].provider in self.serves}
        return here if self.domains else here - {Kind.COMPUTER_ACCOUNT}

    def test_same_key_same_object(self, outside: Outside, kind: Kind) -> None:
        step, make = MAKING[kind]
        first = make(outside)
        assert make(outside) == first
        key = outside.call(step).key(kind)
        assert [f.external_id for f in outside.inventory() if f.key == key] == [first]

    def test_another_attempt_gets_another_object(self, outside: Outside, kind: Kind) -> None:
        _, make = MAKING[kind]
        assert make(outside) != make(outside, attempt=2)

    def test_same_key_at_the_same_time(self, outside: Outside, kind: Kind) -> None:
        step, make = MAKING[kind]
        with ThreadPoolExecutor(8) as pool:
            made = {f.result() for f in [pool.submit(make, outside) for _ in range(8)]}
        assert len(made) == 1
        assert sum(f.key == outside.call(step).key(kind) for f in outside.inventory()) == 1

    def test_release_twice_and_of_nothing(self, outside: Outside, kind: Kind) -> None:
        step, make = MAKING[kind]
        provider = outside.providers.of(RESOURCES[kind].provider)
        key = outside.call(step).key(kind)
        provider.release(kind, key)
        make(outside)
        provider.release(kind, key)
        provider.release(kind, key)
        left = [f for f in outside.inventory() if f.key == key]
        assert [f.disabled for f in left] == ([True] if RESOURCES[kind].disabled_only else [])

    def test_a_late_call_makes_it_again_and_the_inventory_shows_it(self, outside: Outside, kind: Kind) -> None:
        """A frozen worker may ask after the release; the sweep must find what it made (L4)."""
        step, make = MAKING[kind]
        key = outside.call(step).key(kind)
        make(outside)
        outside.providers.of(RESOURCES[kind].provider).release(kind, key)
        again = make(outside)
        found = next(f for f in outside.inventory() if f.key == key)
        assert (found.external_id, found.disabled) == (again, False)

    def test_inventory_is_complete_and_ours(self, outside: Outside) -> None:
        for kind in (kind for kind in MAKING if kind in self.kinds()):
            MAKING[kind][1](outside)
        found = [f for name in self.serves for f in outside.providers.of(name).inventory()]
        assert {f.kind for f in found} == {str(kind) for kind in self.kinds()}
        assert all(is_ours(f.key) for f in found)
        assert len({f.key for f in found}) == len(found)

    def test_what_cannot_be_done_has_a_code_of_the_catalogue(self, outside: Outside) -> None:
        nothing, p = str(uuid4()), outside.providers
        asks: dict[str, list[Callable[[], object]]] = {
            "compute": [
                lambda: p.compute.attach_nic(outside.call("C3"), nothing, Network()),
                lambda: p.compute.configure_guest(outside.call("P1"), nothing, (SetRegistry("A", "b", 1),)),
                lambda: p.compute.try_sign_in_path(outside.call("A0"), nothing),
                lambda: p.compute.power(outside.call("R2"), nothing, True),
                lambda: p.compute.restart(outside.call("R1"), nothing),
                lambda: p.compute.resize(outside.call("R4"), nothing, SIZE, "none"),
                lambda: p.compute.snapshot(outside.call("R5"), nothing),
                lambda: p.compute.restore(outside.call("R6"), nothing, nothing),
            ],
            "directory": [
                lambda: p.directory.describe(outside.call("P8"), nothing, ATTRIBUTES),
                lambda: p.directory.join_entra(outside.call("C4"), "CPC-NONE", nothing, ATTRIBUTES),
                lambda: p.directory.join_domain(outside.call("C4"), "CPC-NONE", nothing, outside.domain),
            ],
            "management": [
                lambda: p.management.describe(outside.call("P8"), nothing, ATTRIBUTES),
                lambda: p.management.enrol(outside.call("C5"), nothing, "CPC-NONE", nothing, ATTRIBUTES),
                lambda: p.management.set_primary_user(outside.call("C6"), nothing, "adele@contoso.com"),
            ],
        }
        for ask in (ask for name in self.serves for ask in asks[name]):
            with pytest.raises(ProviderError) as failed:
                outside.until_done(ask)
            assert failed.value.code in CATALOGUE
        assert not [f for f in outside.inventory() if f.key]


class ComputeConformance(_Rules):
    """What the methods of `Compute` promise."""

    serves: tuple[str, ...] = ("compute",)

    def test_shared_objects_are_the_sites(self, outside: Outside) -> None:
        compute = outside.providers.compute
        first = outside.until_done(lambda: compute.ensure_network(outside.call("C3")))
        other = outside.call("C3", cloud_pc_id=uuid4())
        assert outside.until_done(lambda: compute.ensure_network(other)) == first
        keys = {f.key for f in compute.inventory()}
        assert keys == {other.site_key(Kind.NETWORK), other.site_key(Kind.SECURITY_GROUP)}

    def test_each_nic_has_an_address_of_its_own(self, outside: Outside) -> None:
        vm = outside.vm()
        outside.until_done(lambda: outside.providers.compute.ensure_network(outside.call("C3")))
        first = outside.nic(vm).details["ipAddress"]
        assert outside.nic(vm, attempt=2).details["ipAddress"] != first
        assert outside.nic(vm).details["ipAddress"] == first

    def test_guest_actions_may_be_done_again(self, outside: Outside) -> None:
        vm, call = outside.vm(), outside.call("P1")
        outside.until_done(lambda: outside.providers.compute.ensure_network(outside.call("C3")))
        actions = (WriteFile("/etc/deskwright.test", "1\n"), SetRegistry(r"SOFTWARE\Deskwright", "Test", 1))
        configure = outside.providers.compute.configure_guest
        asked = actions[1:] if outside.os_family == "windows" else actions[:1]
        printed = outside.until_done(lambda: configure(call, vm, asked))
        assert isinstance(printed, str)
        outside.until_done(lambda: configure(call, vm, asked))

    def test_sign_in_path_answers(self, outside: Outside) -> None:
        vm = outside.vm()
        outside.until_done(lambda: outside.providers.compute.ensure_network(outside.call("C3")))
        outside.nic(vm)
        call = outside.call("A0")
        assert outside.until_done(lambda: outside.providers.compute.try_sign_in_path(call, vm))

    def test_sign_in_path_of_a_deleted_machine_fails(self, outside: Outside) -> None:
        vm = outside.vm()
        outside.providers.compute.release(Kind.VM, outside.call("C2").key(Kind.VM))
        with pytest.raises(ProviderError) as failed:
            outside.until_done(lambda: outside.providers.compute.try_sign_in_path(outside.call("A0"), vm))
        assert failed.value.code in CATALOGUE

    def test_a_machine_is_told_once_and_may_be_asked_again(self, outside: Outside) -> None:
        vm, compute = outside.vm(), outside.providers.compute
        outside.until_done(lambda: compute.ensure_network(outside.call("C3")))
        outside.nic(vm)
        for _ in range(2):
            outside.until_done(lambda: compute.restart(outside.call("R1"), vm))
            outside.until_done(lambda: compute.power(outside.call("R3"), vm, False))
        with pytest.raises(ProviderError) as failed:
            outside.until_done(lambda: compute.try_sign_in_path(outside.call("A0"), vm))
        assert failed.value.code == "endpointCheckFailed"
        for _ in range(2):
            outside.until_done(lambda: compute.power(outside.call("R2"), vm, True))
        # A late repetition of what was done before turns nothing off again.
        outside.until_done(lambda: compute.power(outside.call("R3"), vm, False))
        assert outside.until_done(lambda: compute.try_sign_in_path(outside.call("A0", run=2), vm))

    def test_a_running_machine_has_a_screen(self, outside: Outside) -> None:
        vm, call, compute = outside.vm(), outside.call("screen"), outside.providers.compute
        first, second = compute.screen(call, vm), compute.screen(call, vm)
        assert first.host
        assert first.port
        assert len(first.password) <= 8
        assert not first.password or first.password != second.password
        with seen(second) as viewer:
            size = viewer.look().size
        shots = [compute.screenshot(call, vm)]
        assert shots[0].startswith(b"\x89PNG\r\n\x1a\n")
        # A machine that starts changes the size of its screen as it goes on.
        while (found := struct.unpack(">II", shots[-1][16:24])) != size and len(shots) < outside.patience:
            with seen(compute.screen(call, vm)) as viewer:
                size = viewer.look().size
            shots.append(compute.screenshot(call, vm))
        assert found == size

    def test_a_machine_that_is_off_or_gone_has_no_screen(self, outside: Outside) -> None:
        vm, call, compute = outside.vm(), outside.call("screen"), outside.providers.compute
        outside.until_done(lambda: compute.power(outside.call("R3"), vm, False))
        for machine in (vm, str(uuid4())):
            for ask in (compute.screen, compute.screenshot):
                with pytest.raises(ProviderError) as failed:
                    ask(call, machine)
                assert failed.value.code == "endpointCheckFailed"
        outside.until_done(lambda: compute.power(outside.call("R2"), vm, True))
        assert compute.screen(call, vm).port

    def test_a_machine_is_resized_within_the_room_there_is(self, outside: Outside) -> None:
        compute = outside.providers.compute
        outside.until_done(lambda: compute.allocate(outside.call("C1"), SIZE))
        vm, larger = outside.vm(), Size(4, 16, 256)
        for _ in range(2):
            outside.until_done(lambda: compute.resize(outside.call("R4", run=2), vm, larger, "4vCPU/16GB/256GB"))
        huge = Size(2**30, 16, 256)
        with pytest.raises(ProviderError) as full:
            outside.until_done(lambda: compute.resize(outside.call("R4", run=3), vm, huge, "too large"))
        assert full.value.code == "capacityUnavailable"

    def test_a_snapshot_is_restored_only_to_its_machine(self, outside: Outside) -> None:
        vm, other, compute = outside.vm(), outside.vm(attempt=2), outside.providers.compute
        taken = outside.until_done(lambda: compute.snapshot(outside.call("R5", run=2), vm)).external_id
        for _ in range(2):
            outside.until_done(lambda: compute.restore(outside.call("R6", run=3), vm, taken))
        for wrong, snapshot in ((other, taken), (vm, str(uuid4()))):
            with pytest.raises(ProviderError) as failed:
                outside.until_done(partial(compute.restore, outside.call("R6", run=4), wrong, snapshot))
            assert failed.value.code in CATALOGUE


class DirectoryConformance(_Rules):
    """What the methods of `Directory` promise."""

    serves: tuple[str, ...] = ("directory",)

    def test_a_domain_joined_computer_appears_in_the_directory(self, outside: Outside) -> None:
        vm, call, directory = outside.vm(), outside.call("C4"), outside.providers.directory
        if not self.domains:
            with pytest.raises(ProviderError) as failed:
                directory.join_domain(call, "CPC-ADELE-TEST1", vm, outside.domain)
            assert failed.value.code == "joinDomainFailed"
            return
        name = outside.computer(call)
        outside.until_done(lambda: directory.join_domain(call, name, vm, outside.domain))
        outside.synchronise(name)
        device = outside.until_done(lambda: directory.find_device(call, name, ATTRIBUTES))
        found = next(f for f in directory.inventory() if f.kind == Kind.DEVICE)
        assert (found.key, found.external_id) == (call.key(Kind.DEVICE), device.external_id)

    def test_devices_are_described_anew(self, outside: Outside) -> None:
        device = outside.device(outside.vm()).external_id
        for _ in range(2):
            outside.until_done(
                lambda: outside.providers.directory.describe(outside.call("P8"), device, {"model": "another"})
            )

    def test_identity_is_one_of_the_two(self, outside: Outside) -> None:
        assert outside.providers.directory.identity in {"entra", "local"}


class ManagementConformance(_Rules):
    """What the methods of `Management` promise."""

    serves: tuple[str, ...] = ("management",)

    def test_managed_devices_are_described_anew(self, outside: Outside) -> None:
        managed, management = _managed(outside), outside.providers.management
        for _ in range(2):
            outside.until_done(lambda: management.describe(outside.call("P8"), managed, {"model": "another"}))

    def test_primary_user(self, outside: Outside) -> None:
        managed = _managed(outside)
        management = outside.providers.management
        for _ in range(2):
            outside.until_done(lambda: management.set_primary_user(outside.call("C6"), managed, "adele@contoso.com"))


class Conformance(ComputeConformance, DirectoryConformance, ManagementConformance):
    """All three, for a kind that has them all."""

    serves = ("compute", "directory", "management")
