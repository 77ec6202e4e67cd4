"""The pages where people sign in: for a browser's request, and for a device that waits elsewhere.

There is no session: every sign-in wants the password, or an identity provider's word. Nothing stays in the browser but
the form's own cookie.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from authlib.oauth2 import OAuth2Error
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from deskwright.authority import brought
from deskwright.authority.errors import Refusal, body
from deskwright.authority.forms import NO_STORE, Page, read_ticket, ticket
from deskwright.authority.grants import Client
from deskwright.authority.server import Answer, Asked, Server
from deskwright.domain.rules import Refused
from deskwright.identity import flows, issuers, sign_in
from deskwright.identity.failures import SENTENCES, Failure
from deskwright.identity.passwords import SHORTEST
from deskwright.identity.sign_in import SignedIn

BEGIN = "/sign-in/with/"
"""Where a sign-in with an identity provider begins; its id follows."""
_STALE = "This page was open too long, or your browser does not keep cookies. Please sign in again."
_NO_CODE = "There is no such code, or it has expired. Look at the device again."


@dataclass(frozen=True)
class _Signing:
    """One attempt at a page: who it is for, and how the page is shown again."""

    server: Server
    page: Page
    client: Client
    goes_to: str | None = None
    device: str = ""

    def ask(self, *, wrong: str = "", username: str = "") -> Response:
        return self.page.show(
            "sign_in",
            400 if wrong else 200,
            goes_to=self.goes_to,
            app=self.client.app.name,
            tenant=self.server.tenant.name if self.server.tenant else "",
            device=self.device,
            wrong=wrong,
            username=username,
            ways=self.ways(username),
        )

    def ways(self, username: str) -> list[tuple[str, str]]:
        """Name and address of each identity provider by which the person may come back to this request."""
        tenant = self.server.tenant.id if self.server.tenant else self.client.app.tenant_id
        address = brought.address_of(self.page.request)
        if self.device or tenant is None or not brought.is_request(address):
            return []
        with self.server.database.single.connect() as connection:
            offered = issuers.offered(connection, tenant)
        query = urlencode({"to": address, **({"user": username} if username else {})})
        return [(issuer.display_name, f"{BEGIN}{issuer.id}?{query}") for issuer in offered]

    def confirm(self, who: SignedIn) -> Response:
        """An identity provider has said who it is; the person says that the program may know."""
        return self.page.show(
            "brought",
            goes_to=self.goes_to,
            app=self.client.app.name,
            tenant=who.tenant_name,
            username=who.person.user_principal_name,
        )

    def was_brought(self) -> SignedIn | None:
        """Who has come back from an identity provider to this very request, and may sign in."""
        found = brought.read(self.server.secrets, self.page.request)
        if found is None:
            return None
        try:
            who = self.server.person(*found)
            self.server.belongs(self.client.app, who)
        except Refusal:
            return None
        return who

    def ask_new_password(self, who: SignedIn, *, wrong: str = "") -> Response:
        return self.page.show(
            "new_password",
            400 if wrong else 200,
            goes_to=self.goes_to,
            username=who.person.user_principal_name,
            ticket=ticket(self.server.secrets, who),
            device=self.device,
            shortest=SHORTEST,
            wrong=wrong,
        )

    def attempt(self, form: dict[str, str]) -> "SignedIn | Response":
        """The person, or the page to show instead."""
        if not self.page.is_ours(form):
            return self.ask(wrong=_STALE, username=form.get("username", ""))
        database, app = self.server.database, self.client.app
        if "ticket" in form:
            return self._replaced(form)
        tenant = self.server.tenant.id if self.server.tenant else app.tenant_id
        who = sign_in.sign_in(database, tenant, form.get("username", ""), form.get("password", ""))
        if isinstance(who, Failure):
            return self.ask(wrong=SENTENCES[who], username=form.get("username", ""))
        try:
            self.server.belongs(app, who)
        except Refusal as refusal:
            return self.ask(wrong=str(refusal.description), username=form.get("username", ""))
        return self.ask_new_password(who) if who.must_change else who

    def _replaced(self, form: dict[str, str]) -> "SignedIn | Response":
        held = read_ticket(self.server.secrets, form["ticket"])
        if held is None:
            return self.ask(wrong=_STALE)
        if form.get("new", "") != form.get("again", ""):
            return self.ask_new_password(held, wrong="The two are not the same.")
        try:
            if not sign_in.change_own_password(self.server.database, held, form.get("new", "")):
                return self.ask(wrong=_STALE)
        except Refused as refused:
            return self.ask_new_password(held, wrong=f"The password {refused.rule}.")
        try:
            who = self.server.person(held.tenant_id, held.person.id)
            self.server.belongs(self.client.app, who)
        except Refusal:
            return self.ask(wrong=SENTENCES[Failure.DISABLED])
        return who


def authorize(server: Server, request: Request, form: dict[str, str] | None) -> Response:
    """The authorization endpoint; `form` None is the first look."""
    page, asked = Page(request), Asked("GET", request.query_params.multi_items(), request.headers)
    try:
        grant = server.get_consent_grant(asked)
    except OAuth2Error as error:
        return _sent_back(page, asked, server.handle_error_response(asked, error), error)
    signing = _Signing(server, page, asked.client, goes_to=grant.redirect_uri)
    parameters = asked.payload.data
    if form is None:
        if parameters.get("prompt") == "none":
            refusal = Refusal("login_required", 50058, "Nobody is signed in, and prompt=none forbids to ask.")
            refusal.redirect_uri, refusal.state = grant.redirect_uri, parameters.get("state")
            return _sent_back(page, asked, server.handle_error_response(asked, refusal), refusal)
        came = signing.was_brought()
        return signing.confirm(came) if came else signing.ask(username=parameters.get("login_hint", ""))
    if form.get("action") == "cancel" and page.is_ours(form):
        answer = _sent_back(page, asked, server.create_authorization_response(asked, None, grant))
        return brought.forget(request, answer)
    who: SignedIn | Response
    if form.get("action") == "continue":
        who = (page.is_ours(form) and signing.was_brought()) or signing.ask(wrong=_STALE)
    else:
        who = signing.attempt(form)
    if isinstance(who, Response):
        return who
    return brought.forget(request, _sent_back(page, asked, server.create_authorization_response(asked, who, grant)))


def device(server: Server, request: Request, form: dict[str, str] | None) -> Response:
    """Where the code of a device is entered, and then the person signs in."""
    page = Page(request)
    if form is None:
        return page.show("device", wrong="", user_code=request.query_params.get("user_code", "")[:16])
    typed = form.get("user_code", "")
    waiting = flows.find_user_code(server.database, typed)
    if waiting is None or (server.tenant and waiting.tenant_id not in (None, server.tenant.id)):
        return page.show("device", 400, wrong=_NO_CODE, user_code=typed[:16])
    try:
        if server.tenant is None and waiting.tenant_id is not None:
            server = Server(server.world, server.tenant_by_id(waiting.tenant_id), server.base)
        client = server.query_client(str(waiting.app_id))
    except Refusal as refusal:
        return page.show("said", 400, title="This cannot go on", text=str(refusal.description))
    signing = _Signing(server, page, client, device=waiting.user_code)
    if form.get("action") == "next":
        return signing.ask()
    if form.get("action") == "cancel" and page.is_ours(form):
        flows.decide_device_code(server.database, waiting, None, None)
        return page.show("said", title="Cancelled", text="The device was not signed in. You can close this page.")
    who = signing.attempt(form)
    if isinstance(who, Response):
        return who
    if not flows.decide_device_code(server.database, waiting, who.tenant_id, who.person.id):
        return page.show("device", 400, wrong=_NO_CODE, user_code="")
    return page.show(
        "said",
        title="You are signed in",
        text=f"{client.app.name} on the other device goes on by itself. You can close this page.",
    )


def signed_out(request: Request) -> Response:
    text = "Deskwright keeps no sign-in in this browser: the next one asks for the password. You can close this page."
    return Page(request).show("said", title="You are signed out", text=text)


def _sent_back(page: Page, asked: Asked, answer: Answer, error: OAuth2Error | None = None) -> Response:
    """To the client's address, in the way it wants; what may not be sent there is shown here."""
    address = answer.headers.get("Location")
    if address is None:
        assert error is not None
        text = str(body(error, None)["error_description"])
        return page.show("said", 400, title="This cannot go on", text=text)
    parts = urlsplit(address)
    mode = asked.payload.data.get("response_mode", "query")
    if mode == "form_post":
        # Only what we add: what the client's own address holds stays in it.
        own = dict(parse_qsl(urlsplit(asked.payload.redirect_uri or "").query))
        fields = [(n, v) for n, v in parse_qsl(parts.query) if n not in own]
        return page.show(
            "form_post",
            goes_to=address,
            app=asked.client.app.name if asked.client else "the program",
            address=asked.payload.redirect_uri or "",
            fields=fields,
        )
    if mode == "fragment":
        address = urlunsplit((parts.scheme, parts.netloc, parts.path, "", parts.query))
    return RedirectResponse(address, 302, headers=NO_STORE)
