"""Signing in with an identity provider of a tenant: to the issuer, and back."""

from uuid import UUID

from deskwright.authority import brought
from deskwright.identity import issuers, openid
from deskwright.identity.issuer_web import IssuerProblem
from deskwright.identity.issuers import Issuer
from deskwright.operations.identity_providers import PATH
from deskwright.operations.named import as_id
from deskwright.web.pages import Needs, page
from deskwright.web.sign_in import MANY, STALE, ask, place, signed_in, throttle
from deskwright.web.throttle import TooMany
from deskwright.web.view import Answer, View, Went

_GONE = "This way to sign in is not offered any more. Sign in with your password, or ask your administrator."


@page("/sign-in/with/{provider}", Needs.NOBODY)
def begin(view: View) -> Answer:
    """To the issuer. A link may begin it: nobody is signed in by that, and the issuer asks whom it does not know."""
    issuer = _issuer(view)
    to, user = view.asked("to")[: brought.LONGEST], view.asked("user")[:256]
    if issuer is None:
        return ask(view, wrong=_GONE, username=user, to=to)
    try:
        with throttle.attempt(place(view)):
            begun = openid.begin(view.world.secrets, issuer, _back(view, issuer), to=to, login_hint=user)
    except TooMany:
        return ask(view, wrong=MANY, username=user, to=to, status=429)
    except IssuerProblem as problem:
        return ask(view, wrong=f"{problem}.", username=user, to=to)
    return Went(begun.address, passing={_cookie(view): begun.sealed})


@page(f"{PATH}{{provider}}", Needs.NOBODY)
def back(view: View) -> Answer:
    """From the issuer. Whatever is wrong is told here, with the page to sign in: nothing begins anew by itself."""
    issuer, answer = _issuer(view), dict(view.request.query_params)
    kept = openid.unseal(view.world.secrets, view.request.cookies.get(_cookie(view), ""))
    if kept is None or issuer is None or not openid.is_answer_to(kept, issuer.id, answer):
        return ask(view, wrong=_GONE if issuer is None else STALE, to="")
    try:
        with throttle.attempt(place(view)):
            who = openid.finish(view.database, view.world.secrets, issuer, kept, _back(view, issuer), answer)
    except TooMany:
        return ask(view, wrong=MANY, to=kept.to, status=429)
    except IssuerProblem as problem:
        return ask(view, wrong=f"{problem}.", to=kept.to, offered=[issuer])
    if brought.is_request(kept.to):  # a program waits, not a page: no session begins
        sealed = brought.seal(view.world.secrets, who, kept.to)
        return Went(kept.to, passing={_cookie(view): "", brought.cookie(view.request): sealed})
    went = signed_in(view, who, kept.to)
    assert isinstance(went, Went)  # no form waits
    return Went(went.url, sign_in=went.sign_in, passing={_cookie(view): ""})


def _issuer(view: View) -> Issuer | None:
    wanted: UUID | None = as_id(view.path["provider"])
    if wanted is None:
        return None
    with view.reading() as connection:
        return issuers.find(connection, wanted)


def _back(view: View, issuer: Issuer) -> str:
    """An address of its own for each: a code that one issuer gave is never shown to another."""
    return f"{view.base}{PATH}{issuer.id}"


def _cookie(view: View) -> str:
    return "__Host-deskwright-issuer" if view.request.url.scheme == "https" else "deskwright-issuer"
