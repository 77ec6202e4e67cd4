"""The portal: what people see of their own Cloud PCs, in which words, and what they may do with them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from deskwright.domain.rules import Refused
from deskwright.errors import Effect, entry
from deskwright.operations import audit, own_cloud_pcs, remote_actions, user_settings
from deskwright.provision.pipeline import PIPELINE
from deskwright.provision.remote import EVERY_STEP
from deskwright.store.database import Database
from deskwright.web.portal import sentences
from tests.company import PLAN, Company, found
from tests.web.conftest import Browser, application, as_person


@pytest.fixture
def adele(company: Company) -> Iterator[Browser]:
    """Adele's browser; she and alex are licensed, and nothing has settled yet."""
    company.basics("adele", "alex")
    yield from browser(company, "adele")


def browser(company: Company, name: str) -> Iterator[Browser]:
    with TestClient(application(company.world), base_url="http://127.0.0.1") as client:
        yield as_person(Browser(client), company, name, None)


def at(company: Company, *parts: str, user: str = "adele") -> str:
    return "/".join((f"/portal/cloud-pcs/{company.pc(user).id}", *parts))


def allow(company: Company, **grants: Any) -> None:
    user_settings.create(
        company.world.database, company.tenant, "test", display_name="Free hands", groups=["Sales"], **grants
    )


def done(company: Company) -> list[tuple[str, str]]:
    """What the audit log has of people's doing, newest first."""
    listed = audit.list_(company.world.database, company.tenant, resource_type="cloudPC")
    return [(e["activity"], e["actor"]) for e in listed if e["actor"] not in ("deskwright", "test")]


# --- how it stands --------------------------------------------------------------------------------------


def test_while_it_is_made_a_person_sees_how_far_it_is(company: Company, adele: Browser) -> None:
    company.fault("C4", "delay", delay=3600)
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.settle()
    company.advance(minutes=10)
    page = adele.get("/portal")
    assert "Being made: " in page.words
    assert "left" in page.words
    assert "2 vCPU · 8 GB · 128 GB" in page.words
    assert "Make the computer" in page.words
    assert "<progress" in page.text
    assert "/console" not in page.text


def test_the_steps_of_the_pipeline_are_told_in_order_and_all() -> None:
    """V4: a step that is added needs words for people."""
    assert [step for part in sentences.PARTS for step in part.steps] == [step.id for step in PIPELINE]


def test_every_warning_has_words_for_people() -> None:
    codes = {code for step in EVERY_STEP.values() for code in step.errors}
    assert {code for code in codes if entry(code).effect is Effect.WARN} == set(sentences.SMALL_FAULTS)


def test_parts_follow_the_steps() -> None:
    steps = {"C1": "succeeded", "C2": "succeeded", "C3": "running"}
    pc = {"status": "provisioning", "steps": steps}
    assert [how for _, how in sentences.parts(pc)] == ["done", "now", "next", "next", "next", "next"]


def test_ready_with_a_small_fault(company: Company, adele: Browser) -> None:
    company.fault("P5", "timeZoneRedirectionError")
    company.settle()
    words = adele.get("/portal").words
    assert "Ready, though something small did not work" in words
    assert "Its clock may show another time zone than yours." in words
    assert "timeZoneRedirectionError" not in words


def test_waiting_for_a_seat_with_ones_place(company: Company, adele: Browser) -> None:
    """E6"""
    company.seats(PLAN, 0)
    company.settle()
    assert "Waiting for a free seat, you are number 1" in adele.get("/portal").words


def test_failed_says_whom_to_ask_and_no_code(company: Company, adele: Browser, pages: Browser) -> None:
    """V1"""
    company.fault("C2", "imageNotSupportedFail", user="adele")
    company.settle()
    words = adele.get("/portal").words
    assert "Could not be made" in words
    assert "Ask your administrator: maria (maria@contoso.com)" in words
    assert "imageNotSupportedFail" not in words


def test_grace_has_its_date_and_its_reason(company: Company, adele: Browser) -> None:
    """E8, R9"""
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    page = adele.get(at(company))
    assert f"Goes away on {sentences.day(company.pc('adele').grace_ends_at)}" in page.words
    assert "The licence for it was taken away and you are not in the group any more" in page.words
    assert "in 6 d 23 h" in page.words or "in 7 d" in page.words
    assert "Connect in the browser" in page.words


def test_without_a_policy_or_a_licence_a_person_reads_why(company: Company, adele: Browser) -> None:
    """E5, R2"""
    company.unassign("Desktops", "Sales", confirmed=True)
    company.settle()
    assert "no policy reaches you" in adele.get("/portal").words
    company.user("zoe")
    for zoe in browser(company, "zoe"):
        words = zoe.get("/portal").words
    assert "You have no Cloud PC" in words
    assert "given a licence" in words


def test_an_administrator_finds_the_admin_center(pages: Browser) -> None:
    page = pages.get("/portal")
    assert "/admin" in page.links()
    assert "You have no Cloud PC" in page.words


def test_the_live_part_comes_alone(company: Company, adele: Browser) -> None:
    company.settle()
    assert adele.fragment("/portal").text.lstrip().startswith('<div id="cards"')
    assert adele.fragment(at(company)).text.lstrip().startswith('<div id="pc"')
    assert adele.fragment(at(company, "trouble")).text.lstrip().startswith('<div id="trouble"')


def test_hostile_names_are_text(company: Company, adele: Browser) -> None:
    company.settle()
    name = "<script>alert(1)</script>\u202e"
    remote_actions.rename(
        company.world, company.tenant, "test", str(company.pc("adele").id), display_name=name.strip("\u202e")
    )
    for page in (adele.get("/portal"), adele.get(at(company)), adele.get(at(company, "trouble"))):
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text


# --- only one's own ---------------------------------------------------------------------------------------

PARTS: tuple[str, ...] = ("", "trouble", "console", "rdp", "restart", "rename", "restore", "reset")
POSTS = ("trouble", "power-on", "restart", "rename", "restore", "reset", "sign-in", "console/open")


def test_what_is_not_theirs_is_not_there(company: Company, adele: Browser, pages: Browser) -> None:
    """Neither another person's, nor for an administrator, nor one that does not exist."""
    allow(company, reset_enabled=True, restore_enabled=True)
    company.settle()
    before = company.sql("SELECT * FROM runs WHERE tenant_id = :tenant ORDER BY id")
    for path in (
        at(company, user="alex"),
        "/portal/cloud-pcs/00000000-0000-0000-0000-000000000000",
        "/portal/cloud-pcs/x",
    ):
        for part in PARTS:
            page = adele.get(f"{path}/{part}" if part else path)
            assert (page.status, "alex" in page.words) == (404, False), part
        for part in POSTS:
            sent = adele.post(f"{path}/{part}", {"displayName": "Mine", "cloudPcSnapshotId": "1"})
            assert (sent.status, "alex" in sent.words) == (404, False), part
    assert pages.get(at(company)).status == 404
    assert company.sql("SELECT * FROM runs WHERE tenant_id = :tenant ORDER BY id") == before
    assert done(company) == []


def test_another_tenants_cloud_pc_is_not_there(company: Company, adele: Browser, database: Database) -> None:
    company.settle()
    other = found(database, company.world.settings, "fabrikam.com")
    other.basics("adele")
    other.settle()
    assert adele.get(at(other)).status == 404
    assert adele.post(at(other, "restart")).status == 404
    assert adele.get(at(company)).status == 200


def test_nobody_sees_anything_signed_out(company: Company, adele: Browser) -> None:
    company.settle()
    adele.client.cookies.clear()
    for part in PARTS:
        page = adele.get(at(company, part) if part else at(company))
        assert page.url.startswith("http://127.0.0.1/sign-in"), part
    assert adele.post(at(company, "restart")).status == 401
    assert company.runs("adele")[-1].kind == "provision"


# --- what they do -----------------------------------------------------------------------------------------


def test_restart_asks_first_and_is_written_down(company: Company, adele: Browser) -> None:
    company.settle()
    assert "What you have not saved on it is lost" in adele.get(at(company, "restart")).words
    assert "It is being restarted" in adele.post(at(company, "restart")).words
    assert company.runs("adele")[-1].kind == "restart"
    assert done(company) == [("Cloud PC: restart", "adele@contoso.com")]
    again = adele.post(at(company, "restart"))
    assert again.status == 422
    assert f"“{company.pc('adele').display_name}” cannot be restarted now: a restart is under way." in again.words


def test_power_on_is_offered_when_it_is_off(company: Company, adele: Browser) -> None:
    company.settle()
    pc = str(company.pc("adele").id)
    assert "Power on" not in adele.get("/portal").words
    remote_actions.power_off(company.world, company.tenant, "test", pc)
    company.settle()
    off = adele.get("/portal")
    assert "Switched off" in off.words
    assert "/console" not in off.text
    assert "Power it on first" in adele.post(at(company, "restart")).words
    adele.post(at(company, "power-on"))
    company.settle()
    assert company.pc("adele").power_state == "running"


def test_rename_keeps_what_was_entered_beside_its_error(company: Company, adele: Browser) -> None:
    company.settle()
    assert "My desk" in adele.post(at(company, "rename"), {"displayName": "My desk"}).words
    long = "x" * 65
    wrong = adele.post(at(company, "rename"), {"displayName": long})
    assert wrong.status == 422
    assert wrong.field("displayName") == long
    assert 'href="#f-displayName"' in wrong.text
    assert company.pc("adele").display_name == "My desk"


@pytest.mark.parametrize(
    ("path", "grant", "word"), [("reset", "reset_enabled", "reset"), ("restore", "restore_enabled", "restored")]
)
def test_restore_and_reset_need_the_user_setting(
    company: Company, adele: Browser, path: str, grant: str, word: str
) -> None:
    """As on the Graph API: `resetEnabled`, `userRestoreEnabled`."""
    company.settle()
    pc = str(company.pc("adele").id)
    remote_actions.create_snapshot(company.world, company.tenant, "test", pc)
    company.settle()
    (point,) = remote_actions.snapshots(company.world.database, company.tenant, pc)
    chosen = {"cloudPcSnapshotId": point["id"]}
    assert at(company, path) not in adele.get(at(company)).links()
    assert "not allowed to you" in adele.get(at(company, path)).words
    refused = adele.post(at(company, path), chosen)
    assert refused.status == 422
    assert f"may not be {word} by its user" in refused.words
    assert done(company) == []
    allow(company, **{grant: True})
    assert at(company, path) in adele.get(at(company)).links()
    assert "lost" in adele.get(at(company, path)).words or "deleted" in adele.get(at(company, path)).words
    assert adele.post(at(company, path), chosen).status == 200
    assert company.runs("adele")[-1].kind == {"reset": "reprovision", "restore": "restore"}[path]


def test_a_snapshot_of_another_cannot_be_restored(company: Company, adele: Browser) -> None:
    allow(company, restore_enabled=True)
    company.settle()
    for name in ("adele", "alex"):
        remote_actions.create_snapshot(company.world, company.tenant, "test", str(company.pc(name).id))
    company.settle()
    (theirs,) = remote_actions.snapshots(company.world.database, company.tenant, str(company.pc("alex").id))
    assert adele.post(at(company, "restore"), {"cloudPcSnapshotId": theirs["id"]}).status == 422
    assert adele.post(at(company, "restore")).status == 422
    assert company.status("adele") == "provisioned"


def test_what_only_administrators_do_is_no_action_of_owners(company: Company, adele: Browser) -> None:
    company.settle()
    for part in ("power-off", "resize", "end-grace", "keep", "repair", "snapshot", "account-type", "cancel", "retry"):
        assert adele.post(at(company, part)).status in (404, 405), part


def test_the_one_time_password_is_shown_once_to_its_owner(company: Company, adele: Browser) -> None:
    """A1, where the identity is local"""
    local = '{"kind": "simulator", "identity": "local"}'
    company.sql("UPDATE sites SET directory = CAST(:local AS jsonb) WHERE tenant_id = :tenant", local=local)
    company.settle()
    assert "Show the one-time password" in adele.get(at(company)).words
    first = adele.post(at(company, "sign-in"))
    assert first.headers["cache-control"] == "no-store"
    assert "One-time password:" in first.words
    assert done(company) == [("Cloud PC: one-time password presented", "adele@contoso.com")]
    assert "One-time password:" not in adele.post(at(company, "sign-in")).words
    assert "Show the one-time password" not in adele.get(at(company)).words


def test_the_remote_desktop_file(company: Company, adele: Browser) -> None:
    company.settle()
    got = adele.client.get(at(company, "rdp"))
    assert got.headers["content-type"] == "application/x-rdp"
    assert company.pc("adele").device_name in got.headers["content-disposition"]
    lines = got.content.decode("utf-16").split("\r\n")
    assert lines[0] == f"full address:s:{company.pc('adele').ip_address}"


# --- something is wrong -----------------------------------------------------------------------------------


def test_a_check_that_succeeds_is_explained(company: Company, adele: Browser) -> None:
    company.settle()
    assert "Check it now" in adele.get(at(company, "trouble")).words
    begun = adele.post(at(company, "trouble"))
    assert "Looking…" in begun.words
    assert "Check it" not in begun.words
    company.settle()
    found = adele.get(at(company, "trouble")).words
    assert "Your Cloud PC answers" in found
    assert "Try another network" in found
    assert done(company) == [("Cloud PC: troubleshoot", "adele@contoso.com")]


def test_a_check_that_fails_says_what_to_do(company: Company, adele: Browser) -> None:
    company.settle()
    company.fault("A0", "endpointCheckFailed")
    adele.post(at(company, "trouble"))
    company.settle()
    found = adele.get(at(company, "trouble"))
    assert "Your Cloud PC does not answer" in found.words
    assert at(company, "restart") in found.links()
    assert "Ask your administrator" in found.words


def test_an_action_that_failed_is_told(company: Company, adele: Browser) -> None:
    company.settle()
    company.fault("R1", "internalServerError")
    adele.post(at(company, "restart"))
    company.settle()
    assert "The last restart did not work." in adele.get(at(company)).words


# --- the operations ---------------------------------------------------------------------------------------


def test_refusals_name_the_cloud_pc_as_its_owner_knows_it(company: Company) -> None:
    company.basics("adele")
    company.settle()
    pc = company.pc("adele")
    act: Callable[..., Any] = own_cloud_pcs.act
    with pytest.raises(Refused) as refused:
        act(company.world, company.tenant, "adele", pc.user_id, str(pc.id), "power-on")
    assert str(refused.value) == f"cloudPC '{pc.display_name}': cannot be powered on now: it runs already"
