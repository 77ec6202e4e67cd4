"""The libvirt provider keeps the contract's rules on real machines."""

from collections.abc import Iterator

import pytest

from deskwright.domain.resources import Kind
from deskwright.providers.libvirt.sandbox import Sandbox
from deskwright.store.database import Database
from tests.conftest import Tenant
from tests.libvirt.conftest import outside_on
from tests.providers.conformance import ComputeConformance, Outside

pytestmark = pytest.mark.guests


@pytest.mark.usefixtures("images")
class TestLibvirt(ComputeConformance):
    @pytest.fixture
    def outside(self, database: Database, tenant: Tenant, host: Sandbox) -> Iterator[Outside]:
        found = outside_on(database, tenant, host)
        yield found
        for left in sorted(found.providers.compute.inventory(), key=lambda f: list(Kind).index(Kind(f.kind))):
            found.providers.compute.release(Kind(left.kind), left.key)
        assert list(found.providers.compute.inventory()) == []
