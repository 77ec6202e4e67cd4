"""A company with one of everything, and an example for every placeholder of the pages' paths."""

import json
import re
from typing import Any
from uuid import UUID

from deskwright.identity.permissions import READER
from deskwright.operations import (
    applications,
    audit,
    bulk_actions,
    domains,
    identity_providers,
    images,
    licenses,
    role_groups,
    user_settings,
)
from deskwright.web import pages
from tests.company import PLAN, Company
from tests.web.conftest import person

_BIG = "Cloud PC Enterprise 4vCPU/16GB/256GB"


def furnish(company: Company) -> dict[str, str]:
    """Cloud PCs in many states; returns placeholder -> value."""
    person(company)
    person(company, "rita", READER)
    company.site()
    company.plan(seats=6)
    company.plan(_BIG, seats=1)
    company.group("Sales")
    company.group("Engineering")
    company.connection()
    company.policy("Sales desktops")
    company.policy("Engineering desktops", connections=("HQ",))
    company.user_setting("Local administrators", "Engineering", True)
    company.assign("Sales desktops", "Sales")
    company.assign("Engineering desktops", "Engineering")
    company.fault(step="C4", code="joinDomainFailed", user="frank")
    company.fault(step="P4", code="teamsOptimizationError", user="wanda")
    for name, group, plan in (
        ("adele", "Sales", PLAN),
        ("wanda", "Sales", PLAN),
        ("gracie", "Sales", PLAN),
        ("frank", "Engineering", PLAN),
        ("quentin", "Engineering", _BIG),
        ("ulla", "Engineering", _BIG),
    ):
        company.user(name)
        company.join(name, group)
        company.license(plan, name)
    company.user("nora")
    company.license(PLAN, "nora")
    company.settle()
    company.leave("gracie", "Sales")
    company.settle()
    database, tenant = company.world.database, company.tenant
    app = applications.create(database, tenant, "test", display_name="Automation", permissions=["CloudPC.Read.All"])
    source = {"gallery": "debian-12-desktop"}
    image = images.create(
        database, tenant, "test", display_name="Finance", version="1.2.0", region="site-a", source=source
    )
    company.settle()
    bulk = bulk_actions.create(
        database,
        tenant,
        "maria@contoso.com",
        kind="cloudPcBulkRestart",
        display_name="Restart of Sales",
        cloud_pc_ids=[str(company.pc("adele").id)],
        options={},
    )
    company.group("Desktop readers")
    company.join("quentin", "Desktop readers")
    role_groups.assign(database, tenant, "test", READER, "Desktop readers")
    provider = identity_providers.create(
        database,
        tenant,
        "test",
        display_name="Work id",
        issuer="http://127.0.0.1:9",
        client_id="us",
        secrets=company.world.secrets,
    )
    setting = user_settings.list_(database, tenant)[0]
    event = audit.list_(database, tenant, limit=1)[0]
    return {
        "tenant": tenant.name,
        "cloud_pc": str(company.pc("adele").id),
        "failed": str(company.pc("frank").id),
        "in_grace": str(company.pc("gracie").id),
        "with_warnings": str(company.pc("wanda").id),
        "group": str(company.ids["Sales"]),
        "user": str(company.ids["adele"]),
        "policy": str(company.ids["Sales desktops"]),
        "connection": str(company.ids["HQ"]),
        "plan": str(licenses.list_plans(database, tenant)[0]["id"]),
        "setting": str(setting["id"]),
        "site": str(company.ids["site-a"]),
        "event": str(event["id"]),
        "bulk": str(bulk),
        "image": str(image["id"]),
        "copy": str(image["id"]),
        "app": str(app["id"]),
        "token": "none",
        "provider": str(provider["id"]),
        "domain": _domain(company),
    }


def _domain(company: Company) -> str:
    """A domain with runs of every kind behind it, and one that waits for a yes."""
    values: dict[str, Any] = {"name_servers": ["127.0.0.1"], "sign_in": "ldap", "sync_enabled": False, "verify": False}
    account: dict[str, Any] = {"user_name": "reader@corp.contoso.com", "password": "not to be shown"}
    database, secrets = company.world.database, company.world.secrets
    made = domains.create(
        database, company.tenant, "test", secrets=secrets, domain_name="corp.contoso.com", **account, **values
    )
    found = {
        "code": "groupNameInUse",
        "objectType": "group",
        "displayName": "Sales",
        "sourceId": str(UUID(int=1)),
        "detail": "This tenant has a group of that name which is not the domain's. It was not touched.",
        "recommendedAction": "Rename one of the two, or let the domain have it: deskwright domain adopt DOMAIN GROUP",
    }
    for n in range(12):
        status = {3: "failed", 11: "confirmationRequired"}.get(n, "succeeded")
        company.sql(
            "INSERT INTO domain_syncs (domain_id, at, tenant_id, status, complete, seconds, error_code, detail, "
            "counts, findings) VALUES (:id, tenant_now(:tenant) - make_interval(mins => :ago), :tenant, :status, "
            ":complete, :seconds, :code, :detail, CAST(:counts AS jsonb), CAST(:findings AS jsonb))",
            id=UUID(made["id"]),
            ago=(12 - n) * 30,
            status=status,
            complete=n == 0,
            seconds=5.2 if n == 0 else 0.2 + n * 0.1,
            code="serverNotOperational" if status == "failed" else None,
            detail="dc1.corp.contoso.com (10.0.0.10:636): connection refused" if status == "failed" else "",
            counts=json.dumps({"objectsRead": 10_500 if n == 0 else n, "peopleAdded": 10_000 if n == 0 else n % 3}),
            findings=json.dumps([found]),
        )
    losing = {"people": 27, "of": 30, "who": [f"person{n}@corp.contoso.com" for n in range(27)], "ids": []}
    company.sql(
        "UPDATE domains SET sync_status = 'confirmationRequired', synced_at = tenant_now(:tenant) - interval '1 hour', "
        "sync_losing = CAST(:losing AS jsonb) WHERE tenant_id = :tenant",
        losing=json.dumps(losing),
    )
    return str(made["id"])


_OF = {"keep": "in_grace", "end-grace": "in_grace", "repair": "with_warnings", "retry": "failed"}


def path_of(entry: pages.Page, examples: dict[str, Any]) -> str:
    """The entry's path with the examples in it: a Cloud PC for which the page has something to say."""
    path, last = entry.path, entry.path.rpartition("/")[2]
    whose = "failed" if last.startswith("{cloud_pc") and path.startswith("/admin") else _OF.get(last, "cloud_pc")
    for name, value in {**examples, "cloud_pc": examples[whose]}.items():
        path = re.sub(rf"{{{name}(:\w+)?}}", value, path)
    assert "{" not in path, f"tests/web/museum.py has no example for {path}"
    return path
