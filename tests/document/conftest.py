"""A world to apply documents to, and the documents' short form."""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from deskwright.document.apply import Document, PlanResult, apply, plan
from deskwright.document.export import export
from deskwright.document.problems import DocumentProblems, Problem
from deskwright.operations.change import TenantRef
from deskwright.operations.tenants import find
from deskwright.provision.context import World
from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.store.secrets import open_secrets
from deskwright.worker import drain

PLAN = "Cloud PC Enterprise 2vCPU/8GB/128GB"


@dataclass
class Documents:
    """Applies documents the way an administrator does."""

    world: World

    def apply(self, document: str, **options: Any) -> PlanResult:
        return apply(self.world, Document.of(document, "tenant.yaml"), "test", **options)

    def plan(self, document: str, **options: Any) -> PlanResult:
        return plan(self.world, Document.of(document, "tenant.yaml"), "test", **options)

    def problems(self, document: str, **options: Any) -> list[Problem]:
        """What is wrong with it; that it changes nothing is looked at along the way."""
        before = self.everything()
        with pytest.raises(DocumentProblems) as found:
            self.apply(document, **options)
        assert self.everything() == before
        return found.value.problems

    def export(self, tenant: str = "contoso.com") -> str:
        out = StringIO()
        export(self.world.database, find(self.world.database, tenant), out)
        return out.getvalue()

    def settle(self) -> None:
        drain(self.world)

    def tenant(self, name: str = "contoso.com") -> TenantRef:
        return find(self.world.database, name)

    def sql(self, query: str, **values: Any) -> list[Any]:
        with self.world.database.begin() as connection:
            result = connection.execute(text(query), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def everything(self) -> dict[str, Any]:
        """How many rows there are of everything a document can change, and where the tenants stand."""
        tables = (
            "users",
            "groups",
            "memberships",
            "service_plans",
            "license_users",
            "license_groups",
            "sites",
            "policies",
        )
        more = ("policy_assignments", "connections", "device_images", "user_settings", "audit_events", "touched_users")
        counts = {
            t: self.sql(f"SELECT count(*) FROM {t}")[0][0] for t in (*tables, *more, "faults", "procrastinate_jobs")
        }
        return {**counts, "tenants": self.sql("SELECT name, revision, settings, speed, seed FROM tenants ORDER BY 1")}

    def statuses(self, tenant: str = "contoso.com") -> dict[str, str]:
        query = """SELECT u.user_principal_name, c.status FROM cloud_pcs c JOIN users u ON u.id = c.user_id
            JOIN tenants t ON t.id = c.tenant_id WHERE t.name = :tenant AND c.status <> 'gone'"""
        return dict(self.sql(query, tenant=tenant))


@pytest.fixture
def documents(database: Database, tmp_path: Path) -> Documents:
    settings = Settings(data_dir=tmp_path)
    return Documents(World(database, open_secrets(settings), settings))


def small(
    *,
    tenant: str = "contoso.com",
    people: int = 3,
    members: int | None = None,
    policies: tuple[str, ...] = ("Desktops",),
    seats: int = 100,
    more: str = "",
) -> str:
    """A tenant of one licensed group, Sales, with these policies assigned to it in this order."""
    users = "".join(f"  - {{userPrincipalName: user{i}@{tenant}, displayName: User {i}}}\n" for i in range(people))
    listed = ", ".join(f"user{i}@{tenant}" for i in range(people if members is None else members))
    made = "".join(
        f"  - displayName: {name}\n"
        "    domainJoinConfigurations: [{domainJoinType: azureADJoin, regionGroup: europeUnion}]\n"
        "    image: {gallery: debian-12-desktop}\n"
        "    assignments: [Sales]\n"
        for name in policies
    )
    return (
        f"tenant: {tenant}\nsimulation: {{speed: instant, seed: 1}}\n"
        f"users:\n{users}groups:\n  - {{displayName: Sales, members: [{listed}]}}\n"
        f"servicePlans:\n  - {{displayName: {PLAN}, seats: {seats}}}\n"
        f"licenses:\n  - {{servicePlan: {PLAN}, groups: [Sales]}}\n"
        f"provisioningPolicies:\n{made}{more}"
    )
