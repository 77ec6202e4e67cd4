"""The endpoints: discovery, keys, tokens, device codes, and the pages."""

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread
from authlib.oauth2 import OAuth2Error
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deskwright.authority import pages
from deskwright.authority.errors import RETRY_SECONDS, Refusal, body, busy
from deskwright.authority.forms import NO_STORE, BadForm, Page, base_address, read_form
from deskwright.authority.server import Answer, Asked, Server, refused
from deskwright.domain.rules import NotFound
from deskwright.identity import flows
from deskwright.identity.permissions import PERMISSIONS
from deskwright.identity.tokens import public_keys
from deskwright.operations import tenants
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World

_ANY_TENANT = ("common", "organizations")
# Hashing passwords takes a while: so many threads at most, that the rest of the service keeps its own. Pages and
# programs have each their own, and who would stand in a long queue is turned away: a flood of guesses stops neither.
_THREADS = 4
_WAITING = 200
_BUSY = "There are too many sign-ins at the moment. Try again shortly."


def routes(world: World) -> list[Route]:
    """What the service mounts at its root."""
    here = _Endpoints(world)
    oauth = "/{tenant}/oauth2/v2.0"
    return [
        Route("/common/discovery/instance", here.instance),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", here.configuration),
        Route("/{tenant}/.well-known/openid-configuration", here.configuration),
        Route("/{tenant}/discovery/v2.0/keys", here.keys),
        Route(f"{oauth}/token", here.token, methods=["POST"]),
        Route(f"{oauth}/devicecode", here.device_code, methods=["POST"]),
        Route(f"{oauth}/authorize", here.authorize, methods=["GET", "POST"]),
        Route(f"{oauth}/devicelogin", here.device_page, methods=["GET", "POST"]),
        Route("/devicelogin", here.device_page, methods=["GET", "POST"]),
        Route(f"{oauth}/logout", here.logout, methods=["GET", "POST"]),
    ]


class _Endpoints:
    def __init__(self, world: World) -> None:
        self.world = world
        self.programs, self.people = _Queue(), _Queue()

    # --- for programs ---------------------------------------------------------------------------------

    async def instance(self, request: Request) -> Response:
        """Microsoft's libraries ask which hosts are one cloud: ours is one by itself."""
        base, host = base_address(self.world, request), request.url.netloc
        wanted = request.query_params.get("authorization_endpoint", "").split("/")
        tenant = wanted[3] if len(wanted) > 3 and wanted[3] else "common"
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{base}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def configuration(self, request: Request) -> Response:
        return await self._for_programs(request, self._configuration, request)

    def _configuration(self, request: Request) -> Response:
        base = base_address(self.world, request)
        try:
            tenant = self._tenant(request)
        except Refusal as refusal:
            return _refused(refusal, request)
        here = f"{base}/{tenant.id}" if tenant else f"{base}/{request.path_params['tenant']}"
        return JSONResponse(
            {
                "issuer": f"{base}/{tenant.id if tenant else '{tenantid}'}/v2.0",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                "token_endpoint": f"{here}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{here}/oauth2/v2.0/devicecode",
                "end_session_endpoint": f"{here}/oauth2/v2.0/logout",
                "jwks_uri": f"{here}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "fragment", "form_post"],
                "grant_types_supported": [
                    "authorization_code",
                    "client_credentials",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile", "email", "offline_access", *PERMISSIONS],
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "preferred_username", "tid"],
            }
        )

    async def keys(self, request: Request) -> Response:
        def read() -> Response:
            try:
                self._tenant(request)
            except Refusal as refusal:
                return _refused(refusal, request)
            return JSONResponse(public_keys(self.world.database, self.world.secrets))

        return await self._for_programs(request, read)

    async def token(self, request: Request) -> Response:
        return await self._with_form(request, self._token)

    def _token(self, request: Request, form: list[tuple[str, str]]) -> Response:
        server, asked = self._server(request), Asked("POST", form, _headers(request))
        repeated = [name for name, values in asked.payload.datalist.items() if len(values) > 1]
        if repeated:
            raise Refusal("invalid_request", 9000411, f"The parameter '{repeated[0]}' is duplicated.")
        if not asked.payload.grant_type:
            raise Refusal("invalid_request", 900144, "The request must contain the parameter 'grant_type'.")
        answer: Answer = server.create_token_response(asked)
        return JSONResponse(answer.body, answer.status, headers={**answer.headers, **NO_STORE})

    async def device_code(self, request: Request) -> Response:
        return await self._with_form(request, self._device_code)

    def _device_code(self, request: Request, form: list[tuple[str, str]]) -> Response:
        server, asked = self._server(request), Asked("POST", form, _headers(request))
        if not asked.payload.client_id:
            raise Refusal("invalid_request", 900144, "The request must contain the parameter 'client_id'.")
        client = server.query_client(asked.payload.client_id)
        if not client.app.public:
            server.authenticate_client(asked, ["client_secret_basic", "client_secret_post"])
        server.scope(asked.payload.scope).permissions(client.app)
        tenant = server.tenant.id if server.tenant else client.app.tenant_id
        scope = " ".join(server.scope(asked.payload.scope).asked)
        kept = flows.keep_device_code(self.world.database, tenant, client.app.id, scope)
        if kept is None:
            raise busy("Too many devices wait for a sign-in at the moment.")
        code, user_code = kept
        address = f"{server.base}/devicelogin"
        return JSONResponse(
            {
                "user_code": user_code,
                "device_code": code,
                "verification_uri": address,
                "expires_in": int(flows.DEVICE_CODE_LIFE.total_seconds()),
                "interval": flows.POLL_SECONDS,
                "message": f"To sign in, open {address} in a browser and enter the code {user_code}.",
            },
            headers=NO_STORE,
        )

    # --- for people -----------------------------------------------------------------------------------

    async def authorize(self, request: Request) -> Response:
        return await self._page(request, pages.authorize)

    async def device_page(self, request: Request) -> Response:
        return await self._page(request, pages.device)

    async def logout(self, request: Request) -> Response:
        return pages.signed_out(request)

    async def _page(
        self, request: Request, show: Callable[[Server, Request, dict[str, str] | None], Response]
    ) -> Response:
        try:
            form = dict(await read_form(request)) if request.method == "POST" else None
        except BadForm as bad:
            return Page(request).show("said", 400, title="This cannot go on", text=str(bad))

        def shown() -> Response:
            try:
                return show(self._server(request), request, form)
            except Refusal as refusal:
                text = str(body(refusal, None)["error_description"])
                return Page(request).show("said", refusal.status_code, title="This cannot go on", text=text)

        answer = await self.people.run(shown)
        if answer is None:
            answer = Page(request).show("said", 503, title="This cannot go on now", text=_BUSY)
            answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer

    # --- shared ---------------------------------------------------------------------------------------

    def _server(self, request: Request) -> Server:
        return Server(self.world, self._tenant(request), base_address(self.world, request))

    def _tenant(self, request: Request) -> TenantRef | None:
        """The tenant of the address; None for any. Raises Refusal."""
        name = str(request.path_params.get("tenant", "common"))
        if name.lower() in _ANY_TENANT:
            return None
        try:
            return tenants.find(self.world.database, name)
        except NotFound:
            said = f"There is no tenant '{name}'. Use its id or its name."
            raise Refusal("invalid_request", 90002, said) from None

    async def _with_form(
        self, request: Request, answer: Callable[[Request, list[tuple[str, str]]], Response]
    ) -> Response:
        try:
            form = await read_form(request)
        except BadForm as bad:
            return _refused(Refusal("invalid_request", 900144, str(bad)), request)
        try:
            return await self._for_programs(request, answer, request, form)
        except OAuth2Error as error:
            return _refused(error, request)

    async def _for_programs(self, request: Request, function: Callable[..., Response], *arguments: Any) -> Response:
        answer = await self.programs.run(partial(function, *arguments))
        return _refused(busy(_BUSY), request) if answer is None else answer


class _Queue:
    """A few threads, and a queue before them that has an end."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, function: Callable[[], Response]) -> Response | None:
        """What the function answers; None where too many wait before it."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_THREADS)  # belongs to the loop that serves
        limiter = self._limiter
        if limiter.available_tokens <= 0 and limiter.statistics().tasks_waiting >= _WAITING:
            return None
        return await anyio.to_thread.run_sync(function, limiter=limiter)


def _refused(error: OAuth2Error, request: Request) -> Response:
    answer = refused(Asked("POST", (), request.headers), error)
    return JSONResponse(answer.body, answer.status, headers={**answer.headers, **NO_STORE})


def _headers(request: Request) -> dict[str, str]:
    """The headers as Authlib looks for them; a broken Authorization counts as none."""
    found = {"client-request-id": request.headers.get("client-request-id", "")}
    authorization = request.headers.get("authorization", "")
    scheme, _, encoded = authorization.partition(" ")
    try:
        base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return found
    return {**found, "Authorization": authorization} if scheme.lower() == "basic" else found
