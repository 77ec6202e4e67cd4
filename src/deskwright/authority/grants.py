"""The grants: Authlib checks the protocol, these say where codes, people and tokens are kept.

A code is taken in one statement when it is shown, before anything else is checked: who shows one with a wrong verifier
has used it up.
"""

from typing import TYPE_CHECKING, Any, cast

from authlib.oauth2.rfc6749 import AuthorizationCodeGrant, ClientCredentialsGrant, ClientMixin, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceCodeGrant

from deskwright.authority.errors import Refusal
from deskwright.identity import flows
from deskwright.identity.apps import App
from deskwright.identity.flows import Code, DeviceCode, Refresh
from deskwright.identity.permissions import included_in
from deskwright.identity.sign_in import SignedIn

if TYPE_CHECKING:
    from deskwright.authority.server import Server

_METHODS = ["client_secret_basic", "client_secret_post", "none"]
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_NO_REFRESH = "The refresh token is unknown, expired or revoked. Sign in again."
_FOR_PEOPLE = {"authorization_code", "refresh_token", _DEVICE_CODE}


class Client(ClientMixin):
    """An application as Authlib asks about it."""

    def __init__(self, app: App, server: "Server") -> None:
        self.app, self.server = app, server

    def get_client_id(self) -> str:
        return str(self.app.id)

    def get_default_redirect_uri(self) -> str | None:
        return None  # the request must say where it wants to be answered

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return self.app.allows_redirect(redirect_uri)

    def check_client_secret(self, secret: str) -> bool:
        self.server.check_secret(self.app, secret)
        return True

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return self.app.public == (method == "none")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in _FOR_PEOPLE or not self.app.public


class ForApplications(ClientCredentialsGrant):
    """An application by itself: everything it has been granted, so only ``.default`` can be asked for."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]  # noqa: RUF012 - Authlib's name

    def validate_requested_scope(self) -> None:
        scope = self.server.scope(self.request.payload.scope)
        if not scope.default or scope.openid:
            raise Refusal(
                "invalid_scope",
                1002012,
                "The scope of a client credentials request must be the resource and '/.default', such as "
                "https://graph.microsoft.com/.default; the permissions are those granted to the application.",
            )


class ForBrowsers(AuthorizationCodeGrant):
    """An authorization code, bound to its client, its redirect address and (for public clients: always) to PKCE."""

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    def save_authorization_code(self, code: str, request: Any) -> None:
        """`generate_authorization_code` has stored it."""

    def create_authorization_response(self, redirect_uri: str, grant_user: SignedIn | None) -> tuple[Any, ...]:
        self.granting = grant_user
        self.answering = redirect_uri
        return cast("tuple[Any, ...]", super().create_authorization_response(redirect_uri, grant_user))

    def generate_authorization_code(self) -> str:
        asked, who = self.request.payload.data, self.granting
        assert who is not None
        code = Code(
            tenant_id=who.tenant_id,
            app_id=self.request.client.app.id,
            user_id=who.person.id,
            redirect_uri=self.answering,
            scope=self.request.payload.scope,
            nonce=asked.get("nonce"),
            code_challenge=asked.get("code_challenge"),
            code_challenge_method=asked.get("code_challenge_method"),
            family=flows.new_family(),
        )
        return flows.keep_code(self.server.database, code)

    def query_authorization_code(self, code: str, client: Client) -> "_Code":
        found = flows.use_code(self.server.database, code, client.app.id)
        if found is None:
            raise Refusal("invalid_grant", 70008, "The authorization code is unknown, expired or was used before.")
        return _Code(found)

    def delete_authorization_code(self, authorization_code: "_Code") -> None:
        """It counts no more; its row stays until it expires, to notice when it is shown again."""

    def authenticate_user(self, authorization_code: "_Code") -> SignedIn:
        code = authorization_code.code
        self.server.family, self.server.nonce = code.family, code.nonce
        return cast(SignedIn, self.server.person(code.tenant_id, code.user_id))


class _Code:
    def __init__(self, code: Code) -> None:
        self.code = code
        self.code_challenge, self.code_challenge_method = code.code_challenge, code.code_challenge_method

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return self.code.scope


class Pkce(CodeChallenge):
    """S256 only (RFC 7636): a plain challenge protects nothing. Public clients must send one."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - Authlib's name
    DEFAULT_CODE_CHALLENGE_METHOD = "S256"

    def validate_code_challenge(self, grant: ForBrowsers, redirect_uri: str) -> None:
        super().validate_code_challenge(grant, redirect_uri)
        asked = grant.request.payload.data
        if asked.get("code_challenge"):
            if asked.get("code_challenge_method") != "S256":
                raise Refusal("invalid_request", 501481, "The 'code_challenge_method' must be S256.")
        elif grant.request.client.app.public:
            raise Refusal("invalid_request", 9002325, "A public client must use PKCE: send a 'code_challenge'.")


class ForDevices(DeviceCodeGrant):
    """A device without a browser polls until somebody has signed in elsewhere."""

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    def query_device_credential(self, device_code: str) -> "_Device":
        found = flows.poll_device_code(self.server.database, device_code)
        if found is None:
            raise Refusal("bad_verification_code", 70019, "The device code is unknown or was used before.")
        return _Device(found)

    def validate_device_credential(self, credential: "_Device") -> SignedIn:
        waiting = credential.code
        if waiting.expired:
            raise Refusal("expired_token", 70020, "Nobody signed in within 15 minutes. Start again.")
        if waiting.declined:
            raise Refusal("authorization_declined", 70018, "The person declined the sign-in.")
        if waiting.user_id is None or waiting.tenant_id is None:
            if waiting.hurried:
                raise Refusal("slow_down", 70016, "Ask no more often than the 'interval' says.")
            raise Refusal("authorization_pending", 70016, "Nobody has signed in yet. Ask again.")
        who = self.server.person(waiting.tenant_id, waiting.user_id)
        if not flows.use_device_code(self.server.database, waiting):
            raise Refusal("bad_verification_code", 70019, "The device code was used before.")
        self.server.family = flows.new_family()
        return cast(SignedIn, who)


class _Device:
    def __init__(self, code: DeviceCode) -> None:
        self.code = code

    def get_client_id(self) -> str:
        return str(self.code.app_id)

    def get_scope(self) -> str:
        return self.code.scope


class Again(RefreshTokenGrant):
    """A new access token for who signed in before, with a new refresh token each time."""

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> "_Refresh":
        found = flows.find_refresh(self.server.database, refresh_token)
        if found is None:
            raise Refusal("invalid_grant", 70008, _NO_REFRESH)
        return _Refresh(found, refresh_token)

    def _validate_token_scope(self, token: "_Refresh") -> None:
        """Less than before may be asked for, in any words; more wants a new sign-in."""
        asked = self.request.payload.scope
        if not asked:
            return
        before, now = self.server.stored_scope(token.refresh.scope), self.server.scope(asked)
        had = before.permissions(self.request.client.app)
        may = frozenset[str]().union(*(included_in(name) for name in had))
        if not now.permissions(self.request.client.app) <= may:
            raise Refusal("invalid_grant", 65001, "More is asked for than was signed in for. Sign in again.")

    def authenticate_user(self, refresh_token: "_Refresh") -> SignedIn:
        # Only now: a request that is refused for its scope has not used the token up.
        if not flows.use_refresh(self.server.database, refresh_token.text):
            raise Refusal("invalid_grant", 70008, _NO_REFRESH)
        self.server.family = refresh_token.refresh.family
        self.server.keep_scope = refresh_token.refresh.scope
        return cast(SignedIn, self.server.person(refresh_token.refresh.tenant_id, refresh_token.refresh.user_id))

    def revoke_old_credential(self, refresh_token: "_Refresh") -> None:
        """Taking it has done that."""


class _Refresh:
    def __init__(self, refresh: Refresh, text: str) -> None:
        self.refresh, self.text = refresh, text

    def check_client(self, client: Client) -> bool:
        return self.refresh.app_id == client.app.id

    def get_scope(self) -> str:
        return self.refresh.scope
