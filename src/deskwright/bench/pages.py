"""How quickly the admin center's pages come: signed in, over loopback, from a service in a process of its own."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from sqlalchemy import text

from deskwright.bench import companies
from deskwright.bench.client import Connection, timed
from deskwright.bench.companies import Company
from deskwright.bench.ground import Server, process, until
from deskwright.bench.results import Part
from deskwright.identity import sessions
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import roles
from deskwright.serve import running
from deskwright.web.view import admin

FIRST_MILLISECONDS, LIST_MILLISECONDS, FIRST_KILOBYTES = 300.0, 150.0, 100.0
_STATIC = re.compile(rb"""(?:href|src)="(/static/[^"]+)\"""")
_FILTERS: dict[str, dict[str, str]] = {
    "everybody": {},
    "failed": {"status": "failed"},
    "pending": {"status": "pendingProvision"},
    "with warnings": {"status": "provisionedWithWarnings"},
    "by error": {"code": "joinDomainFailed"},
    "by warning": {"code": "diskAllocationError"},
    "waiting for a seat": {"waiting": "seat"},
    "grace ends soon": {"grace": "soon"},
    "by policy": {"policy": "Desktops"},
    "by a large plan": {"plan": companies.PLAN},
    "by a smaller plan": {"plan": companies.FULL_PLAN},
    "search that finds few": {"q": "user777"},
    "search that finds none": {"q": "nobody"},
}
_ORDERS = ("user", "device", "status", "plan", "policy", "since")


def pages(server: Server, tell: Callable[[str], None], *, cloud_pcs: int, requests: int, each: int) -> Part:
    """The first page, the list, and the list by every filter and order; each address a few times before it counts."""
    database = server.fresh()
    company = companies.found(database, newcomers=1)
    tell(f"pages: filling a tenant of {cloud_pcs:,} Cloud PCs")
    companies.populate(company, cloud_pcs)
    companies.disturb(company)
    cookie = f"deskwright-session={_session(company)}"
    with process(server, database, module="deskwright.bench.api_server") as serving:
        data = server.directory / "data"
        until(lambda: running(data) is not None or serving.poll() is not None)
        about = running(data)
        if about is None:
            raise RuntimeError("the service did not start")
        with Connection(about["url"], cookies=cookie) as connection:
            part = Part("pages", f"Admin center: {cloud_pcs:,} Cloud PCs")
            _measure(part, connection, company, tell, requests, each)
    server.drop(database)
    return part


def _measure(
    part: Part, connection: Connection, company: Company, tell: Callable[[str], None], requests: int, each: int
) -> None:
    first, listed = admin(company.tenant.name), admin(company.tenant.name, "cloud-pcs")
    _add(part, "first page", _taken(connection, first, requests), FIRST_MILLISECONDS)
    sent = connection.get(first)
    files = [connection.get(url.decode()) for url in dict.fromkeys(_STATIC.findall(sent))]
    part.add("  with what it loads", (len(sent) + sum(map(len, files))) / 1000, "kB", at_most=FIRST_KILOBYTES)
    _add(part, "list of Cloud PCs", _taken(connection, listed, requests), LIST_MILLISECONDS)
    slowest: list[tuple[float, list[float], str]] = []
    for name, wanted in _FILTERS.items():
        tell(f"pages: the list, {name}, in every order")
        for order in _ORDERS:
            for direction in ("", "desc"):
                query = urlencode({**wanted, "sort": order, **({"dir": direction} if direction else {})})
                taken = _taken(connection, f"{listed}?{query}", each)
                slowest.append((_quantile(taken, 0.5), taken, f"{name}, by {order} {direction}".strip()))
    slowest.sort(key=lambda one: one[0])
    _add(part, "list by the slowest filter and order", slowest[-1][1], LIST_MILLISECONDS)
    part.notes = [
        f"Slowest of {len(slowest)} filters and orders: {slowest[-1][2]}.",
        "Times as a client on this machine sees them; it shares the cores with service and PostgreSQL. No worker runs.",
    ]
    part.details = {"listMilliseconds": {name: round(median * 1000, 3) for median, _, name in slowest}}


def _add(part: Part, name: str, taken: Sequence[float], goal: float) -> None:
    part.add(f"{name}: median", _quantile(taken, 0.5) * 1000, "ms", at_most=goal)
    part.add("  99th percentile", _quantile(taken, 0.99) * 1000, "ms", at_most=goal)


def _taken(connection: Connection, target: str, times: int) -> list[float]:
    """Seconds of each, after a few that do not count."""
    for _ in range(min(times, 3)):
        connection.get(target)
    return [timed(lambda: connection.get(target)) for _ in range(times)]


def _quantile(taken: Sequence[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(share * len(taken)))]


def _session(company: Company) -> str:
    """An administrator's, signed in without a password."""
    name = company.newcomer(0)
    roles.assign(company.database, company.tenant, "bench", ADMINISTRATOR, name)
    with company.database.single.connect() as connection:
        query = text("SELECT id FROM users WHERE user_principal_name = :name")
        user = connection.execute(query, {"name": name}).scalar_one()
    return sessions.begin(company.database, company.tenant.id, user)
