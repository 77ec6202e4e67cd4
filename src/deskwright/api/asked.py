"""Who asks, and whether they may: what every endpoint depends on.

The tenant is the token's. There is no way to name another one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from deskwright.graph.errors import CONFIRM_HEADER, GraphError
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import satisfies
from deskwright.identity.tokens import Unauthenticated, authenticate
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World
from deskwright.store.database import Database
from deskwright.telemetry import correlation

_BEARER = HTTPBearer(
    scheme_name="bearer", auto_error=False, description="An access token of this installation, as for Graph."
)


@dataclass(frozen=True)
class Asked:
    """The caller, in their tenant."""

    world: World
    caller: Caller
    authorization: str
    needed: tuple[str, ...] = ()
    writes: bool = False

    @property
    def database(self) -> Database:
        return self.world.database

    @property
    def tenant(self) -> TenantRef:
        return TenantRef(self.caller.tenant_id, self.caller.tenant_name)

    @property
    def actor(self) -> str:
        return self.caller.actor

    def must_still_hold(self) -> None:
        """Raises 401 or 403 where the call would be refused now: the token, the permissions and the role may go."""
        _allowed(self.world, self.authorization, self.needed, self.writes)

    def still_holds(self) -> bool:
        try:
            self.must_still_hold()
        except GraphError:
            return False
        return True


def _may(*needed: str, writes: bool) -> Callable[..., Asked]:
    """A dependency that wants every permission of `needed`."""

    def check(request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None) -> Asked:
        world: World = request.app.state.world
        authorization = request.headers.get("authorization", "")
        return Asked(world, _allowed(world, authorization, needed, writes), authorization, needed, writes)

    return check


def _allowed(world: World, authorization: str, needed: tuple[str, ...], writes: bool) -> Caller:
    """Who calls. Raises 401 for nobody, 403 for who may not."""
    try:
        caller = authenticate(world.database, world.secrets, authorization, base=world.settings.public_address)
    except Unauthenticated as none:
        headers = {"WWW-Authenticate": f'Bearer realm="", error="{none.reason}"'}
        raise GraphError(401, "InvalidAuthenticationToken", none.description, headers=headers) from None
    correlation.note(tenant=caller.tenant_id)
    for permission in needed:
        if not satisfies(caller, (permission,), writes=writes):
            raise GraphError(403, "Forbidden", f"This call needs the permission {permission}{_role(caller, writes)}.")
    return caller


def _role(caller: Caller, writes: bool) -> str:
    if not caller.delegated:
        return ""
    return " and the role Cloud PC Administrator" + ("" if writes else " or Cloud PC Reader")


Reads = Annotated[Asked, Depends(_may("CloudPC.Read.All", writes=False))]
Changes = Annotated[Asked, Depends(_may("CloudPC.ReadWrite.All", writes=True))]
# A tenant document holds users, groups and licences too.
ReadsTenant = Annotated[Asked, Depends(_may("CloudPC.Read.All", "Directory.Read.All", writes=False))]
ChangesTenant = Annotated[Asked, Depends(_may("CloudPC.ReadWrite.All", "Directory.ReadWrite.All", writes=True))]


def _confirmed(
    given: Annotated[
        str | None,
        Header(alias=CONFIRM_HEADER, description="`true` confirms what the safety brake has stopped."),
    ] = None,
) -> bool:
    return (given or "").lower() == "true"


Confirmed = Annotated[bool, Depends(_confirmed)]

CLOUD_PC = "Id, device name or, where unambiguous, the user's name (UPN)."
CloudPcName = Annotated[str, Path(alias="cloudPC", description=CLOUD_PC)]
