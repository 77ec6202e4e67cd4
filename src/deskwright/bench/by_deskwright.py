"""Real Cloud PCs by Deskwright: a company whose one site is a libvirt host, and how long each step took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import text

from deskwright.bench.by_hand import Guest
from deskwright.bench.ground import Server, until, value, worker
from deskwright.document.apply import apply
from deskwright.images import process
from deskwright.images.build import Built
from deskwright.operations import cloud_pcs, groups
from deskwright.operations.change import TenantRef
from deskwright.providers.contract import NotYet
from deskwright.providers.libvirt.configuration import configuration
from deskwright.providers.libvirt.host import connect
from deskwright.providers.libvirt.images import Images
from deskwright.providers.libvirt.records import Records
from deskwright.providers.libvirt.sandbox import Sandbox
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.settings import Settings
from deskwright.store.database import Database

PEOPLE, _CONCURRENCY = 100, 8
BEFORE = "before the first step"
_ACTOR, _GROUP = "bench", "Everyone"
_COMPANY = """\
tenant: bench.example
settings: {{cleanUpDelayInHours: 0}}
sites:
  - {{name: here, regionGroup: europeUnion, compute: {compute}}}
users:
{users}
groups:
  - {{displayName: Everyone}}
servicePlans:
  - {{displayName: {plan}, seats: {people}}}
licenses:
  - {{servicePlan: {plan}, groups: [Everyone]}}
provisioningPolicies:
  - displayName: Desktops
    domainJoinConfigurations: [{{domainJoinType: azureADJoin, regionGroup: europeUnion}}]
    image: {{gallery: {image}}}
    localAdminEnabled: true
    assignments: [Everyone]
"""
_STEPS = text(
    """
    SELECT s.step, s.outcome, s.message,
           extract(epoch FROM s.started_at) AS began, extract(epoch FROM s.ended_at) AS ended
      FROM steps s JOIN runs r ON r.id = s.run_id JOIN cloud_pcs c ON c.id = r.cloud_pc_id
     WHERE c.user_id = (SELECT id FROM users WHERE user_principal_name = :user) AND r.kind = 'provision'
     ORDER BY s.started_at
    """
)
_THERE = text(
    "SELECT c.id, u.user_principal_name FROM cloud_pcs c JOIN users u ON u.id = c.user_id "
    "WHERE c.status = 'provisioned'"
)
_LEFT = """
    SELECT (SELECT count(*) FROM cloud_pcs WHERE status <> 'gone')
         + (SELECT count(*) FROM ledger WHERE state IN ('intended', 'created') AND cloud_pc_id IS NOT NULL)
"""


@dataclass
class Company:
    """Its people are numbered: whoever has had a Cloud PC does not come again."""

    world: World
    tenant: TenantRef
    come: int = 0

    @property
    def database(self) -> Database:
        return self.world.database

    def provision(self, count: int) -> list[dict[str, float]]:
        """Let so many people have a Cloud PC; returns seconds by step for each, from the entitlement's commit on."""
        users = [_user(self.come + n) for n in range(count)]
        self.come += count
        began = time.time()
        groups.add_members(self.database, self.tenant, _ACTOR, _GROUP, users)
        until(lambda: self._count("provisioned") == count or self._count("failed", "provisionedWithWarnings") > 0)
        return [self._steps(user, began) for user in users]

    def remove(self) -> None:
        """All Cloud PCs there are, with what they left."""
        with self.database.single.connect() as connection:
            there = connection.execute(_THERE).all()
        users = [row.user_principal_name for row in there]
        groups.remove_members(self.database, self.tenant, _ACTOR, _GROUP, users, confirmed=True)
        until(lambda: self._count("inGracePeriod") == len(users))
        for row in there:
            cloud_pcs.end_grace(self.world, self.tenant, _ACTOR, str(row.id))
        until(lambda: value(self.database, _LEFT) == 0)

    def _count(self, *statuses: str) -> int:
        query = "SELECT count(*) FROM cloud_pcs WHERE status = ANY(:statuses)"
        return int(value(self.database, query, statuses=list(statuses)))

    def _steps(self, user: str, began: float) -> dict[str, float]:
        with self.database.single.connect() as connection:
            rows = connection.execute(_STEPS, {"user": user}).all()
        if any(row.outcome not in ("succeeded", "skipped") for row in rows):
            raise RuntimeError(f"a Cloud PC did not come up: {[tuple(row) for row in rows]}")
        return {BEFORE: float(rows[0].began) - began, **{row.step: float(row.ended - row.began) for row in rows}}


@contextmanager
def company(server: Server, host: Sandbox, guest: Guest) -> Iterator[Company]:
    """With its image on the host and tried there, and a worker that works."""
    database = server.fresh()
    world = server.world(database)
    compute = f'{{kind: libvirt, uri: "{host.uri}", directory: "{host.disks}", acceleration: qemu}}'
    users = "\n".join(f"  - {{userPrincipalName: {_user(n)}, displayName: Person {n}}}" for n in range(PEOPLE))
    size = guest.size
    plan = f"Bench {size.vcpu}vCPU/{size.ram_gb}GB/{size.storage_gb}GB"
    document = server.directory / "machines.yaml"
    document.write_text(_COMPANY.format(compute=compute, users=users, plan=plan, people=PEOPLE, image=guest.image))
    apply(world, document, _ACTOR)
    tenant = TenantRef(value(database, "SELECT id FROM tenants"), "bench.example")
    _bring_image(database, guest.image)
    with worker(server, database, _CONCURRENCY):
        yield Company(world, tenant)
    server.drop(database)


def built_image(name: str) -> Built:
    """The image as it was built on this machine, once."""
    into = Settings().image_dir / name
    process.start(name, into)
    until(lambda: not process.look(into).running)
    progress = process.look(into)
    if progress.finished is None:
        raise RuntimeError(f"the image {name} could not be built: {progress.failed}")
    return progress.finished


def _bring_image(database: Database, name: str) -> None:
    site = load_site(database, value(database, "SELECT id FROM sites"))
    at = configuration(site.compute, site.name)
    here = Settings()

    def later(seconds: float, reason: str, share: float | None = None) -> NotYet:
        return NotYet(records.now(), reason, share)

    records = Records(database, site.tenant_id, site.id, at.uri)
    images = Images(at, records, connect(at.uri), here.image_dir, here.imports_of(site.tenant_id), later)

    def ready() -> bool:
        try:
            images.from_gallery(name)
        except NotYet:
            return False
        return True

    until(ready)


def _user(number: int) -> str:
    return f"person{number}@bench.example"
