"""A small company to test with: a tenant, its people and its policies, changed the way an administrator would."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from deskwright.decide.verdict import Verdict
from deskwright.domain.resources import RESOURCES, Release
from deskwright.operations.change import TenantRef, change
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.reconcile.seats import connection_is_healthy
from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.store.secrets import open_secrets
from deskwright.worker import drain

PLAN = "Cloud PC Enterprise 2vCPU/8GB/128GB"


@dataclass
class Company:
    """Every method is one change, committed; `settle` then does all that follows from it."""

    world: World
    tenant: TenantRef
    ids: dict[str, UUID] = field(default_factory=dict)

    # --- making -------------------------------------------------------------------------------------

    def site(self, name: str = "site-a", region_group: str = "europeUnion", **config: Any) -> UUID:
        return self._insert(
            name,
            "INSERT INTO sites (tenant_id, name, region, region_group, compute, directory) "
            "VALUES (:tenant, :name, :name, :group, CAST(:compute AS jsonb), CAST(:directory AS jsonb)) RETURNING id",
            group=region_group,
            compute=_json({"kind": "simulator", **config.get("compute", {})}),
            directory=_json({"kind": "simulator", **config.get("directory", {})}),
        )

    def plan(self, name: str = PLAN, seats: int = 100) -> UUID:
        return self._insert(
            name,
            "INSERT INTO service_plans (tenant_id, display_name, vcpu_count, ram_gb, storage_gb, seats) "
            "VALUES (:tenant, :name, 2, 8, 128, :seats) RETURNING id",
            seats=seats,
        )

    def group(self, name: str = "Sales") -> UUID:
        return self._insert(name, "INSERT INTO groups (tenant_id, display_name) VALUES (:tenant, :name) RETURNING id")

    def user(self, name: str = "adele") -> UUID:
        return self._insert(
            name,
            "INSERT INTO users (tenant_id, user_principal_name, display_name) "
            "VALUES (:tenant, :name || '@' || :domain, :name) RETURNING id",
            domain=self.tenant.name,
        )

    def connection(
        self, name: str = "HQ", site: str = "site-a", subnet: str = "10.20.0.0/24", health: str = "passed"
    ) -> UUID:
        return self._insert(
            name,
            "INSERT INTO connections (tenant_id, display_name, connection_type, site_id, network, subnet, "
            "ad_domain_name, organizational_unit, ad_domain_username, ad_domain_password, health_status) "
            "VALUES (:tenant, :name, 'hybridAzureADJoin', :site, 'corp', :subnet, "
            "'corp.contoso.com', 'OU=CloudPCs', 'joiner@corp', :password, :health) RETURNING id",
            site=self.ids[site],
            subnet=subnet,
            password=self.world.secrets.encrypt("joiner's password"),
            health=health,
        )

    def policy(
        self,
        name: str = "Desktops",
        *,
        connections: tuple[str, ...] = (),
        image: str = "debian-12-desktop",
        region: str | None = "site-a",
        region_group: str = "europeUnion",
        local_admin: bool = False,
    ) -> UUID:
        policy = self._insert(
            name,
            "INSERT INTO policies (tenant_id, display_name, join_type, region_group, region, image_type, "
            "gallery_image, naming_template, local_admin_enabled) VALUES (:tenant, :name, :join, :region_group, "
            ":region, 'gallery', :image, 'CPC-%USERNAME:5%-%RAND:5%', :admin) RETURNING id",
            join="hybridAzureADJoin" if connections else "azureADJoin",
            region=None if connections else region,
            region_group=None if connections else region_group,
            image=image,
            admin=local_admin,
        )
        for position, connection in enumerate(connections):
            self.sql(
                "INSERT INTO policy_connections (policy_id, position, connection_id, tenant_id) "
                "VALUES (:p, :n, :c, :tenant)",
                p=policy,
                n=position,
                c=self.ids[connection],
            )
        return policy

    def user_setting(self, name: str, group: str, local_admin: bool) -> UUID:
        setting = self._insert(
            name,
            "INSERT INTO user_settings (tenant_id, display_name, local_admin_enabled) "
            "VALUES (:tenant, :name, :admin) RETURNING id",
            admin=local_admin,
        )
        self.sql(
            "INSERT INTO user_setting_assignments (setting_id, group_id, tenant_id) VALUES (:s, :g, :tenant)",
            s=setting,
            g=self.ids[group],
        )
        return setting

    def fault(
        self, step: str, code: str, *, user: str | None = None, attempts: list[int] | None = None, delay: float = 0
    ) -> None:
        self.sql(
            "INSERT INTO faults (tenant_id, step, code, user_principal_name, attempts, delay_seconds) "
            "VALUES (:tenant, :step, :code, :user, CAST(:attempts AS jsonb), :delay)",
            step=step,
            code=code,
            user=f"{user}@{self.tenant.name}" if user else None,
            attempts=_json(attempts) if attempts else None,
            delay=delay,
        )

    def clear_faults(self) -> None:
        self.sql("DELETE FROM faults WHERE tenant_id = :tenant")

    def basics(self, *users: str, connections: tuple[str, ...] = ()) -> None:
        """One site, group, plan and policy; `users` are licensed members of the group."""
        self.site()
        for connection in connections:
            self.connection(connection)
        self.plan()
        self.group()
        self.policy(connections=connections)
        self.license_group(PLAN, "Sales")
        self.assign("Desktops", "Sales")
        for user in users:
            self.user(user)
            self.join(user, "Sales")

    # --- changing -----------------------------------------------------------------------------------

    def join(self, user: str, group: str) -> None:
        self._change(
            "INSERT INTO memberships (group_id, user_id, tenant_id) VALUES (:group, :user, :tenant)",
            "SELECT :user",
            user=self.ids[user],
            group=self.ids[group],
        )

    def leave(self, user: str, group: str, confirmed: bool = False) -> None:
        self._change(
            "DELETE FROM memberships WHERE group_id = :group AND user_id = :user",
            "SELECT :user",
            confirmed=confirmed,
            user=self.ids[user],
            group=self.ids[group],
        )

    def license(self, plan: str, user: str) -> None:
        self._change(
            "INSERT INTO license_users (plan_id, user_id, tenant_id) VALUES (:plan, :user, :tenant)",
            "SELECT :user",
            user=self.ids[user],
            plan=self.ids[plan],
        )

    def unlicense(self, plan: str, user: str) -> None:
        self._change(
            "DELETE FROM license_users WHERE plan_id = :plan AND user_id = :user",
            "SELECT :user",
            user=self.ids[user],
            plan=self.ids[plan],
        )

    def license_group(self, plan: str, group: str) -> None:
        self._change(
            "INSERT INTO license_groups (plan_id, group_id, tenant_id) VALUES (:plan, :group, :tenant)",
            "SELECT user_id FROM memberships WHERE group_id = :group",
            group=self.ids[group],
            plan=self.ids[plan],
        )

    def assign(self, policy: str, group: str) -> None:
        self._change(
            "WITH n AS (UPDATE tenants SET assignments_made = assignments_made + 1 WHERE id = :tenant "
            "RETURNING assignments_made) INSERT INTO policy_assignments (policy_id, group_id, tenant_id, number) "
            "SELECT :policy, :group, :tenant, assignments_made FROM n",
            "SELECT user_id FROM memberships WHERE group_id = :group",
            policy=self.ids[policy],
            group=self.ids[group],
        )

    def unassign(self, policy: str, group: str, confirmed: bool = False) -> None:
        self._change(
            "DELETE FROM policy_assignments WHERE policy_id = :policy AND group_id = :group",
            "SELECT user_id FROM memberships WHERE group_id = :group",
            confirmed=confirmed,
            policy=self.ids[policy],
            group=self.ids[group],
        )

    def delete_user(self, user: str) -> None:
        self._change(
            "UPDATE users SET deleted_at = tenant_now(:tenant) WHERE id = :user", "SELECT :user", user=self.ids[user]
        )

    def restore_user(self, user: str) -> None:
        self._change("UPDATE users SET deleted_at = NULL WHERE id = :user", "SELECT :user", user=self.ids[user])

    def enable_user(self, user: str, enabled: bool) -> None:
        self._change(
            "UPDATE users SET account_enabled = :enabled WHERE id = :user",
            "SELECT :user",
            user=self.ids[user],
            enabled=enabled,
        )

    def seats(self, plan: str, seats: int) -> None:
        self._change(
            "UPDATE service_plans SET seats = :seats WHERE id = :plan",
            "SELECT user_id FROM cloud_pcs WHERE plan_id = :plan AND status = 'pendingProvision'",
            plan=self.ids[plan],
            seats=seats,
        )

    def health(self, connection: str, status: str) -> None:
        """As a settled check would leave it."""
        with self.world.database.begin() as c:
            values = {"s": status, "i": self.ids[connection]}
            c.execute(text("UPDATE connections SET health_status = :s WHERE id = :i"), values)
            if status != "failed":
                connection_is_healthy(c, self.tenant.id, self.ids[connection])

    # --- time ---------------------------------------------------------------------------------------

    def settle(self) -> "Company":
        drain(self.world)
        return self

    def advance(self, **delta: float) -> "Company":
        """Move the tenant's clock on by a timedelta's arguments, and do what has come due."""
        seconds = timedelta(**delta).total_seconds()
        self.sql("UPDATE tenants SET clock_offset = clock_offset + :s WHERE id = :tenant", s=seconds)
        return self.settle()

    # --- looking ------------------------------------------------------------------------------------

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.world.database.begin() as c:
            result = c.execute(text(statement), {"tenant": self.tenant.id, **values})
            return list(result.all()) if result.returns_rows else []

    def pcs(self, user: str | None = None) -> list[Any]:
        return self.sql(
            "SELECT c.*, p.display_name AS plan FROM cloud_pcs c JOIN service_plans p ON p.id = c.plan_id "
            "WHERE c.tenant_id = :tenant AND c.status <> 'gone' AND (CAST(:user AS uuid) IS NULL OR user_id = :user) "
            "ORDER BY entitled_number, p.display_name",
            user=self.ids[user] if user else None,
        )

    def pc(self, user: str) -> Any:
        (only,) = self.pcs(user)
        return only

    def status(self, user: str) -> str | None:
        found = self.pcs(user)
        return found[0].status if found else None

    def steps(self, user: str, run: int | None = None) -> list[Any]:
        return self.sql(
            "SELECT r.number AS run, s.* FROM steps s JOIN runs r ON r.id = s.run_id "
            "JOIN cloud_pcs c ON c.id = r.cloud_pc_id "
            "WHERE c.user_id = :user AND (CAST(:run AS integer) IS NULL OR r.number = :run) "
            "ORDER BY r.started_at, r.number, s.attempt, s.started_at",
            user=self.ids[user],
            run=run,
        )

    def runs(self, user: str) -> list[Any]:
        return self.sql(
            "SELECT r.* FROM runs r JOIN cloud_pcs c ON c.id = r.cloud_pc_id WHERE c.user_id = :user "
            "ORDER BY r.started_at, r.number",
            user=self.ids[user],
        )

    def held(self) -> list[Any]:
        """Ledger rows that are not closed, without what sites share."""
        return self.sql(
            "SELECT * FROM ledger WHERE tenant_id = :tenant AND state IN ('intended', 'created') "
            "AND cloud_pc_id IS NOT NULL ORDER BY id"
        )

    def inventory(self) -> dict[str, str]:
        """Every object of ours the providers have, without what sites share: key -> kind."""
        shared = {r.kind for r in RESOURCES.values() if r.release is Release.NEVER}
        found = {}
        for (site,) in self.sql("SELECT id FROM sites WHERE tenant_id = :tenant"):
            providers = providers_for(self.world.database, load_site(self.world.database, site))
            for name in ("compute", "directory", "management"):
                for thing in providers.of(name).inventory():
                    if thing.kind not in shared and not thing.disabled:
                        found[thing.key] = str(thing.kind)
        return found

    def leaks(self) -> set[str]:
        """What the providers have and the ledger does not hold, or the other way round."""
        return set(self.inventory()) ^ {row.key for row in self.held()}

    def verdicts(self, statement: str, touched: str, **values: Any) -> list[Verdict]:
        with change(self.world.database, self.tenant, "test", dry_run=True) as opened:
            opened.connection.execute(text(statement), {"tenant": self.tenant.id, **values})
            opened.touch(touched, "test", **values)
            return list(opened.verdicts())

    def _insert(self, name: str, statement: str, **values: Any) -> UUID:
        ((found,),) = self.sql(statement, name=name, **values)
        self.ids[name] = found
        return UUID(str(found))

    def _change(self, statement: str, touched: str, *, confirmed: bool = False, **values: Any) -> None:
        with change(self.world.database, self.tenant, "test", confirmed=confirmed) as opened:
            opened.connection.execute(text(statement), {"tenant": self.tenant.id, **values})
            opened.changed += 1
            opened.touch(touched, statement.split()[0], **values)


def found(database: Database, settings: Settings, name: str = "contoso.com", speed: float = float("inf")) -> Company:
    """Found a company: a tenant of this name whose simulated world runs `speed` times as fast, by default at once."""
    with database.begin() as c:
        tenant = c.execute(
            text("INSERT INTO tenants (name, speed) VALUES (:n, :s) RETURNING id"), {"n": name, "s": speed}
        ).scalar_one()
    return Company(World(database, open_secrets(settings), settings), TenantRef(tenant, name))


def _json(value: Any) -> str:
    return json.dumps(value)
