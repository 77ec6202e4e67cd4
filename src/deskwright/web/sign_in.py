"""Signing in and out, choosing a password, and the links by which people first come."""

from deskwright.authority.forms import read_ticket, ticket
from deskwright.domain.rules import Refused
from deskwright.identity import links, sessions, sign_in
from deskwright.identity.passwords import SHORTEST
from deskwright.identity.sign_in import LOCKED_MINUTES, Failure, SignedIn
from deskwright.web.cookies import cookie_name, is_local
from deskwright.web.pages import Needs, action, page
from deskwright.web.resume import resumed
from deskwright.web.throttle import Throttle, TooMany
from deskwright.web.view import Answer, Shown, View, Went, show

_WRONG = (
    "The user name or the password is not right. After several errors in a row the account is locked for "
    f"{LOCKED_MINUTES} minutes."
)
_DISABLED = "This account is disabled. Ask your administrator."
_STALE = "This page was open too long, or your browser does not keep cookies. Please sign in again."
_MANY = "There were too many attempts to sign in. Wait a few minutes, then try again."

throttle = Throttle()


@page("/sign-in", Needs.NOBODY)
def show_sign_in(view: View) -> Answer:
    if view.session is not None:
        return Went(_to(view, view.asked("to")))
    return _ask(view, to=view.asked("to"), username=view.asked("user")[:256])


@action("/sign-in", Needs.NOBODY)
def do_sign_in(view: View) -> Answer:
    name = view.form.get("username")
    if not view.form_is_ours:
        return _ask(view, wrong=_STALE, username=name)
    try:
        with throttle.attempt(view.request.client.host if view.request.client else ""):
            who = sign_in.sign_in(view.database, None, name, dict(view.form.fields).get("password", ""))
    except TooMany:
        return _ask(view, wrong=_MANY, username=name, status=429)
    if isinstance(who, Failure):
        return _ask(view, wrong=_DISABLED if who is Failure.DISABLED else _WRONG, username=name)
    if who.must_change:
        return _ask_password(view, who, ticket(view.world.secrets, who))
    return _signed_in(view, who)


@action("/sign-in/password", Needs.NOBODY)
def choose_password(view: View) -> Answer:
    """After a one-time password."""
    held = read_ticket(view.world.secrets, view.form.get("ticket"))
    if held is None or not view.form_is_ours:
        return _ask(view, wrong=_STALE)
    new, again = _passwords(view)
    if new != again:
        return _ask_password(view, held, view.form.get("ticket"), wrong="The two are not the same.")
    try:
        if not sign_in.change_own_password(view.database, held, new):
            return _ask(view, wrong=_STALE)
    except Refused as refused:
        return _ask_password(view, held, view.form.get("ticket"), wrong=f"The password {refused.rule}.")
    with view.reading() as connection:
        who = sign_in.find(connection, held.tenant_id, held.person.id)
    return _signed_in(view, who) if who is not None else _ask(view, wrong=_DISABLED)


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
        return show("sign_in/link.html", status=422, who=who, shortest=SHORTEST, wrong=_STALE)
    new, again = _passwords(view)
    wrong = "" if new == again else "The two are not the same."
    if not wrong:
        try:
            who = links.use(view.database, view.path["token"], new)
        except Refused as refused:
            wrong = f"The password {refused.rule}."
    if wrong:
        return show("sign_in/link.html", status=422, who=who, shortest=SHORTEST, wrong=wrong)
    return _signed_in(view, who) if who is not None else show("sign_in/link_over.html", status=410)


@action("/sign-out", Needs.PERSON)
def sign_out(view: View) -> Answer:
    return Went("/sign-in", "You are signed out.", sign_in="")


def _signed_in(view: View, who: SignedIn) -> Answer:
    sessions.end(view.database, view.request.cookies.get(cookie_name(view.request), ""))
    token = sessions.begin(view.database, who.tenant_id, who.person.id)
    sealed = view.form.get("sealed")
    waiting = resumed(view.world.secrets, who.person.id, sealed) if sealed else None
    if waiting is None:
        return Went(_to(view, view.form.get("to")), sign_in=token)
    # The form has the marks of the session that has ended: it is shown once more, with what was entered.
    path, fields = waiting
    view.session = sessions.find(view.database, token)
    return Shown("sign_in/resume.html", {"path": path, "fields": fields}, sign_in=token)


def _passwords(view: View) -> tuple[str, str]:
    """As they were typed: blanks belong to a password."""
    kept = dict(view.form.fields)
    return kept.get("new", ""), kept.get("again", "")


def _to(view: View, wanted: str) -> str:
    return wanted if wanted and is_local(wanted) and not wanted.startswith("/sign-") else "/"


def _ask(view: View, *, wrong: str = "", username: str = "", to: str | None = None, status: int = 200) -> Answer:
    return show(
        "sign_in/sign_in.html",
        status=status if status != 200 else 422 if wrong else 200,
        wrong=wrong,
        username=username,
        to=view.form.get("to") if to is None else to,
        ended=False,
        sealed=view.form.get("sealed"),
    )


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
