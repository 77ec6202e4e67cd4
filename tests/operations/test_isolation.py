"""No operation crosses a tenant: every one of them is run in a tenant whose twin has objects of the same names, and
given the twin's ids. A new operation that is not listed here fails the first test."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from deskwright import operations
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import (
    applications,
    assignments,
    attention,
    audit,
    connection_view,
    connections,
    credentials,
    domains,
    faults,
    first_steps,
    groups,
    identity_providers,
    image_view,
    images,
    invitations,
    leftovers,
    licence_import,
    licenses,
    organization,
    overview,
    policies,
    role_groups,
    roles,
    search,
    sites,
    tenants,
    user_settings,
    users,
)
from deskwright.operations.change import TenantRef
from deskwright.operations.named import as_id
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from deskwright.store.tables import metadata
from tests.operations.conftest import PLAN

# Those of Cloud PCs themselves are proven beside their own tests; the last lines', over every route of the Graph API
# and every page.
ELSEWHERE = {
    *("change", "cloud_pcs", "estimate", "explanation", "listing", "remote_action_results", "remote_actions"),
    *("timeline", "view"),
    *("bulk_view", "cloud_pc_list", "forecast", "own_cloud_pcs"),
    *("alerts", "bulk_actions", "dead_letters", "devices", "export_jobs", "guests", "resize_checks"),
    *("role_assignments",),
}
MODULES = [name for _, name, _ in pkgutil.iter_modules(operations.__path__) if name not in ELSEWHERE]
GALLERY = "debian-12-desktop"
NAMES = {
    "user": "adele@contoso.com",
    "group": "Sales",
    "plan": PLAN,
    "policy": "Desktops",
    "connection": "HQ",
    "image": "Finance",
    "setting": "Admins",
    "site": "site-a",
    "app": "report",
    "provider": "Work id",
    "domain": "corp.contoso.com",
}


@dataclass
class Scene:
    """A tenant, and how its objects are called: by name, or by the ids of its twin's."""

    database: Database
    tenant: TenantRef
    secrets: Secrets
    called: Mapping[str, str] = field(default_factory=lambda: dict(NAMES))

    def __getitem__(self, what: str) -> str:
        return self.called[what]

    @property
    def change(self) -> tuple[Database, TenantRef, str]:
        return self.database, self.tenant, "test"

    @property
    def read(self) -> tuple[Database, TenantRef]:
        return self.database, self.tenant


Call = Callable[[Scene], Any]
# Makes one object of every kind. In the order in which they need each other.
MAKE: dict[str, Call] = {
    "sites.create": lambda s: sites.create(*s.change, name="site-a", region_group="europeUnion"),
    "users.create": lambda s: users.create(*s.change, user_principal_name=NAMES["user"]),
    "groups.create": lambda s: groups.create(*s.change, display_name="Sales", members=[s["user"]]),
    "licenses.create_plan": lambda s: licenses.create_plan(*s.change, display_name=PLAN, seats=1),
    "connections.create": lambda s: connections.create(
        *s.change,
        secrets=s.secrets,
        display_name="HQ",
        connection_type="hybridAzureADJoin",
        region=s["site"],
        network="corp",
        subnet="10.20.0.0/24",
        ad_domain_name="corp.contoso.com",
        ad_domain_username="joiner@corp.contoso.com",
        ad_domain_password="x",
    ),
    "images.create": lambda s: images.create(
        *s.change, display_name="Finance", version="1.0.0", region=s["site"], source={"gallery": GALLERY}
    ),
    "policies.create": lambda s: policies.create(
        *s.change, display_name="Desktops", region_group="europeUnion", gallery_image=GALLERY, groups=[s["group"]]
    ),
    "user_settings.create": lambda s: user_settings.create(*s.change, display_name="Admins", groups=[s["group"]]),
    "faults.add": lambda s: faults.add(
        *s.change, step="C4", code="joinDomainFailed", user=s["user"], policy=s["policy"]
    ),
    "licenses.assign": lambda s: licenses.assign(*s.change, s["plan"], users=[s["user"]], groups=[s["group"]]),
    "applications.create": lambda s: applications.create(*s.change, display_name="report"),
    "applications.add_secret": lambda s: applications.add_secret(*s.change, s["app"]),
    "roles.assign": lambda s: roles.assign(*s.change, "reader", s["user"]),
    "role_groups.assign": lambda s: role_groups.assign(*s.change, "reader", s["group"]),
    "identity_providers.create": lambda s: identity_providers.create(
        *s.change, display_name="Work id", issuer="https://id.example", client_id="us", secrets=s.secrets
    ),
    "credentials.set_password": lambda s: credentials.set_password(*s.change, s["user"]),
    "domains.create": lambda s: domains.create(
        *s.change,
        secrets=s.secrets,
        domain_name=NAMES["domain"],
        user_name="reader@corp.contoso.com",
        password="x",
        controllers=["dc1.corp.contoso.com=127.0.0.1"],  # where none is
        verify=False,
    ),
}
# Name an object; in a tenant that has none of that name or id each of these must not find it.
NAMING: dict[str, Call] = {
    "invitations.invite": lambda s: invitations.invite(*s.change, s["user"], base="http://localhost"),
    "users.set_": lambda s: users.set_(*s.change, s["user"], display_name="A", account_enabled=False),
    "users.show": lambda s: users.show(*s.read, s["user"]),
    "groups.set_": lambda s: groups.set_(*s.change, s["group"], display_name="Sales"),
    "groups.show": lambda s: groups.show(*s.read, s["group"]),
    "groups.members": lambda s: groups.members(*s.read, s["group"]),
    "groups.remove_members": lambda s: groups.remove_members(*s.change, s["group"], [s["user"]]),
    "groups.add_members": lambda s: groups.add_members(*s.change, s["group"], [s["user"]]),
    "licenses.set_plan": lambda s: licenses.set_plan(*s.change, s["plan"], seats=3),
    "licenses.show_plan": lambda s: licenses.show_plan(*s.read, s["plan"]),
    "licenses.holders": lambda s: licenses.holders(*s.read, s["plan"]),
    "licenses.exchange": lambda s: licenses.exchange(*s.change, remove=[s["plan"]], user=s["user"]),
    "licenses.remove": lambda s: licenses.remove(*s.change, s["plan"], users=[s["user"]], groups=[s["group"]]),
    "connections.set_": lambda s: connections.set_(*s.change, s["connection"], subnet="10.9.0.0/24"),
    "connections.set_password": lambda s: connections.set_password(*s.change, s["connection"], "y", secrets=s.secrets),
    "connections.request_check": lambda s: connections.request_check(*s.change, s["connection"]),
    "connections.show": lambda s: connections.show(*s.read, s["connection"]),
    "connections.free_addresses": lambda s: connections.free_addresses(*s.read, s["connection"]),
    "images.show": lambda s: images.show(*s.read, s["image"]),
    "image_view.show": lambda s: image_view.show(*s.read, _image(s)),
    "connection_view.results": lambda s: connection_view.results(*s.read, _connection(s)),
    "connection_view.standing": lambda s: connection_view.standing(*s.read, _connection(s)),
    "images.rename": lambda s: images.rename(*s.change, _image(s), "Finance"),
    "images.upload_again": lambda s: images.upload_again(*s.change, _failed_image(s)),
    "images.delete_everywhere": lambda s: _delete_and_make_again(s),
    "policies.set_": lambda s: policies.set_(*s.change, s["policy"], locale="de-DE"),
    "policies.show": lambda s: policies.show(*s.read, s["policy"]),
    "assignments.unassign": lambda s: assignments.unassign(*s.change, s["policy"], [s["group"]]),
    "assignments.assign": lambda s: assignments.assign(*s.change, s["policy"], [s["group"]]),
    "assignments.restore": lambda s: assignments.restore(*s.change, s["policy"], _assignment(s)),
    "assignments.set_assignments": lambda s: assignments.set_assignments(*s.change, s["policy"], []),
    "user_settings.set_": lambda s: user_settings.set_(*s.change, s["setting"], reset_enabled=True),
    "user_settings.set_assignments": lambda s: user_settings.set_assignments(*s.change, s["setting"], []),
    "user_settings.assign": lambda s: user_settings.assign(*s.change, s["setting"], add=[s["group"]]),
    "user_settings.show": lambda s: user_settings.show(*s.read, s["setting"]),
    "user_settings.delete": lambda s: user_settings.delete(*s.change, s["setting"]),
    "policies.delete": lambda s: policies.delete(*s.change, s["policy"]),
    "images.delete": lambda s: images.delete(*s.change, s["image"]),
    "connections.delete": lambda s: connections.delete(*s.change, s["connection"]),
    "applications.set_": lambda s: applications.set_(*s.change, s["app"], permissions=["CloudPC.Read.All"]),
    "applications.show": lambda s: applications.show(*s.read, s["app"]),
    "applications.remove_secret": lambda s: applications.remove_secret(*s.change, s["app"], _secret(s)),
    "applications.delete_": lambda s: applications.delete_(*s.change, s["app"]),
    "roles.unassign": lambda s: roles.unassign(*s.change, "reader", s["user"]),
    "role_groups.unassign": lambda s: role_groups.unassign(*s.change, "reader", s["group"]),
    "identity_providers.show": lambda s: identity_providers.show(*s.read, s["provider"]),
    "identity_providers.set_": lambda s: identity_providers.set_(
        *s.change, s["provider"], client_id="them", secrets=s.secrets
    ),
    "identity_providers.delete": lambda s: identity_providers.delete(*s.change, s["provider"]),
    "domains.show": lambda s: domains.show(*s.read, s["domain"]),
    "domains.set_": lambda s: domains.set_(*s.change, s["domain"], secrets=s.secrets, sync_interval_minutes=60),
    "domains.test": lambda s: domains.test(*s.read, s["domain"], secrets=s.secrets),
    "domains.synchronise": lambda s: domains.synchronise(*s.change, s["domain"]),
    "domains.adopt": lambda s: domains.adopt(*s.change, s["domain"], s["group"]),
    "domains.delete": lambda s: domains.delete(*s.change, s["domain"]),
    "groups.delete": lambda s: groups.delete(*s.change, s["group"]),
    "licenses.delete_plan": lambda s: licenses.delete_plan(*s.change, s["plan"]),
    "users.delete": lambda s: users.delete(*s.change, s["user"]),
    "users.restore": lambda s: users.restore(*s.change, s["user"]),
    "sites.set_": lambda s: sites.set_(*s.change, s["site"], name="site-a"),
    "sites.show": lambda s: sites.show(*s.read, s["site"]),
    "sites.delete": lambda s: sites.delete(*s.change, s["site"]),
}
# Lists: empty in an empty tenant.
LISTING: dict[str, Call] = {
    "users.list_": lambda s: users.list_(*s.read) + users.list_(*s.read, deleted=True),
    "groups.list_": lambda s: groups.list_(*s.read),
    "licenses.list_": lambda s: licenses.list_(*s.read),
    "licenses.list_plans": lambda s: licenses.list_plans(*s.read),
    "sites.list_": lambda s: sites.list_(*s.read),
    "connections.list_": lambda s: connections.list_(*s.read),
    "images.list_": lambda s: images.list_(*s.read),
    "policies.list_": lambda s: policies.list_(*s.read),
    "user_settings.list_": lambda s: user_settings.list_(*s.read),
    "faults.list_": lambda s: faults.list_(*s.read),
    "faults.clear": lambda s: faults.clear(*s.change),
    "applications.list_": lambda s: applications.list_(*s.read),
    "roles.list_": lambda s: roles.list_(*s.read),
    "role_groups.list_": lambda s: role_groups.list_(*s.read),
    "role_groups.people": lambda s: role_groups.people(*s.read),
    "identity_providers.list_": lambda s: identity_providers.list_(*s.read),
    "domains.list_": lambda s: domains.list_(*s.read),
    "search.users": lambda s: search.users(*s.read, s["user"]),
    "search.groups": lambda s: search.groups(*s.read, s["group"]),
    "connection_view.about": lambda s: connection_view.about(*s.read, connections.list_(*s.read)),
    "image_view.list_": lambda s: image_view.list_(*s.read),
    "leftovers.page": lambda s: leftovers.page(*s.read),
    "leftovers.counts": lambda s: leftovers.counts(*s.read),
    "leftovers.strangers": lambda s: leftovers.strangers(*s.read),
    "attention.provisioning_times": lambda s: attention.provisioning_times(*s.read),
}
# About the tenant as a whole.
WHOLE: dict[str, Call] = {
    "audit.list_": lambda s: audit.list_(*s.read),
    "audit.show": lambda s: audit.show(*s.read, audit.list_(*s.read)[0]["id"]),
    "images.create_everywhere": lambda s: images.delete_everywhere(
        *s.change,
        images.create_everywhere(*s.change, display_name="New", version="1.0.0", source={"gallery": GALLERY}),
    ),
    "organization.get": lambda s: organization.get(*s.read),
    "organization.set_": lambda s: organization.set_(*s.change, {"userAccountType": "administrator"}),
    "images.list_gallery": lambda s: images.list_gallery(*s.read),
    "overview.overview": lambda s: overview.overview(*s.read),
    "credentials.issue_token": lambda s: credentials.issue_token(
        *s.change, ["CloudPC.Read.All"], secrets=s.secrets, base="http://localhost"
    ),
    "invitations.first_administrator": lambda s: invitations.first_administrator(*s.change, base="http://localhost"),
    "attention.attention": lambda s: attention.attention(*s.read),
    "connection_view.free_in": lambda s: connection_view.free_in(*s.read, "site-a", "corp", "10.20.0.0/24"),
    "image_view.list_gallery_uses": lambda s: image_view.list_gallery_uses(*s.read),
    "licence_import.apply": lambda s: licence_import.apply(
        *s.change, licence_import.parse(f"{s['user']},{s['plan']}"), leave_out_wrong=True
    ),
    "tenants.show": lambda s: tenants.show(*s.read),
    "tenants.get_settings": lambda s: tenants.get_settings(*s.read),
    "tenants.set_settings": lambda s: tenants.set_settings(*s.change, {"attempts": 2}),
    "tenants.set_simulation": lambda s: tenants.set_simulation(*s.change, speed=9),
    "tenants.show_clock": lambda s: tenants.show_clock(*s.read),
    "tenants.advance_clock": lambda s: tenants.advance_clock(*s.change, timedelta(days=1)),
    "sites.check_providers": lambda s: sites.check_providers(
        *s.read, {"name": "x", "compute": {}, "directory": {}, "management": {}}
    ),
}
# They make what is missing, so they come when the others have taken everything away.
LAST: dict[str, Call] = {
    "first_steps.make_site": lambda s: first_steps.make_site(*s.change, region_group="germany", name="Bonn"),
    "first_steps.make_quick": lambda s: first_steps.make_quick(*s.change),
    "first_steps.bring_people": lambda s: first_steps.bring_people(*s.change, names=["zoe@x.org"], group="Newcomers"),
    "first_steps.with_examples": lambda s: first_steps.with_examples(*s.change, region_group="germany", me=None),
}


def _secret(scene: Scene) -> str:
    """The application's secret, by its id: of the tenant that has one."""
    app = applications.show(*scene.read, scene["app"])
    return str(app["passwordCredentials"][0]["keyId"])


def _assignment(scene: Scene) -> int:
    """An event that changed the policy's assignments."""
    events = audit.list_(*scene.read, resource_type="provisioningPolicy")
    return next((e["id"] for e in events if "assignments" in (e["before"] or {})), 0)


def _connection(scene: Scene) -> UUID:
    return UUID(connections.show(*scene.read, scene["connection"])["id"])


def _image(scene: Scene) -> UUID:
    """The image's id, which is its only copy's; a name is of the scene's own."""
    return as_id(scene["image"]) or UUID(images.show(*scene.read, scene["image"])["id"])


def _delete_and_make_again(scene: Scene) -> None:
    images.delete_everywhere(*scene.change, _image(scene))
    MAKE["images.create"](scene)


def _failed_image(scene: Scene) -> UUID:
    with scene.database.begin() as connection:
        mine = {"tenant": scene.tenant.id}
        connection.execute(text("UPDATE device_images SET status = 'failed' WHERE tenant_id = :tenant"), mine)
    return _image(scene)


def public() -> set[str]:
    """Every function of the operations that is given a database and a tenant."""
    found = set()
    for name in MODULES:
        module = importlib.import_module(f"deskwright.operations.{name}")
        for function, made in inspect.getmembers(module, inspect.isfunction):
            if made.__module__ == module.__name__ and not function.startswith("_"):
                parameters = inspect.signature(made).parameters
                if {"database", "tenant"} <= set(parameters):
                    found.add(f"{name}.{function}")
    return found


def test_every_operation_is_listed_here() -> None:
    assert {*MAKE, *NAMING, *LISTING, *WHOLE, *LAST} == public()


def make(database: Database, name: str, secrets: Secrets) -> Scene:
    tenants.create(database, "test", name, default_simulated_sites=False)
    return Scene(database, tenants.find(database, name), secrets)


def snapshot(scene: Scene) -> dict[str, list[str]]:
    """Everything that is the tenant's, row by row."""
    seen = {}
    with scene.database.begin() as connection:
        for table in metadata.sorted_tables:
            column = table.c.id if table.name == "tenants" else table.c.get("tenant_id")
            if column is not None:
                rows = connection.execute(select(table).where(column == scene.tenant.id))
                seen[table.name] = sorted(repr(tuple(row)) for row in rows)
    return seen


@pytest.fixture
def twin(database: Database, secrets: Secrets) -> Scene:
    scene = make(database, "twin.com", secrets)
    for call in MAKE.values():
        call(scene)
    return scene


def not_found(call: Call, scene: Scene) -> bool:
    try:
        call(scene)
    except NotFound:
        return True
    return False


def ids(scene: Scene) -> dict[str, str]:
    tables = {
        "user": "users",
        "group": "groups",
        "plan": "service_plans",
        "policy": "policies",
        "connection": "connections",
        "image": "device_images",
        "setting": "user_settings",
        "site": "sites",
        "app": "app_registrations",
        "provider": "identity_providers",
        "domain": "domains",
    }
    with scene.database.begin() as connection:
        return {
            what: str(
                connection.execute(
                    text(f"SELECT id FROM {table} WHERE tenant_id = :tenant"), {"tenant": scene.tenant.id}
                ).scalar_one()
            )
            for what, table in tables.items()
        }


def test_nothing_done_in_one_tenant_changes_one_with_the_same_names(
    database: Database, secrets: Secrets, twin: Scene
) -> None:
    before = snapshot(twin)
    assert all(before[table] for table in ("users", "memberships", "policy_assignments", "touched_users", "faults"))
    scene = make(database, "contoso.com", secrets)
    for name, call in {**MAKE, **WHOLE, **LISTING, **NAMING, **LAST}.items():
        call(scene)
        assert snapshot(twin) == before, name
    assert snapshot(scene)["audit_events"]


@pytest.mark.parametrize("by", ["name", "id"])
def test_what_another_tenant_has_is_not_found(database: Database, secrets: Secrets, twin: Scene, by: str) -> None:
    stranger = make(database, "contoso.com", secrets)
    if by == "id":
        stranger.called = ids(twin)
    before, own = snapshot(twin), snapshot(stranger)
    for name, call in NAMING.items():
        assert not_found(call, stranger), name
    for name, call in LISTING.items():
        assert call(stranger) == [], name
    assert snapshot(twin) == before
    assert snapshot(stranger) == own


def test_nothing_is_made_of_another_tenants_objects(database: Database, secrets: Secrets, twin: Scene) -> None:
    """Where the tenant has an object of its own, but not the other that a call names beside it."""
    foreign = ids(twin)
    scene = make(database, "contoso.com", secrets)
    for call in MAKE.values():
        call(scene)
    before = snapshot(twin), snapshot(scene)
    mixed: list[Call] = [
        lambda s: groups.add_members(*s.change, "Sales", [foreign["user"]]),
        lambda s: groups.create(*s.change, display_name="New", members=[foreign["user"]]),
        lambda s: licenses.assign(*s.change, PLAN, users=[foreign["user"]]),
        lambda s: licenses.assign(*s.change, PLAN, groups=[foreign["group"]]),
        lambda s: assignments.assign(*s.change, "Desktops", [foreign["group"]]),
        lambda s: assignments.set_assignments(*s.change, "Desktops", [foreign["group"]]),
        lambda s: user_settings.set_assignments(*s.change, "Admins", [foreign["group"]]),
        lambda s: user_settings.assign(*s.change, "Admins", add=[foreign["group"]]),
        lambda s: policies.set_(*s.change, "Desktops", device_image=foreign["image"]),
        lambda s: policies.set_(
            *s.change, "Desktops", join_type="hybridAzureADJoin", connections=[foreign["connection"]]
        ),
        lambda s: connections.set_(*s.change, "HQ", region=foreign["site"]),
        lambda s: domains.adopt(*s.change, "corp.contoso.com", foreign["group"]),
        lambda s: domains.adopt(*s.change, foreign["domain"], "Sales"),
        lambda s: faults.add(*s.change, step="C1", code="delay", delay_seconds=1, user=foreign["user"]),
    ]
    for call in mixed:
        with pytest.raises(Refused):
            call(scene)
    assert (snapshot(twin), snapshot(scene)) == before


def test_one_tenants_audit_and_clock_are_not_anothers(database: Database, secrets: Secrets, twin: Scene) -> None:
    scene = make(database, "contoso.com", secrets)
    (made,) = audit.list_(*scene.read)
    assert made["activity"] == "Create tenant"
    foreign = audit.list_(*twin.read)[0]
    with pytest.raises(NotFound):
        audit.show(*scene.read, foreign["id"])
    assert audit.list_(*scene.read, resource=foreign["resourceId"]) == []
    with pytest.raises(NotFound):
        faults.clear(*scene.change, faults.list_(*twin.read)[0]["id"])
    tenants.advance_clock(*scene.change, timedelta(days=9))
    assert tenants.show_clock(*twin.read)["clockOffsetInSeconds"] == 0
