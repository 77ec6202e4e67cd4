"""Finding objects by a part of their name, in pages: for lists and pickers."""

from deskwright.operations import named
from deskwright.operations.change import TenantRef
from deskwright.operations.groups import GROUP
from deskwright.operations.named import Item, Noun
from deskwright.operations.users import USER
from deskwright.store.database import Database


def groups(database: Database, tenant: TenantRef, wanted: str, after: str | None = None, limit: int = 50) -> list[Item]:
    """Groups whose name contains `wanted`, in the order of their names."""
    return _found(database, tenant, GROUP, wanted, after, limit)


def users(database: Database, tenant: TenantRef, wanted: str, after: str | None = None, limit: int = 50) -> list[Item]:
    """People whose user name or display name contains `wanted`, in the order of their user names."""
    return _found(database, tenant, USER, wanted, after, limit)


def _found(database: Database, tenant: TenantRef, noun: Noun, wanted: str, after: str | None, limit: int) -> list[Item]:
    with database.single.connect() as connection:
        rows = named.page(connection, tenant, noun, after, limit, *named.matching(noun, wanted))
        return [noun.present(row) for row in rows]
