"""A tenant with a unit of the real domain: what is done there, and what comes of it here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from uuid import UUID

import ldap3
import pytest

from deskwright.active_directory.client import Account
from deskwright.operations import domains
from deskwright.operations.named import Item
from tests.company import PLAN, Company
from tests.real_domain import RealDomain

numbers = count(1)


@dataclass
class Corp:
    """A tenant with a unit of the real domain: what is done there, and what comes of it here."""

    company: Company
    real: RealDomain
    reader: Account
    unit: str
    ldap: Any
    names: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.real.domain.name

    def create(self, **given: Any) -> Item:
        d, world = self.real.domain, self.company.world
        values: dict[str, Any] = {
            "domain_name": d.name,
            "user_name": self.reader.name,
            "password": self.reader.password,
            "name_servers": d.name_servers,
            "ca_certificate": d.ca_certificate,
            "search_bases": [self.unit],
            **given,
        }
        return domains.create(world.database, self.company.tenant, "test", secrets=world.secrets, **values)

    # --- there -------------------------------------------------------------------------------------

    def person(self, name: str, unit: str = "", **attributes: Any) -> str:
        """A person, whose account is `name` with a number; returns the distinguished name."""
        account = f"{name}{next(numbers)}"
        self.names[name] = account
        dn = f"CN={account},{unit or self.unit}"
        given = {
            "sAMAccountName": account,
            "userPrincipalName": f"{account}@{self.name}",
            "userAccountControl": 544,
            **attributes,
        }
        self.ldap.add(dn, "user", {k: v for k, v in given.items() if v is not None})
        return dn

    def group(self, name: str, members: Sequence[str] = (), unit: str = "") -> str:
        dn = f"CN={name} {next(numbers)},{unit or self.unit}"
        account = dn.partition(",")[0].removeprefix("CN=").replace(" ", "")
        given: dict[str, Any] = {"sAMAccountName": account, "displayName": name}
        self.ldap.add(dn, "group", {**given, **({"member": list(members)} if members else {})})
        return dn

    def modify(self, dn: str, **attributes: Any) -> None:
        self.ldap.modify(dn, {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in attributes.items()})

    def members(self, group: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        change = [(ldap3.MODIFY_ADD, list(add))] if add else [(ldap3.MODIFY_DELETE, list(remove))]
        self.ldap.modify(group, {"member": change})

    def move(self, dn: str, unit: str) -> str:
        name = dn.partition(",")[0]
        self.ldap.modify_dn(dn, name, new_superior=unit)
        return f"{name},{unit}"

    # --- here --------------------------------------------------------------------------------------

    def sync(self, **given: Any) -> Item:
        """Ask for a run and do it; the last one."""
        domains.synchronise(self.company.world.database, self.company.tenant, "test", self.name, **given)
        return self.last()

    def last(self) -> Item:
        """Do what is due; the last run."""
        self.company.settle()
        last: Item = self.show()["lastSyncs"][0]
        return last

    def show(self) -> Item:
        return domains.show(self.company.world.database, self.company.tenant, self.name)

    def user(self, name: str) -> Any:
        """The row of the person; None where there is none."""
        upn = f"{self.names.get(name, name)}@{self.name}"
        found = self.company.sql(
            "SELECT * FROM users WHERE tenant_id = :tenant AND lower(user_principal_name) = lower(:upn) "
            "ORDER BY deleted_at NULLS FIRST",
            upn=upn,
        )
        return found[0] if found else None

    def in_group(self, name: str) -> set[str]:
        """The names of who is in the group here."""
        rows = self.company.sql(
            "SELECT u.user_principal_name FROM memberships m JOIN users u ON u.id = m.user_id "
            "JOIN groups g ON g.id = m.group_id WHERE g.tenant_id = :tenant AND g.display_name = :name "
            "AND u.deleted_at IS NULL",
            name=name,
        )
        given = {account: name for name, account in self.names.items()}
        return {given.get(row[0].partition("@")[0], row[0]) for row in rows}

    def desktops(self, group: str) -> None:
        """What members of the group get a Cloud PC by."""
        company = self.company
        company.site()
        company.plan(seats=1000)
        ((found,),) = company.sql("SELECT id FROM groups WHERE display_name = :name", name=group)
        company.ids[group] = UUID(str(found))
        company.policy()
        company.license_group(PLAN, group)
        company.assign("Desktops", group)
        company.settle()

    def pc(self, name: str) -> str | None:
        found = self.company.sql(
            "SELECT status FROM cloud_pcs WHERE user_id = :user AND status <> 'gone'", user=self.user(name).id
        )
        return found[0].status if found else None

    def counts(self, run: Item) -> dict[str, int]:
        """What a run did, without zeros and totals."""
        left_out = {"objectsRead", "people", "groups", "computers"}
        return {name: run[name] for name in domains.RUN_COUNTS if run[name] and name not in left_out}


@pytest.fixture(scope="module")
def reader(real_domain: RealDomain) -> Account:
    """An ordinary account, without rights on deleted objects."""
    return real_domain.user()


@pytest.fixture
def corp(company: Company, real_domain: RealDomain, reader: Account) -> Iterator[Corp]:
    with real_domain.as_administrator() as opened:
        unit = f"OU=Sync{next(numbers)},{real_domain.domain.distinguished_name}"
        ldap: Any = opened.ldap
        ldap.add(unit, "organizationalUnit")
        yield Corp(company, real_domain, reader, unit, ldap)


@pytest.fixture(params=["reader", "administrator"])
def either(request: pytest.FixtureRequest, corp: Corp) -> Corp:
    """Read by an account that does not see deleted objects, and by one that does."""
    if request.param == "administrator":
        return replace(corp, reader=corp.real.administrator)
    return corp
