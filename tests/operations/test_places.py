"""Tenants, sites, network connections and images: where Cloud PCs run and what they are made from."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from deskwright.domain.regions import REGION_GROUPS
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import audit, connections, images, policies, sites, tenants
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.providers import registry
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from tests.company import Company
from tests.operations.conftest import Touched

GALLERY = "debian-12-desktop"
HYBRID = {
    "connection_type": "hybridAzureADJoin",
    "region": "site-a",
    "network": "corp",
    "subnet": "10.20.0.0/24",
    "ad_domain_name": "corp.contoso.com",
    "organizational_unit": "OU=CloudPCs,DC=corp,DC=contoso,DC=com",
    "ad_domain_username": "joiner@corp.contoso.com",
    "ad_domain_password": "correct horse",
}
ENTRA: dict[str, Any] = {
    "connection_type": "azureADJoin",
    "region": "site-a",
    "network": "corp",
    "subnet": "10.20.0.0/24",
}


def connect(database: Database, tenant: TenantRef, secrets: Secrets, name: str = "HQ", **given: Any) -> Item:
    values: dict[str, Any] = {**HYBRID, **given}
    return connections.create(database, tenant, "test", secrets=secrets, display_name=name, **values)


def column(database: Database, name: str, table: str = "connections") -> Any:
    with database.begin() as connection:
        return connection.execute(text(f"SELECT {name} FROM {table}")).scalar_one()


# --- tenants ---------------------------------------------------------------------------------------


def test_a_tenant_starts_with_a_simulated_site_for_each_region_group(database: Database) -> None:
    item = tenants.create(database, "test", "fabrikam.com", speed=60, seed=7, settings={"attempts": 2})
    tenant = tenants.find(database, "FABRIKAM.com")
    assert str(tenant.id) == item["id"]
    assert tenants.find(database, item["id"]) == tenant
    assert {s["regionGroup"] for s in sites.list_(database, tenant, limit=1000)} == set(REGION_GROUPS)
    assert item["simulation"] == {"speed": 60, "seed": 7}
    with pytest.raises(Refused, match="already"):
        tenants.create(database, "test", "Fabrikam.com")
    with pytest.raises(NotFound, match="tenant list"):
        tenants.find(database, "nowhere.com")


def test_settings_are_checked_and_an_empty_one_is_the_default_again(database: Database, contoso: TenantRef) -> None:
    after = tenants.set_settings(database, contoso, "test", {"gracePeriodInHours": 24, "attempts": "2"})
    assert (after["gracePeriodInHours"], after["attempts"]) == (24, 2)
    assert tenants.set_settings(database, contoso, "test", {"gracePeriodInHours": None})["gracePeriodInHours"] == 168
    assert tenants.show(database, contoso)["settings"] == {"attempts": 2}
    for wrong, says in (({"attempts": 99}, "settings.attempts 99"), ({"attempt": 1}, "is no setting")):
        with pytest.raises(Refused, match=says):
            tenants.set_settings(database, contoso, "test", wrong)
    assert tenants.get_settings(database, contoso)["attempts"] == 2


def test_the_clock_goes_forward_only(database: Database, contoso: TenantRef) -> None:
    before = tenants.show_clock(database, contoso)["now"]
    after = tenants.advance_clock(database, contoso, "test", timedelta(days=7))["now"]
    assert timedelta(days=7) <= after - before < timedelta(days=7, minutes=5)
    for wrong in (timedelta(), timedelta(seconds=-1)):
        with pytest.raises(Refused, match="forward"):
            tenants.advance_clock(database, contoso, "test", wrong)


def test_the_clock_of_real_machines_wants_a_confirmation(database: Database, contoso: TenantRef) -> None:
    with database.begin() as connection:
        connection.execute(text("""UPDATE sites SET compute = '{"kind": "libvirt"}'"""))
    with pytest.raises(Refused, match="site-a is not simulated") as refused:
        tenants.advance_clock(database, contoso, "test", timedelta(days=7))
    assert refused.value.code == "confirmationRequired"
    tenants.advance_clock(database, contoso, "test", timedelta(days=7), confirmed=True)


def test_the_simulations_speed_is_a_number_above_zero(database: Database, contoso: TenantRef) -> None:
    assert tenants.set_simulation(database, contoso, "test", speed=600, seed=3) == {"speed": 600, "seed": 3}
    assert tenants.set_simulation(database, contoso, "test", speed="instant") == {"speed": "instant", "seed": 3}
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(Refused, match=r"simulation.speed"):
            tenants.set_simulation(database, contoso, "test", speed=wrong)


# --- sites -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "SITE-A", "region_group": "europeUnion"}, "already"),
        ({"name": "b", "region_group": "atlantis"}, "regionGroup 'atlantis'"),
        ({"name": "b", "region_group": "usEast", "region": "westeurope"}, "belongs to region group europeUnion"),
        ({"name": "b", "region_group": "usEast", "compute": {"kind": "abacus"}}, "compute.kind 'abacus'"),
        (
            {"name": "b", "region_group": "usEast", "compute": {"kind": "simulator", "apiToken": "x"}},
            "compute.apiToken",
        ),
    ],
)
def test_a_site_is_refused_by_name(database: Database, contoso: TenantRef, given: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        sites.create(database, contoso, "test", **given)
    assert len(sites.list_(database, contoso)) == 1


def test_a_site_in_use_is_not_deleted(database: Database, contoso: TenantRef, secrets: Secrets) -> None:
    connect(database, contoso, secrets)
    with pytest.raises(Refused, match="connection HQ"):
        sites.delete(database, contoso, "test", "site-a")
    connections.delete(database, contoso, "test", "HQ")
    sites.delete(database, contoso, "test", "site-a")
    assert sites.list_(database, contoso) == []


def test_with_a_connection_goes_what_was_known_of_its_trial_account(
    database: Database, contoso: TenantRef, secrets: Secrets
) -> None:
    connect(database, contoso, secrets)
    with database.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO activedirectory.trial_accounts
                     (connection_id, tenant_id, name, distinguished_name, state)
                   SELECT id, tenant_id, 'DW-TRIAL', 'CN=DW-TRIAL', 'disabled' FROM connections"""
            )
        )
    connections.delete(database, contoso, "test", "HQ")
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM activedirectory.trial_accounts")).scalar_one() == 0


def test_a_site_where_cloud_pcs_were_made_keeps_its_kind_and_stays(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    for providers in (registry.COMPUTE, registry.HEALTH["compute"]):
        monkeypatch.setitem(providers, "other", providers["simulator"])
    company.basics("adele")
    company.settle()
    database, tenant = company.world.database, company.tenant
    with pytest.raises(Refused, match="Cloud PCs that are or were there"):
        sites.delete(database, tenant, "test", "site-a")
    with pytest.raises(Refused, match=r"compute.kind 'other': cannot change"):
        sites.set_(database, tenant, "test", "site-a", compute={"kind": "other"})
    roomy = {"kind": "simulator", "capacity": {"vCpuCount": 9}}
    assert sites.set_(database, tenant, "test", "site-a", compute=roomy)["compute"] == roomy
    company.site("site-b")
    assert sites.set_(database, tenant, "test", "site-b", compute={"kind": "other"})["compute"] == {"kind": "other"}


# --- network connections ---------------------------------------------------------------------------


def test_a_connections_password_goes_in_and_never_comes_out(
    database: Database, contoso: TenantRef, secrets: Secrets, touched: Touched
) -> None:
    item = connect(database, contoso, secrets)
    connections.set_password(database, contoso, "test", "HQ", "battery staple", secrets=secrets)
    stored = column(database, "ad_domain_password")
    assert secrets.decrypt(bytes(stored)) == "battery staple"
    said = str([item, connections.show(database, contoso, "HQ"), audit.list_(database, contoso)])
    assert "correct horse" not in said
    assert "battery staple" not in said
    assert "adDomainPassword': '(changed)" in said
    assert touched() == []


def test_a_new_connection_is_pending_and_due_for_its_checks(
    database: Database, contoso: TenantRef, secrets: Secrets
) -> None:
    item = connect(database, contoso, secrets)
    assert (item["healthCheckStatus"], item["region"], item["inUse"]) == ("pending", "site-a", False)
    assert column(database, "next_check_at <= tenant_now(tenant_id)")


def test_v3_an_edited_connection_is_checked_anew_and_keeps_its_settled_health(
    database: Database, contoso: TenantRef, secrets: Secrets
) -> None:
    """V3"""
    connect(database, contoso, secrets)
    edits: tuple[Callable[[], Item], ...] = (
        lambda: connections.set_(database, contoso, "test", "HQ", subnet="10.21.0.0/24"),
        lambda: connections.set_password(database, contoso, "test", "HQ", "new", secrets=secrets),
        lambda: connections.request_check(database, contoso, "test", "HQ"),
    )
    for edit in edits:
        with database.begin() as connection:
            later = "tenant_now(tenant_id) + interval '6 hours'"
            connection.execute(text(f"UPDATE connections SET health_status = 'warning', next_check_at = {later}"))
        assert edit()["healthCheckStatus"] == "warning"
        assert column(database, "next_check_at <= tenant_now(tenant_id)")
    connections.set_(database, contoso, "test", "HQ", subnet="10.21.0.0/24")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"connection_type": "vpn"}, "connectionType 'vpn'"),
        ({"subnet": "10.20.0.1/24"}, "subnet '10.20.0.1/24'"),
        ({"subnet": " "}, "subnet"),
        ({"ad_domain_name": "corp"}, "adDomainName 'corp'"),
        ({"organizational_unit": "CloudPCs"}, "organizationalUnit 'CloudPCs'"),
        ({"ad_domain_username": "CORP\\joiner"}, "adDomainUsername"),
        ({"ad_domain_password": ""}, "adDomainPassword"),
        ({"connection_type": "azureADJoin"}, "adDomainName.*hybridAzureADJoin only"),
        ({"region": "nowhere"}, "region 'nowhere'"),
    ],
)
def test_a_connection_is_refused_by_property_and_rule(
    database: Database, contoso: TenantRef, secrets: Secrets, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        connect(database, contoso, secrets, **given)
    assert connections.list_(database, contoso) == []


def test_region_not_listed_has_its_code(database: Database, contoso: TenantRef, secrets: Secrets) -> None:
    with pytest.raises(Refused) as refused:
        connect(database, contoso, secrets, region="moonbase")
    assert refused.value.code == "regionNotSupported"


def test_an_entra_connection_has_no_join_account(database: Database, contoso: TenantRef, secrets: Secrets) -> None:
    connections.create(database, contoso, "test", secrets=secrets, display_name="Office", **ENTRA)
    with pytest.raises(Refused, match="join account"):
        connections.set_password(database, contoso, "test", "Office", "x", secrets=secrets)
    with pytest.raises(Refused, match="must not be empty"):
        connections.set_password(database, contoso, "test", "Office", "", secrets=secrets)


def test_e9_a_connection_in_use_is_neither_deleted_nor_moved(
    database: Database, contoso: TenantRef, secrets: Secrets
) -> None:
    """E9"""
    connect(database, contoso, secrets)
    sites.create(database, contoso, "test", name="site-b", region_group="europeUnion")
    values: dict[str, Any] = {"join_type": "hybridAzureADJoin", "connections": ["HQ"], "gallery_image": GALLERY}
    policies.create(database, contoso, "test", display_name="Desktops", **values)
    assert connections.show(database, contoso, "HQ")["provisioningPolicies"] == ["Desktops"]
    with pytest.raises(Refused, match="policy Desktops"):
        connections.delete(database, contoso, "test", "HQ")
    with pytest.raises(Refused, match="region 'site-b'"):
        connections.set_(database, contoso, "test", "HQ", region="site-b")
    policies.delete(database, contoso, "test", "Desktops")
    assert connections.set_(database, contoso, "test", "HQ", region="site-b")["region"] == "site-b"
    connections.delete(database, contoso, "test", "HQ")
    assert connections.list_(database, contoso) == []


def test_e9_a_cloud_pc_keeps_its_connection_until_it_is_gone(company: Company) -> None:
    """E9"""
    company.basics("adele", connections=("HQ",))
    company.settle()
    database, tenant = company.world.database, company.tenant
    values: dict[str, Any] = {"join_type": "azureADJoin", "region_group": "europeUnion"}
    policies.set_(database, tenant, "test", "Desktops", **values)
    with pytest.raises(Refused, match="Cloud PCs"):
        connections.delete(database, tenant, "test", "HQ")
    company.leave("adele", "Sales")
    company.settle()
    company.advance(days=8)
    assert company.status("adele") is None
    connections.delete(database, tenant, "test", "HQ")


def test_free_addresses_are_counted_by_the_provider(company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    before = connections.free_addresses(company.world.database, company.tenant, "HQ")
    assert before is not None
    company.settle()
    assert connections.free_addresses(company.world.database, company.tenant, "hq") == before - 1


# --- images ----------------------------------------------------------------------------------------


def build(database: Database, tenant: TenantRef, version: str = "1.0.0", **given: Any) -> Item:
    values: dict[str, Any] = {"display_name": "Finance", "region": "site-a", "source": {"gallery": GALLERY}, **given}
    return images.create(database, tenant, "test", version=version, **values)


def test_a_new_image_is_pending_and_due_to_be_built(database: Database, contoso: TenantRef) -> None:
    item = build(database, contoso)
    assert (item["status"], item["osFamily"], item["sizeInGB"], item["region"]) == ("pending", "linux", 16, "site-a")
    assert column(database, "next_step_at <= tenant_now(tenant_id)", "device_images")
    windows = build(database, contoso, "2.0.0", source={"uri": "/srv/win.qcow2"}, os_family="windows", size_in_gb=80)
    assert (windows["osFamily"], windows["sizeInGB"]) == ("windows", 80)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"version": "1.0"}, "version '1.0'"),
        ({"source": {}}, "source"),
        ({"source": {"gallery": "x"}}, "image 'x'"),
        ({"source": {"gallery": GALLERY, "uri": "x"}}, "source"),
        ({"region": "nowhere"}, "region 'nowhere'"),
        ({"os_family": "plan9"}, "osFamily 'plan9'"),
        ({"size_in_gb": 0}, "sizeInGB 0"),
    ],
)
def test_an_image_is_refused_by_property_and_rule(
    database: Database, contoso: TenantRef, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        build(database, contoso, **given)


def test_a_name_must_say_which_image_is_meant(database: Database, contoso: TenantRef) -> None:
    build(database, contoso)
    newer = build(database, contoso, "1.1.0")
    with pytest.raises(Refused, match="is at site site-a already"):
        build(database, contoso)
    with pytest.raises(Refused, match=r"names several: 1.0.0 at site-a, 1.1.0 at site-a"):
        images.delete(database, contoso, "test", "finance")
    assert images.show(database, contoso, "Finance", version="1.1.0") == newer
    images.delete(database, contoso, "test", "Finance", version="1.0.0", region="site-a")
    assert images.list_(database, contoso) == [newer]


def test_e9_an_image_in_use_is_not_deleted(company: Company) -> None:
    """E9"""
    company.basics("adele")
    database, tenant = company.world.database, company.tenant
    build(database, tenant)
    company.settle()
    policies.set_(database, tenant, "test", "Desktops", device_image="Finance")
    with pytest.raises(Refused, match="policy Desktops"):
        images.delete(database, tenant, "test", "Finance")
    company.user("alex")
    company.join("alex", "Sales")
    company.settle()
    assert company.pc("alex").image_name == "Finance 1.0.0"
    policies.set_(database, tenant, "test", "Desktops", gallery_image=GALLERY)
    with pytest.raises(Refused, match="Cloud PCs"):
        images.delete(database, tenant, "test", "Finance")
    # A newer version of it may take over.
    policies.set_(database, tenant, "test", "Desktops", device_image="Finance")
    build(database, tenant, "1.1.0")
    company.advance(hours=1)
    with pytest.raises(Refused, match=r"nothing uses it: Cloud PCs$"):
        images.delete(database, tenant, "test", "Finance", version="1.0.0")


def test_the_gallery_says_until_when_each_is_supported(database: Database, contoso: TenantRef) -> None:
    def status() -> str:
        return next(str(i["status"]) for i in images.list_gallery(database, contoso) if i["id"] == GALLERY)

    assert status() == "supported"
    tenants.advance_clock(database, contoso, "test", timedelta(days=3650))
    assert status() == "notSupported"
