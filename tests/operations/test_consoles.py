"""Consoles, screenshots and .rdp files: who gets to see which screen, and that it is written down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from deskwright.domain.resources import Kind, idempotency_key
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import audit, consoles, remote_actions
from deskwright.operations.change import TenantRef
from deskwright.operations.consoles import Ticket
from deskwright.providers.contract import Screen
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.settings import Settings
from deskwright.store.database import Database
from tests.company import PLAN, Company, found
from tests.providers.viewer import seen

ADMIN = "admin@contoso.com"
Asked = Callable[[World, TenantRef, str, UUID | None], Any]
ALL: dict[str, Asked] = {
    "console": lambda w, t, pc, own: consoles.open_console(w, t, ADMIN, pc, own=own),
    "screenshot": lambda w, t, pc, own: consoles.screenshot(w, t, ADMIN, pc, own=own),
    "rdp": lambda w, t, pc, own: consoles.rdp_file(w, t, pc, own=own),
}
each = pytest.mark.parametrize("ask", list(ALL.values()), ids=list(ALL))


@pytest.fixture
def adele(company: Company) -> str:
    """The device name of adele's Cloud PC; alex has one as well."""
    company.basics("adele", "alex")
    company.settle()
    return str(company.pc("adele").device_name)


def activities(company: Company) -> list[tuple[str, str, str]]:
    written = audit.list_(company.world.database, company.tenant, resource_type="cloudPC")
    return [(e["activity"], e["actor"], e["resourceId"]) for e in written if e["actor"] != "deskwright"]


def screen_of(company: Company, ticket: Ticket, actor: str = ADMIN) -> Screen | None:
    return consoles.screen_of(company.world, company.tenant, actor, ticket.sealed)


def test_a_console_shows_the_machine_and_is_written_down(company: Company, adele: str) -> None:
    ticket = consoles.open_console(company.world, company.tenant, ADMIN, adele)
    screen = screen_of(company, ticket)
    assert screen
    with seen(Screen(screen.host, screen.port, ticket.password)) as viewer:
        assert viewer.name == adele
        assert len(viewer.look().getcolors(1 << 20) or ()) > 50
    pc = company.pc("adele")
    assert (ticket.cloud_pc_id, ticket.display_name) == (pc.id, pc.display_name)
    assert activities(company) == [("Cloud PC: console opened", ADMIN, str(pc.id))]


def test_the_password_is_nowhere_but_in_the_ticket(company: Company, adele: str) -> None:
    ticket = consoles.open_console(company.world, company.tenant, ADMIN, adele)
    assert len(ticket.password) == 8
    assert ticket.password not in repr(ticket)
    assert ticket.password not in company.world.secrets.decrypt(ticket.sealed.encode())
    assert ticket.password not in str(company.sql("SELECT * FROM audit_events WHERE tenant_id = :tenant"))


def test_a_ticket_is_one_persons_in_one_tenant_for_a_minute(
    company: Company, adele: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = consoles.open_console(company.world, company.tenant, ADMIN, adele)
    assert screen_of(company, ticket)
    assert screen_of(company, ticket, "alex@contoso.com") is None
    other = TenantRef(uuid4(), "twin.com")
    assert consoles.screen_of(company.world, other, ADMIN, ticket.sealed) is None
    for forged in ("", "x", ticket.sealed[:-4], company.world.secrets.encrypt("{}").decode(), "ö"):
        assert consoles.screen_of(company.world, company.tenant, ADMIN, forged) is None
    monkeypatch.setattr(consoles, "TICKET_SECONDS", -1.0)
    late = consoles.open_console(company.world, company.tenant, ADMIN, adele)
    assert screen_of(company, late) is None


def test_a_screenshot_is_a_picture_and_is_written_down(company: Company, adele: str) -> None:
    assert consoles.screenshot(company.world, company.tenant, ADMIN, adele).startswith(b"\x89PNG")
    assert activities(company) == [("Cloud PC: screenshot taken", ADMIN, str(company.pc("adele").id))]


@each
def test_a_persons_own_is_theirs_by_id_and_device_name(company: Company, adele: str, ask: Asked) -> None:
    for name in (adele, adele.lower(), str(company.pc("adele").id)):
        assert ask(company.world, company.tenant, name, company.ids["adele"])


@each
def test_anothers_is_not_found_whatever_it_is_called(company: Company, adele: str, ask: Asked) -> None:
    company.plan("Second 4vCPU/16GB/128GB")
    company.license("Second 4vCPU/16GB/128GB", "adele")
    company.settle()
    names = [adele, *(str(pc.id) for pc in company.pcs("adele")), "adele@contoso.com", str(uuid4()), "' OR true --"]
    for name in names:
        with pytest.raises(NotFound) as missing:
            ask(company.world, company.tenant, name, company.ids["alex"])
        # The refusal is the same for what another has and for what nobody has.
        assert str(missing.value) == f"cloudPC {name!r}: no such object in this tenant"
    assert activities(company) == []


@each
def test_another_tenants_is_not_found(database: Database, company: Company, adele: str, ask: Asked) -> None:
    twin = found(database, Settings(data_dir=company.world.settings.data_dir), "twin.com")
    for own in (None, company.ids["adele"]):
        for name in (adele, str(company.pc("adele").id)):
            with pytest.raises(NotFound):
                ask(twin.world, twin.tenant, name, own)


@each
def test_e8_in_grace_it_still_is_theirs_and_gone_it_is_not(company: Company, adele: str, ask: Asked) -> None:
    """E8"""
    company.leave("adele", "Sales")
    company.settle()
    assert company.status("adele") == "inGracePeriod"
    assert ask(company.world, company.tenant, adele, company.ids["adele"])
    company.advance(days=8)
    for own in (None, company.ids["adele"]):
        with pytest.raises(NotFound):
            ask(company.world, company.tenant, adele, own)


@each
def test_what_is_not_usable_is_refused_with_its_status(company: Company, ask: Asked) -> None:
    company.basics("adele")
    company.fault("C1", "internalServerError")
    company.settle()
    while company.status("adele") != "failed":
        company.advance(hours=1)
    with pytest.raises(Refused, match="it is failed") as refused:
        ask(company.world, company.tenant, str(company.pc("adele").id), None)
    assert refused.value.code == "conflict"
    assert activities(company) == []


@pytest.mark.parametrize("what", ["console", "screenshot"])
def test_a_machine_that_is_off_is_refused_with_the_way_out(company: Company, adele: str, what: str) -> None:
    """R7"""
    remote_actions.power_off(company.world, company.tenant, ADMIN, adele)
    company.settle()
    before = activities(company)
    with pytest.raises(Refused, match=f"powered off. deskwright power-on {adele}"):
        ALL[what](company.world, company.tenant, adele, None)
    assert activities(company) == before
    assert consoles.rdp_file(company.world, company.tenant, adele)


@pytest.mark.parametrize("what", ["console", "screenshot"])
def test_a_machine_that_is_gone_outside_is_refused_in_words(company: Company, adele: str, what: str) -> None:
    pc = company.pc("adele")
    site = load_site(company.world.database, pc.site_id)
    key = idempotency_key(str(pc.id), 1, 1, "C2", Kind.VM)
    providers_for(company.world.database, site).compute.release(Kind.VM, key)
    with pytest.raises(Refused, match="there is no machine") as refused:
        ALL[what](company.world, company.tenant, adele, None)
    assert (refused.value.code, bool(refused.value.remedy)) == ("endpointCheckFailed", True)
    assert activities(company) == []


def test_the_rdp_file_leads_to_the_address(company: Company, adele: str) -> None:
    address = company.pc("adele").ip_address
    assert consoles.rdp_file(company.world, company.tenant, adele) == (
        f"full address:s:{address}\r\nusername:s:AzureAD\\adele@contoso.com\r\nprompt for credentials:i:1\r\n"
    )


def test_the_rdp_file_names_the_account_the_machine_knows(database: Database, tmp_path: Path) -> None:
    joined = found(database, Settings(data_dir=tmp_path), "joined.com")
    joined.basics("adele", connections=("HQ",))
    local = found(database, Settings(data_dir=tmp_path), "local.com")
    local.site(directory={"identity": "local"})
    local.plan()
    local.group()
    local.policy()
    local.license_group(PLAN, "Sales")
    local.assign("Desktops", "Sales")
    local.user("adele")
    local.join("adele", "Sales")
    for company, name in ((joined, "adele@joined.com"), (local, "adele")):
        company.settle()
        while company.status("adele") != "provisioned":
            company.advance(minutes=30)
        pc = str(company.pc("adele").id)
        assert f"\r\nusername:s:{name}\r\n" in consoles.rdp_file(company.world, company.tenant, pc)


@pytest.mark.parametrize(
    "hostile", ["10.0.0.1\r\nalternate shell:s:calc", "10.0.0.1\nshell:s:x", "10.0.0.1\u2028x:s:y"]
)
def test_nothing_adds_a_line_to_the_rdp_file(company: Company, adele: str, hostile: str) -> None:
    with company.world.database.begin() as connection:
        connection.execute(text("UPDATE cloud_pcs SET ip_address = :a, device_name = :a"), {"a": hostile})
        connection.execute(text("UPDATE users SET user_principal_name = :a || id"), {"a": hostile})
    pc = company.sql("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant LIMIT 1")[0].id
    lines = consoles.rdp_file(company.world, company.tenant, str(pc)).splitlines()
    assert [line.split(":")[0] for line in lines] == ["full address", "username", "prompt for credentials"]


def test_without_an_address_there_is_no_rdp_file(company: Company, adele: str) -> None:
    company.sql("UPDATE cloud_pcs SET ip_address = NULL WHERE tenant_id = :tenant")
    with pytest.raises(Refused, match="has no address to connect to") as refused:
        consoles.rdp_file(company.world, company.tenant, adele)
    assert "console in the browser" in refused.value.remedy
