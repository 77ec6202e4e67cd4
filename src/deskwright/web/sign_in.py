"""Signing in and out, choosing a password, and the links by which people first come.

With ``?tenant=NAME`` the page is that tenant's: its identity providers are offered at once, and a name means somebody
of it. Without, they are offered after a name was entered, by how it ends.
"""

from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import UUID, uuid4

from deskwright.authority.forms import read_ticket, ticket
from deskwright.domain.rules import Refused
from deskwright.identity import issuers, links, sessions, sign_in
from deskwright.identity.failures import SENTENCES, Failure
from deskwright.identity.issuers import Issuer
from deskwright.identity.passwords import SHORTEST
from deskwright.identity.sign_in import SignedIn
from deskwright.web.cookies import cookie_name, is_local
from deskwright.web.pages import Needs, action, page
from deskwright.web.resume import resumed
from deskwright.web.throttle import Throttle, TooMany
from deskwright.web.view import Answer, Shown, View, Went, show

STALE = "This page was open too long, or your browser does not keep cookies. Please sign in again."
_NONE = (
    "There is no other way to sign in for names that end so: enter the password. If your organisation has one, use the "
    "address for signing in that it gave you."
)
_NO_NAME = "Enter your user name first."
MANY = "There were too many attempts to sign in. Wait a few minutes, then try again."

throttle = Throttle()


@page("/sign-in", Needs.NOBODY)
def show_sign_in(view: View) -> Answer:
    if view.session is not None:
        return Went(_to(view, view.asked("to")))
    return ask(view, to=view.asked("to"), username=view.asked("user")[:256], tenant=view.asked("tenant")[:120])


@action("/sign-in", Needs.NOBODY)
def do_sign_in(view: View) -> Answer:
    name = view.form.get("username")
    if not view.form_is_ours:
        return ask(view, wrong=STALE, username=name)
    try:
        with throttle.attempt(place(view)):
            tenant = _tenant(view, view.form.get("tenant"))
            who = sign_in.sign_in(view.database, tenant, name, dict(view.form.fields).get("password", ""))
    except TooMany:
        return ask(view, wrong=MANY, username=name, status=429)
    if isinstance(who, Failure):
        return ask(view, wrong=SENTENCES[who], username=name)
    if who.must_change:
        return _ask_password(view, who, ticket(view.world.secrets, who))
    return signed_in(view, who, view.form.get("to"))


@action("/sign-in/other", Needs.NOBODY)
def other_ways(view: View) -> Answer:
    """What is offered to a name like the one entered, whether or not somebody has it."""
    name = view.form.get("username")
    if not view.form_is_ours:
        return ask(view, wrong=STALE, username=name)
    if not name.strip():
        return ask(view, wrong=_NO_NAME)
    with view.reading() as connection:
        tenant = issuers.tenant_of(connection, name)
        offered = issuers.offered(connection, tenant) if tenant else []
    return ask(view, wrong="" if offered else _NONE, username=name, offered=offered)


@action("/sign-in/password", Needs.NOBODY)
def choose_password(view: View) -> Answer:
    """After a one-time password."""
    held = read_ticket(view.world.secrets, view.form.get("ticket"))
    if held is None or not view.form_is_ours:
        return ask(view, wrong=STALE)
    new, again = _passwords(view)
    if new != again:
        return _ask_password(view, held, view.form.get("ticket"), wrong="The two are not the same.")
    try:
        if not sign_in.change_own_password(view.database, held, new):
            return ask(view, wrong=STALE)
    except Refused as refused:
        return _ask_password(view, held, view.form.get("ticket"), wrong=f"The password {refused.rule}.")
    with view.reading() as connection:
        who = sign_in.find(connection, held.tenant_id, held.person.id)
    return (
        signed_in(view, who, view.form.get("to")) if who is not None else ask(view, wrong=SENTENCES[Failure.DISABLED])
    )


@page("/sign-in/link/{token}", Needs.NOBODY)
def show_link(view: View) -> Answer:
    """Looking does not use it up: mail programs look, too."""
    who = links.look(view.database, view.path["token"])
    if who is None:
        return show("sign_in/link_over.html", status=410)
    return show("sign_in/link.html", who=who, shortest=SHORTEST, wrong="")


@action("/sign-in/link/{token}", Needs.NOBODY)
def use_link(view: View) -> Answer:
    who = links.look(view.database, view.path["token"])
    if who is None:
        return show("sign_in/link_over.html", status=410)
    if not view.form_is_ours:
        return show("sign_in/link.html", status=422, who=who, shortest=SHORTEST, wrong=STALE)
    new, again = _passwords(view)
    wrong = "" if new == again else "The two are not the same."
    if not wrong:
        try:
            who = links.use(view.database, view.path["token"], new)
        except Refused as refused:
            wrong = f"The password {refused.rule}."
    if wrong:
        return show("sign_in/link.html", status=422, who=who, shortest=SHORTEST, wrong=wrong)
    return signed_in(view, who, view.form.get("to")) if who is not None else show("sign_in/link_over.html", status=410)


@action("/sign-out", Needs.PERSON)
def sign_out(view: View) -> Answer:
    return Went("/sign-in", "You are signed out.", sign_in="")


def signed_in(view: View, who: SignedIn, to: str) -> Answer:
    """A session begins, and the browser goes on to `to`, or sends what it was about to send when it had ended."""
    sessions.end(view.database, view.request.cookies.get(cookie_name(view.request), ""))
    token = sessions.begin(view.database, who.tenant_id, who.person.id)
    sealed = view.form.get("sealed")
    waiting = resumed(view.world.secrets, who.person.id, sealed) if sealed else None
    if waiting is None:
        return Went(_to(view, to), sign_in=token)
    # The form has the marks of the session that has ended: it is shown once more, with what was entered.
    path, fields = waiting
    view.session = sessions.find(view.database, token)
    return Shown("sign_in/resume.html", {"path": path, "fields": fields}, sign_in=token)


def place(view: View) -> str:
    """Where the browser is, for the throttle."""
    return view.request.client.host if view.request.client else ""


def _passwords(view: View) -> tuple[str, str]:
    """As they were typed: blanks belong to a password."""
    kept = dict(view.form.fields)
    return kept.get("new", ""), kept.get("again", "")


def _to(view: View, wanted: str) -> str:
    return wanted if wanted and is_local(wanted) and not wanted.startswith("/sign-") else "/"


def ask_again(view: View, sealed: str) -> Answer:
    """The session of a form has ended. `sealed`: what was entered; empty where it is not kept."""
    return ask(view, to="/", ended=True, sealed=sealed, status=401)


def ask(
    view: View,
    *,
    wrong: str = "",
    username: str = "",
    to: str | None = None,
    tenant: str | None = None,
    offered: Sequence[Issuer] = (),
    ended: bool = False,
    sealed: str | None = None,
    status: int = 200,
) -> Answer:
    """The page where people sign in; `offered`: identity providers, besides those of the page's tenant."""
    named = view.form.get("tenant") if tenant is None else tenant
    with view.reading() as connection:
        found = issuers.tenant_called(connection, named) if named else None
        of_tenant = issuers.offered(connection, found) if found else []
        more = not named and not offered and issuers.any_there(connection)
    return show(
        "sign_in/sign_in.html",
        status=status if status != 200 else 422 if wrong else 200,
        wrong=wrong,
        username=username,
        to=view.form.get("to") if to is None else to,
        tenant=named,
        offered=[(i.display_name, i.tenant_name, _way(view, i, username, to)) for i in offered or of_tenant],
        more=more,
        ended=ended,
        sealed=view.form.get("sealed") if sealed is None else sealed,
    )


def _way(view: View, issuer: Issuer, username: str, to: str | None) -> str:
    """The address that begins a sign-in with an issuer."""
    wanted = view.form.get("to") if to is None else to
    query = {name: value for name, value in (("to", wanted), ("user", username)) if value}
    return f"/sign-in/with/{issuer.id}" + (f"?{urlencode(query)}" if query else "")


def _tenant(view: View, name: str) -> UUID | None:
    """The tenant that the page is of; nobody's where there is none of that name, which is not told."""
    if not name:
        return None
    with view.reading() as connection:
        return issuers.tenant_called(connection, name) or uuid4()


def _ask_password(view: View, who: SignedIn, sealed_ticket: str, wrong: str = "") -> Answer:
    return show(
        "sign_in/new_password.html",
        status=422 if wrong else 200,
        who=who,
        ticket=sealed_ticket,
        to=view.form.get("to"),
        sealed=view.form.get("sealed"),
        shortest=SHORTEST,
        wrong=wrong,
    )
