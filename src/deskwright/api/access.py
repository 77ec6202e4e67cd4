"""How people sign in and who administers: identity providers, and the groups whose members hold a role."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from deskwright.api.asked import Asked, Changes, ChangesTenant, Reads, ReadsTenant
from deskwright.api.models import Everything, Page
from deskwright.api.models_access import (
    ChangedIdentityProvider,
    IdentityProvider,
    NewIdentityProvider,
    NewRoleGroup,
    RoleGroup,
)
from deskwright.operations import identity_providers, role_groups
from deskwright.operations.identity_providers import PROVIDER
from deskwright.operations.named import Item, cursor

router = APIRouter(tags=["Tenant"])

LARGEST_PAGE = 1000
Provider = Annotated[str, Path(description="Its id or display name.")]


@router.get("/identityProviders")
def list_identity_providers(
    asked: ReadsTenant,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    after: Annotated[str | None, Query(max_length=400, description="From a nextLink.")] = None,
) -> Page[IdentityProvider]:
    """The OpenID Connect issuers that people of the tenant may sign in with."""
    found = identity_providers.list_(asked.database, asked.tenant, after, limit)
    more = cursor(PROVIDER, found[-1]) if len(found) == limit else None
    link = f"/deskwright/identityProviders?limit={limit}&after={more}" if more else None
    return Page[IdentityProvider](value=[_told(asked, item) for item in found], nextLink=link)


@router.post("/identityProviders", status_code=201)
def create_identity_provider(asked: ChangesTenant, given: NewIdentityProvider) -> IdentityProvider:
    """Let people sign in with an issuer. Whoever runs it can sign in as anybody of the tenant."""
    made = identity_providers.create(
        asked.database,
        asked.tenant,
        asked.actor,
        display_name=given.displayName,
        issuer=given.issuer,
        client_id=given.clientId,
        client_secret=given.clientSecret,
        user_claim=given.userClaim,
        enabled=given.enabled,
        secrets=asked.world.secrets,
    )
    return _told(asked, made)


@router.get("/identityProviders/{provider}")
def get_identity_provider(asked: ReadsTenant, provider: Provider) -> IdentityProvider:
    """One of them; its secret is not told."""
    return _told(asked, identity_providers.show(asked.database, asked.tenant, provider))


@router.patch("/identityProviders/{provider}")
def update_identity_provider(
    asked: ChangesTenant, provider: Provider, given: ChangedIdentityProvider
) -> IdentityProvider:
    """Change what is given; an empty client secret takes the one there is away."""
    done = identity_providers.set_(
        asked.database,
        asked.tenant,
        asked.actor,
        provider,
        display_name=given.displayName,
        issuer=given.issuer,
        client_id=given.clientId,
        client_secret=given.clientSecret,
        user_claim=given.userClaim,
        enabled=given.enabled,
        secrets=asked.world.secrets,
    )
    return _told(asked, done)


@router.delete("/identityProviders/{provider}")
def delete_identity_provider(asked: ChangesTenant, provider: Provider) -> IdentityProvider:
    """Nobody signs in with it any more; answers what it was."""
    return _told(asked, identity_providers.delete(asked.database, asked.tenant, asked.actor, provider))


@router.get("/roleGroups")
def list_role_groups(asked: Reads) -> Everything[RoleGroup]:
    """The groups whose members hold a role. Graph has them too, as role assignments."""
    return Everything[RoleGroup].model_validate({"value": role_groups.list_(asked.database, asked.tenant)})


@router.post("/roleGroups", status_code=201)
def add_role_group(asked: Changes, given: NewRoleGroup) -> RoleGroup:
    """Give everybody in a group a role; harmless if the group holds it."""
    made = role_groups.assign(asked.database, asked.tenant, asked.actor, given.role, given.group)
    return RoleGroup.model_validate(made)


@router.delete("/roleGroups/{role}/{group}")
def remove_role_group(
    asked: Changes,
    role: Annotated[str, Path(description="The role's name or id.")],
    group: Annotated[str, Path(description="The group's name or id.")],
) -> RoleGroup:
    """Take a role from a group; answers what it was."""
    return RoleGroup.model_validate(role_groups.unassign(asked.database, asked.tenant, asked.actor, role, group))


def _told(asked: Asked, item: Item) -> IdentityProvider:
    address = identity_providers.redirect_address(asked.world.settings.public_address or "", item)
    return IdentityProvider.model_validate({**item, "redirectUri": address})
