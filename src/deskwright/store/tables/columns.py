"""The metadata of all tables, and columns that many of them have."""

from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, MetaData, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def id_() -> "Column[Any]":
    return Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid())


def tenant() -> "Column[Any]":
    return Column("tenant_id", Uuid, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False)


def same_tenant() -> "Column[Any]":
    """The tenant of the row this one hangs on. No foreign key: every step of every run would lock the tenant's row."""
    return Column("tenant_id", Uuid, nullable=False)


def of(column: str, target: str, *, nullable: bool = False, cascade: bool = False, **kw: Any) -> "Column[Any]":
    key = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None)
    return Column(column, Uuid, key, nullable=nullable, **kw)


def json(name: str, default: str | None = "{}") -> "Column[Any]":
    given = None if default is None else text(f"'{default}'::jsonb")
    return Column(name, JSONB(none_as_null=True), nullable=default is None, server_default=given)


def time(name: str, *, nullable: bool = True, now: bool = False, **kw: Any) -> "Column[Any]":
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=func.now() if now else None, **kw)
