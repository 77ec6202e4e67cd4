"""P1-P7 read back from inside the (simulated) machine, and C2's marks on its device objects."""

from typing import Any

import pytest

from deskwright.domain.images import GALLERY
from deskwright.guest.configuration import HIGH_RISK_TCP, HIGH_RISK_UDP
from deskwright.providers.simulator import world
from tests.company import PLAN, Company

WINDOWS = next(i.id for i in GALLERY.values() if i.os_family == "windows")


def inside(company: Company) -> dict[str, Any]:
    ((vm,),) = company.sql("SELECT external_id FROM simulator.objects WHERE kind = 'vm'")
    with company.world.database.world.connect() as connection:
        state = world.guest_state(connection, company.tenant.id, vm)
    assert state is not None
    return state


def provisioned(company: Company, image: str, *, connections: tuple[str, ...] = ()) -> dict[str, Any]:
    company.site()
    for connection in connections:
        company.connection(connection)
    company.plan()
    company.group()
    company.policy(image=image, connections=connections, local_admin=True)
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    company.settle()
    assert company.status("adele") == "provisioned"
    return inside(company)


def test_windows(company: Company) -> None:
    """P1, P2, P4, P5, P6, P7 as the automated-provisioning-steps document and SPEC section 2 name them."""
    state = provisioned(company, WINDOWS)
    registry = state["registry"]
    start = r"SOFTWARE\Microsoft\PolicyManager\default\Start"
    assert registry[rf"{start}\HideShutDown"] == {"value": 1}, "P1"
    assert registry[rf"{start}\HideRestart"] == {"value": 1}, "P1"
    system = registry[r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"]
    assert system == {"ShutdownWithoutLogon": 0}, "P1"
    assert state["commands"] == ["reagentc.exe /disable"], "P2"
    assert registry[r"SOFTWARE\Microsoft\Teams"] == {"IsWVDEnvironment": 1}, "P4"
    terminal = registry[r"SOFTWARE\Policies\Microsoft\Windows NT\Terminal Services"]
    assert terminal == {"fEnableTimeZoneRedirection": 1}, "P5"
    assert state["partition_gb"] == 128, "P6: the licence's disk"
    assert set(state["ports"]["tcp"]) == set(HIGH_RISK_TCP), "P7"
    assert set(state["ports"]["udp"]) == set(HIGH_RISK_UDP), "P7"
    assert state["ports"]["exceptFrom"] == company.world.settings.gateway_address, "P7: not from our own gateway"


def test_linux(company: Company) -> None:
    """P1, P2, P5 by files of the desktop; P4 is skipped, and the timeline says so."""
    state = provisioned(company, "debian-12-desktop")
    assert state["registry"] == {}
    assert any("polkit" in path for path in state["files"]), "P1"
    assert any("grub" in path for path in state["files"]), "P2"
    assert any("time-zone" in path for path in state["files"]), "P5"
    assert state["partition_gb"] == 128, "P6"
    (teams,) = [row for row in company.steps("adele") if row.step == "P4"]
    assert (teams.outcome, teams.output) == ("skipped", "not applicable on Linux")


@pytest.mark.parametrize(
    ("connections", "on_premises", "member"),
    [
        ((), None, "AzureAD\\adele@contoso.com"),
        (("HQ",), None, "adele@contoso.com"),
        (("HQ",), "adele@corp.contoso.com", "adele@corp.contoso.com"),
    ],
)
def test_the_local_administrator_by_the_right_name(
    company: Company, connections: tuple[str, ...], on_premises: str | None, member: str
) -> None:
    """P3: the on-premises UPN when hybrid joined, AzureAD\\UPN when Entra joined."""
    company.sql(
        "ALTER TABLE users ALTER COLUMN on_premises_user_principal_name SET DEFAULT "
        + (f"'{on_premises}'" if on_premises else "NULL")
    )
    assert provisioned(company, WINDOWS, connections=connections)["administrators"] == [member]


def test_devices_can_be_found_by_model_and_profile(company: Company) -> None:
    """C2, C5, C6: model and enrollmentProfileName on the device object, the licence's user as primary user."""
    provisioned(company, WINDOWS)
    kept = dict(company.sql("SELECT kind, data FROM simulator.objects"))
    text = str(kept["device"])
    assert PLAN in text
    assert "Desktops" in text
    assert "adele@contoso.com" in str(kept["managedDevice"])


def test_the_high_risk_ports_are_the_published_list() -> None:
    """P7: windows-365-facts section 8."""
    both = {111, 135, 162, 593, 2049}
    assert set(HIGH_RISK_TCP) == both | {20, 21, 22, 23, 119, 161, 445, 512, 514, 873, 3389, 5800, 5900}
    assert set(HIGH_RISK_UDP) == both | {69, 11211}
