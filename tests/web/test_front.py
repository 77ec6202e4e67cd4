"""What holds for every page and action: sessions, forms that are ours, headers, addresses, refusals."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from deskwright.identity import sessions
from deskwright.identity.permissions import READER
from deskwright.web import cookies, static_files, templating
from deskwright.web import pages as table
from deskwright.web.app import POLICY
from deskwright.web.csrf import csrf_of, is_csrf_of
from tests.company import Company
from tests.web.conftest import COOKIE, PASSWORD, Browser, application, as_person, person, session_of, set_password


@pytest.fixture
def stranger(company: Company) -> Iterator[TestClient]:
    """A browser that is not signed in."""
    with TestClient(application(company.world), base_url="http://127.0.0.1") as client:
        yield client


def _form(client: TestClient, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found
    return found.group(1)


def _sign_in(client: TestClient, name: str = "maria@contoso.com", password: str = PASSWORD, **more: str) -> object:
    fields = {"csrf": _form(client, "/sign-in"), "username": name, "password": password, **more}
    return client.post("/sign-in", data=fields, follow_redirects=False)


def test_signing_in_leads_to_where_one_wanted_to_go(company: Company, stranger: TestClient) -> None:
    person(company)
    set_password(company, "maria")
    asked = stranger.get("/admin/contoso.com/groups?q=sales", follow_redirects=False)
    assert asked.status_code == 303
    to = parse_qs(urlsplit(asked.headers["location"]).query)["to"][0]
    assert to == "/admin/contoso.com/groups?q=sales"
    done = _sign_in(stranger, to=to)
    assert done.headers["location"] == to  # type: ignore[attr-defined]
    cookie = done.headers["set-cookie"]  # type: ignore[attr-defined]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Groups" in stranger.get(to).text


def test_the_cookie_is_for_this_host_and_https_where_there_is_https(company: Company) -> None:
    person(company)
    set_password(company, "maria")
    with TestClient(application(company.world), base_url="https://127.0.0.1") as client:
        cookie = _sign_in(client).headers["set-cookie"]  # type: ignore[attr-defined]
    assert cookie.startswith("__Host-deskwright-session=")
    assert "Secure" in cookie


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example", ""]
)
def test_signing_in_leads_nowhere_else(company: Company, stranger: TestClient, to: str) -> None:
    person(company)
    set_password(company, "maria")
    assert not cookies.is_local(to)
    assert _sign_in(stranger, to=to).headers["location"] == "/"  # type: ignore[attr-defined]


def test_a_wrong_password_says_nothing_about_who_exists(company: Company, stranger: TestClient) -> None:
    person(company)
    set_password(company, "maria")
    known = _sign_in(stranger, password="something else entirely")
    unknown = _sign_in(stranger, "nobody@contoso.com")
    assert known.status_code == unknown.status_code == 422  # type: ignore[attr-defined]
    told = [re.search(r'id="wrong">.*?<span>(.*?)</span>', got.text) for got in (known, unknown)]  # type: ignore[attr-defined]
    assert told[0]
    assert told[1]
    assert told[0].group(1) == told[1].group(1)


def test_many_attempts_from_one_place_are_turned_away(
    company: Company, stranger: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deskwright.web import sign_in
    from deskwright.web.throttle import Throttle

    monkeypatch.setattr(sign_in, "throttle", Throttle(attempts=3, seconds=3600))
    person(company)
    set_password(company, "maria")
    for _ in range(3):
        assert _sign_in(stranger, "nobody@contoso.com").status_code == 422  # type: ignore[attr-defined]
    turned_away = _sign_in(stranger)
    assert turned_away.status_code == 429  # type: ignore[attr-defined]
    assert "too many attempts" in turned_away.text  # type: ignore[attr-defined]


def test_a_one_time_password_is_replaced_before_anything_is_shown(company: Company, stranger: TestClient) -> None:
    from deskwright.identity import sign_in

    person(company)
    with company.world.database.begin() as connection:
        sign_in.set_password(connection, company.tenant.id, company.ids["maria"], PASSWORD, must_change=True)
    asked = _sign_in(stranger)
    assert COOKIE not in stranger.cookies
    ticket = re.search(r'name="ticket" value="([^"]+)"', asked.text)  # type: ignore[attr-defined]
    csrf = re.search(r'name="csrf" value="([^"]+)"', asked.text)  # type: ignore[attr-defined]
    assert ticket
    assert csrf
    fields = {"csrf": csrf.group(1), "ticket": ticket.group(1), "new": "short", "again": "short"}
    assert stranger.post("/sign-in/password", data=fields).status_code == 422
    fields |= {"new": "several words are good", "again": "several words are good"}
    assert "Overview" in stranger.post("/sign-in/password", data=fields, headers={"accept": "text/html"}).text or (
        COOKIE in stranger.cookies
    )
    assert COOKIE in stranger.cookies


def test_signing_out_ends_the_session_on_the_server(pages: Browser, company: Company) -> None:
    assert "signed out" in pages.post("/sign-out").words
    assert sessions.find(company.world.database, pages.token) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET account_enabled = false",
        "UPDATE users SET deleted_at = now()",
        "UPDATE web_sessions SET seen_at = now() - interval '3 hours'",
        "UPDATE web_sessions SET expires_at = now()",
    ],
)
def test_a_session_ends(pages: Browser, company: Company, change: str) -> None:
    assert pages.get("groups").status == 200
    company.sql(change)
    assert "Sign in" in pages.get("groups").words


def test_a_changed_password_ends_the_sessions_elsewhere(pages: Browser, company: Company) -> None:
    set_password(company, "maria")
    assert "Sign in" in pages.get("groups").words


def test_a_role_that_was_taken_counts_no_more(pages: Browser, company: Company) -> None:
    company.sql("DELETE FROM role_assignments")
    assert pages.get("groups").status == 404
    assert pages.post("groups/new", {"displayName": "Sales"}).status == 404


def test_what_was_entered_when_the_session_had_ended_is_sent_after_signing_in_again(
    pages: Browser, company: Company
) -> None:
    set_password(company, "maria")
    pages.token = session_of(company)
    pages.client.cookies.set(COOKIE, pages.token, domain="127.0.0.1", path="/")
    company.sql("UPDATE web_sessions SET seen_at = now() - interval '3 hours'")
    asked = pages.post("groups/new", {"displayName": "Sales"})
    assert asked.status == 401
    assert "Your session has ended" in asked.words
    fields = {"csrf": asked.field("csrf"), "sealed": asked.field("sealed"), "username": "maria@contoso.com"}
    again = pages._page(pages.client.post("/sign-in", data={**fields, "password": PASSWORD}))
    assert "Nothing has been changed yet" in again.words
    assert "Sales" in again.words
    pages.token = pages.client.cookies[COOKIE]
    done = pages._page(
        pages.client.post("/admin/contoso.com/groups/new", data={n: again.field(n) for n in ("csrf", "displayName")})
    )
    assert "The group Sales is made" in done.words


def test_forms_of_other_sites_do_nothing(pages: Browser, company: Company) -> None:
    client = pages.client
    for data, headers in (
        ({"displayName": "Sales"}, {}),
        ({"displayName": "Sales", "csrf": "x"}, {}),
        ({"displayName": "Sales", "csrf": csrf_of("another session")}, {}),
        ({"displayName": "Sales", "csrf": csrf_of(pages.token)}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        assert client.post("/admin/contoso.com/groups/new", data=data, headers=headers).status_code == 403
    assert "No groups yet" in pages.get("groups").words
    header = {"X-CSRF-Token": csrf_of(pages.token)}
    assert "is made" in client.post("/admin/contoso.com/groups/new", data={"displayName": "Sales"}, headers=header).text


def test_the_token_of_a_form_is_never_the_same_text_twice() -> None:
    first, second = csrf_of("token"), csrf_of("token")
    assert first != second
    assert is_csrf_of("token", first)
    assert is_csrf_of("token", second)
    assert not is_csrf_of("other", first)


def test_a_reader_sees_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.group("Sales")
    reader = as_person(pages, company, "rita", READER)
    seen = reader.get("groups/Sales")
    assert "you see everything here and change nothing" in seen.words
    assert "Delete" not in seen.words
    assert reader.post("groups/Sales/delete").status == 403
    assert "Sales" in pages.get("groups").words


def test_nobody_reaches_another_tenant(pages: Browser, company: Company) -> None:
    company.sql("INSERT INTO tenants (name) VALUES ('fabrikam.com')")
    for path in ("/admin/fabrikam.com/groups", "/admin/nowhere.com/groups"):
        assert pages.get(path).status == 404
    assert pages.get("/admin/fabrikam.com/groups").words == pages.get("/admin/nowhere.com/groups").words


def test_a_guest_switches_between_tenants(pages: Browser, company: Company) -> None:
    company.sql("INSERT INTO tenants (name) VALUES ('fabrikam.com')")
    company.sql(
        "INSERT INTO guest_roles (tenant_id, user_id, role) SELECT t.id, :user, 'Cloud PC Reader' FROM tenants t "
        "WHERE t.name = 'fabrikam.com'",
        user=company.ids["maria"],
    )
    there = pages.get("/admin/fabrikam.com")
    assert there.status == 200
    assert "/admin/contoso.com" in there.links()
    assert pages.post("/admin/fabrikam.com/groups/new", {"displayName": "Sales"}).status == 403
    side_by_side = pages.get("/tenants")
    assert "fabrikam.com Cloud PC Reader 0 nothing" in side_by_side.words
    assert "contoso.com Cloud PC Administrator 0 nothing" in side_by_side.words
    # The start leads to the tenant one was in last.
    start = pages.client.get("/admin", follow_redirects=False)
    assert start.headers["location"] == "/admin/fabrikam.com"


def test_every_page_has_the_headers_that_keep_it_to_itself(pages: Browser) -> None:
    for path in ("groups", "/sign-in/link/none", "/admin/nowhere.com"):
        headers = pages.client.get(pages.at(path)).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    assert "unsafe" not in POLICY


def test_no_template_has_inline_style_or_script() -> None:
    for name in templating.names():
        source = templating.source(name)
        assert not re.search(r"<script(?![^>]*\bsrc=)", source), name
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on", source), name
        assert "|safe" not in source, name


def test_hostile_names_are_told_as_they_are(pages: Browser, company: Company) -> None:
    for name in (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "\u05e9\u05dc\u05d5\u05dd <b>",
        "{{ 7001 * 7001 }}",
        "😀" * 255,
    ):
        made = pages.post("groups/new", {"displayName": name})
        assert made.status == 200, made.words
        for page in (made, pages.get("groups")):
            assert "<script>alert" not in page.text
            assert "<img src=x" not in page.text
            assert name in page.words
            assert str(7001 * 7001) not in page.words


def test_notices_are_told_once(pages: Browser) -> None:
    assert "is made" in pages.post("groups/new", {"displayName": "Sales"}).words
    assert "is made" not in pages.get("groups").words


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"displayName=%ff&csrf=x", "application/x-www-form-urlencoded"),
        (b"displayName=%00", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data"),
        (b"&".join(b"a=%d" % n for n in range(6000)), "application/x-www-form-urlencoded"),
    ],
)
def test_forms_that_cannot_be_read_change_nothing(pages: Browser, body: bytes, kind: str) -> None:
    url = "/admin/contoso.com/groups/new"
    got = pages.client.post(url, content=body, headers={"content-type": kind})
    assert got.status_code in (400, 403), got.text
    assert "No groups yet" in pages.get("groups").words


def test_static_files_are_kept_and_packed(pages: Browser) -> None:
    url = static_files.url("app.css")
    got = pages.client.get(url)
    assert got.headers["cache-control"].endswith("immutable")
    assert got.headers["content-encoding"] == "gzip"
    assert "text/css" in got.headers["content-type"]
    for bad in ("/static/x/../app.py", "/static/x/%2e%2e/app.py", "/static/x//etc/passwd", "/static/x/none.css"):
        assert pages.client.get(bad).status_code == 404


def test_actions_change_only_by_post_and_pages_by_nothing(pages: Browser) -> None:
    by_path: dict[str, set[str]] = {}
    for entry in _table():
        by_path.setdefault(entry.path, set()).add(entry.method)
    for path, methods in by_path.items():
        if "{" not in path.replace("{tenant}", "") and methods == {"POST"}:
            assert pages.client.get(path.replace("{tenant}", "contoso.com")).status_code in (404, 405)


def test_each_entry_of_the_table_is_there_once() -> None:
    names = [entry.name for entry in _table()]
    assert len(names) == len(set(names))
    for entry in _table():
        if entry.needs in (table.Needs.READER, table.Needs.ADMINISTRATOR):
            assert entry.path.startswith("/admin/{tenant}")
        if entry.method == "POST" and entry.path.startswith("/admin/{tenant}"):
            own = entry.path.endswith("/columns")  # only how one sees the list
            assert own or entry.needs is table.Needs.ADMINISTRATOR, entry.name


def _table() -> list[table.Page]:
    return table.load()
