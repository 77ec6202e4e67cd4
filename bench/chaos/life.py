"""What people go through in the cases, and where each of them is when something dies.

Everybody has a *point*: for whoever is provisioned a step of the pipeline, so that one death meets every step at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from bench.chaos.field import Field
from bench.chaos.worker import END_OF_GRACE, IMAGE, RELEASE
from deskwright.domain.resources import Kind
from deskwright.domain.status import Status
from deskwright.operations import cloud_pcs, images
from deskwright.provision.pipeline import PIPELINE, Stage
from tests.company import PLAN

ACTOR = "chaos"
MOMENTS = ("before", "inside", "after")
# These are other steps where a domain is joined.
_HYBRID = tuple(step.id for step in PIPELINE if step.stage is Stage.CORE)
_RELEASED = (Kind.CAPACITY, Kind.VM, Kind.DISK, Kind.NIC, Kind.DEVICE, Kind.COMPUTER_ACCOUNT, Kind.MANAGED_DEVICE)
Points = dict[str, tuple[str, str]]


@dataclass
class Life:
    """Subjects with their points, who they are, and what must have become of them in the end."""

    points: Points = field(default_factory=dict)
    ends_as: dict[str, Status | None] = field(default_factory=dict)
    """User -> the status of their Cloud PC; None: it is gone."""
    images: list[str] = field(default_factory=list)
    begun: Callable[[], set[str]] = set
    """First call: the subjects that have nothing left to be taken up. Later ones: those taken up since then."""


def people(company_field: Field, steps: tuple[str, ...] | None = None) -> dict[str, str]:
    """A company with one person for each step, joining Entra, and one for each core step, joining a domain."""
    company = company_field.company
    company.basics()
    company.connection("HQ")
    company.group("Domain")
    company.policy("In the domain", connections=("HQ",))
    company.license_group(PLAN, "Domain")
    company.assign("In the domain", "Domain")
    ids = [step.id for step in PIPELINE if steps is None or step.id in steps]
    found = {f"entra-{step}".lower(): step for step in ids}
    found |= {f"domain-{step}".lower(): step for step in ids if step in _HYBRID}
    for name in found:
        company.user(name)
    return found


def join(company_field: Field, names: list[str]) -> None:
    for name in names:
        company_field.company.join(name, "Domain" if name.startswith("domain") else "Sales")


def provision(at: Field, moment: str, steps: tuple[str, ...] | None = None) -> Life:
    """Everybody's first Cloud PC."""
    everybody = people(at, steps)
    join(at, list(everybody))
    return _runs(at, everybody, moment)


def reprovision(at: Field, moment: str, steps: tuple[str, ...] | None = None) -> Life:
    """Everybody has one, and it is made anew."""
    everybody = people(at, steps)
    join(at, list(everybody))
    at.company.settle()
    for name in everybody:
        cloud_pcs.reprovision(at.company.world, at.company.tenant, ACTOR, f"{name}@{at.company.tenant.name}")
    return _runs(at, everybody, moment)


def _runs(at: Field, everybody: dict[str, str], moment: str) -> Life:
    points = {name: (step, moment) for name, step in everybody.items()}
    return Life(points, dict.fromkeys(everybody, Status.PROVISIONED), begun=_taken_over(at))


def _taken_over(at: Field) -> Callable[[], set[str]]:
    """Whose run was taken since the first call. One that had ended by then had nothing left to be taken up."""
    leases: dict[UUID, int] = {}

    def taken() -> set[str]:
        rows = at.company.sql(
            "SELECT r.id, r.lease, r.state, split_part(u.user_principal_name, '@', 1) AS name FROM runs r "
            "JOIN cloud_pcs c ON c.id = r.cloud_pc_id JOIN users u ON u.id = c.user_id WHERE r.tenant_id = :tenant "
            "AND r.number = (SELECT max(number) FROM runs WHERE cloud_pc_id = c.id)"
        )
        if not leases:
            leases.update({row.id: row.lease for row in rows})
            return {row.name for row in rows if row.state != "active"}
        return {row.name for row in rows if row.lease > leases.get(row.id, 0)}

    return taken


def endings(at: Field, moment: str, _steps: tuple[str, ...] | None = None) -> Life:
    """Grace periods that end, clean-ups of every kind of object, and an image that is built."""
    company = at.company
    people(at, ())
    leaving, cleaning = [f"entra-grace-{n}" for n in range(3)], [f"domain-{kind}".lower() for kind in _RELEASED]
    for name in (*leaving, *cleaning):
        company.user(name)
    join(at, [*leaving, *cleaning])
    company.settle()
    for name in leaving:
        company.leave(name, "Sales")
    for name in cleaning:
        company.leave(name, "Domain", confirmed=True)
    company.settle()
    ids = {name: str(company.pc(name).id) for name in (*leaving, *cleaning)}
    company.sql("UPDATE tenants SET clock_offset = clock_offset + 6 * 86400 WHERE id = :tenant")
    for name in cleaning:
        cloud_pcs.end_grace(company.world, company.tenant, ACTOR, ids[name])
    # Everything is due at once: the ends of grace, the machines, and what stays three hours longer.
    company.sql("UPDATE tenants SET clock_offset = clock_offset + 2 * 86400 WHERE id = :tenant")
    image = images.create(
        company.world.database,
        company.tenant,
        ACTOR,
        display_name="Finance",
        version="1.0.0",
        region="site-a",
        source={"gallery": "debian-12-desktop"},
    )
    points: Points = {ids[name]: (END_OF_GRACE, moment) for name in leaving}
    points |= {ids[name]: (f"{RELEASE} {kind}", moment) for name, kind in zip(cleaning, _RELEASED, strict=True)}
    points[str(image["id"])] = (IMAGE, moment)
    ends: dict[str, Status | None] = dict.fromkeys((*leaving, *cleaning))
    return Life(points, ends, [str(image["id"])], begun=_ended(at))


def _ended(at: Field) -> Callable[[], set[str]]:
    def ended() -> set[str]:
        gone = at.company.sql("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND status = 'gone'")
        ready = at.company.sql("SELECT id FROM device_images WHERE tenant_id = :tenant AND status = 'ready'")
        return {str(row.id) for row in (*gone, *ready)}

    return ended


LIVES: dict[str, Callable[[Field, str, tuple[str, ...] | None], Life]] = {
    "provision": provision,
    "reprovision": reprovision,
    "grace end, clean-up, image": endings,
    # A domain's synchronisation comes here: its people, and its point in `worker`.
}
