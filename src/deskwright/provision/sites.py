"""Where an attempt goes: the first healthy connection of the policy, or the first site of the region with room."""

from uuid import UUID

from deskwright.providers.registry import Site, providers_for
from deskwright.provision.context import Ground, RunFacts, StepFailed
from deskwright.store.database import Database
from deskwright.store.statements import ask, statement

USABLE_HEALTH = ("passed", "warning")

_SITE = statement("SELECT tenant_id, id, name, compute, directory, management FROM sites WHERE id = :id")
_CONNECTIONS = statement(
    """
    SELECT k.id, k.display_name, k.health_status, s.id AS site_id, s.name AS site_name
      FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS wanted (id, position)
      JOIN connections k ON k.id = wanted.id JOIN sites s ON s.id = k.site_id ORDER BY wanted.position
    """
)
_REGION = statement(
    """
    SELECT id, name FROM sites WHERE tenant_id = :tenant AND region_group = :region_group
       AND (CAST(:region AS text) IS NULL OR name = :region OR region = :region) ORDER BY created_at, name
    """
)


class NoHealthyConnection(Exception):
    """None of the policy's connections is healthy."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def load_site(database: Database, site: UUID) -> Site:
    (row,) = ask(database.single, _SITE, {"id": site})
    return Site(row.tenant_id, row.id, row.name, row.compute, row.directory, row.management)


def choose_ground(database: Database, run: RunFacts) -> Ground:
    """Where the next attempt happens. Raises NoHealthyConnection, or StepFailed where no site of the region is left."""
    policy = run.policy
    if policy["connections"]:
        rows = ask(database.single, _CONNECTIONS, {"ids": policy["connections"]})
        for row in rows:
            if row.health_status in USABLE_HEALTH:
                return Ground(row.site_id, row.site_name, row.id, row.display_name)
        raise NoHealthyConnection([row.display_name for row in rows])
    values = {"tenant": run.tenant_id, "region_group": policy["region_group"], "region": policy["region"]}
    sites = ask(database.single, _REGION, values)
    if not sites:
        raise StepFailed(
            "capacityUnavailable",
            site=policy["region"] or policy["region_group"],
            reason="there is no site in this region",
        )
    grounds = [Ground(site.id, site.name) for site in sites]
    if len(grounds) > 1:  # "automatic": the first with room, else the first, which then says what is missing
        for ground in grounds:
            if providers_for(database, load_site(database, ground.site_id)).compute.has_room(run.size):
                return ground
    return grounds[0]
