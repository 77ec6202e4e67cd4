"""What an item of a document may say, in the API's property names, and the references it makes to other objects.

A property that is not written is left as it is, and has its default where the object is new. `given` is what was
written, in the names and shapes that `kinds` reads from the tables, so that the two can be compared.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from deskwright.domain.images import check_version, gallery_image
from deskwright.domain.plans import Size, size_of
from deskwright.domain.regions import REGION_GROUPS, check_region_group
from deskwright.domain.rules import Refused
from deskwright.operations.identity_providers import check_claim, check_display_name, check_issuer
from deskwright.operations.named import check_name
from deskwright.operations.roles import check_role

JoinType = Literal["azureADJoin", "hybridAzureADJoin"]
_UPN = re.compile(r"[^\s@]+@[^\s@]+")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST = 2**31 - 1


def refuse(rule: str) -> PydanticCustomError:
    """For validators: the rule as it is, without Pydantic's words around it."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


def ruled(check: Callable[[str], str]) -> AfterValidator:
    """A rule of the domain as a validator."""

    def validate(value: str) -> str:
        try:
            return check(value)
        except Refused as refused:
            raise refuse(refused.rule) from refused

    return AfterValidator(validate)


def _check_upn(value: str) -> str:
    value = check_name("", value, longest=113)
    if not _UPN.fullmatch(value):
        raise Refused("", value, "must look like name@domain, without blanks")
    return value


def _check_text(value: str) -> str:
    if len(value) > 2000:
        raise Refused("", value, "at most 2000 characters")
    return value


Name = Annotated[str, ruled(lambda v: check_name("", v))]
ShortName = Annotated[str, ruled(lambda v: check_name("", v, longest=64))]
Upn = Annotated[str, ruled(_check_upn)]
Text = Annotated[str, ruled(_check_text)]
RegionGroup = Annotated[str, ruled(check_region_group)]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in a document that must be another object's."""

    target: str
    """The section of the object it names."""
    name: str
    path: tuple[str | int, ...]
    relation: str = ""
    """The list it is an element of, see kinds.RELATIONS; empty where it is a property."""
    number: int | None = None
    """E4: the assignment's number, where it is written."""


class Entry(BaseModel):
    """The base of all items."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)
    section: ClassVar[str]
    lists: ClassVar[dict[str, str]] = {}
    """The relations this item has the say about -> the property that says it."""

    @property
    def name(self) -> str:
        found: str = getattr(self, "display_name")  # noqa: B009 - mypy: not every kind has one
        return found

    def given(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, exclude=set(self.lists.values()))

    def references(self) -> Iterator[Reference]:
        return iter(())

    def listed(self) -> Iterator[str]:
        """The relations whose lists are written, and so count as a whole."""
        for relation, attribute in self.lists.items():
            if getattr(self, attribute) is not None:
                yield relation


class Site(Entry):
    section = "sites"
    display_name: ShortName = Field(alias="name")
    region_group: RegionGroup
    region_name: ShortName | None = Field(None, validation_alias=AliasChoices("regionName", "region"))
    compute: dict[str, Any] | None = None
    directory: dict[str, Any] | None = None
    management: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _in_its_group(self) -> "Site":
        # A region the catalogue knows belongs to one group; other names, of one's own data centres, to any.
        region = (self.region_name or self.display_name).lower()
        for group in REGION_GROUPS.values():
            if region in group.regions and group.name != self.region_group:
                raise refuse(f"region {region} belongs to region group {group.name}, not {self.region_group}")
        return self


class User(Entry):
    section = "users"
    user_principal_name: Upn
    display_name: Name | None = None
    account_enabled: bool | None = None
    on_premises_user_principal_name: Upn | None = None

    @property
    def name(self) -> str:
        return self.user_principal_name


class Group(Entry):
    section = "groups"
    lists = {"members": "members"}
    display_name: Name
    kind: Literal["security", "microsoft365"] | None = None
    members: list[Upn] | None = None

    def references(self) -> Iterator[Reference]:
        return (Reference("users", m, ("members", i), "members") for i, m in enumerate(self.members or ()))


class RoleGroup(Entry):
    """A role that everybody in a group holds."""

    section = "roleGroups"
    role: Annotated[str, ruled(check_role)]
    group: Name

    @property
    def name(self) -> str:
        return f"{self.role} by {self.group}"

    def references(self) -> Iterator[Reference]:
        yield Reference("groups", self.group, ("group",))


class ServicePlan(Entry):
    section = "servicePlans"
    display_name: Name
    seats: Count
    v_cpu_count: Count | None = None
    ram_in_gb: Count | None = Field(None, alias="ramInGB")
    storage_in_gb: Count | None = Field(None, alias="storageInGB")

    @model_validator(mode="after")
    def _has_a_size(self) -> "ServicePlan":
        try:
            self.size()
        except Refused as refused:
            raise refuse(refused.rule) from refused
        return self

    def size(self) -> Size:
        return size_of(self.display_name, self.v_cpu_count, self.ram_in_gb, self.storage_in_gb)

    def given(self) -> dict[str, Any]:
        size = self.size()
        return {
            "displayName": self.display_name,
            "seats": self.seats,
            "vCpuCount": size.vcpu,
            "ramInGB": size.ram_gb,
            "storageInGB": size.storage_gb,
        }


class License(Entry):
    """Who holds a plan's licence. Unlike elsewhere a list that is not written is empty: the entry is the list."""

    section = "licenses"
    lists = {"licenseUsers": "users", "licenseGroups": "groups"}
    service_plan: Name = Field(validation_alias=AliasChoices("servicePlan", "servicePlanName"))
    users: list[Upn] = []
    groups: list[Name] = []

    @property
    def name(self) -> str:
        return self.service_plan

    def references(self) -> Iterator[Reference]:
        yield Reference("servicePlans", self.service_plan, ("servicePlan",))
        for i, user in enumerate(self.users):
            yield Reference("users", user, ("users", i), "licenseUsers")
        for i, group in enumerate(self.groups):
            yield Reference("groups", group, ("groups", i), "licenseGroups")


class Secret(BaseModel):
    """A secret is never written into a document: only where it is found."""

    model_config = ConfigDict(extra="forbid", strict=True)
    env: Annotated[str, Field(pattern=_ENVIRONMENT.pattern)]


class IdentityProvider(Entry):
    """An OpenID Connect issuer that people may sign in with."""

    section = "identityProviders"
    display_name: Annotated[str, ruled(check_display_name)]
    issuer: Annotated[str, ruled(check_issuer)]
    client_id: Name
    client_secret: Secret | None = None
    user_claim: Annotated[str, ruled(check_claim)] | None = None
    enabled: bool | None = None

    def given(self) -> dict[str, Any]:
        return {k: v for k, v in super().given().items() if k != "clientSecret"}


class Connection(Entry):
    section = "onPremisesConnections"
    display_name: Name
    connection_type: JoinType = Field(validation_alias=AliasChoices("connectionType", "type"))
    region: Name = Field(validation_alias=AliasChoices("region", "site", "virtualNetworkLocation"))
    network: Name = Field(
        validation_alias=AliasChoices("network", "virtualNetworkId"), serialization_alias="virtualNetworkId"
    )
    subnet: Name = Field(validation_alias=AliasChoices("subnet", "subnetId"), serialization_alias="subnetId")
    subscription: Name | None = Field(
        None, validation_alias=AliasChoices("subscription", "subscriptionId"), serialization_alias="subscriptionId"
    )
    resource_group: Name | None = Field(
        None, validation_alias=AliasChoices("resourceGroup", "resourceGroupId"), serialization_alias="resourceGroupId"
    )
    ad_domain_name: Name | None = None
    organizational_unit: Name | None = None
    ad_domain_username: Name | None = None
    ad_domain_password: Secret | None = None

    def given(self) -> dict[str, Any]:
        return {k: v for k, v in super().given().items() if k != "adDomainPassword"}


class Domain(Entry):
    """An Active Directory domain. Its people and groups are its own: they come by synchronisation."""

    section = "domains"
    display_name: Name = Field(alias="domainName")
    user_name: Name
    password: Secret | None = None
    controllers: list[Name] | None = None
    name_servers: list[Name] | None = None
    ca_certificate: Annotated[str, Field(max_length=100_000)] | None = None
    start_tls: bool | None = None
    search_bases: list[Name] | None = None
    sign_in: Literal["none", "ldap"] | None = None
    sync_enabled: bool | None = None
    sync_interval_in_minutes: Annotated[int, Field(ge=1, le=1440)] | None = None

    def given(self) -> dict[str, Any]:
        found = {k: v for k, v in super().given().items() if k != "password"}
        if "caCertificate" in found:
            found["caCertificate"] = found["caCertificate"].strip()
        return {**found, "domainName": self.display_name.lower()}


class ImageSource(BaseModel):
    """One of a gallery image and a file's address."""

    model_config = ConfigDict(extra="forbid", strict=True)
    gallery: Annotated[str, ruled(lambda v: gallery_image(v).id)] | None = None
    uri: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> "ImageSource":
        if (self.gallery is None) == (self.uri is None):
            raise refuse("must give one of: gallery, uri")
        return self


class DeviceImage(Entry):
    section = "deviceImages"
    display_name: Name
    version: Annotated[str, ruled(check_version)]
    region: Name = Field(validation_alias=AliasChoices("region", "site"))
    source: ImageSource
    operating_system: Text | None = None
    os_family: Literal["windows", "linux"] | None = None
    size_in_gb: Annotated[int, Field(ge=1, le=_LARGEST)] | None = Field(None, alias="sizeInGB")

    def given(self) -> dict[str, Any]:
        found = gallery_image(self.source.gallery) if self.source.gallery else None
        # 64 GB: what an image's disk usually is, `reference/windows-365-facts.md` section 1.
        read_from_source = {
            "operatingSystem": found.display_name if found else "",
            "osFamily": found.os_family if found else "linux",
            "sizeInGB": found.disk_gb if found else 64,
        }
        return {**read_from_source, **super().given()}


def salvage(model: type[Entry], value: Any) -> Entry:
    """What can be read of an item that breaks a rule, so that its other mistakes are found too, and nothing that
    names it is called unknown. It is never written."""
    kept: dict[str, Any] = {}
    given = value if isinstance(value, dict) else {}
    for name, found in model.model_fields.items():
        alias = found.validation_alias
        names = [str(c) for c in alias.choices] if isinstance(alias, AliasChoices) else [found.alias or name]
        written = next((given[n] for n in names if n in given), None)
        if written is None:
            continue
        try:
            kind: Any = found.annotation
            adapter: TypeAdapter[Any] = TypeAdapter(Annotated[kind, *found.metadata] if found.metadata else kind)
            kept[name] = adapter.validate_python(written, strict=True)
        except ValidationError:
            if name in ("display_name", "user_principal_name", "service_plan") and isinstance(written, str):
                kept[name] = written.strip()
    return model.model_construct(**kept)


def explain_error(error: dict[str, Any]) -> str:
    """The rule behind one of Pydantic's errors, in a sentence's words."""
    kind, context = error["type"], error.get("ctx", {})
    if error["loc"] and error["loc"][-1] in ("adDomainPassword", "password", "clientSecret") and kind != "missing":
        return "must be {env: NAME}: a password is never written into a document"
    said = {
        "missing": "is required",
        "string_type": "must be text; put it in quotes if it is meant",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be an object",
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
    }.get(kind)
    if said:
        return said
    if kind == "literal_error":
        return f"must be {context['expected']}"
    message = str(error["msg"])
    return message.replace("Input should be", "must be", 1).replace("String should", "must", 1)


def known_names(model: type[BaseModel]) -> list[str]:
    """Every property name that the model understands, the preferred ones first."""
    names: list[str] = []
    for name, found in model.model_fields.items():
        alias = found.validation_alias
        if isinstance(alias, AliasChoices):
            names.extend(str(choice) for choice in alias.choices)
        else:
            names.append(found.alias or name)
    return names
