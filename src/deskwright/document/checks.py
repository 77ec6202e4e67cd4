"""Rules between the objects of a document, and between it and the tenant. Many objects are compared as sets, by SQL;
of sites, connections, images and policies there are few, and their rules are easier read as code."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, text

from deskwright.document.kinds import KINDS, SEPARATOR
from deskwright.document.model_policies import DEFAULTS
from deskwright.document.problems import SHOWN, Problems
from deskwright.document.reader import nearest
from deskwright.document.stage import Staged
from deskwright.domain.images import GALLERY
from deskwright.domain.rules import Refused
from deskwright.operations.change import TenantRef
from deskwright.operations.connection_rules import check_properties
from deskwright.operations.domain_fields import PROPERTIES, broken_rules

AUTOMATIC = "automatic"
_WORDS = {section: kind.word for section, kind in KINDS.items()}

_DUPLICATES = text(
    f"""
    SELECT d.*, count(*) OVER () AS total FROM (
      SELECT kind, name, line, position, first_value(line) OVER w AS first_line, row_number() OVER w AS nth
        FROM staged WINDOW w AS (PARTITION BY kind, key ORDER BY position)) d
     WHERE d.nth > 1 ORDER BY d.position LIMIT {SHOWN}
    """
)
# A name must be a staged object's, or one of the tenant's that this document does not remove.
_UNKNOWN = """
    SELECT r.line, r.field, r.value, count(*) OVER () AS total FROM staged_references r
     WHERE r.target = :target AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.kind = r.target AND s.key = r.key)
       AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.tenant_id = :tenant AND {live} AND {key} = r.key
                        AND NOT (:removed AND {own}))
     ORDER BY r.position LIMIT {shown}
"""
_KNOWN_NAMES = """
    SELECT name FROM staged WHERE kind = :target UNION
    SELECT {name} FROM {table} t WHERE t.tenant_id = :tenant AND {live} AND NOT (:removed AND {own})
     ORDER BY 1 LIMIT 500
"""
# E4: a number is given once and never changes.
_NUMBER_TWICE = text(
    f"""
    SELECT d.*, count(*) OVER () AS total FROM (
      SELECT line, field, number, position, first_value(line) OVER w AS first_line, row_number() OVER w AS nth
        FROM staged_references WHERE number IS NOT NULL WINDOW w AS (PARTITION BY number ORDER BY position)) d
     WHERE d.nth > 1 ORDER BY d.position LIMIT {SHOWN}
    """
)
_NUMBER_CHANGED = text(
    f"""
    SELECT r.line, r.field, r.number, a.number AS has, count(*) OVER () AS total
      FROM staged_references r JOIN policies p ON p.tenant_id = :tenant AND lower(p.display_name) = r.owner
      JOIN groups g ON g.tenant_id = :tenant AND lower(g.display_name) = r.key
      JOIN policy_assignments a ON a.policy_id = p.id AND a.group_id = g.id
     WHERE r.relation = 'policyAssignments' AND r.number <> a.number ORDER BY r.position LIMIT {SHOWN}
    """
)
_NUMBER_TAKEN = text(
    f"""
    SELECT r.line, r.field, r.number, p.display_name AS policy, g.display_name AS group_name, count(*) OVER () AS total
      FROM staged_references r JOIN policy_assignments a ON a.tenant_id = :tenant AND a.number = r.number
      JOIN policies p ON p.id = a.policy_id JOIN groups g ON g.id = a.group_id
     WHERE r.relation = 'policyAssignments' AND (lower(p.display_name), lower(g.display_name)) <> (r.owner, r.key)
       AND NOT (EXISTS (SELECT 1 FROM staged_lists l WHERE l.relation = r.relation AND l.owner = lower(p.display_name))
                AND NOT EXISTS (SELECT 1 FROM staged_references o WHERE o.relation = r.relation
                                 AND o.owner = lower(p.display_name) AND o.key = lower(g.display_name)))
       AND NOT (:policies_pruned AND NOT EXISTS
                (SELECT 1 FROM staged s WHERE s.kind = 'provisioningPolicies' AND s.key = lower(p.display_name)))
       AND NOT (:groups_pruned AND NOT EXISTS
                (SELECT 1 FROM staged s WHERE s.kind = 'groups' AND s.key = lower(g.display_name)))
     ORDER BY r.position LIMIT {SHOWN}
    """
)
_SITE_HISTORY = text(
    """
    SELECT s.name, s.compute->>'kind' AS compute, s.directory->>'kind' AS directory, s.management->>'kind' AS management
      FROM sites s WHERE s.tenant_id = :tenant AND EXISTS (SELECT 1 FROM ledger l WHERE l.site_id = s.id)
    """
)
_FAILED_CONNECTIONS = text(
    "SELECT lower(display_name) FROM connections WHERE tenant_id = :tenant AND health_status = 'failed'"
)
_USED_CONNECTIONS = text(
    """
    SELECT lower(k.display_name) FROM connections k WHERE k.tenant_id = :tenant AND (
      EXISTS (SELECT 1 FROM policy_connections pc WHERE pc.connection_id = k.id)
      OR EXISTS (SELECT 1 FROM cloud_pcs c WHERE c.connection_id = k.id AND c.status <> 'gone')
      OR EXISTS (SELECT 1 FROM activedirectory.computer_accounts a
        WHERE a.connection_id = k.id AND a.released_at IS NULL))
    """
)


@dataclass
class _Ground:
    """The sites, connections and images there will be: the document's, and the tenant's that stay."""

    sites: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    connections: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    images: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Name -> site -> the name as it is written."""
    invalid: set[tuple[str, str]] = field(default_factory=set)
    """(kind, key) of what is in the document, but wrong: who names it makes no mistake of his own."""

    def site(self, name: str) -> Mapping[str, Any]:
        """The site of that name, or the only one of that region. Refused where there is none, or several."""
        if (found := self.sites.get(name.lower())) is not None:
            return found
        there = [s for s in self.sites.values() if str(s["regionName"]).lower() == name.lower()]
        if len(there) == 1:
            return there[0]
        if there:
            raise Refused(
                "region", name, f"several sites are there, name one of: {', '.join(s['name'] for s in there)}"
            )
        raise Refused("region", name, f"is no site or region of this tenant{nearest(name, [*self.names()])}")

    def names(self) -> Iterator[str]:
        for site in self.sites.values():
            yield from dict.fromkeys((site["name"], site["regionName"]))

    def in_group(self, group: str, region: str) -> list[Mapping[str, Any]]:
        return [
            s
            for s in self.sites.values()
            if s["regionGroup"] == group and region in (AUTOMATIC, s["name"], s["regionName"])
        ]


class Checks:
    """Everything that can be said before anything is written."""

    def __init__(
        self, connection: Connection, tenant: TenantRef, staged: Staged, prune: bool, problems: Problems
    ) -> None:
        self._connection, self._tenant, self._problems = connection, tenant, problems
        self._pruned = frozenset(staged.written) if prune else frozenset()
        self._of = {"tenant": tenant.id}

    def run(self) -> None:
        self._duplicates()
        for section in ("users", "groups", "servicePlans", "provisioningPolicies"):
            self._unknown(section)
        self._numbers()
        ground = self._ground()
        self._sites()
        self._domains()
        self._connections(ground)
        self._images(ground)
        self._policies(ground)

    # --- as sets --------------------------------------------------------------------------------------

    def _duplicates(self) -> None:
        # Images are named by version and site as well, see `_images`.
        for row in self._counted(self._connection.execute(_DUPLICATES).all()):
            if row.kind != "deviceImages":
                field = {
                    "users": "userPrincipalName",
                    "sites": "name",
                    "domains": "domainName",
                    "roleGroups": "group",
                }.get(row.kind, "displayName")
                rule = f"the {_WORDS[row.kind]} is written twice, first in line {row.first_line}"
                self._problems.add(row.line, f"{row.kind}.{field}", row.name, rule)

    def _unknown(self, section: str) -> None:
        kind = KINDS[section]
        parts = {
            "table": kind.table,
            "live": kind.live,
            "own": kind.own,
            "key": kind.key,
            "name": kind.name,
            "shown": SHOWN,
        }
        values = {**self._of, "target": section, "removed": section in self._pruned}
        rows = self._connection.execute(text(_UNKNOWN.format(**parts)), values).all()
        if not rows:
            return
        known = list(self._connection.execute(text(_KNOWN_NAMES.format(**parts)), values).scalars())
        for row in self._counted(rows):
            hint = nearest(row.value, known)
            rule = f"no {kind.word} of that name" + (hint if "did you mean" in hint else "")
            self._problems.add(row.line, row.field, row.value, rule)

    def _numbers(self) -> None:
        pruned = {
            "policies_pruned": "provisioningPolicies" in self._pruned,
            "groups_pruned": "groups" in self._pruned,
        }
        for row in self._counted(self._connection.execute(_NUMBER_TWICE).all()):
            self._number(row, f"is given twice, first in line {row.first_line}")
        for row in self._counted(self._connection.execute(_NUMBER_CHANGED, self._of).all()):
            self._number(row, f"is assigned already with number {row.has}, and an assignment keeps its number")
        for row in self._counted(self._connection.execute(_NUMBER_TAKEN, {**self._of, **pruned}).all()):
            self._number(row, f"is taken by policy '{row.policy}' for group '{row.group_name}'")

    def _counted(self, rows: "Sequence[Row[Any]]") -> "Sequence[Row[Any]]":
        """A check reads as many rows as are shown; the rest of its `total` is only counted."""
        self._problems.count += rows[0].total - len(rows) if rows else 0
        return rows

    def _number(self, row: "Row[Any]", rule: str) -> None:
        self._problems.add(row.line, f"{row.field}.number", row.number, rule)

    # --- one by one -----------------------------------------------------------------------------------

    def _rows(self, section: str, *, invalid: bool = False) -> "list[Row[Any]]":
        """The document's objects of a kind; those that could be read only in part just where that is enough."""
        query = """SELECT position, line, key, name, doc, lines FROM staged
            WHERE kind = :kind AND (:all OR NOT lines ? 'invalid') ORDER BY position"""
        return list(self._connection.execute(text(query), {"kind": section, "all": invalid}).all())

    def _existing(self, section: str) -> dict[str, dict[str, Any]]:
        kind = KINDS[section]
        query = f"SELECT {kind.key} AS key, {kind.document} AS doc FROM {kind.table} t WHERE t.tenant_id = :tenant"
        return {row.key: row.doc for row in self._connection.execute(text(query), self._of)}

    def _both(self, section: str) -> Iterator[dict[str, Any]]:
        """The tenant's objects of a kind that stay, then the document's, each completed from the tenant's."""
        existing = self._existing(section)
        if section not in self._pruned:
            yield from existing.values()
        for row in self._rows(section):
            yield {**existing.get(row.key, {}), **row.doc}

    def _ground(self) -> _Ground:
        ground = _Ground()
        for site in self._both("sites"):
            ground.sites[site["name"].lower()] = {"regionName": site["name"], **site}
        query = text("SELECT kind, key FROM staged WHERE lines ? 'invalid'")
        ground.invalid = {(row.kind, row.key) for row in self._connection.execute(query)}
        return ground

    def _sites(self) -> None:
        """Only the provider that made what a site holds can clean up after it."""
        history = {row.name.lower(): row._mapping for row in self._connection.execute(_SITE_HISTORY, self._of)}
        for row in self._rows("sites"):
            for provider in ("compute", "directory", "management") if row.key in history else ():
                kind = row.doc.get(provider, {}).get("kind", "simulator")
                if provider in row.doc and kind != history[row.key][provider]:
                    rule = "cannot change: Cloud PCs were made here, and only that provider can clean up after them"
                    self._problem(row, provider, kind, rule)

    def _domains(self) -> None:
        existing = self._existing("domains")
        for row in self._rows("domains"):
            doc = {**DEFAULTS["domains"], **existing.get(row.key, {}), **row.doc}
            columns = {column: doc.get(name) for column, name in PROPERTIES.items()}
            for refused in broken_rules(columns):
                self._problem(row, refused.field, refused.value, refused.rule)

    def _connections(self, ground: _Ground) -> None:
        for row in self._rows("onPremisesConnections"):
            site = self._site(ground, row)
            if site is not None:
                self._rewrite(row, {**row.doc, "region": site["name"]})
        for connection in self._both("onPremisesConnections"):
            ground.connections[connection["displayName"].lower()] = connection
        existing = self._existing("onPremisesConnections")
        used = set(self._connection.execute(_USED_CONNECTIONS, self._of).scalars())
        for row in self._rows("onPremisesConnections"):
            self._connection_properties(row, ground.connections[row.key])
            if row.key in used and row.doc["region"].lower() != existing[row.key]["region"].lower():
                self._problem(row, "region", row.doc["region"], "can move to another site only while nothing uses it")

    def _connection_properties(self, row: "Row[Any]", doc: Mapping[str, Any]) -> None:
        columns = {
            "connection_type": doc["connectionType"],
            "subnet": doc["subnetId"],
            "ad_domain_name": doc.get("adDomainName"),
            "organizational_unit": doc.get("organizationalUnit"),
            "ad_domain_username": doc.get("adDomainUsername"),
        }
        try:
            # Whether the password is there was seen when it was read.
            check_properties(columns, has_password=doc["connectionType"] == "hybridAzureADJoin")
        except Refused as refused:
            self._problem(row, refused.field, refused.value, refused.rule)

    def _images(self, ground: _Ground) -> None:
        seen: dict[str, int] = {}
        existing = self._existing("deviceImages")
        for row in self._rows("deviceImages"):
            site = self._site(ground, row)
            if site is None:
                continue
            doc = {**row.doc, "region": site["name"]}
            key = self._image_key(doc)
            if key in seen:
                rule = f"version {doc['version']} at site {site['name']} is written twice, first in line {seen[key]}"
                self._problem(row, "displayName", row.name, rule)
            seen.setdefault(key, row.line)
            self._rewrite(row, doc, key)
            before = existing.get(key)
            if before is not None and before["source"] != doc["source"]:
                self._problem(
                    row, "source", None, f"version {doc['version']} has another source; give it a new version"
                )
        for image in self._both("deviceImages"):
            ground.images[image["displayName"].lower()][image["region"].lower()] = image["displayName"]

    @staticmethod
    def _image_key(doc: Mapping[str, Any]) -> str:
        return SEPARATOR.join((doc["displayName"], doc["version"], doc["region"])).lower()

    def _policies(self, ground: _Ground) -> None:
        failed = set(self._connection.execute(_FAILED_CONNECTIONS, self._of).scalars())
        before = self._existing("provisioningPolicies")
        today = self._connection.execute(text("SELECT tenant_now(:tenant)"), self._of).scalar_one().date()
        for row in self._rows("provisioningPolicies", invalid=True):
            joins = [dict(j) for j in row.doc.get("domainJoinConfigurations", ())]
            had = {j.get("onPremisesConnection") for j in before.get(row.key, {}).get("domainJoinConfigurations", ())}
            landing: list[str] = []
            for index, join in enumerate(joins):
                place = f"domainJoinConfigurations.{index}"
                if "onPremisesConnection" in join:
                    landing += self._of_connection(ground, row, place, join)
                    name = join["onPremisesConnection"]
                    if name.lower() in failed and name not in had:
                        rule = "isn't healthy, and can't be used by a policy until it is"
                        self._problem(row, f"{place}.onPremisesConnection", name, rule)
                else:
                    landing += self._of_region(ground, row, place, join)
            doc = {**row.doc, "domainJoinConfigurations": joins} if joins else dict(row.doc)
            image = row.doc.get("image", {})
            self._not_expired(row, image, before.get(row.key, {}).get("image"), today)
            device = image.get("device")
            if device is not None:
                doc["image"] = {"device": self._of_image(ground, row, device, landing)}
            self._rewrite(row, doc)

    def _not_expired(self, row: "Row[Any]", image: Mapping[str, str], had: Any, today: date) -> None:
        """An image a policy has already may expire under it; a new policy must not begin with one."""
        found = GALLERY.get(image.get("gallery", ""))
        if found and image != had and found.status_on(today) == "notSupported":
            self._problem(row, "image", found.id, f"is no longer supported: it expired on {found.expiration_date}")

    def _of_connection(self, ground: _Ground, row: "Row[Any]", place: str, join: dict[str, Any]) -> list[str]:
        name = join["onPremisesConnection"]
        found = ground.connections.get(name.lower())
        if ("onPremisesConnections", name.lower()) in ground.invalid:
            return []
        if found is None:
            known = [c["displayName"] for c in ground.connections.values()]
            self._problem(
                row, f"{place}.onPremisesConnection", name, f"no network connection of that name{nearest(name, known)}"
            )
            return []
        join["onPremisesConnection"] = found["displayName"]
        if found["connectionType"] != join["domainJoinType"]:
            rule = f"the policy's join type is {join['domainJoinType']}, the connection's is {found['connectionType']}"
            self._problem(row, f"{place}.onPremisesConnection", name, rule)
        return [found["region"]]

    def _of_region(self, ground: _Ground, row: "Row[Any]", place: str, join: dict[str, Any]) -> list[str]:
        region, group = join["regionName"], join["regionGroup"]
        if region.lower() == AUTOMATIC:
            join["regionName"] = AUTOMATIC
            sites = ground.in_group(group, AUTOMATIC)
            if not sites:
                there = ", ".join(sorted({s["regionGroup"] for s in ground.sites.values()}))
                self._problem(
                    row, f"{place}.regionGroup", group, f"this tenant has no site there; it has sites in: {there}"
                )
            return [s["name"] for s in sites]
        try:
            same = [s for s in ground.sites.values() if s["regionName"].lower() == region.lower()]
            named = ground.sites.get(region.lower())
            site = named or (same[0] if same else ground.site(region))
        except Refused as refused:
            if ("sites", region.lower()) not in ground.invalid:
                self._problem(row, f"{place}.regionName", region, refused.rule)
            return []
        if group is not None and site["regionGroup"] != group:
            self._problem(row, f"{place}.regionName", region, f"is in region group {site['regionGroup']}, not {group}")
        join["regionName"] = site["name"] if named else site["regionName"]
        join["regionGroup"] = site["regionGroup"]
        return [s["name"] for s in ground.in_group(join["regionGroup"], join["regionName"])]

    def _of_image(self, ground: _Ground, row: "Row[Any]", name: str, landing: list[str]) -> str:
        there = ground.images.get(name.lower())
        if ("deviceImages", name.lower()) in ground.invalid:
            return name
        if not there:
            known = [next(iter(names.values())) for names in ground.images.values()]
            self._problem(row, "image", name, f"no device image of that name{nearest(name, known)}")
            return name
        missing = sorted({site for site in landing if site.lower() not in there})
        if missing:
            rule = f"must be present at every site the policy can land on; it is missing at: {', '.join(missing)}"
            self._problem(row, "image", name, rule)
        return next(iter(there.values()))

    def _site(self, ground: _Ground, row: "Row[Any]") -> Mapping[str, Any] | None:
        try:
            return ground.site(row.doc["region"])
        except Refused as refused:
            if ("sites", row.doc["region"].lower()) not in ground.invalid:
                self._problem(row, "region", row.doc["region"], refused.rule)
            return None

    def _problem(self, row: "Row[Any]", field: str, value: Any, rule: str) -> None:
        head = ".".join(field.split(".")[:2]) if field.startswith("domainJoin") else field.split(".")[0]
        line = row.lines.get(head) or row.lines.get(head.split(".")[0]) or row.line
        where = row.lines.get("where", row.name)
        self._problems.add(line, f"{where}.{field}", value, rule)

    def _rewrite(self, row: "Row[Any]", doc: Mapping[str, Any], key: str | None = None) -> None:
        """The names of other objects as these are really written, so that only a real difference counts as one."""
        if (doc == row.doc and key is None) or "invalid" in row.lines:
            return
        query = text(
            "UPDATE staged SET doc = CAST(:doc AS jsonb), key = COALESCE(:key, key) WHERE position = :position"
        )
        self._connection.execute(query, {"doc": json.dumps(doc), "key": key, "position": row.position})
