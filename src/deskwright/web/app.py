"""Serving the table of pages: who asks, whether they may, whether a form is ours, and what the browser gets."""

import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from sqlalchemy import exc
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from deskwright.api.watch import Watch
from deskwright.authority.forms import NO_STORE, FormCookie
from deskwright.domain.rules import ConfirmationRequired, NotFound, Refused
from deskwright.identity import sessions
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import first_steps
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World
from deskwright.telemetry import correlation
from deskwright.web import live, pages, sign_in, static_files, templating
from deskwright.web.cookies import cookie_name, is_local, person_of
from deskwright.web.csrf import csrf_of, is_csrf_of
from deskwright.web.forms import Form, Unreadable, read
from deskwright.web.pages import Needs, Page
from deskwright.web.portal.consoles import sockets
from deskwright.web.resume import resumable
from deskwright.web.view import Answer, File, Shown, View, Went, admin, show, told

log = logging.getLogger(__name__)

_NOTICE, _TENANT = "deskwright-notice", "deskwright-tenant"
_LONGEST_NOTICE = 1500
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    **NO_STORE,
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def routes(world: World, watching: Watch) -> list[BaseRoute]:
    """Every page and action, the static files, and the events of those who watch."""
    front = _Front(world)
    served = (Route(entry.path, front.endpoint(entry), methods=[entry.method]) for entry in pages.load())
    return [
        static_files.ROUTE,
        *live.routes(world, watching),
        *sockets(world),
        *served,
        Route("/admin", front.home),
        *front.elsewhere,
    ]


class _Front:
    def __init__(self, world: World) -> None:
        self.world = world

    def endpoint(self, entry: Page) -> Any:
        async def serve(request: Request) -> Response:
            try:
                form = await read(request) if entry.method == "POST" else Form()
            except Unreadable as bad:
                view = View(self.world, request, request.path_params)
                return await run_in_threadpool(self._page, view, _problem(400, "This cannot be read", str(bad)))
            except ClientDisconnect:
                return Response(status_code=400)
            return await run_in_threadpool(self._serve, request, entry, form)

        return serve

    @property
    def elsewhere(self) -> list[BaseRoute]:
        """Addresses below those of the pages at which there is none."""
        return [Route(f"/{place}/{{rest:path}}", self._nowhere) for place in ("admin", "portal")]

    def _nowhere(self, request: Request) -> Response:
        text = "The address may be mistyped, or what was there is gone."
        return self._page(View(self.world, request, {}), _problem(404, "There is no such page", text))

    def home(self, request: Request) -> Response:
        """To where the person works: the admin center of the tenant they were last in, or the portal."""
        try:
            person = person_of(self.world, request)
        except (exc.OperationalError, exc.TimeoutError):
            return RedirectResponse("/sign-in", 303, headers=_HEADERS)
        if person is None:
            return RedirectResponse("/sign-in", 303, headers=_HEADERS)
        if not person.places:
            return RedirectResponse("/portal", 303, headers=_HEADERS)
        last = unquote(request.cookies.get(_TENANT, "")).lower()
        own = person.tenant_name.lower()
        chosen = next((name for name in (last, own) if name in person.places), next(iter(person.places)))
        place = person.places[chosen]
        with self.world.database.single.connect() as connection:
            empty = first_steps.wanted(connection, TenantRef(place.tenant_id, place.tenant_name))
        start = ("start",) if empty and place.role == ADMINISTRATOR else ()
        return RedirectResponse(admin(place.tenant_name, *start), 303, headers=_HEADERS)

    # --- one request ----------------------------------------------------------------------------------

    def _serve(self, request: Request, entry: Page, form: Form) -> Response:
        view = View(self.world, request, request.path_params, form=form)
        correlation.note(tenant_name=request.path_params.get("tenant"))
        try:
            answer = self._allowed(view, entry) or self._answer(view, entry)
        except (exc.OperationalError, exc.TimeoutError):
            log.warning("the database did not answer", exc_info=True)
            said = "The database does not answer at the moment. What is under way goes on when it is back."
            answer = _problem(503, "Try again shortly", said)
        except Exception:
            number = str(uuid4())[:8]
            log.exception("%s (error %s)", entry.name, number)
            said = f"Something went wrong in Deskwright itself. Its log has more under the number {number}."
            answer = _problem(500, "That did not work", said)
        return self._page(view, answer)

    def _allowed(self, view: View, entry: Page) -> Answer | None:
        """None when they may; else what is shown instead."""
        # What htmx fetches by itself is not somebody's doing, and keeps no session from ending.
        watches = entry.method == "GET" and view.fragment
        view.session = person_of(self.world, view.request, counts=not watches)
        view.form_is_ours = self._form_is_ours(view, entry)
        if entry.needs is Needs.NOBODY:
            return None
        if view.session is None:
            return self._sign_in(view, entry)
        if entry.needs in (Needs.READER, Needs.ADMINISTRATOR):
            place = view.session.places.get(view.path["tenant"].lower())
            if place is None:
                return _problem(404, "There is no such page", "Either the tenant does not exist, or you have no role.")
            view.tenant_, view.role = TenantRef(place.tenant_id, place.tenant_name), place.role
            if entry.needs is Needs.ADMINISTRATOR and not view.may_change:
                said = f"You are {place.role} in {place.tenant_name}. This needs the role {ADMINISTRATOR}."
                return _problem(403, "You may look, but not change", said)
        if entry.method == "POST" and not view.form_is_ours:
            return _problem(403, "This form is not ours", "Open the page again and send it from there.")
        return None

    def _form_is_ours(self, view: View, entry: Page) -> bool:
        request = view.request
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        if view.session is not None and self._form_is_of_session(view):
            return True
        # The form of a page that is open to all may be older than the session.
        return entry.needs is Needs.NOBODY and FormCookie(request).is_ours(_csrf(request, view.form))

    def _form_is_of_session(self, view: View) -> bool:
        """Whether it was made for the session of the browser's cookie, also where that has ended."""
        token = view.request.cookies.get(cookie_name(view.request), "")
        return bool(token) and is_csrf_of(token, _csrf(view.request, view.form))

    def _sign_in(self, view: View, entry: Page) -> Answer:
        """To the sign-in and back. What was entered in a form comes along, sealed for whose session it was.

        Only a form of ours does: browsers leave the cookie out of those of other sites, which look signed out, too.
        """
        request = view.request
        if view.fragment:
            return Shown("empty.html", status=401, headers={"HX-Redirect": "/sign-in"})
        if entry.method == "GET":
            to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return Went(f"/sign-in?to={quote(to, safe='')}")
        sealed, whose = "", None
        if self._form_is_of_session(view):
            whose = sessions.whose(self.world.database, request.cookies[cookie_name(request)])
        if whose is not None:
            sealed = resumable(self.world.secrets, whose, request.url.path, view.form)
        return sign_in.ask_again(view, sealed)

    def _answer(self, view: View, entry: Page) -> Answer:
        try:
            return entry.serve(view)
        except ConfirmationRequired as stopped:
            fields = [(n, v) for n, v in view.form.fields if n not in ("csrf", "confirmed")]
            return show("confirm.html", status=409, stopped=stopped, fields=fields, back=_back(view))
        except NotFound as missing:
            if entry.method == "GET" or entry.shown_by is None:
                return _problem(404, "There is no such page", told(missing))
            refused: Refused = missing
        except Refused as rule:
            refused = rule
            if entry.method == "GET":
                return _problem(400, "This address is not right", told(refused))
        if entry.shown_by is None:
            return Went(_back(view), told(refused), bad=True)
        view.refuse(refused)
        try:
            shown = entry.shown_by(view)
        except NotFound as missing:  # what the form is about is gone meanwhile
            return _problem(404, "There is no such page", told(missing))
        except Refused:
            return _problem(400, "That did not work", told(refused))
        if isinstance(shown, Shown):
            return Shown(shown.template, shown.values, 422, shown.block, shown.headers)
        return shown

    # --- what the browser gets --------------------------------------------------------------------------

    def _page(self, view: View, answer: Answer) -> Response:
        request = view.request
        match answer:
            case File():
                headers = {**_HEADERS, **answer.headers}
                if answer.name:
                    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(answer.name, safe='')}"
                if isinstance(answer.content, bytes):
                    return Response(answer.content, media_type=answer.media_type, headers=headers)
                return StreamingResponse(answer.content, media_type=answer.media_type, headers=headers)
            case Went():
                return self._went(view, answer)
        cookie = FormCookie(request)
        form_token = cookie.token()
        session_token = answer.sign_in or (request.cookies.get(cookie_name(request), "") if view.session else "")
        csrf = csrf_of(session_token) if session_token else form_token
        text = templating.render(view, answer, csrf, {"notice": _notice(request)})
        response = HTMLResponse(text, answer.status, headers={**_HEADERS, **answer.headers})
        if _NOTICE in request.cookies and answer.block is None:
            response.delete_cookie(_NOTICE, path="/")
        if answer.sign_in:
            _set(response, request, cookie_name(request), answer.sign_in, None)
        elif not session_token:
            cookie.set_on(response, form_token)
        if view.tenant_ is not None and unquote(request.cookies.get(_TENANT, "")) != view.tenant_.name:
            _set(response, request, _TENANT, quote(view.tenant_.name, safe=""), 365 * 86400)
        return response

    def _went(self, view: View, went: Went) -> Response:
        request = view.request
        headers = dict(_HEADERS)
        if view.fragment:  # htmx would follow the redirect and put the page into the fragment's place
            response: Response = Response(status_code=204, headers={**headers, "HX-Redirect": went.url})
        else:
            response = RedirectResponse(went.url, 303, headers=headers)
        if went.said:
            kept = json.dumps({"said": went.said[:_LONGEST_NOTICE], "bad": went.bad})
            _set(response, request, _NOTICE, urlsafe_b64encode(kept.encode()).decode(), 60)
        for name, value in went.cookies.items():
            _set(response, request, name, value, 365 * 86400)
        for name, value in went.passing.items():
            _set(response, request, name, value, 600 if value else 0)
        if went.sign_in == "":
            sessions.end(self.world.database, request.cookies.get(cookie_name(request), ""))
            response.delete_cookie(
                cookie_name(request), path="/", httponly=True, samesite="lax", secure=request.url.scheme == "https"
            )
        elif went.sign_in is not None:
            _set(response, request, cookie_name(request), went.sign_in, None)
        return response


def _set(response: Response, request: Request, name: str, value: str, seconds: int | None) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def _problem(status: int, title: str, text: str) -> Shown:
    return show("problem.html", status=status, title=title, text=text)


def _notice(request: Request) -> Mapping[str, Any] | None:
    """What the page before has left to be told once."""
    try:
        kept = json.loads(urlsafe_b64decode(request.cookies[_NOTICE].encode()))
        return {"said": str(kept["said"])[:_LONGEST_NOTICE], "bad": bool(kept["bad"])}
    except (KeyError, ValueError, TypeError):
        return None


def _back(view: View) -> str:
    """The page a form came from, as it says itself; else the start."""
    for url in (view.form.get("back"), urlsplit(view.request.headers.get("referer", "")).path):
        if url and is_local(url):
            return url
    return view.to() if view.tenant_ else "/"


def _csrf(request: Request, form: Form) -> str:
    return request.headers.get("x-csrf-token") or form.get("csrf")
