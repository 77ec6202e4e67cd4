"""A company with a network connection into a real domain, for tests of everything that hangs on it."""

from typing import Any

from deskwright.active_directory.client import Account
from tests.company import Company
from tests.real_domain import RealDomain

OTHER = "0thr-Passw0rd-of-nobody"


class Office:
    """A company whose one connection, HQ, leads into an organizational unit of a real domain."""

    def __init__(self, company: Company, real: RealDomain, unit: str, joiner: Account) -> None:
        self.company, self.real, self.unit, self.joiner = company, real, unit, joiner
        company.site(directory={"kind": "activedirectory"})
        company.sql('UPDATE sites SET management = \'{"kind": "builtin"}\'')
        self.describe()
        company.connection("HQ", health="pending")
        self.enter(ad_domain_name=real.domain.name, organizational_unit=unit, ad_domain_username=joiner.name)
        self.password(joiner.password)

    def describe(self, **columns: Any) -> None:
        """The domain as the tenant describes it; synchronised a moment ago."""
        domain, secrets = self.real.domain, self.company.world.secrets
        self.company.sql("DELETE FROM domains")
        self.company.sql(
            "INSERT INTO domains (tenant_id, name, name_servers, controllers, ca_certificate, account_name, "
            "account_password, sync_status, synced_at) VALUES (:tenant, :name, :servers, :controllers, :ca, :account, "
            ":password, 'succeeded', tenant_now(:tenant))",
            **{
                "name": domain.name,
                "servers": list(domain.name_servers),
                "controllers": list(domain.controllers),
                "ca": domain.ca_certificate,
                "account": self.joiner.name,
                "password": secrets.encrypt(self.joiner.password),
                **columns,
            },
        )

    def enter(self, **columns: Any) -> None:
        """As it stands in the table, past everything that is tried on entry."""
        told = ", ".join(f"{column} = :{column}" for column in columns)
        self.company.sql(f"UPDATE connections SET {told} WHERE tenant_id = :tenant", **columns)

    def password(self, plain: str) -> None:
        self.enter(ad_domain_password=self.company.world.secrets.encrypt(plain))

    def check(self) -> dict[str, Any]:
        """Every check, now: by id."""
        self.company.sql("UPDATE connections SET next_check_at = tenant_now(tenant_id)")
        self.company.settle()
        return self.seen()

    def seen(self) -> dict[str, Any]:
        rows = self.company.sql("SELECT * FROM connection_checks WHERE tenant_id = :tenant")
        return {row.check_id: row for row in rows}

    @property
    def health(self) -> str:
        ((status,),) = self.company.sql("SELECT health_status FROM connections WHERE tenant_id = :tenant")
        return str(status)


def failed(seen: dict[str, Any]) -> dict[str, str]:
    """The checks that failed, with their codes."""
    return {check: row.error_code for check, row in seen.items() if row.status == "failed"}


def untried(seen: dict[str, Any]) -> set[str]:
    return {check for check, row in seen.items() if row.detail.startswith("not tried")}
