"""What `/deskwright` says about how people sign in, and through which groups they administer."""

from datetime import datetime

from pydantic import BaseModel, Field

from deskwright.api.models import Text
from deskwright.operations.identity_providers import USER_CLAIM


class IdentityProvider(BaseModel):
    """An OpenID Connect issuer that people of the tenant may sign in with."""

    id: str
    displayName: str
    issuer: str
    clientId: str
    clientSecretSet: bool
    userClaim: str = Field(description="The claim whose value is a user principal name of the tenant.")
    enabled: bool
    redirectUri: str = Field(
        description="To be registered at the issuer; without the service's address where that is not set."
    )
    createdDateTime: datetime


class NewIdentityProvider(BaseModel):
    displayName: Text
    issuer: Text = Field(description="What stands before /.well-known/openid-configuration.")
    clientId: Text
    clientSecret: Text | None = Field(None, description="Kept encrypted, and never told. Without: a public client.")
    userClaim: Text = Field(USER_CLAIM, description="Of the claim email only verified addresses count.")
    enabled: bool = True


class ChangedIdentityProvider(BaseModel):
    displayName: Text | None = None
    issuer: Text | None = None
    clientId: Text | None = None
    clientSecret: Text | None = Field(None, description="A new one; empty takes the one there is away.")
    userClaim: Text | None = None
    enabled: bool | None = None


class RoleGroup(BaseModel):
    """A role that everybody in a group holds."""

    id: str
    role: str
    roleDefinitionId: str
    principalId: str = Field(description="The group's id.")
    groupDisplayName: str
    members: int | None = Field(None, description="How many people; in lists.")
    domain: str | None = Field(None, description="The Active Directory domain the group comes from; in lists.")
    createdDateTime: datetime


class NewRoleGroup(BaseModel):
    role: Text = Field(description="A role's name, its id, or the last word of its name.")
    group: Text = Field(description="A group's name or id.")
