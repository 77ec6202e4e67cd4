"""From a document's items to rows of temporary tables, which the database then compares with the tenant as sets."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, text

from deskwright.document.kinds import KINDS
from deskwright.document.model import Connection as NetworkConnection
from deskwright.document.model import (
    Domain,
    Entry,
    IdentityProvider,
    Reference,
    Site,
    explain_error,
    known_names,
    salvage,
)
from deskwright.document.model_policies import MODELS, Simulation
from deskwright.document.problems import Problems
from deskwright.document.reader import Item, Reader, nearest
from deskwright.document.source import Document
from deskwright.domain.regions import default_sites
from deskwright.domain.rules import Refused
from deskwright.operations.change import TenantRef
from deskwright.operations.named import check_name
from deskwright.operations.sites import check_providers
from deskwright.providers.registry import with_companions
from deskwright.provision.context import World
from deskwright.settings import TenantSettings

Progress = Callable[[str, int, int | None], None]
"""stage, done, total (None: not known)"""

_BATCH = 5000
_TABLES = (
    """
    CREATE TEMP TABLE staged (kind text NOT NULL, position bigint NOT NULL, line integer NOT NULL, key text NOT NULL,
      name text NOT NULL, doc jsonb NOT NULL, secret bytea, lines jsonb) ON COMMIT DROP
    """,
    # relation: the list this is an element of; else the field of an object that names another.
    """
    CREATE TEMP TABLE staged_references (relation text NOT NULL, owner text NOT NULL, position bigint NOT NULL,
      line integer NOT NULL, field text NOT NULL, value text NOT NULL, key text NOT NULL, target text NOT NULL,
      number bigint) ON COMMIT DROP
    """,
    # The lists that are written, also the empty ones: these count as a whole.
    "CREATE TEMP TABLE staged_lists (relation text NOT NULL, owner text NOT NULL) ON COMMIT DROP",
    """
    CREATE TEMP TABLE differences (kind text NOT NULL, position bigint NOT NULL, line integer NOT NULL,
      id uuid NOT NULL,
      name text NOT NULL, before jsonb, after jsonb, secret bytea,
        restored boolean NOT NULL DEFAULT false) ON COMMIT DROP
    """,
    """
    CREATE TEMP TABLE edges (relation text NOT NULL, owner_id uuid NOT NULL, target_id uuid NOT NULL,
      added boolean NOT NULL,
      position bigint NOT NULL, number bigint, owner_name text NOT NULL DEFAULT '') ON COMMIT DROP
    """,
    "CREATE INDEX ON edges (relation, owner_id, target_id)",
    """
    CREATE TEMP TABLE touches (user_id uuid NOT NULL, gain boolean NOT NULL, position bigint NOT NULL,
      activity text NOT NULL,
      object text NOT NULL) ON COMMIT DROP
    """,
)
_INDEXES = (
    "CREATE INDEX ON staged (kind, key)",
    "CREATE INDEX ON staged_references (relation, owner, key)",
    "ANALYZE staged",
    "ANALYZE staged_references",
    "ANALYZE staged_lists",
)
# The kinds whose fields other checks look at get the lines of their fields stored with them.
_SMALL = frozenset(KINDS) - {"users", "groups"}
_PASSWORDS = {
    "onPremisesConnections": text(
        "SELECT ad_domain_password FROM connections WHERE tenant_id = :tenant AND lower(display_name) = :key "
        "AND ad_domain_password IS NOT NULL"
    ),
    "domains": text("SELECT account_password FROM domains WHERE tenant_id = :tenant AND lower(name) = :key"),
    "identityProviders": text(
        "SELECT client_secret FROM identity_providers WHERE tenant_id = :tenant AND lower(display_name) = :key"
    ),
}

_WITH_SECRET = (NetworkConnection, Domain, IdentityProvider)


@dataclass
class Staged:
    """What the document says about the tenant itself, and which sections it has."""

    written: dict[str, int]
    settings: dict[str, Any] | None = None
    simulation: Simulation | None = None
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class _Rows:
    """Rows on their way to a temporary table."""

    connection: Connection
    table: str
    columns: tuple[str, ...]
    waiting: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, *row: Any) -> None:
        self.waiting.append(row)
        if len(self.waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        driver = self.connection.connection.driver_connection
        assert driver is not None
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {self.table} ({', '.join(self.columns)}) FROM STDIN") as copy,
        ):
            for row in self.waiting:
                copy.write_row(row)
        self.waiting.clear()


def create_tables(connection: Connection) -> None:
    for statement in _TABLES:
        connection.execute(text(statement))


class Stager:
    """One pass over one document."""

    def __init__(
        self, world: World, connection: Connection, tenant: TenantRef, problems: Problems, progress: Progress
    ) -> None:
        self._world, self._connection, self._tenant = world, connection, tenant
        self._problems, self._progress = problems, progress
        self._objects = _Rows(
            connection, "staged", ("kind", "position", "line", "key", "name", "doc", "secret", "lines")
        )
        columns = ("relation", "owner", "position", "line", "field", "value", "key", "target", "number")
        self._references = _Rows(connection, "staged_references", columns)
        self._lists = _Rows(connection, "staged_lists", ("relation", "owner"))
        self._position = 0
        self._environment: Mapping[str, str] | None = None

    def stage(self, document: Document) -> Staged:
        """Everything of the document into the temporary tables; what is wrong with single items to the problems."""
        self._environment = document.environment
        reader = Reader(document, self._problems)
        staged = Staged(reader.written)
        size = document.size()
        for count, item in enumerate(reader.items()):
            if count % 500 == 0:
                self._progress("reading", reader.position, size)
            if item.section == "settings":
                staged.settings = self._settings(item)
            elif item.section == "simulation":
                staged.simulation = self._simulation(item)
            elif item.section == "tenant":
                self._tenant_name(item)
            else:
                staged.counts[item.section] = staged.counts.get(item.section, 0) + 1
                self._entry(item)
        self._progress("reading", size, size)
        self._default_sites(staged)
        for rows in (self._objects, self._references, self._lists):
            rows.flush()
        for statement in _INDEXES:
            self._connection.execute(text(statement))
        return staged

    # --- the tenant itself --------------------------------------------------------------------------

    def _tenant_name(self, item: Item) -> None:
        try:
            check_name("tenant", item.value, longest=120)
        except Refused as refused:
            self._problems.refused(item.lines.line, "tenant", refused)

    def _settings(self, item: Item) -> dict[str, Any] | None:
        given = {k: v for k, v in item.value.items() if v is not None}
        try:
            TenantSettings.model_validate(given, strict=True)
        except ValidationError as invalid:
            self._invalid(item, list(TenantSettings.model_fields), invalid)
            return None
        return given

    def _simulation(self, item: Item) -> Simulation | None:
        try:
            simulation = Simulation.model_validate(item.value)
        except ValidationError as invalid:
            self._invalid(item, known_names(Simulation), invalid)
            return None
        for reference in simulation.references():
            self._refer(item, "", reference)
        return simulation

    def _default_sites(self, staged: Staged) -> None:
        """A tenant without any gets a simulated one per region group."""
        exists = text("SELECT EXISTS (SELECT 1 FROM sites WHERE tenant_id = :tenant)")
        if "sites" in staged.written or self._connection.execute(exists, {"tenant": self._tenant.id}).scalar_one():
            return
        for name, region, group in default_sites():
            site = {"name": name, "regionGroup": group, "regionName": region}
            self._objects.add("sites", self._next(), 0, name.lower(), name, json.dumps(site), None, "{}")

    # --- objects --------------------------------------------------------------------------------------

    def _entry(self, item: Item) -> None:
        model = MODELS[item.section]
        try:
            entry = model.model_validate(item.value)
        except ValidationError as invalid:
            self._invalid(item, known_names(model), invalid)
            self._stage_invalid(item, salvage(model, item.value))
            return
        key = entry.name.lower()
        if item.section != "licenses":
            secret = self._secret(item, entry, key) if isinstance(entry, _WITH_SECRET) else None
            if isinstance(entry, Site):
                self._check_site(item, entry)
            lines = json.dumps(_flat(item)) if item.section in _SMALL else None
            row = (
                item.section,
                self._next(),
                item.lines.line,
                key,
                entry.name,
                json.dumps(entry.given()),
                secret,
                lines,
            )
            self._objects.add(*row)
        for relation in entry.listed():
            self._lists.add(relation, key)
        for reference in entry.references():
            self._refer(item, key, reference)

    def _stage_invalid(self, item: Item, entry: Entry) -> None:
        name = getattr(entry, "name", None) if _has_name(entry) else None
        if name is None:
            return
        if item.section != "licenses":
            policy = item.section == "provisioningPolicies"
            doc = entry.given() if policy and "domain_join_configurations" in entry.model_fields_set else {}
            lines = json.dumps({**_flat(item), "invalid": True})
            self._objects.add(
                item.section, self._next(), item.lines.line, name.lower(), name, json.dumps(doc), None, lines
            )
        for reference in entry.references():
            self._refer(item, name.lower(), reference)

    def _refer(self, item: Item, owner: str, reference: Reference) -> None:
        place = _field(item, reference.path)
        self._references.add(
            reference.relation,
            owner,
            self._next(),
            item.lines.at(*reference.path),
            place,
            reference.name,
            reference.name.lower(),
            reference.target,
            reference.number,
        )

    def _check_site(self, item: Item, site: Site) -> None:
        values = {"name": site.name, **with_companions(site.compute, site.directory, site.management)}
        try:
            check_providers(self._world.database, self._tenant, values)
        except Refused as refused:
            path = tuple(refused.field.split("."))
            self._problems.refused(item.lines.at(*path), f"{item.where}.{refused.field}", refused)
        except (TypeError, ValueError, AttributeError) as unclear:
            # A provider's configuration is free in form, and what it makes of nonsense is its own.
            self._problems.add(
                item.lines.line, item.where, None, f"has a configuration its provider cannot read: {unclear}"
            )

    def _secret(self, item: Item, entry: NetworkConnection | Domain | IdentityProvider, key: str) -> bytes | None:
        """The password, encrypted, where it differs from the one kept. It never reaches the database in clear."""
        name = KINDS[item.section].secret
        line, place = item.lines.at(name), f"{item.where}.{name}"
        kept = self._connection.execute(
            _PASSWORDS[item.section], {"tenant": self._tenant.id, "key": key}
        ).scalar_one_or_none()
        if isinstance(entry, Domain):
            given, needed, what_for = entry.password, True, "read the domain"
        elif isinstance(entry, IdentityProvider):  # a public client has none
            given, needed, what_for = entry.client_secret, entry.client_secret is not None, ""
        else:
            given, needed = entry.ad_domain_password, entry.connection_type == "hybridAzureADJoin"
            what_for = "join computers to the domain"
        if given is None:
            if needed and kept is None:
                self._problems.add(line, place, None, f"is needed to {what_for}: {{env: NAME}}")
            return None
        if not needed:
            self._problems.add(line, place, None, "belongs to connections of type hybridAzureADJoin only")
            return None
        environment = self._environment
        plain = (os.environ if environment is None else environment).get(given.env)
        if not plain and environment is not None:
            if kept is None:
                self._problems.add(line, place, given.env, "was not sent with the document, which needs it")
            return None
        if not plain:
            self._problems.add(line, place, given.env, f"the environment variable {given.env} is not set")
            return None
        if kept is not None and self._world.secrets.decrypt(bytes(kept)) == plain:
            return None
        return self._world.secrets.encrypt(plain)

    # --- what is wrong --------------------------------------------------------------------------------

    def _invalid(self, item: Item, known: list[str], invalid: ValidationError) -> None:
        for error in invalid.errors(include_url=False):
            path = tuple(part for part in error["loc"] if isinstance(part, str | int))
            rule = explain_error(dict(error))
            if error["type"] == "extra_forbidden":
                rule = self._unknown(item, path, known)
            plain = error["input"] if isinstance(error["input"], str | int | float) else None
            value = (
                None
                if {"adDomainPassword", "password", "clientSecret"} & set(path) or error["type"] == "missing"
                else plain
            )
            self._problems.add(item.lines.at(*path), _field(item, path), value, rule)

    def _unknown(self, item: Item, path: tuple[str | int, ...], known: list[str]) -> str:
        name = str(path[-1])
        if len(path) == 1 and name in known:
            return "means the same as another property that is written; write one of them"
        return "is no property" + (nearest(name, known) if len(path) == 1 else " of this object")

    def _next(self) -> int:
        self._position += 1
        return self._position


def _has_name(entry: Entry) -> bool:
    """Whether the property that holds the name could be read: what was salvaged lacks what it lacks."""
    return bool(entry.model_fields_set & {"display_name", "user_principal_name", "service_plan"})


def _field(item: Item, path: tuple[str | int, ...]) -> str:
    return item.where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _flat(item: Item) -> dict[str, Any]:
    """The lines of the fields that checks between objects look at, and where the item stands."""
    found: dict[str, Any] = {"where": item.where}
    for name in item.value:
        found[name] = item.lines.at(name)
    joins = item.value.get("domainJoinConfigurations")
    for index in range(len(joins) if isinstance(joins, list) else 0):
        found[f"domainJoinConfigurations.{index}"] = item.lines.at("domainJoinConfigurations", index)
    return found
