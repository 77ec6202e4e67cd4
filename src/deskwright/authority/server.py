"""The authorisation server for one request: Authlib's, over our applications, people and tokens."""

import base64
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import OAuth2Payload

from deskwright.authority import errors, grants, scopes
from deskwright.authority.errors import Refusal
from deskwright.authority.scopes import Scope
from deskwright.identity import apps, flows, sign_in, tokens
from deskwright.identity.apps import App
from deskwright.identity.flows import Refresh
from deskwright.identity.keys import TOKEN_LIFE
from deskwright.identity.sign_in import SignedIn
from deskwright.operations import tenants
from deskwright.operations.change import TenantRef
from deskwright.operations.named import as_id
from deskwright.provision.context import World

# At its lowest level Authlib writes down the tokens it hands out.
logging.getLogger("authlib").setLevel(logging.INFO)


@dataclass(frozen=True)
class Answer:
    """A response, whatever framework sends it: `body` is JSON or nothing."""

    status: int
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]


class _Payload(OAuth2Payload):
    def __init__(self, parameters: Iterable[tuple[str, str]]) -> None:
        self._many: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in parameters:
            self._many[name].append(value)
        self._one = {name: values[0] for name, values in self._many.items()}

    @property
    def data(self) -> dict[str, str]:
        return self._one

    @property
    def datalist(self) -> "defaultdict[str, list[str]]":
        return self._many


class Asked(OAuth2Request):
    """An OAuth request: its parameters, from the query or the form."""

    def __init__(self, method: str, parameters: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> None:
        # Authlib insists on https in the address. Whether http is right is decided where we listen: on loopback.
        super().__init__(method, "https://localhost/", headers=headers)
        self.payload = _Payload(parameters)

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data


def refused(request: OAuth2Request, error: OAuth2Error) -> Answer:
    """A refusal: back to the client's address where that is known to be its own, else in Entra's shape."""
    if error.redirect_uri:
        status, _, headers = error()
        return Answer(status, None, dict(headers))
    correlation = as_id(request.headers.get("client-request-id", ""))
    status = 401 if error.error == "invalid_client" else error.status_code
    headers = {"WWW-Authenticate": 'Basic realm="Deskwright"'} if status == 401 else {}
    headers |= {"Retry-After": str(errors.RETRY_SECONDS)} if status == 503 else {}
    return Answer(status, errors.body(error, str(correlation) if correlation else None), headers)


class Server(AuthorizationServer):
    """What Authlib asks for, and the tokens it hands out. Made for each request: a few attributes are the flow's."""

    def __init__(self, world: World, tenant: TenantRef | None, base: str) -> None:
        """`tenant` None: ``common`` or ``organizations``, so that of whoever signs in. `base`: where we are reached."""
        super().__init__()
        self.world, self.tenant, self.base = world, tenant, base
        self.database, self.secrets = world.database, world.secrets
        self.family: UUID | None = None
        self.nonce: str | None = None
        self.keep_scope: str | None = None
        self.client_info = False
        for grant in (grants.ForApplications, grants.ForDevices, grants.Again):
            self.register_grant(grant)
        self.register_grant(grants.ForBrowsers, [grants.Pkce(required=True)])

    # --- what Authlib asks ----------------------------------------------------------------------------

    def query_client(self, client_id: str) -> grants.Client:
        wanted = as_id(client_id)
        with self.database.single.connect() as connection:
            app = apps.find(connection, wanted) if wanted else None
        where = f"the tenant '{self.tenant.name}'" if self.tenant else "this installation"
        if app is None or (self.tenant and app.tenant_id not in (None, self.tenant.id)):
            raise Refusal("unauthorized_client", 700016, f"No application '{client_id}' is registered in {where}.")
        if app.disabled:
            raise Refusal("unauthorized_client", 7000112, f"The application '{app.name}' is disabled.")
        return grants.Client(app, self)

    def check_secret(self, app: App, secret: str) -> None:
        """Raises Refusal unless it is the application's secret and has not expired."""
        if app.public:
            raise Refusal("invalid_client", 700025, f"'{app.name}' is a public client: send no secret.", 401)
        with self.database.single.connect() as connection:
            checked = apps.check_secret(connection, app.id, secret)
        if checked.expired:
            raise Refusal("invalid_client", 7000222, f"The secret of '{app.name}' has expired. Make a new one.", 401)
        if not checked.matches:
            said = f"The secret of '{app.name}' is not right. It is the secret's value that is wanted, not its id."
            raise Refusal("invalid_client", 7000215, said, 401)

    def validate_requested_scope(self, scope: str | None) -> None:
        self.scope(scope)

    def generate_token(
        self,
        grant_type: str,
        client: grants.Client,
        user: SignedIn | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        """The answer of the token endpoint."""
        app, asked = client.app, self.scope(scope) if user is None else self.stored_scope(scope or "")
        if user is None:
            if self.tenant is None:
                said = "An application signs in to its own tenant: put its id or name in place of 'common'."
                raise Refusal("invalid_request", 900144, said)
            permissions, tenant, person = app.permissions, self.tenant.id, None
            permissions = frozenset(p for p in permissions if p != "User.Read")
        else:
            self.belongs(app, user)
            permissions, tenant, person = asked.permissions(app), user.tenant_id, user.person
        made: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LIFE.total_seconds()) - 1,
            "ext_expires_in": int(TOKEN_LIFE.total_seconds()) - 1,
            "access_token": tokens.issue(
                self.database,
                self.secrets,
                base=self.base,
                tenant=tenant,
                app=app,
                permissions=permissions,
                user=person,
                audience=asked.audience,
            ),
        }
        if user is None or person is None:
            return made
        made["scope"] = " ".join(dict.fromkeys((*asked.asked, *sorted(permissions if asked.default else ()))))
        stays = self.keep_scope or scope or ""
        if include_refresh_token and "offline_access" in scopes.read(stays, None).openid:
            family = self.family or flows.new_family()
            kept = Refresh(tenant, app.id, person.id, stays, family)
            made["refresh_token"] = flows.keep_refresh(self.database, kept)
        if "openid" in asked.openid:
            made["id_token"] = tokens.issue_id_token(
                self.database,
                self.secrets,
                base=self.base,
                tenant=tenant,
                app=app,
                user=person,
                nonce=self.nonce,
            )
        if self.client_info:
            info = json.dumps({"uid": str(person.id), "utid": str(tenant)}).encode()
            made["client_info"] = base64.urlsafe_b64encode(info).decode().rstrip("=")
        return made

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Access tokens are not stored; refresh tokens are already."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: Asked) -> Asked:
        self.client_info = request.payload.data.get("client_info") == "1"
        return request

    def handle_response(self, status: int, body: Any, headers: Iterable[tuple[str, str]]) -> Answer:
        return Answer(status, body or None, dict(headers))

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Answer:
        return refused(request, error)

    # --- ours -----------------------------------------------------------------------------------------

    def scope(self, text: str | None) -> Scope:
        """What a request asks for, now."""
        return scopes.read(text, urlsplit(self.base).hostname)

    def stored_scope(self, text: str) -> Scope:
        """What was asked for at the sign-in, and checked then."""
        return scopes.read(text, None)

    def tenant_by_id(self, tenant: UUID) -> TenantRef:
        return tenants.find(self.database, str(tenant))

    def person(self, tenant: UUID, user: UUID) -> SignedIn:
        """Who signed in, if they still may. Raises Refusal."""
        with self.database.single.connect() as connection:
            found = sign_in.find(connection, tenant, user)
        if found is None:
            raise Refusal("invalid_grant", 50057, "The user was deleted or disabled.")
        return found

    def belongs(self, app: App, who: SignedIn) -> None:
        """Raises Refusal where the person is of another tenant than the application or the address."""
        if app.tenant_id not in (None, who.tenant_id) or (self.tenant and self.tenant.id != who.tenant_id):
            upn = who.person.user_principal_name
            raise Refusal("invalid_grant", 50020, f"The user '{upn}' does not exist in the tenant of '{app.name}'.")
