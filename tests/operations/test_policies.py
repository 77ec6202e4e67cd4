"""Policies and their assignments: what may be saved, which numbers assignments get, whom an edit touches."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from deskwright.domain.rules import ConfirmationRequired, NotFound, Refused
from deskwright.operations import (
    assignments,
    audit,
    connections,
    groups,
    images,
    licenses,
    policies,
    sites,
    tenants,
    users,
)
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from tests.company import PLAN, Company
from tests.operations.conftest import Touched

GALLERY = "debian-12-desktop"


def create(database: Database, tenant: TenantRef, name: str = "Desktops", **given: Any) -> Item:
    values: dict[str, Any] = {"region_group": "europeUnion", "gallery_image": GALLERY, **given}
    return policies.create(database, tenant, "test", display_name=name, **values)


def numbers(item: Item) -> dict[str, int]:
    return {a["groupDisplayName"]: a["number"] for a in item["assignments"]}


@pytest.fixture
def three(database: Database, contoso: TenantRef, touched: Touched) -> list[str]:
    """Three groups with one person each, called like the group."""
    names = ["Sales", "Finance", "Legal"]
    for name in names:
        users.create(database, contoso, "test", user_principal_name=f"{name.lower()}@contoso.com")
        groups.create(database, contoso, "test", display_name=name, members=[f"{name.lower()}@contoso.com"])
    touched()
    return names


@pytest.fixture
def hq(database: Database, contoso: TenantRef, secrets: Secrets) -> Item:
    return connections.create(
        database,
        contoso,
        "test",
        secrets=secrets,
        display_name="HQ",
        connection_type="hybridAzureADJoin",
        region="site-a",
        network="corp",
        subnet="10.20.0.0/24",
        ad_domain_name="corp.contoso.com",
        organizational_unit="OU=CloudPCs,DC=corp,DC=contoso,DC=com",
        ad_domain_username="joiner@corp.contoso.com",
        ad_domain_password="secret enough",
    )


def test_a_policy_is_shown_in_the_words_of_the_api(database: Database, contoso: TenantRef) -> None:
    item = create(database, contoso, "  Sales desktops ", description="For sales")
    assert item["displayName"] == "Sales desktops"
    assert item["domainJoinConfigurations"] == [
        {
            "domainJoinType": "azureADJoin",
            "regionGroup": "europeUnion",
            "regionName": "automatic",
            "onPremisesConnectionId": None,
        }
    ]
    assert (item["imageType"], item["imageId"]) == ("gallery", GALLERY)
    assert item["windowsSetting"] == {"locale": "en-US"}
    assert policies.list_(database, contoso) == [item]
    assert policies.show(database, contoso, "SALES DESKTOPS") == item


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": 'Sales "A"'}, 'displayName.*< > & | " ^'),
        ({"name": " "}, "displayName"),
        ({"provisioning_type": "shared"}, "provisioningType 'shared': is not provided yet"),
        ({"provisioning_type": "wrong"}, "is no provisioning type"),
        ({"join_type": "domain"}, "domainJoinType"),
        ({"join_type": "hybridAzureADJoin", "region_group": ""}, "onPremisesConnection"),
        ({"region_group": ""}, "regionGroup"),
        ({"region_group": "atlantis"}, "regionGroup 'atlantis'"),
        ({"region_group": "usEast"}, "regionGroup 'usEast'.*no site"),
        ({"region": "eastus"}, "regionName 'eastus'"),
        ({"region_group": "", "region": "nowhere"}, "region 'nowhere'"),
        ({"region_group": "", "region": "automatic"}, "regionGroup"),
        ({"gallery_image": None}, "image"),
        ({"device_image": "Finance"}, "one image"),
        ({"gallery_image": "windows-3.11"}, "image 'windows-3.11'"),
        ({"gallery_image": None, "device_image": "Finance"}, "deviceImage 'Finance'"),
        ({"naming_template": "CPC-%RAND:4%"}, "cloudPcNamingTemplate"),
        ({"locale": "english"}, "windowsSetting.locale 'english'"),
        ({"connections": ["HQ"]}, "takes its region from them"),
        ({"connections": ["HQ"], "region_group": ""}, "HQ"),
        ({"groups": ["Nobody"]}, "group 'Nobody'"),
    ],
)
def test_a_refusal_names_field_value_and_rule_and_changes_nothing(
    database: Database, contoso: TenantRef, given: dict[str, Any], says: str
) -> None:
    before = audit.list_(database, contoso)
    with pytest.raises(Refused, match=says):
        create(database, contoso, given.pop("name", "Desktops"), **given)
    assert policies.list_(database, contoso) == []
    assert audit.list_(database, contoso) == before


def test_an_image_past_its_support_is_refused_by_the_tenants_clock(database: Database, contoso: TenantRef) -> None:
    create(database, contoso)
    tenants.advance_clock(database, contoso, "test", timedelta(days=365 * 10))
    with pytest.raises(Refused, match="expired"):
        create(database, contoso, "Later")
    # What is there already may still be described anew.
    assert policies.set_(database, contoso, "test", "Desktops", description="old")["description"] == "old"


def test_a_device_image_must_be_at_every_site_the_policy_can_land_on(database: Database, contoso: TenantRef) -> None:
    sites.create(database, contoso, "test", name="site-b", region_group="europeUnion")
    built = {"display_name": "Finance", "version": "1.0.0", "source": {"gallery": GALLERY}}
    images.create(database, contoso, "test", region="site-a", **built)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="missing at site-b"):
        create(database, contoso, gallery_image=None, device_image="finance")
    create(database, contoso, "Narrow", region="site-a", gallery_image=None, device_image="finance")
    images.create(database, contoso, "test", region="site-b", **built)  # type: ignore[arg-type]
    item = create(database, contoso, gallery_image=None, device_image="finance")
    assert (item["imageType"], item["imageId"]) == ("custom", "Finance")


def test_a_policy_takes_connections_in_order_and_of_its_join_type(
    database: Database, contoso: TenantRef, hq: Item
) -> None:
    hybrid: dict[str, Any] = {"join_type": "hybridAzureADJoin", "connections": ["hq"], "region_group": ""}
    item = create(database, contoso, **hybrid)
    (join,) = item["domainJoinConfigurations"]
    assert (join["onPremisesConnection"], join["onPremisesConnectionId"]) == ("HQ", hq["id"])
    with pytest.raises(Refused, match="type hybridAzureADJoin"):
        create(database, contoso, "Other", **{**hybrid, "join_type": "azureADJoin"})
    with pytest.raises(NotFound, match="Branch"):
        create(database, contoso, "Other", **{**hybrid, "connections": ["HQ", "Branch"]})
    with database.begin() as connection:
        connection.execute(text("UPDATE connections SET health_status = 'failed'"))
    with pytest.raises(Refused, match="isn't healthy") as refused:
        create(database, contoso, "Other", **hybrid)
    assert refused.value.code == "canaryCheckUnpass"
    # The one it has already does not keep it from being edited.
    policies.set_(database, contoso, "test", "Desktops", connections=["HQ"], locale="de-DE")
    moved = policies.set_(
        database, contoso, "test", "Desktops", join_type="azureADJoin", region_group="europeUnion", region="site-a"
    )
    assert moved["domainJoinConfigurations"][0]["regionName"] == "site-a"
    assert connections.show(database, contoso, "HQ")["inUse"] is False


def test_e4_assignments_are_numbered_in_the_order_they_are_made(
    database: Database, contoso: TenantRef, three: list[str], touched: Touched
) -> None:
    """E4"""
    first = create(database, contoso, "First", groups=["Finance", "Sales"])
    assert numbers(first) == {"Finance": 1, "Sales": 2}
    assert touched() == ["sales", "finance"]
    create(database, contoso, "Second", groups=["Sales"])
    item = assignments.assign(database, contoso, "test", "First", ["Legal", "Sales"])
    assert numbers(item) == {"Finance": 1, "Sales": 2, "Legal": 4}


def test_e4_saving_a_list_again_keeps_the_numbers_of_those_that_stay(
    database: Database, contoso: TenantRef, three: list[str], touched: Touched
) -> None:
    """E4"""
    create(database, contoso, groups=three)
    touched()
    item = assignments.set_assignments(database, contoso, "test", "Desktops", ["Legal", "Sales"])
    assert numbers(item) == {"Sales": 1, "Legal": 3}
    assert touched() == ["finance"]
    item = assignments.set_assignments(database, contoso, "test", "Desktops", ["Finance", "Legal", "Sales"])
    assert numbers(item) == {"Sales": 1, "Legal": 3, "Finance": 4}
    assert touched() == ["finance"]
    before = audit.list_(database, contoso)
    assert assignments.set_assignments(database, contoso, "test", "Desktops", three) == item
    assert touched() == []
    assert audit.list_(database, contoso) == before


def test_unassigning_touches_the_members_and_can_be_put_back(
    database: Database, contoso: TenantRef, three: list[str], touched: Touched
) -> None:
    create(database, contoso, groups=three)
    touched()
    assignments.unassign(database, contoso, "test", "Desktops", ["Sales"])
    assert touched() == ["sales"]
    (written, *_) = audit.list_(database, contoso)
    assert [a["groupDisplayName"] for a in written["before"]["assignments"]] == three
    assert [a["groupDisplayName"] for a in written["after"]["assignments"]] == three[1:]
    assert assignments.unassign(database, contoso, "test", "Desktops", ["Sales"])
    assert touched() == []


def test_e9_a_policy_is_deleted_only_while_it_is_assigned_to_nobody(
    database: Database, contoso: TenantRef, three: list[str]
) -> None:
    """E9"""
    create(database, contoso, groups=["Sales", "Legal"])
    with pytest.raises(Refused, match="assigned to Sales, Legal"):
        policies.delete(database, contoso, "test", "Desktops")
    assignments.set_assignments(database, contoso, "test", "Desktops", [])
    policies.delete(database, contoso, "test", "Desktops")
    assert policies.list_(database, contoso) == []


def test_e7_an_edit_touches_only_those_who_are_still_pending(company: Company) -> None:
    """E7"""
    company.basics("adele", "alex")
    company.sql("UPDATE service_plans SET seats = 1 WHERE tenant_id = :tenant")
    company.settle()
    database, tenant = company.world.database, company.tenant
    before = company.pc("adele")
    item = policies.set_(database, tenant, "test", "Desktops", display_name="Renamed", locale="de-DE")
    assert (item["displayName"], item["revision"]) == ("Renamed", 2)
    marked = company.sql("SELECT user_id FROM touched_users WHERE tenant_id = :tenant")
    assert [row.user_id for row in marked] == [company.ids["alex"]]
    company.settle()
    after = company.pc("adele")
    assert (after.status, after.policy_name, after.display_name) == ("provisioned", "Desktops", before.display_name)
    again = policies.set_(database, tenant, "test", "Renamed", locale="de-DE")
    assert again["revision"] == 2


@pytest.mark.parametrize("how", ["unassign", "set_assignments", "remove_members", "delete_group", "licence"])
def test_r13_whatever_way_many_people_would_lose_their_cloud_pc_it_stops(company: Company, how: str) -> None:
    """R13"""
    company.basics("adele", "alex", "megan")
    company.settle()
    database, tenant = company.world.database, company.tenant
    tenants.set_settings(database, tenant, "test", {"brakePeople": 2, "brakeShare": 0.5})
    people = [f"{n}@{tenant.name}" for n in ("adele", "alex", "megan")]

    def act(confirmed: bool) -> None:
        match how:
            case "unassign":
                assignments.unassign(database, tenant, "test", "Desktops", ["Sales"], confirmed=confirmed)
            case "set_assignments":
                assignments.set_assignments(database, tenant, "test", "Desktops", [], confirmed=confirmed)
            case "remove_members":
                groups.remove_members(database, tenant, "test", "Sales", people, confirmed=confirmed)
            case "delete_group":
                groups.delete(database, tenant, "test", "Sales", confirmed=confirmed)
            case _:
                licenses.remove(database, tenant, "test", PLAN, groups=["Sales"], confirmed=confirmed)

    with pytest.raises(ConfirmationRequired) as stopped:
        act(confirmed=False)
    assert (stopped.value.losing, stopped.value.of, stopped.value.who) == (3, 3, people)
    company.settle()
    assert {pc.status for pc in company.pcs()} == {"provisioned"}
    act(confirmed=True)
    company.settle()
    assert {pc.status for pc in company.pcs()} == {"inGracePeriod"}


def test_e8_a_restored_user_leaves_the_grace_period(company: Company) -> None:
    """E8"""
    company.basics("adele")
    company.settle()
    database, tenant = company.world.database, company.tenant
    users.delete(database, tenant, "test", f"adele@{tenant.name}")
    company.settle()
    assert company.status("adele") == "inGracePeriod"
    assert company.pc("adele").grace["cause"]["activity"] == "User deleted"
    users.restore(database, tenant, "test", f"adele@{tenant.name}")
    company.settle()
    assert company.status("adele") == "provisioned"
