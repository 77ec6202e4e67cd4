"""What a document may say about provisioning policies, user settings, the tenant's settings and its simulation."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from deskwright.document.model import (
    Connection,
    DeviceImage,
    Domain,
    Entry,
    Group,
    IdentityProvider,
    JoinType,
    License,
    Name,
    Reference,
    RegionGroup,
    RoleGroup,
    ServicePlan,
    Site,
    Text,
    Upn,
    User,
    refuse,
    ruled,
)
from deskwright.domain.images import gallery_image
from deskwright.domain.naming import DEFAULT_TEMPLATE, check_policy_name, check_template
from deskwright.domain.rules import Refused
from deskwright.domain.simulation import FASTEST, INSTANT
from deskwright.operations.faults import check as check_fault
from deskwright.operations.identity_providers import USER_CLAIM
from deskwright.operations.policy_ground import AUTOMATIC, check_locale, check_provisioning_type
from deskwright.operations.user_settings import FREQUENCIES

_PART = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)
_LARGEST_NUMBER = 2**53
"""Of what JSON tools read exactly; nobody assigns that often."""


class Assignment(BaseModel):
    """A group; for policies with the assignment's number, where it is to be kept (E4)."""

    model_config = _PART
    group: Name = Field(validation_alias=AliasChoices("group", "groupDisplayName"))
    number: Annotated[int, Field(ge=1, le=_LARGEST_NUMBER)] | None = None


def _as_assignment(value: Any) -> Any:
    return {"group": value} if isinstance(value, str) else value


Assignments = list[Annotated[Assignment, BeforeValidator(_as_assignment)]]


class RestorePoints(BaseModel):
    model_config = _PART
    user_restore_enabled: bool | None = None
    frequency_in_hours: int | None = None
    frequency_type: (
        Literal["default", "fourHours", "sixHours", "twelveHours", "sixteenHours", "twentyFourHours"] | None
    ) = None

    @field_validator("frequency_in_hours")
    @classmethod
    def _known(cls, value: int | None) -> int | None:
        if value is not None and value not in FREQUENCIES:
            raise refuse(f"must be one of: {', '.join(map(str, FREQUENCIES))}")
        return value

    def hours(self) -> int | None:
        named = {name: hours for hours, name in FREQUENCIES.items()} | {"default": 12}
        return self.frequency_in_hours if self.frequency_type is None else named[self.frequency_type]


class UserSetting(Entry):
    section = "userSettings"
    lists: ClassVar = {"userSettingAssignments": "assignments"}
    display_name: Name
    local_admin_enabled: bool | None = None
    reset_enabled: bool | None = None
    restore_point_setting: RestorePoints | None = None
    assignments: Assignments | None = None

    @model_validator(mode="after")
    def _without_numbers(self) -> "UserSetting":
        if any(a.number is not None for a in self.assignments or ()):
            raise refuse("only the assignments of policies have numbers")
        return self

    def given(self) -> dict[str, Any]:
        found = super().given()
        found.pop("restorePointSetting", None)
        if (points := self.restore_point_setting) is not None:
            # Flat, so that each of the two is left alone where it is not written.
            flat = {"userRestoreEnabled": points.user_restore_enabled, "frequencyInHours": points.hours()}
            found |= {k: v for k, v in flat.items() if v is not None}
        return found

    def references(self) -> Iterator[Reference]:
        for i, a in enumerate(self.assignments or ()):
            yield Reference("groups", a.group, ("assignments", i), "userSettingAssignments")


class DomainJoin(BaseModel):
    """Where and how: a connection, or a region group (with a region of it, or automatic)."""

    model_config = _PART
    domain_join_type: JoinType = Field(validation_alias=AliasChoices("domainJoinType", "type"))
    on_premises_connection: Name | None = Field(
        None, validation_alias=AliasChoices("onPremisesConnection", "onPremisesConnectionId")
    )
    region_name: Name | None = Field(None, validation_alias=AliasChoices("regionName", "region"))
    region_group: RegionGroup | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "DomainJoin":
        hosted = self.region_group is not None or self.region_name is not None
        if hosted == (self.on_premises_connection is not None):
            raise refuse("needs one of: onPremisesConnection, or regionGroup (and regionName)")
        if hosted and self.domain_join_type == "hybridAzureADJoin":
            raise refuse(
                "hybridAzureADJoin needs onPremisesConnection: a domain is reached through a network connection"
            )
        if self.region_name == AUTOMATIC and self.region_group is None:
            raise refuse("regionName automatic needs a regionGroup")
        return self

    def given(self) -> dict[str, Any]:
        if self.on_premises_connection is not None:
            return {"domainJoinType": self.domain_join_type, "onPremisesConnection": self.on_premises_connection}
        region = self.region_name or AUTOMATIC
        return {"domainJoinType": self.domain_join_type, "regionGroup": self.region_group, "regionName": region}


class PolicyImage(BaseModel):
    model_config = _PART
    gallery: Annotated[str, ruled(lambda v: gallery_image(v).id)] | None = None
    device: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> "PolicyImage":
        if (self.gallery is None) == (self.device is None):
            raise refuse("must give one of: gallery, device")
        return self


class Locale(BaseModel):
    model_config = _PART
    locale: Annotated[str, ruled(check_locale)] = Field(validation_alias=AliasChoices("locale", "language"))


class ManagedDesktop(BaseModel):
    """Accepted because every public script sends it; Deskwright's Cloud PCs are not managed by Microsoft."""

    model_config = _PART
    managed_type: Literal["notManaged"] = Field("notManaged", validation_alias=AliasChoices("managedType", "type"))
    profile: str | None = None


class Policy(Entry):
    section = "provisioningPolicies"
    lists: ClassVar = {"policyAssignments": "assignments"}
    display_name: Annotated[str, ruled(check_policy_name)]
    description: Text | None = None
    provisioning_type: Annotated[str, ruled(check_provisioning_type)] | None = None
    domain_join_configurations: Annotated[list[DomainJoin], Field(min_length=1)]
    image: PolicyImage
    cloud_pc_naming_template: Annotated[str, ruled(check_template)] | None = None
    windows_setting: Locale | None = Field(None, validation_alias=AliasChoices("windowsSetting", "windowsSettings"))
    locale: str | None = None
    enable_single_sign_on: bool | None = None
    local_admin_enabled: bool | None = None
    microsoft_managed_desktop: ManagedDesktop | None = None
    assignments: Assignments | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, data: Any) -> Any:
        """The API's ``imageType`` and ``imageId`` mean the same as ``image``, ``locale`` as ``windowsSetting``."""
        if not isinstance(data, Mapping):
            return data
        found = dict(data)
        if {"imageId", "image"} <= found.keys():
            raise refuse("image and imageId are two spellings of one property: write one of them")
        if "imageId" in found:
            kind = found.pop("imageType", "gallery")
            if kind not in ("gallery", "custom"):
                raise refuse(f"imageType {kind!r} must be gallery or custom")
            found["image"] = {"device" if kind == "custom" else "gallery": found.pop("imageId")}
        if "locale" in found and {"windowsSetting", "windowsSettings"} & found.keys():
            raise refuse("locale and windowsSetting are two spellings of one property: write one of them")
        if "locale" in found:
            found["windowsSetting"] = {"locale": found.pop("locale")}
        return found

    @model_validator(mode="after")
    def _one_ground(self) -> "Policy":
        joins = self.domain_join_configurations
        if len({j.domain_join_type for j in joins}) > 1:
            raise refuse("domainJoinConfigurations must all have the same domainJoinType")
        hosted = [j for j in joins if j.on_premises_connection is None]
        if hosted and len(joins) > 1:
            raise refuse("domainJoinConfigurations must be one region, or any number of connections")
        names = [str(j.on_premises_connection).lower() for j in joins]
        if len(set(names)) < len(names):
            raise refuse("domainJoinConfigurations must not name a connection twice")
        return self

    def given(self) -> dict[str, Any]:
        left_out = ("microsoftManagedDesktop", "domainJoinConfigurations")
        found = {k: v for k, v in super().given().items() if k not in left_out}
        found["domainJoinConfigurations"] = [j.given() for j in self.domain_join_configurations]
        return found

    def references(self) -> Iterator[Reference]:
        for i, a in enumerate(self.assignments or ()):
            yield Reference("groups", a.group, ("assignments", i), "policyAssignments", a.number)


class Fault(BaseModel):
    model_config = _PART
    step: str
    code: str
    user: Upn | None = None
    policy: Name | None = None
    attempts: list[Annotated[int, Field(ge=1, le=10)]] | None = None
    rate: Annotated[float, Field(ge=0, le=1)] | None = None
    delay: Annotated[float, Field(ge=0, le=10**8)] | None = None
    """Seconds at speed 1."""

    @model_validator(mode="before")
    @classmethod
    def _one_attempt(cls, data: Any) -> Any:
        attempts = data.get("attempts") if isinstance(data, dict) else None
        return {**data, "attempts": [attempts]} if type(attempts) is int else data

    @model_validator(mode="after")
    def _possible(self) -> "Fault":
        try:
            check_fault(
                self.step, self.code, rate=1.0 if self.rate is None else self.rate, delay_seconds=self.delay or 0.0
            )
        except Refused as refused:
            raise refuse(f"{refused.field.removeprefix('faults.')} {refused.value!r}: {refused.rule}") from refused
        return self

    def given(self) -> dict[str, Any]:
        """In one form: what says nothing (a rate of 1, no delay) is not there."""
        found = self.model_dump(by_alias=True, exclude_none=True)
        return {k: v for k, v in found.items() if (k, v) not in (("rate", 1), ("delay", 0))}


class Simulation(BaseModel):
    model_config = _PART
    speed: float | str | None = None
    seed: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    faults: list[Fault] | None = None

    @field_validator("speed", mode="before")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or value == INSTANT or (number and 0 < value <= FASTEST):
            return value
        raise refuse(f"must be a number of more than 0 and at most {FASTEST:,}, or instant")

    def references(self) -> Iterator[Reference]:
        for i, fault in enumerate(self.faults or ()):
            if fault.user is not None:
                yield Reference("users", fault.user, ("faults", i, "user"))
            if fault.policy is not None:
                yield Reference("provisioningPolicies", fault.policy, ("faults", i, "policy"))


MODELS: dict[str, type[Entry]] = {
    m.section: m
    for m in (
        Site,
        Domain,
        IdentityProvider,
        User,
        Group,
        RoleGroup,
        ServicePlan,
        License,
        Connection,
        DeviceImage,
        UserSetting,
        Policy,
    )
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "sites": {"compute": {"kind": "simulator"}},
    "domains": {
        "controllers": [],
        "nameServers": [],
        "startTls": False,
        "searchBases": [],
        "signIn": "none",
        "syncEnabled": True,
        "syncIntervalInMinutes": 30,
    },
    "users": {"accountEnabled": True},
    "groups": {"kind": "security"},
    "identityProviders": {"userClaim": USER_CLAIM, "enabled": True},
    "userSettings": {
        "localAdminEnabled": False,
        "resetEnabled": False,
        "userRestoreEnabled": False,
        "frequencyInHours": 12,
    },
    "provisioningPolicies": {
        "description": "",
        "provisioningType": "dedicated",
        "cloudPcNamingTemplate": DEFAULT_TEMPLATE,
        "windowsSetting": {"locale": "en-US"},
        "enableSingleSignOn": True,
        "localAdminEnabled": False,
    },
}
"""What a new object has where the document does not say; for a site without a region its name,
and for one without a directory or management what goes with its compute provider."""
