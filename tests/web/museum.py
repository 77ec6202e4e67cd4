"""A company with one of everything, and an example for every placeholder of the pages' paths."""

import re
from typing import Any

from deskwright.identity.permissions import READER
from deskwright.operations import applications, audit, bulk_actions, images, licenses, user_settings
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
    }


_OF = {"keep": "in_grace", "end-grace": "in_grace", "repair": "with_warnings", "retry": "failed"}


def path_of(entry: pages.Page, examples: dict[str, Any]) -> str:
    """The entry's path with the examples in it: a Cloud PC for which the page has something to say."""
    path, last = entry.path, entry.path.rpartition("/")[2]
    whose = "failed" if last.startswith("{cloud_pc") and path.startswith("/admin") else _OF.get(last, "cloud_pc")
    for name, value in {**examples, "cloud_pc": examples[whose]}.items():
        path = re.sub(rf"{{{name}(:\w+)?}}", value, path)
    assert "{" not in path, f"tests/web/museum.py has no example for {path}"
    return path
