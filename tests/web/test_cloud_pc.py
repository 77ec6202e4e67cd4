"""One Cloud PC in the admin center: its timeline, its errors with the buttons that mend them, its actions."""

import re
from html import unescape

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from deskwright.domain.status import Status
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import remote_actions
from deskwright.web.admin.cloud_pc_actions import CHOICES
from deskwright.web.csrf import csrf_of
from tests.company import PLAN, Company
from tests.web import browser
from tests.web.conftest import Browser, Page, Site, as_person
from tests.web.screen import Screen

ACTIONS = tuple(CHOICES)
chromium, shots, screen = browser.chromium, browser.shots, browser.screen


def of(company: Company, user: str = "adele") -> str:
    """The path of a user's Cloud PC, also of one that is gone."""
    ((found,),) = company.sql(
        "SELECT id FROM cloud_pcs WHERE user_id = :user ORDER BY created_at LIMIT 1", user=company.ids[user]
    )
    return f"cloud-pcs/{found}"


def forms(page: Page) -> list[str]:
    """Where its forms and buttons of actions lead, without the page's own address."""
    found = re.findall(
        r'<(?:form method="post" action|a class="button[^"]*" href)="[^"#]*/cloud-pcs/[^/"]*/([^"?]*)', page.text
    )
    return sorted(set(found))


@pytest.fixture
def desktop(company: Company) -> Company:
    company.basics("adele")
    return company.settle()


def test_a_failure_shows_cause_and_remedies_and_its_button_mends_it(pages: Browser, company: Company) -> None:
    """R1, V1, V2: failed after three attempts, newest first; the fault is cleared and it is retried from the page."""
    company.basics("adele", connections=("HQ",))
    company.fault("C4", "joinDomainFailed")
    company.settle()
    page = pages.get(of(company))
    assert "Domain join failed" in page.words
    assert "Cause." in page.words
    assert page.text.index("run-1-3") < page.text.index("run-1-2") < page.text.index("run-1-1")
    assert page.text.count('<details class="attempt"') == 3
    assert len(re.findall(r'<details class="attempt" id="run-1-\d" open', page.text)) == 1
    assert "deskwright fault clear" in page.words
    assert page.words.count("deskwright connection check HQ") == 1, "two offers of one command are one button"
    assert {"clear-fault", "check-connection", "retry", "reprovision"} == set(forms(page))
    cleared = pages.post(f"{of(company)}/clear-fault", {"fault": page.field("fault")})
    assert "The fault is cleared" in cleared.words
    assert "clear-fault" not in forms(cleared)
    retried = pages.post(f"{of(company)}/retry")
    assert "A new run has begun" in retried.words
    company.settle()
    page = pages.get(of(company))
    assert company.status("adele") == Status.PROVISIONED
    assert page.text.index("Run 2") < page.text.index("Run 1")
    assert re.findall(r'id="run-(\d)" open', page.text) == ["2"]


def test_checking_the_connection_leads_to_its_page(pages: Browser, company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.fault("C4", "joinDomainFailed")
    company.settle()
    done = pages.post(f"{of(company)}/check-connection")
    assert done.url.endswith(f"/connections/{company.ids['HQ']}")
    assert company.sql("SELECT checking OR next_check_at <= now() FROM connections")[0][0]


def test_a_warning_is_repaired_in_place(pages: Browser, company: Company) -> None:
    """R12: the step that left it is chosen already."""
    company.basics("adele")
    company.fault("P1", "startMenuPowerIconsError")
    company.settle()
    company.clear_faults()
    page = pages.get(of(company))
    assert "Start menu power icons error" in page.words
    assert "repair" in forms(page)
    asked = pages.get(f"{of(company)}/repair")
    assert re.findall(r'name="step" value="(\w+)" checked', asked.text) == ["P1"]
    pages.post(f"{of(company)}/repair", {"step": ["P1"]})
    company.settle()
    assert company.status("adele") == Status.PROVISIONED
    assert "Run 2: repair" in pages.get(of(company)).words


def test_progress_tells_what_runs_and_what_comes(pages: Browser, company: Company) -> None:
    """R1."""
    company.basics("adele")
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")  # its first step takes its time
    company.settle()
    page = pages.get(of(company))
    assert company.status("adele") == Status.PROVISIONING
    assert "Provisioning: Allocate capacity stage core · attempt 1 of 3" in page.words
    assert "every 5s" in page.text
    assert "Still to come" in page.words
    assert "usual 6 min" in page.words
    assert forms(page) == ["cancel"]
    company.sql("UPDATE tenants SET speed = 'infinity' WHERE id = :tenant")
    company.advance(minutes=5)
    page = pages.get(of(company))
    assert "every 5s" not in page.text
    for step in ("Create VM", "Join directory", "Hide power icons", "Assign to user"):
        assert step in page.words
    assert page.text.count('<svg class="share"') == 15
    part = pages.fragment(of(company))
    assert part.text.strip().startswith('<div id="cloud-pc"')
    assert "<html" not in part.text


def test_only_what_its_status_allows_is_there(pages: Browser, desktop: Company) -> None:
    page = pages.get(of(desktop))
    assert set(forms(page)) == {
        *("restart", "power-off", "troubleshoot", "repair", "rename", "account-type", "snapshot", "resize"),
        *("reprovision", "console"),
    }
    for name in ("restart", "power-off", "snapshot create", "reprovision"):
        assert f"deskwright {name} {desktop.pc('adele').device_name}" in page.words
    pages.post(f"{of(desktop)}/power-off")
    desktop.settle()
    page = pages.get(of(desktop))
    assert "powered off" in page.words
    assert {"power-on"} < set(forms(page))
    assert not {"restart", "console", "repair"} & set(forms(page))
    late = pages.get(f"{of(desktop)}/restart")
    assert "Restart: not possible now" in late.words


def test_a_snapshot_is_taken_and_restored(pages: Browser, desktop: Company) -> None:
    assert "A snapshot is being taken" in pages.post(f"{of(desktop)}/snapshot").words
    desktop.settle()
    (point,) = remote_actions.snapshots(desktop.world.database, desktop.tenant)
    page = pages.get(of(desktop))
    assert any(u.endswith(f"/restore?cloudPcSnapshotId={point['id']}") for u in page.links())
    asked = pages.get(f"{of(desktop)}/restore?cloudPcSnapshotId={point['id']}")
    assert "Everything that came after the snapshot is lost" in asked.words
    pages.post(f"{of(desktop)}/restore", {"cloudPcSnapshotId": point["id"]})
    assert desktop.status("adele") == Status.RESTORING


def test_a_bad_name_is_told_beside_its_field_and_kept(pages: Browser, desktop: Company) -> None:
    wrong = pages.post(f"{of(desktop)}/rename", {"displayName": "x" * 65})
    assert wrong.status == 422
    assert 'href="#f-displayName"' in wrong.text
    assert wrong.field("displayName") == "x" * 65
    done = pages.post(f"{of(desktop)}/rename", {"displayName": "<script>alert(1)</script> \u202eksed"})
    assert "<script>alert" not in done.text
    assert "&lt;script&gt;alert(1)" in done.text


def test_resizing_offers_plans_and_says_why_not(pages: Browser, desktop: Company) -> None:
    desktop.plan("Cloud PC Enterprise 4vCPU/16GB/128GB")
    page = pages.get(f"{of(desktop)}/resize")
    assert "it has this plan" in page.words
    assert "holds Cloud PC Enterprise 2vCPU/8GB/128GB through group Sales" in page.words
    refused = pages.post(f"{of(desktop)}/resize", {"targetServicePlanId": str(desktop.ids[PLAN])})
    assert refused.status == 422
    assert "is the plan it has" in refused.words
    assert pages.post(f"{of(desktop)}/resize").status == 422, "nothing was chosen"


def test_reprovisioning_says_what_is_lost_and_what_it_uses(pages: Browser, desktop: Company) -> None:
    """V5, R10: the edit shows as drift, and the run that applies it ends it."""
    assert "Made by the present settings of its policy" in pages.get(of(desktop)).words
    desktop.sql("UPDATE policies SET locale = 'de-DE' WHERE tenant_id = :tenant")
    page = pages.get(of(desktop))
    assert "Its policy has changed since" in page.words
    assert "made with en-US policy now de-DE" in page.words
    asked = pages.get(f"{of(desktop)}/reprovision")
    assert "all data on it are deleted" in asked.words
    assert "Desktops , the policy that reaches adele@contoso.com now" in asked.words
    assert "de-DE" in asked.words
    begun = pages.post(f"{of(desktop)}/reprovision", {"userAccountType": "administrator"})
    assert "being made anew" in begun.words
    desktop.settle()
    page = pages.get(of(desktop))
    assert "Local administrator" in page.words
    assert "Its policy has changed since" not in page.words


def test_what_would_be_refused_is_said_before_anything_is_deleted(pages: Browser, desktop: Company) -> None:
    desktop.sql("UPDATE policies SET region = 'nowhere' WHERE tenant_id = :tenant")
    assert "It would be refused now, and nothing deleted" in pages.get(f"{of(desktop)}/reprovision").words
    refused = pages.post(f"{of(desktop)}/reprovision")
    assert refused.status == 422
    assert desktop.status("adele") == Status.PROVISIONED


def test_grace_says_who_and_when_and_can_be_kept_or_ended(pages: Browser, desktop: Company) -> None:
    """R9; one that is gone still has its page (E8)."""
    desktop.leave("adele", "Sales")
    desktop.settle()
    page = pages.get(of(desktop))
    assert "7 d left" in page.words or "6 d 23 h left" in page.words
    assert "by test (DELETE)" in page.words
    assert {"keep", "end-grace"} <= set(forms(page))
    assert pages.post(f"{of(desktop)}/keep", {"hours": "many"}).status == 422
    kept = pages.post(f"{of(desktop)}/keep", {"hours": "336"})
    assert "13 d 23 h left" in kept.words or "14 d left" in kept.words
    assert "Nothing brings them back" in pages.get(f"{of(desktop)}/end-grace").words
    pages.post(f"{of(desktop)}/end-grace")
    desktop.settle()
    page = pages.get(of(desktop))
    assert page.status == 200
    assert "It is gone since" in page.words
    assert "Run 1: provisioning" in page.words
    assert forms(page) == []


def test_a_reader_sees_everything_and_changes_nothing(pages: Browser, desktop: Company) -> None:
    desktop.fault("P1", "startMenuPowerIconsError")
    desktop.user("alex")
    desktop.join("alex", "Sales")
    desktop.settle()
    reader = as_person(pages, desktop, "rita")
    with reader.client:
        for user in ("adele", "alex"):
            page = reader.get(of(desktop, user))
            assert page.status == 200
            assert forms(page) == []
            assert "Run 1: provisioning" in page.words
        assert "Start menu power icons error" in page.words
        for name in (*ACTIONS, "sign-in", "clear-fault", "check-connection", "console"):
            assert reader.post(f"{of(desktop)}/{name}").status == 403
        for name in ("screenshot", "console"):
            assert reader.get(f"{of(desktop)}/{name}").status == 403
    assert len(desktop.runs("adele")) == 1


def test_the_one_time_password_is_shown_once(pages: Browser, company: Company) -> None:
    """Section 2, A1: presented once, to an administrator, on an answer that nobody keeps."""
    company.basics()
    company.sql(
        """UPDATE sites SET directory = '{"kind": "simulator", "identity": "local"}' WHERE tenant_id = :tenant"""
    )
    company.user("adele")
    company.join("adele", "Sales")
    company.settle()
    page = pages.get(of(company))
    assert "A one-time password waits" in page.words
    shown = pages.post(f"{of(company)}/sign-in")
    found = re.search(r"One-time password</dt><dd><span class=\"cli\"><code>([^<]+)", shown.text)
    assert found is not None
    assert "It will not be shown again" in shown.words
    assert "no-store" in shown.headers["cache-control"]
    again = pages.post(f"{of(company)}/sign-in")
    assert unescape(found.group(1)) not in unescape(again.text)
    assert "was shown before" in again.words
    page = pages.get(of(company))
    assert "The one-time password was shown" in page.words
    assert unescape(found.group(1)) not in unescape(page.text)


def test_its_audit_events_are_there(pages: Browser, desktop: Company) -> None:
    pages.post(f"{of(desktop)}/rename", {"displayName": "Adele's desk"})
    page = pages.get(of(desktop))
    assert "Cloud PC: rename by maria@contoso.com" in page.words
    assert any("/audit?resource=" in u for u in page.links())


def test_a_screenshot_is_a_picture_and_is_audited(pages: Browser, desktop: Company) -> None:
    got = pages.client.get(pages.at(f"{of(desktop)}/screenshot"))
    assert got.headers["content-type"] == "image/png"
    assert got.content.startswith(b"\x89PNG")
    assert "screenshot taken by maria@contoso.com" in pages.get(of(desktop)).words


def test_a_long_history_is_shown_in_part(pages: Browser, desktop: Company) -> None:
    for number in range(21):
        pc = str(desktop.pc("adele").id)
        remote_actions.rename(desktop.world, desktop.tenant, "ann", pc, display_name=f"Desk {number}")
    page = pages.get(of(desktop))
    assert "Run 22: rename" in page.words
    assert "Run 2: rename" not in page.words
    assert "All 22 runs" in page.words
    assert "Run 1: provisioning" in pages.get(f"{of(desktop)}?runs=all").words


def test_another_tenants_is_not_found(pages: Browser, desktop: Company) -> None:
    assert pages.get("cloud-pcs/00000000-0000-0000-0000-000000000000").status == 404
    assert pages.post("cloud-pcs/00000000-0000-0000-0000-000000000000/restart").status == 422
    desktop.sql("INSERT INTO tenants (name) VALUES ('fabrikam.com')")
    assert pages.get(f"/admin/fabrikam.com/{of(desktop)}").status == 404


def test_one_that_waits_says_why(pages: Browser, company: Company) -> None:
    """E6."""
    company.basics("adele", "alex")
    company.settle()
    company.seats(PLAN, 1)
    company.user("zoe")
    company.join("zoe", "Sales")
    company.settle()
    page = pages.get(of(company, "zoe"))
    assert "Waits for a seat, place 1" in page.words
    assert "Nothing has happened yet" in page.words


def admitted(pages: Browser, company: Company) -> str:
    """The WebSocket's address, with a fresh ticket in it."""
    answer = pages.client.post(pages.at(f"{of(company)}/console"), headers={"X-CSRF-Token": csrf_of(pages.token)})
    told = answer.json()
    assert len(told["password"]) == 8
    assert told["password"] not in told["socket"]
    return str(told["socket"])


def wire(browser: Browser, socket: str, origin: str = "http://127.0.0.1") -> WebSocketTestSession:
    return browser.client.websocket_connect(f"ws://127.0.0.1{socket}", headers={"origin": origin})


def test_a_console_opens_for_the_administrator_who_asked(pages: Browser, desktop: Company) -> None:
    page = pages.get(f"{of(desktop)}/console")
    assert re.search(r'id="console" data-novnc="/static/\w+/vendor/novnc/core/rfb.js"', page.text)
    with wire(pages, admitted(pages, desktop)) as opened:
        assert opened.receive_bytes().startswith(b"RFB 003.008")
        opened.close()
        with pytest.raises(WebSocketDisconnect):
            opened.receive_bytes()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_another_sites_page_opens_no_console(origin: str, pages: Browser, desktop: Company) -> None:
    socket = admitted(pages, desktop)
    with pytest.raises(WebSocketDisconnect), wire(pages, socket, origin):
        pass


def test_a_ticket_is_of_no_use_to_anybody_else(pages: Browser, desktop: Company) -> None:
    """Neither to a reader, nor to another administrator, nor without a sign-in."""
    socket = admitted(pages, desktop)
    for person in (
        as_person(pages, desktop, "rita"),
        as_person(pages, desktop, "zoe", ADMINISTRATOR),
        Browser(TestClient(pages.client.app, base_url="http://127.0.0.1")),
    ):
        with pytest.raises(WebSocketDisconnect), wire(person, socket):
            pass


def test_a_console_of_one_that_is_off_says_why(pages: Browser, desktop: Company) -> None:
    pages.post(f"{of(desktop)}/power-off")
    desktop.settle()
    answer = pages.client.post(pages.at(f"{of(desktop)}/console"), headers={"X-CSRF-Token": csrf_of(pages.token)})
    assert "powered off" in answer.json()["message"]


def test_the_page_renews_itself_and_keeps_what_is_open(site: Site, screen: Screen) -> None:
    """Live without a reload: a run appears, and the output somebody reads stays open."""
    site.company.basics("adele")
    site.company.settle()
    screen.carry(site.url, site.cookies)
    page = screen.page
    page.goto(site.at(of(site.company)))
    page.wait_for_selector("[data-live-state]:not([hidden])")
    page.evaluate("window.same = true")
    page.locator("#out-1-1-P1 > summary").click()
    assert page.locator("#screen img").evaluate("image => image.currentSrc") == "", "nobody has looked yet"
    adele = str(site.company.pc("adele").id)
    remote_actions.power_off(site.company.world, site.company.tenant, "ann", adele)
    site.company.settle()
    page.wait_for_selector("#run-2[open]")
    assert page.evaluate("window.same")
    assert page.locator("#out-1-1-P1").get_attribute("open") is not None
    assert page.locator("#screen").count() == 0, "one that is off has no screen"
    assert screen.axe() == []
    screen.shot("cloud-pc")
    screen.phone()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screen.shot("cloud-pc-phone")
    page.goto(site.at(f"{of(site.company)}/reprovision"))
    assert screen.axe() == []
    assert screen.layout_shift < 0.1
