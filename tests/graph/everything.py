"""A tenant with everything in it, to walk the whole API over: every kind of object, Cloud PCs in every status.

It is made once for a module of tests, which read it, or are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from deskwright.graph import app as graph_app
from deskwright.graph import resources
from deskwright.graph.app import GraphApp
from deskwright.graph.contract import VERSIONS
from deskwright.graph.routes import KEY, ROUTES, Route, router
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import ADMINISTRATOR, PERMISSIONS, READER, ROLES
from deskwright.identity.tokens import authenticate
from deskwright.operations import remote_actions
from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.store.tables import metadata
from tests.company import PLAN, Company, found
from tests.graph.conftest import Answer, Graph

ENDPOINT = "/deviceManagement/virtualEndpoint"
SMALL = "Cloud PC Enterprise 2vCPU/4GB/64GB"
LARGE = "Cloud PC Enterprise 4vCPU/16GB/256GB"

resources.load()

NO_ONE = UUID(int=0xD0)
"""A key that names nothing."""


@dataclass
class Everything:
    """Adele's Cloud PC has been used in every way; hers, `Sales` and `Desktops` stand for their kinds."""

    company: Company
    graph: Graph
    named: dict[str, str] = field(default_factory=dict)
    """For a segment of a path, the key of the object there that has the most in it."""
    listed: dict[str, list[str]] = field(default_factory=dict)

    def keys(self, path: str) -> str:
        """The path with keys of real objects: for each ``{id}`` the one that `named` has, or the first of its set."""
        return self.paths(path, most=1)[0]

    def paths(self, path: str, most: int = 1000) -> list[str]:
        """The same with every object of the last set in turn."""
        *begin, end = path.split(KEY)
        made = ""
        for n, part in enumerate(begin):
            made += part
            name = part.rstrip("/").rpartition("/")[2]
            keys = ([self.named[name]] if name in self.named else []) + (
                [] if most == 1 and name in self.named else self._all(made)
            )
            if n == len(begin) - 1:
                return [f"{made}{key}{end}" for key in dict.fromkeys(keys or [str(NO_ONE)])][:most]
            made += (keys or [str(NO_ONE)])[0]
        return [made + end]

    def _all(self, made: str) -> list[str]:
        """Ids of the set at this path, as they were when it was asked first."""
        graph = self.adele if made.startswith("/me/") else self.graph
        if made not in self.listed:
            answer = graph.get(f"{made.rstrip('/')}?$top=999")
            self.listed[made] = answer.of("id") if answer.status == 200 and "value" in (answer.body or ()) else []
        return self.listed[made]

    @property
    def adele(self) -> Graph:
        """A Cloud PC Administrator, signed in."""
        return self.graph.as_user(self.company.ids["adele"], f"adele@{self.company.tenant.name}", ADMINISTRATOR)

    def rows(self, *, tenant: bool = False) -> dict[str, str]:
        """Every table's rows as one value each, to see whether anything has changed; or this tenant's alone."""
        of = f" WHERE tenant_id = '{self.company.tenant.id}'" if tenant else ""
        parts = [
            f"SELECT '{t}' AS name, md5(coalesce(string_agg(r::text, '|' ORDER BY r::text), '')) AS sum FROM {t} r{of}"
            for t, table in metadata.tables.items()
            if not tenant or "tenant_id" in table.c
        ]
        with self.company.world.database.single.connect() as connection:
            return {row.name: row.sum for row in connection.execute(text(" UNION ALL ".join(parts)))}


@cache
def routes(*methods: str) -> tuple[tuple[str, Route], ...]:
    """(version, route) for every call we serve."""
    return tuple(
        (version, route)
        for version in VERSIONS
        for route in ROUTES
        if router(version).serving(route.method, route.path) is route and (not methods or route.method in methods)
    )


def label(version: str, route: Route) -> str:
    short = route.path.replace("/deviceManagement/virtualEndpoint", "").replace("microsoft.graph.", "")
    return f"{version} {route.method} {short or '/'}"


def client_of(company: Company, patch: pytest.MonkeyPatch) -> tuple[TestClient, dict[str, Caller | None]]:
    """The application in-process. With the caller None, tokens count as they do in earnest."""
    current: dict[str, Caller | None] = {"caller": None}

    def told(*args: Any, **kw: Any) -> Caller:
        return current["caller"] or authenticate(*args, **kw)

    patch.setattr(graph_app, "authenticate", told)
    return TestClient(
        Starlette(routes=[Mount(f"/{v}", GraphApp(company.world, v)) for v in VERSIONS]), base_url="http://127.0.0.1"
    ), current


def automation(company: Company, *permissions: str) -> Caller:
    """An application of the company's; with every permission where none is named."""
    return Caller(
        tenant_id=company.tenant.id,
        tenant_name=company.tenant.name,
        actor="Automation",
        app_id=uuid4(),
        app_name="Automation",
        user_id=None,
        user_principal_name=None,
        permissions=frozenset(permissions or PERMISSIONS),
        roles=frozenset(),
    )


def furnish(graph: Graph, company: Company) -> Everything:
    """Fill an empty tenant with everything."""
    made = Everything(company, graph)
    company.site()
    company.site("site-b", "usWest")
    for plan, seats in ((PLAN, 100), (SMALL, 1), (LARGE, 50)):
        company.plan(plan, seats)
    company.sql(
        "UPDATE service_plans SET storage_gb = 256, vcpu_count = 4, ram_gb = 16 WHERE id = :p", p=company.ids[LARGE]
    )
    company.sql("UPDATE service_plans SET storage_gb = 64, ram_gb = 4 WHERE id = :p", p=company.ids[SMALL])
    _places(made)
    _people(made)
    _configured(made)
    _remote(made)
    _named(made)
    return made


def _created(made: Everything, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = made.graph.post(path, body)
    assert answer.status == 201, answer.body
    entity: dict[str, Any] = answer.body
    return entity


def _places(made: Everything) -> None:
    company = made.company
    hybrid = {
        "displayName": "HQ",
        "connectionType": "hybridAzureADJoin",
        "subscriptionId": "0ac520ee",
        "resourceGroupId": "desks",
        "virtualNetworkId": "corp",
        "subnetId": "10.20.0.0/24",
        "virtualNetworkLocation": "site-a",
        "adDomainName": f"corp.{company.tenant.name}",
        "adDomainUsername": f"joiner@corp.{company.tenant.name}",
        "adDomainPassword": "correct horse",
        "organizationalUnit": "OU=CloudPCs,DC=corp",
    }
    company.ids["HQ"] = UUID(_created(made, f"{ENDPOINT}/onPremisesConnections", hybrid)["id"])
    lab = {
        "displayName": "Lab",
        "connectionType": "azureADJoin",
        "virtualNetworkId": "lab",
        "subnetId": "10.30.0.0/24",
        "virtualNetworkLocation": "site-a",
    }
    company.ids["Lab"] = UUID(_created(made, f"{ENDPOINT}/onPremisesConnections", lab)["id"])
    company.settle()
    company.fault("health:dns", "dnsCheckFqdnNotFound")
    broken = {**hybrid, "displayName": "Broken", "virtualNetworkId": "broken", "subnetId": "10.40.0.0/24"}
    company.ids["Broken"] = UUID(_created(made, f"{ENDPOINT}/onPremisesConnections", broken)["id"])
    company.settle()
    company.clear_faults()
    images = f"{ENDPOINT}/deviceImages"
    source = made.graph.get(f"{images}/getSourceImages()").values[0]["resourceId"]
    for name in ("Finance desktop", "Broken image"):
        image = {"displayName": name, "version": "1.2.0", "sourceImageResourceId": source}
        company.ids[name] = UUID(_created(made, images, image)["id"])
        company.settle()
    company.sql(
        "UPDATE device_images SET status = 'failed', error_code = 'osVersionNotSupported' "
        "WHERE display_name = 'Broken image'"
    )


def _people(made: Everything) -> None:
    """Cloud PCs in every status, by what leads there where that can be awaited."""
    company = made.company
    for group in ("Sales", "Joined", "Empty"):
        company.group(group)
    company.policy()
    company.policy("Joined desktops", connections=("HQ",))
    for group, policy in (("Sales", "Desktops"), ("Joined", "Joined desktops")):
        company.license_group(PLAN, group)
        company.assign(policy, group)
    for user in ("adele", "grace", "resizing", "restoring", "going"):
        company.user(user)
        company.join(user, "Sales")
    company.user("joined")
    company.join("joined", "Joined")
    company.settle()
    company.fault("P4", "teamsOptimizationError", user="warned")
    company.fault("C4", "joinDomainFailed", user="failed")
    company.fault("P1", "startMenuPowerIconsError", user="warned")
    for user in ("warned", "failed"):
        company.user(user)
        company.join(user, "Joined")
    company.settle().advance(hours=2)
    company.clear_faults()
    company.leave("grace", "Sales")
    for user in ("first", "pending"):  # one seat for two
        company.user(user)
        company.join(user, "Sales")
        company.license(SMALL, user)
    company.user("nothing")
    company.license(LARGE, "nothing")
    company.settle()
    for user, status in (("resizing", "resizing"), ("restoring", "restoring"), ("going", "deprovisioning")):
        company.sql("UPDATE cloud_pcs SET status = :s WHERE user_id = :u", s=status, u=company.ids[user])
    company.sql(
        "UPDATE cloud_pcs SET status = 'provisioning' WHERE user_id = :u AND plan_id = :p",
        u=company.ids["first"],
        p=company.ids[SMALL],
    )


def _configured(made: Everything) -> None:
    graph, company, named = made.graph, made.company, made.named
    setting = {
        "displayName": "Developers",
        "localAdminEnabled": True,
        "resetEnabled": True,
        "restorePointSetting": {"frequencyType": "sixHours", "userRestoreEnabled": True},
        "notificationSetting": {"restartPromptsDisabled": True},
        "crossRegionDisasterRecoverySetting": {"disasterRecoveryType": "notConfigured"},
    }
    named["userSettings"] = _created(made, f"{ENDPOINT}/userSettings", setting)["id"]
    assert (
        graph.post(
            f"{ENDPOINT}/userSettings/{named['userSettings']}/assign",
            {"assignments": [{"target": {"groupId": str(company.ids["Sales"])}}]},
        ).status
        == 204
    )
    policy = {
        "displayName": "Finance desktops",
        "imageId": str(company.ids["Finance desktop"]),
        "imageType": "custom",
        "domainJoinConfigurations": [
            {"domainJoinType": "azureADJoin", "onPremisesConnectionId": str(company.ids["Lab"])}
        ],
        "autopatch": {"autopatchGroupId": "ring-1"},
        "windowsSettings": {"language": "da-DK"},
        "scopeIds": ["0"],
    }
    company.ids["Finance desktops"] = UUID(_created(made, f"{ENDPOINT}/provisioningPolicies", policy)["id"])
    given = {
        "displayName": "Readers",
        "roleDefinitionId": str(ROLES[READER]),
        "principalIds": [str(company.ids["joined"])],
        "directoryScopeIds": ["/"],
    }
    named["roleAssignments"] = _created(made, "/roleManagement/cloudPC/roleAssignments", given)["id"]
    rule = {
        "alertRuleTemplate": "cloudPcProvisionScenario",
        "displayName": "Some fail",
        "severity": "critical",
        "enabled": True,
        "threshold": {"aggregation": "count", "operator": "greaterOrEqual", "target": 1},
        "notificationChannels": [{"notificationChannelType": "portal", "notificationReceivers": []}],
    }
    named["alertRules"] = _created(made, "/deviceManagement/monitoring/alertRules", rule)["id"]
    graph.patch(f"{ENDPOINT}/organizationSettings", {"enableSingleSignOn": True, "osVersion": "windows11"})
    graph.patch(
        f"/users/{company.ids['adele']}", {"jobTitle": "Seller", "businessPhones": ["+45 1"], "mail": "a@b.example"}
    )
    graph.post(
        "/groups",
        {
            "displayName": "Team",
            "groupTypes": ["Unified"],
            "mailEnabled": True,
            "mailNickname": "team",
            "securityEnabled": False,
            "description": "x",
        },
    )
    job = {"reportName": "totalAggregatedRemoteConnectionReports", "format": "csv"}
    answer = graph.post(f"{ENDPOINT}/reports/exportJobs", job)
    named["exportJobs"] = answer.body["id"]


def _remote(made: Everything) -> None:
    company, graph = made.company, made.graph
    adele, world = str(company.pc("adele").id), company.world
    acting = (world, company.tenant, "Automation", adele)
    for act in (
        remote_actions.create_snapshot,
        remote_actions.restart,
        remote_actions.troubleshoot,
        remote_actions.power_off,
        remote_actions.power_on,
    ):
        act(*acting)
        company.settle()
    remote_actions.rename(*acting, display_name="Adele's")
    remote_actions.set_review_status(*acting, {"inReview": True, "userAccessLevel": "restricted"})
    joined = str(company.pc("joined").id)
    for kind, more in (
        ("Restart", {}),
        ("CreateSnapshot", {}),
        ("SetReviewStatus", {"reviewStatus": {"inReview": False}}),
        ("Restore", {"restorePointDateTime": "2199-01-01T00:00:00Z", "timeRange": "before"}),
    ):
        bulk = {
            "@odata.type": f"#microsoft.graph.cloudPcBulk{kind}",
            "displayName": kind,
            "cloudPcIds": [adele, joined],
            **more,
        }
        made.named["bulkActions"] = _created(made, f"{ENDPOINT}/bulkActions", bulk)["id"]
        company.settle()
    graph.get("/deviceManagement/monitoring/alertRecords")
    company.settle()


def _named(made: Everything) -> None:
    company, named = made.company, made.named
    (device,), (managed,) = (
        company.sql(
            "SELECT external_id FROM ledger WHERE cloud_pc_id = :pc AND kind = :kind AND state = 'created' "
            "AND release_at IS NULL",
            pc=company.pc("adele").id,
            kind=kind,
        )
        for kind in ("device", "managedDevice")
    )
    named |= {
        "users": str(company.ids["adele"]),
        "groups": str(company.ids["Sales"]),
        "members": str(company.ids["adele"]),
        "cloudPCs": str(company.pc("adele").id),
        "provisioningPolicies": str(company.ids["Desktops"]),
        "onPremisesConnections": str(company.ids["HQ"]),
        "deviceImages": str(company.ids["Finance desktop"]),
        "servicePlans": str(company.ids[PLAN]),
        "directoryObjects": str(company.ids["adele"]),
        "devices": device[0],
        "managedDevices": managed[0],
        "organization": str(company.tenant.id),
    }


@pytest.fixture(scope="module")
def everything(server: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    name = f"everything_{uuid4().hex[:8]}"
    with server.single.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template STRATEGY wal_log"))
    database = Database(server.url.replace("/postgres?", f"/{name}?"), pool_size=8)
    company = found(database, Settings(data_dir=tmp_path_factory.mktemp("everything")))
    try:
        with pytest.MonkeyPatch.context() as patch:
            opened, current = client_of(company, patch)
            with opened as client:
                yield furnish(Graph(client, automation(company), current), company)  # type: ignore[arg-type]
    finally:
        database.close()
        with server.single.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


__all__ = ["ADMINISTRATOR", "READER", "Answer", "everything", "replace"]
