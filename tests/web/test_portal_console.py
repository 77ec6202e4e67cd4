"""The console's door: one person's screen is reached by nobody else, whatever they know of it."""

import json
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from deskwright.identity import sessions
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import audit, consoles, remote_actions, roles
from deskwright.store.database import Database
from deskwright.web import admission
from deskwright.web.csrf import csrf_of
from deskwright.web.forms import Form
from deskwright.web.resume import resumable
from deskwright.web.view import View
from tests.company import Company, found
from tests.web.conftest import COOKIE, Site, application, person, session_of
from tests.web.screen import Screen

HOST = "127.0.0.1"
ORIGIN = f"http://{HOST}"


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={token}"}


def as_script(token: str) -> dict[str, str]:
    """What a script of our pages sends along."""
    return {**cookie(token), "X-CSRF-Token": csrf_of(token)}


@dataclass
class House:
    """A company with two Cloud PCs, and its doors."""

    company: Company
    client: TestClient

    def socket(self, name: str = "adele") -> str:
        return f"/portal/cloud-pcs/{self.company.pc(name).id}/console/socket"

    def admin_socket(self, name: str = "adele") -> str:
        tenant = self.company.tenant.name
        return f"/admin/{tenant}/cloud-pcs/{self.company.pc(name).id}/console/socket"

    def open(self, token: str, name: str = "adele") -> dict[str, Any]:
        """As the person of that session does on their page."""
        path = f"/portal/cloud-pcs/{self.company.pc(name).id}/console/open"
        answer = self.client.post(path, headers=as_script(token))
        assert answer.status_code == 200, answer.status_code
        return dict(answer.json())

    def open_as_administrator(self, token: str, name: str = "adele") -> str:
        """As the admin center does it; returns the WebSocket's address."""
        scope = {"type": "http", "headers": [(b"cookie", f"{COOKIE}={token}".encode())], "scheme": "http", "path": "/"}
        view = View(
            self.company.world,
            Request({**scope, "server": (HOST, 80), "query_string": b""}),
            {},
            sessions.find(self.company.world.database, token),
        )
        pc = str(self.company.pc(name).id)
        answer = admission.opened(view, self.company.tenant, pc, self.admin_socket(name))
        assert isinstance(answer.content, bytes)
        return str(json.loads(answer.content)["socket"])

    def enters(self, address: str, token: str | None, origin: str | None = ORIGIN) -> bool:
        """Whether the screen begins to speak."""
        headers = ({} if origin is None else {"Origin": origin}) | ({} if token is None else cookie(token))
        heard = b""
        ends = suppress(WebSocketDisconnect, CancelledError)  # the test client cancels a connection that it leaves
        with ends, self.client.websocket_connect(f"ws://{HOST}{address}", headers=headers) as wire:
            heard = wire.receive_bytes()
        return heard.startswith(b"RFB 003.008")


@pytest.fixture
def house(company: Company) -> Iterator[House]:
    company.basics("adele", "alex")
    company.settle()
    with TestClient(application(company.world), base_url=ORIGIN) as client:
        yield House(company, client)


def test_its_owner_opens_it_and_that_is_written_down(house: House) -> None:
    token = session_of(house.company, "adele")
    admitted = house.open(token)
    assert len(admitted["password"]) == 8
    assert admitted["socket"].startswith(house.socket())
    assert house.enters(admitted["socket"], token)
    listed = audit.list_(house.company.world.database, house.company.tenant, resource_type="cloudPC")
    assert ("Cloud PC: console opened", "adele@contoso.com") in [(e["activity"], e["actor"]) for e in listed]


def test_an_admission_is_used_once(house: House) -> None:
    token = session_of(house.company, "adele")
    address = house.open(token)["socket"]
    assert house.enters(address, token)
    assert not house.enters(address, token)
    assert house.enters(house.open(token)["socket"], token)


def test_a_stolen_admission_is_no_use_in_another_session(house: House) -> None:
    """Another person's, the same person's in another browser, or nobody's; and none of them uses it up."""
    token = session_of(house.company, "adele")
    address = house.open(token)["socket"]
    ticket = address.partition("?")[2]
    alex = session_of(house.company, "alex")
    person(house.company, "maria", ADMINISTRATOR)
    maria = session_of(house.company, "maria")
    assert not house.enters(address, alex)
    assert not house.enters(f"{house.socket('alex')}?{ticket}", alex)
    assert not house.enters(f"{house.socket('alex')}?{ticket}", token)
    assert not house.enters(address, maria)
    assert not house.enters(f"{house.admin_socket()}?{ticket}", maria)
    assert not house.enters(address, session_of(house.company, "adele"))
    assert not house.enters(address, None)
    assert not house.enters(address, "")
    assert house.enters(address, token)


def test_another_persons_cloud_pc_cannot_be_opened(house: House) -> None:
    token = session_of(house.company, "adele")
    path = f"/portal/cloud-pcs/{house.company.pc('alex').id}/console/open"
    for headers, status in ((as_script(token), 404), (cookie(token), 403)):
        answer = house.client.post(path, headers=headers)
        assert answer.status_code == status
        assert "password" not in answer.text


def test_another_tenants_neither(house: House, database: Database) -> None:
    other = found(database, house.company.world.settings, "fabrikam.com")
    other.basics("adele")
    other.settle()
    theirs = session_of(other, "adele")
    address = house.open(session_of(house.company, "adele"))["socket"]
    assert not house.enters(address, theirs)
    path = f"/portal/cloud-pcs/{house.company.pc('adele').id}/console/open"
    assert house.client.post(path, headers=as_script(theirs)).status_code == 404


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "",
        "http://evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1:81",
        "https://127.0.0.1",
    ],
)
def test_pages_from_elsewhere_do_not_connect(house: House, origin: str | None) -> None:
    token = session_of(house.company, "adele")
    address = house.open(token)["socket"]
    assert not house.enters(address, token, origin)
    assert house.enters(address, token)


def test_an_admission_is_short(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SECONDS", -0.001)
    token = session_of(house.company, "adele")
    assert not house.enters(house.open(token)["socket"], token)


def test_what_else_we_have_sealed_is_no_admission(house: House) -> None:
    token, world, me = session_of(house.company, "adele"), house.company.world, house.company.ids["adele"]
    ticket = consoles.open_console(world, house.company.tenant, "adele@contoso.com", str(house.company.pc("adele").id))
    held = json.dumps({"for": "resume", "until": 9e9, "socket": house.socket()})
    forged = (
        "",
        "x",
        "ö",
        ticket.sealed,
        world.secrets.encrypt(held).decode(),
        resumable(world.secrets, me, "/", Form()),
    )
    for sealed in forged:
        assert not house.enters(f"{house.socket()}?ticket={quote(sealed)}", token)


def test_who_signed_out_or_lost_it_does_not_enter(house: House) -> None:
    company, token = house.company, session_of(house.company, "adele")
    address = house.open(token)["socket"]
    sessions.end(company.world.database, token)
    assert not house.enters(address, token)
    token = session_of(company, "adele")
    address = house.open(token)["socket"]
    remote_actions.power_off(company.world, company.tenant, "test", str(company.pc("adele").id))
    company.settle()
    assert not house.enters(address, token)
    assert "powered off" in house.open(token)["message"]


async def _unused(*_: Any) -> Any:
    raise AssertionError


def test_who_may_not_any_more_is_told_to_end(house: House) -> None:
    """What `console.connect` asks every 20 seconds."""

    def wire(token: str, **path: str) -> WebSocket:
        about = {"type": "websocket", "scheme": "ws", "path": "/", "server": (HOST, 80), "path_params": path}
        headers = [(b"cookie", f"{COOKIE}={token}".encode())]
        return WebSocket({**about, "headers": headers}, _unused, _unused)

    company = house.company
    doors, pc = admission.Doors(company.world), str(company.pc("adele").id)
    person(company, "maria", ADMINISTRATOR)
    adele = wire(session_of(company, "adele"), cloud_pc=pc)
    alex = wire(session_of(company, "alex"), cloud_pc=pc)
    maria = wire(session_of(company, "maria"), cloud_pc=pc, tenant="Contoso.com")
    assert (doors.still_own(adele), doors.still_own(alex), doors.still_administrators(maria)) == (True, False, True)
    roles.unassign(company.world.database, company.tenant, "test", ADMINISTRATOR, "maria@contoso.com")
    assert not doors.still_administrators(maria)
    company.enable_user("adele", False)
    assert not doors.still_own(adele)


def test_administrators_enter_and_readers_do_not(house: House) -> None:
    company = house.company
    person(company, "maria", ADMINISTRATOR)
    person(company, "rita", READER)
    maria, rita = session_of(company, "maria"), session_of(company, "rita")
    assert house.enters(house.open_as_administrator(maria), maria)
    assert not house.enters(house.open_as_administrator(rita), rita)
    adele = session_of(company, "adele")
    assert not house.enters(house.open_as_administrator(adele), adele)
    foreign = house.open_as_administrator(maria).replace("/contoso.com/", "/fabrikam.com/")
    assert not house.enters(foreign, maria)
    late = house.open_as_administrator(maria)
    roles.unassign(company.world.database, company.tenant, "test", ADMINISTRATOR, "maria@contoso.com")
    assert not house.enters(late, maria)


def test_the_console_page_is_for_what_runs(house: House) -> None:
    token = session_of(house.company, "adele")
    path = f"/portal/cloud-pcs/{house.company.pc('adele').id}"
    page = house.client.get(f"{path}/console", headers=cookie(token))
    assert f'data-open="{path}/console/open"' in page.text
    assert "style=" not in page.text
    house.company.sql("UPDATE cloud_pcs SET power_state = 'poweredOff' WHERE tenant_id = :tenant")
    gone = house.client.get(f"{path}/console", headers=cookie(token), follow_redirects=False)
    assert (gone.status_code, gone.headers["location"]) == (303, path)


# --- in a browser, on a phone -------------------------------------------------------------------------------

COLOURS = """() => {
  const canvas = document.querySelector("#console canvas");
  if (!canvas || !canvas.width) return 0;
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return seen.size;
}"""


def test_on_a_phone_from_being_made_to_the_screen(site: Site, screen: Screen) -> None:
    company, page = site.company, screen.page
    company.basics("adele")
    company.fault("C4", "delay", delay=3600)
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.settle()
    screen.carry(site.url, {COOKIE: session_of(company, "adele")})
    screen.phone()
    page.goto(f"{site.url}/portal")
    page.get_by_text("Being made: ").wait_for()
    page.get_by_text("Live", exact=True).wait_for(state="attached")
    screen.shot("portal-being-made-phone")
    company.sql("UPDATE tenants SET speed = 'Infinity' WHERE id = :tenant")
    company.clear_faults()
    company.advance(hours=2)
    page.get_by_text("Ready", exact=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert screen.axe() == []
    screen.shot("portal-ready-phone")
    page.get_by_role("link", name="Connect").click()
    page.locator("#console[data-state=connected]").wait_for()
    screen.until(f"() => ({COLOURS})() > 50")
    assert screen.axe() == []
    screen.shot("console-phone")
    page.get_by_role("link", name="Leave").click()
    page.get_by_role("link", name="Something is wrong").click()
    page.get_by_role("button", name="Check it now").click()
    page.get_by_text("Looking").wait_for()
    company.settle()
    page.get_by_text("Your Cloud PC answers").wait_for()
    assert screen.axe() == []
