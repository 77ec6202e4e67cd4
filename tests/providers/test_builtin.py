"""The built-in directory and management keep their contracts' rules, and tell the machine what it is recorded as."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from deskwright.domain.rules import Refused
from deskwright.providers.builtin.directory import BuiltinDirectory
from deskwright.providers.builtin.management import BuiltinManagement
from deskwright.providers.contract import Providers
from deskwright.providers.registry import providers_for
from deskwright.store.database import Database
from tests.conftest import Tenant
from tests.providers.conformance import ATTRIBUTES, DirectoryConformance, ManagementConformance, Outside, _managed
from tests.providers.test_simulator import inside, outside_of


def builtin(outside: Outside, database: Database, tenant: Tenant) -> Outside:
    """With simulated machines: what the built-in providers do to a machine is the same everywhere."""
    site = replace(tenant.site, directory={"kind": "builtin"}, management={"kind": "builtin"})
    compute = outside.providers.compute
    made = Providers(
        compute,
        BuiltinDirectory(database, site, compute),
        BuiltinManagement(database, site, compute),
        outside.providers.health,
    )
    return replace(outside, providers=made)


class TestBuiltin(DirectoryConformance, ManagementConformance):
    serves = ("directory", "management")
    domains = False

    @pytest.fixture
    def outside(self, database: Database, tenant: Tenant) -> Outside:
        return builtin(outside_of(database, tenant), database, tenant)

    def test_an_enrolment_token_is_kept_as_a_digest_only(
        self, outside: Outside, database: Database, tenant: Tenant
    ) -> None:
        _managed(outside)
        with database.single.connect() as connection:
            kept = connection.execute(
                text("SELECT data FROM builtin.objects WHERE kind = 'managedDevice'")
            ).scalar_one()
        assert "token" not in kept
        assert kept["tokenDigest"]

    def test_the_machine_is_told_its_name_and_its_records(
        self, outside: Outside, database: Database, tenant: Tenant
    ) -> None:
        vm = outside.vm()
        device = outside.device(vm)
        assert device.details["model"] == ATTRIBUTES["model"]
        told: dict[str, Any] = inside(database, tenant, vm)
        assert "CPC-ADELE-TEST1" in json.dumps(told)


def test_a_simulated_directory_does_not_go_with_real_machines(database: Database, tenant: Tenant) -> None:
    for compute, directory in (("libvirt", "simulator"), ("simulator", "builtin")):
        site = replace(tenant.site, compute={"kind": compute}, directory={"kind": directory})
        with pytest.raises(Refused) as refused:
            providers_for(database, site)
        assert (refused.value.field, refused.value.value) == ("directory.kind", directory)
