"""The results of a connection's checks are remembered, a number of them."""

from deskwright.operations import connection_view, connections
from tests.company import Company


def test_the_last_results_are_kept_newest_first(company: Company) -> None:
    company.site()
    company.connection(health="pending")
    database, tenant = company.world.database, company.tenant
    of = database, tenant, company.ids["HQ"]
    for _ in range(23):
        connections.request_check(database, tenant, "test", "HQ")
        company.settle()
        company.advance(hours=1)
    found = connection_view.results(*of)
    assert len(found) == 20
    assert [r["at"] for r in found] == sorted((r["at"] for r in found), reverse=True)
    assert {r["status"] for r in found} == {"passed"}
    assert found[0]["findings"] == []
