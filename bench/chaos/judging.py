"""What was lost, doubled or leaked: by the rows, and by what the providers really have."""

from collections import Counter
from dataclasses import dataclass, field

from bench.chaos.field import Field
from bench.chaos.life import Life
from deskwright.domain.resources import Kind
from deskwright.domain.status import Status
from deskwright.provision.pipeline import PIPELINE
from tests.company import Company

_ONE_EACH = {Kind.CAPACITY: 1, Kind.VM: 1, Kind.DISK: 1, Kind.NIC: 1, Kind.DEVICE: 1, Kind.MANAGED_DEVICE: 1}
_USABLE = (Status.PROVISIONED, Status.WARNINGS)


@dataclass
class Judgement:
    lost: list[str] = field(default_factory=list)
    """Who is not what they should be."""
    doubled: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    """What the providers have and nobody answers for, or the other way round."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.leaked)


def is_over(at: Field, life: Life) -> bool:
    """Whether everybody is what they should be, and every image is ready."""
    statuses = _statuses(at.company)
    ready = {str(r.id) for r in at.company.sql("SELECT id FROM device_images WHERE status = 'ready'")}
    return (
        all(statuses.get(name, []) == _expected(status) for name, status in life.ends_as.items())
        and set(life.images) <= ready
    )


def judge(at: Field, life: Life) -> Judgement:
    """After the last clean-up is due, and ledger and inventory have been compared."""
    company, found = at.company, Judgement()
    company.sql("UPDATE tenants SET next_inventory_at = tenant_now(id) WHERE id = :tenant")
    company.settle()
    company.sql("UPDATE tenants SET clock_offset = clock_offset + 4 * 3600 WHERE id = :tenant")
    company.sql("UPDATE tenants SET next_inventory_at = tenant_now(id) WHERE id = :tenant")
    company.settle()
    statuses = _statuses(company)
    for name, status in life.ends_as.items():
        have = statuses.get(name, [])
        if have != _expected(status):
            (found.doubled if len(have) > 1 else found.lost).append(f"{name}: {have}, not {status}")
    for (run,) in company.sql("SELECT id FROM runs WHERE tenant_id = :tenant AND state = 'active'"):
        found.lost.append(f"run {run} has not ended")
    for image in life.images:
        ((status,),) = company.sql("SELECT status FROM device_images WHERE id = CAST(:id AS uuid)", id=image)
        if status != "ready":
            found.lost.append(f"image {image} is {status}")
    _objects(company, life, found)
    _steps(company, found)
    return found


def _expected(status: Status | None) -> list[str]:
    return [] if status is None else [str(status)]


def _statuses(company: Company) -> dict[str, list[str]]:
    rows = company.sql(
        "SELECT split_part(u.user_principal_name, '@', 1) AS name, array_agg(c.status) AS statuses FROM cloud_pcs c "
        "JOIN users u ON u.id = c.user_id WHERE c.tenant_id = :tenant AND c.status <> 'gone' GROUP BY 1"
    )
    return {row.name: list(row.statuses) for row in rows}


def _objects(company: Company, life: Life, found: Judgement) -> None:
    found.leaked += sorted(company.leaks())
    found.leaked += [f"stranger {s.name}" for s in company.sql("SELECT name FROM strangers WHERE tenant_id = :tenant")]
    rows = company.sql(
        "SELECT c.id, split_part(u.user_principal_name, '@', 1) AS name, c.status FROM cloud_pcs c "
        "JOIN users u ON u.id = c.user_id WHERE c.tenant_id = :tenant"
    )
    have: dict[str, Counter[str]] = {str(row.id): Counter() for row in rows}
    for key, kind in company.inventory().items():
        have.setdefault(key.split(":")[1], Counter())[kind] += 1
    for row in rows:
        if row.name not in life.ends_as:
            continue
        things = have[str(row.id)]
        things.pop(Kind.COMPUTER_ACCOUNT, None)  # of a former machine it is disabled, and stays (L3)
        wanted = Counter({str(kind): n for kind, n in _ONE_EACH.items()}) if row.status in _USABLE else Counter()
        if more := things - wanted:
            found.doubled.append(f"{row.name} has more: {dict(more)}")
        if fewer := wanted - things:
            found.lost.append(f"{row.name} lacks: {dict(fewer)}")


def _steps(company: Company, found: Judgement) -> None:
    """V4: the rows of every run that succeeded tell of each step, once and ended."""
    ids = [step.id for step in PIPELINE]
    rows = company.sql(
        "SELECT r.id, array_agg(s.step ORDER BY array_position(CAST(:steps AS text[]), s.step)) AS steps, "
        "count(*) FILTER (WHERE s.ended_at IS NULL) AS open FROM runs r JOIN steps s ON s.run_id = r.id "
        "WHERE r.tenant_id = :tenant AND r.state = 'succeeded' AND r.kind IN ('provision', 'reprovision') "
        "AND s.attempt = (SELECT max(attempt) FROM steps WHERE run_id = r.id) GROUP BY r.id",
        steps=ids,
    )
    found.lost += [f"run {r.id}: steps {r.steps}, {r.open} open" for r in rows if list(r.steps) != ids or r.open]
