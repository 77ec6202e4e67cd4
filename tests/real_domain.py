"""A domain of a real controller (Samba) for tests: its units, accounts and groups. Names are the test's own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.discovery import Domain
from deskwright.active_directory.sandbox import DomainController

_numbers = count(1)


@dataclass(frozen=True)
class RealDomain:
    controller: DomainController

    @property
    def domain(self) -> Domain:
        return self.controller.domain

    @property
    def administrator(self) -> Account:
        return Account(f"Administrator@{self.domain.name}", self.controller.password)

    @contextmanager
    def as_administrator(self) -> Iterator[Opened]:
        with signed_in(self.domain, self.administrator) as opened:
            yield opened

    def unit(self, name: str = "") -> str:
        """A new organizational unit; its distinguished name."""
        made = f"OU={name or f'Unit{next(_numbers)}'},{self.domain.distinguished_name}"
        self.controller.tool("ou", "create", made)
        return made

    def user(self, name: str = "", *, unit: str = "", password: str = "") -> Account:
        """A new enabled user (in CN=Users unless a unit is given)."""
        name = name or f"user{next(_numbers)}"
        password = password or f"p{secrets.token_urlsafe(12)}.aA1"  # a leading - would be an option of samba-tool's
        where = ["--userou", unit.removesuffix(f",{self.domain.distinguished_name}")] if unit else []
        self.controller.tool("user", "create", name, password, *where)
        return Account(f"{name}@{self.domain.name}", password)

    def may_join(self, account: Account, unit: str) -> None:
        """Delegate what joining needs: create computer objects in the unit, and everything on those."""
        self.controller.may_join(account.name.partition("@")[0], unit)

    def joiner(self, unit: str) -> Account:
        """A new account that may join computers in the unit."""
        account = self.user()
        self.may_join(account, unit)
        return account
