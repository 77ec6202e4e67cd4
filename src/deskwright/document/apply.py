"""`plan` and `apply`: one path through one transaction, which a plan takes back at the end.

The document is staged into temporary tables, checked as a whole, compared with the tenant as sets,
  and only what differs
is written. So what `plan` shows is what `apply` does, and applying twice changes nothing the second time.
"""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from deskwright.document import prune as pruning
from deskwright.document import synchronised
from deskwright.document.checks import Checks
from deskwright.document.problems import Problems
from deskwright.document.reader import Reader
from deskwright.document.result import PlanResult, SavedPlan
from deskwright.document.source import Document
from deskwright.document.stage import Progress, Stager, create_tables
from deskwright.document.summary import summarise
from deskwright.document.write import Counts, start_what_can, write_objects
from deskwright.document.write_lists import mark_touched, write_lists
from deskwright.document.write_tenant import create_tenant, write_tenant
from deskwright.domain.rules import Refused
from deskwright.operations import last_administrator
from deskwright.operations.change import Change, TenantRef, change
from deskwright.provision.context import World

_FIND = text("SELECT id, name, revision FROM tenants WHERE lower(name) = lower(:name)")
_REVISION = text("SELECT revision FROM tenants WHERE id = :id")
NEW = -1
"""The revision of a tenant that does not exist yet."""


def _silent(stage: str, done: int, total: int | None) -> None:
    """No progress is shown."""


def plan(
    world: World,
    source: Document | Path,
    actor: str,
    *,
    tenant: TenantRef | None = None,
    prune: bool = False,
    progress: Progress = _silent,
) -> PlanResult:
    """What `apply` would do, exactly; nothing is changed. Raises DocumentProblems."""
    return _Run(world, _document(source), actor, tenant, prune, progress).go(confirmed=True, dry_run=True)


def apply(
    world: World,
    source: Document | Path,
    actor: str,
    *,
    tenant: TenantRef | None = None,
    confirmed: bool = False,
    prune: bool = False,
    expected: SavedPlan | None = None,
    progress: Progress = _silent,
) -> PlanResult:
    """Make the tenant as the document says. Raises DocumentProblems or ConfirmationRequired (R13), changing nothing.

    `tenant`: the document must be about this one. `expected`: a plan; what has changed since is refused.
    """
    run = _Run(world, _document(source), actor, tenant, expected.prune if expected else prune, progress, expected)
    return run.go(confirmed=confirmed, dry_run=False)


def _document(source: Document | Path) -> Document:
    return Document.at(source) if isinstance(source, Path) else source


@dataclass
class _Run:
    world: World
    document: Document
    actor: str
    tenant: TenantRef | None
    prune: bool
    progress: Progress
    expected: SavedPlan | None = None

    def go(self, *, confirmed: bool, dry_run: bool) -> PlanResult:
        sha256 = self.document.sha256()
        if self.expected and self.expected.sha256 != sha256:
            raise Refused(
                "plan", self.document.name, "the document has changed since it was planned", remedy="Plan it again"
            )
        problems = Problems(self.document.name)
        tenant, known = self._tenant(problems)
        with change(self.world.database, tenant, self.actor, confirmed=confirmed, dry_run=dry_run) as opened:
            revision = self._revision(opened, known)
            if not known and not create_tenant(opened.connection, tenant):
                rule = "somebody else has just made a tenant of that name"
                raise Refused("tenant", tenant.name, rule, remedy="Run it again")
            result = PlanResult(
                tenant.name, str(tenant.id), not known, revision, sha256, self.document.name, self.prune
            )
            self._write(opened, result, problems)
        return result

    def _tenant(self, problems: Problems) -> tuple[TenantRef, bool]:
        """The tenant the document is about, and whether it exists."""
        named = (Reader(self.document, Problems(self.document.name)).tenant() or "").strip()
        if self.tenant is not None:
            if named and named.lower() != self.tenant.name.lower():
                problems.add(0, "tenant", named, f"this document is for another tenant than {self.tenant.name}")
            return self.tenant, True
        if not named:
            return TenantRef(uuid4(), f"(no name) {uuid4()}"), False
        with self.world.database.single.connect() as connection:
            row = connection.execute(_FIND, {"name": named}).one_or_none()
        return (TenantRef(uuid4(), named), False) if row is None else (TenantRef(row.id, row.name), True)

    def _revision(self, opened: Change, known: bool) -> int:
        revision = opened.connection.execute(_REVISION, {"id": opened.tenant.id}).scalar_one() if known else NEW
        if self.expected and (self.expected.revision != revision or self.expected.tenant != opened.tenant.name):
            rule = f"the tenant has changed since it was planned (revision {self.expected.revision}, now {revision})"
            raise Refused("plan", opened.tenant.name, rule, remedy="Plan it again")
        return int(revision)

    def _write(self, opened: Change, result: PlanResult, problems: Problems) -> None:
        create_tables(opened.connection)
        staged = Stager(self.world, opened.connection, opened.tenant, problems, self.progress).stage(self.document)
        readable = all(p.field != "YAML" for p in problems.found)
        if self.tenant is None and "tenant" not in staged.written and readable:
            problems.add(0, "tenant", None, "is required: the name of the tenant this document is about")
        elif readable:
            # Without the tenant, or with half of the document, every name that is not found would be called wrong.
            self.progress("checking", 0, None)
            Checks(opened.connection, opened.tenant, staged, self.prune, problems).run()
        problems.raise_any()

        self.progress("writing", 0, None)
        written = staged.written if self.prune else {}
        counts = Counts()
        write_tenant(opened, staged, result.creates_tenant, counts)
        with last_administrator.kept(opened.connection, opened.tenant, self.actor, field="document"):
            write_objects(opened, counts)
            pruning.prune_people_and_policies(opened, written, counts)
            pruning.empty_unnamed_licences(opened, written)
            write_lists(opened, counts)
        synchronised.refuse(opened, problems)
        result.notes = pruning.prune_the_rest(opened, written, counts, problems)
        problems.raise_any()

        result.counts = counts.by_kind
        result.touched = mark_touched(opened)
        self.progress("deciding", 0, result.touched)
        summarise(self.world, opened, result, self.progress)
        self.progress("deciding", result.touched, result.touched)
        start_what_can(opened)


__all__ = ["Document", "PlanResult", "SavedPlan", "apply", "plan"]
