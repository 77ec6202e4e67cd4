"""Companies to measure with, of any size, put into the database by a few statements.

One site, one group that everybody with a Cloud PC is in, which holds the licence and has the policy: so the group a
newcomer joins is as large as the tenant.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from deskwright.operations.change import TenantRef
from deskwright.provision.pipeline import PIPELINE
from deskwright.store.database import Database

EVERYONE, NEWCOMER = "Everyone", "newcomer"
PLAN, FULL_PLAN = "Cloud PC Enterprise 2vCPU/8GB/128GB", "Cloud PC Enterprise 4vCPU/16GB/256GB"
# Room for everybody, so that nothing but the work itself is measured.
_TEMPLATE = "CPC-%USERNAME:5%-%RAND:5%"
_SITE = (
    '{"kind": "simulator", "hostedNetwork": "10.0.0.0/8", '
    '"capacity": {"vCpuCount": 100000000, "ramInGB": 100000000, "storageInGB": 2000000000}}'
)

_FOUND = """
    INSERT INTO sites (tenant_id, name, region, region_group, compute)
    VALUES (:tenant, 'site-a', 'site-a', 'europeUnion', CAST(:site AS jsonb));

    INSERT INTO groups (tenant_id, display_name) VALUES (:tenant, :everyone);

    INSERT INTO service_plans (tenant_id, display_name, vcpu_count, ram_gb, storage_gb, seats)
    VALUES (:tenant, :plan, 2, 8, 128, 2000000), (:tenant, :full, 4, 16, 256, 0);

    INSERT INTO policies (tenant_id, display_name, join_type, region_group, region, image_type, gallery_image,
           naming_template)
    VALUES (:tenant, 'Desktops', 'azureADJoin', 'europeUnion', 'site-a', 'gallery', 'debian-12-desktop', :template);

    INSERT INTO license_groups (tenant_id, plan_id, group_id)
    SELECT :tenant, p.id, g.id FROM service_plans p, groups g
     WHERE p.tenant_id = :tenant AND g.tenant_id = :tenant AND p.display_name = :plan;

    INSERT INTO policy_assignments (tenant_id, policy_id, group_id, number)
    SELECT :tenant, p.id, g.id, 1 FROM policies p, groups g WHERE p.tenant_id = :tenant AND g.tenant_id = :tenant;

    INSERT INTO users (tenant_id, user_principal_name, display_name)
    SELECT :tenant, :prefix || n || '@' || :domain, 'Newcomer ' || n FROM generate_series(0, :newcomers - 1) AS n
"""
# What foreign keys and the trigger that counts seats would do for each row is known beforehand.
_IN_BULK = "SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off"
_POPULATE = """
    INSERT INTO users (tenant_id, user_principal_name, display_name)
    SELECT :tenant, 'user' || n || '@' || :domain, 'User ' || n FROM generate_series(1, :people) AS n;

    INSERT INTO memberships (tenant_id, group_id, user_id)
    SELECT :tenant, g.id, u.id FROM groups g, users u
     WHERE g.tenant_id = :tenant AND u.tenant_id = :tenant AND u.user_principal_name LIKE 'user%';

    INSERT INTO license_users (tenant_id, plan_id, user_id)
    SELECT :tenant, p.id, u.id FROM service_plans p, users u
     WHERE p.tenant_id = :tenant AND p.seats = 0 AND u.tenant_id = :tenant AND u.user_principal_name LIKE 'user%0@%';

    INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, policy_id, policy_name, display_name, device_name, status,
           entitled_number, site_id, provisioned_at)
    SELECT :tenant, u.id, p.id, y.id, y.display_name, y.display_name || ' - ' || u.display_name,
           'CPC-' || substr(md5(CAST(u.id AS text)), 1, 11), 'provisioned', 0, s.id, now()
      FROM users u, service_plans p, policies y, sites s
     WHERE u.tenant_id = :tenant AND p.tenant_id = :tenant AND y.tenant_id = :tenant AND s.tenant_id = :tenant
       AND p.seats > 0 AND u.user_principal_name LIKE 'user%';

    INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, policy_id, policy_name, display_name, status, waiting_for,
           entitled_number)
    SELECT :tenant, l.user_id, l.plan_id, y.id, y.display_name, y.display_name, 'pendingProvision', 'seat',
           row_number() OVER ()
      FROM license_users l, policies y WHERE l.tenant_id = :tenant AND y.tenant_id = :tenant;

    INSERT INTO runs (tenant_id, cloud_pc_id, number, kind, state, ended_at)
    SELECT :tenant, id, 1, 'provision', 'succeeded', now() FROM cloud_pcs
     WHERE tenant_id = :tenant AND status = 'provisioned';

    UPDATE service_plans SET seats_used = :people WHERE tenant_id = :tenant AND seats > 0
"""
_WAIT = """
    INSERT INTO users (tenant_id, user_principal_name, display_name)
    SELECT :tenant, 'waiting' || n || '@' || :domain, 'Waiting ' || n FROM generate_series(1, :people) AS n;

    INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, policy_id, policy_name, display_name, status, entitled_number)
    SELECT :tenant, u.id, p.id, y.id, y.display_name, u.display_name, 'provisioning', 0
      FROM users u, service_plans p, policies y
     WHERE u.tenant_id = :tenant AND p.tenant_id = :tenant AND y.tenant_id = :tenant AND p.seats > 0
       AND u.user_principal_name LIKE 'waiting%';

    INSERT INTO runs (tenant_id, cloud_pc_id, number, kind, policy, lease, wake_at, wake_reason)
    SELECT :tenant, c.id, 1, 'provision', to_jsonb(y), 1, now() + interval '1 hour', 'no device object yet'
      FROM cloud_pcs c JOIN policies y ON y.id = c.policy_id WHERE c.tenant_id = :tenant AND c.status = 'provisioning';

    INSERT INTO steps (run_id, tenant_id, attempt, step, stage, started_at, ended_at, outcome)
    SELECT r.id, :tenant, 1, s.step, 'core', now(), CASE WHEN s.step < 'C4' THEN now() END,
           CASE WHEN s.step < 'C4' THEN 'succeeded' ELSE 'running' END
      FROM runs r, (VALUES ('C1'), ('C2'), ('C3'), ('C4')) AS s (step)
     WHERE r.tenant_id = :tenant AND r.wake_at IS NOT NULL
"""
# What a provisioning leaves behind, for those whom the API comes to first.
_FURNISH = """
    INSERT INTO steps (run_id, tenant_id, attempt, step, stage, started_at, ended_at, outcome, made)
    SELECT r.id, :tenant, 1, s.step, 'core', now(), now(), 'succeeded', CAST(s.made AS jsonb)
      FROM runs r JOIN (SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' ORDER BY id
                         LIMIT :people) c ON c.id = r.cloud_pc_id,
           unnest(CAST(:steps AS text[]), CAST(:made AS text[])) AS s (step, made);

    INSERT INTO ledger (tenant_id, cloud_pc_id, run_number, attempt, step, kind, key, site_id, external_id, state,
           intended_at, created_at)
    SELECT :tenant, c.id, 1, 1, 'C4', k.kind, c.id || k.kind, c.site_id, gen_random_uuid(), 'created', now(), now()
      FROM cloud_pcs c JOIN runs r ON r.cloud_pc_id = c.id, (VALUES ('device'), ('managedDevice')) AS k (kind)
     WHERE c.tenant_id = :tenant AND EXISTS (SELECT 1 FROM steps s WHERE s.run_id = r.id);

    UPDATE runs SET policy = to_jsonb(y) FROM policies y
     WHERE y.tenant_id = :tenant AND runs.tenant_id = :tenant
       AND EXISTS (SELECT 1 FROM steps s WHERE s.run_id = runs.id)
"""
# A life like others': of a hundred, three have warnings, one is in grace, and of three hundred one has failed.
_DISTURB = """
    UPDATE cloud_pcs SET status_since = now() - random() * interval '90 days', image_name = 'debian-12-desktop',
           status = CASE WHEN n % 300 = 0 THEN 'failed' WHEN n % 100 = 1 THEN 'inGracePeriod'
                         WHEN n % 33 = 2 THEN 'provisionedWithWarnings' ELSE status END,
           status_detail = CASE WHEN n % 300 = 0 THEN CAST(:failure AS jsonb) END,
           warnings = CASE WHEN n % 33 = 2 THEN CAST(:warnings AS jsonb) ELSE warnings END,
           grace_ends_at = CASE WHEN n % 100 = 1 THEN now() + random() * interval '7 days' END
      FROM (SELECT id, row_number() OVER (ORDER BY md5(CAST(id AS text))) AS n FROM cloud_pcs
             WHERE tenant_id = :tenant AND status = 'provisioned') shuffled WHERE shuffled.id = cloud_pcs.id
"""


@dataclass(frozen=True)
class Company:
    database: Database
    tenant: TenantRef

    def newcomer(self, number: int) -> str:
        """The userPrincipalName of one who is in no group yet."""
        return f"{NEWCOMER}{number}@{self.tenant.name}"


def found(database: Database, *, newcomers: int, name: str = "contoso.com") -> Company:
    """A company in which nobody has a Cloud PC yet, and in whose world everything happens at once."""
    add = text("INSERT INTO tenants (name, speed, assignments_made) VALUES (:name, 'Infinity', 1) RETURNING id")
    with database.begin() as connection:
        tenant = TenantRef(connection.execute(add, {"name": name}).scalar_one(), name)
        _run(
            connection,
            _FOUND,
            tenant=tenant.id,
            domain=name,
            site=_SITE,
            everyone=EVERYONE,
            plan=PLAN,
            full=FULL_PLAN,
            template=_TEMPLATE,
            prefix=NEWCOMER,
            newcomers=newcomers,
        )
    return Company(database, tenant)


def populate(company: Company, people: int) -> None:
    """Add that many people with a provisioned Cloud PC, each tenth also waiting for a seat of a plan that is full."""
    _in_bulk(company, _POPULATE, people)


def disturb(company: Company) -> None:
    """Let some of the provisioned fail, have warnings or be in grace, since all sorts of times."""
    failure, warnings = '{"code": "joinDomainFailed"}', '[{"step": "P6", "code": "diskAllocationError"}]'
    _in_bulk(company, _DISTURB, 0, failure=failure, warnings=warnings)


def add_waiting(company: Company, runs: int) -> None:
    """That many Cloud PCs whose runs wait in the hybrid join for another hour."""
    _in_bulk(company, _WAIT, runs)


def furnish(company: Company, cloud_pcs: int) -> None:
    """Give so many Cloud PCs, those with the lowest ids, what their provisioning would have left: steps, devices."""
    steps = [row.id for row in PIPELINE]
    made = {"C5": '{"managedDeviceId": "0"}', "P3": '{"administrator": false}'}
    _in_bulk(company, _FURNISH, cloud_pcs, steps=steps, made=[made.get(step, "{}") for step in steps])


def _in_bulk(company: Company, sql: str, people: int, **values: Any) -> None:
    with company.database.begin() as connection:
        _run(connection, _IN_BULK)
        _run(connection, sql, tenant=company.tenant.id, domain=company.tenant.name, people=people, **values)
    with company.database.single.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _run(connection: Connection, sql: str, **values: Any) -> None:
    for statement in sql.split(";"):
        wanted = text(statement)
        connection.execute(wanted, {name: value for name, value in values.items() if f":{name}" in statement})
