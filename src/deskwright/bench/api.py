"""How quickly the Graph API answers: over loopback, with a token, from a service in a process of its own."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from deskwright.bench import companies, machine
from deskwright.bench.api_server import EMPTY
from deskwright.bench.client import Ask, Connection, at_once, on_schedule, several, timed
from deskwright.bench.ground import Server, process, until, value
from deskwright.bench.results import Part
from deskwright.operations.credentials import issue_token
from deskwright.serve import running
from deskwright.store.database import Database

P50_MILLISECONDS, P99_MILLISECONDS, TIMES_PAGE_ONE, TIMES_EMPTY = 15.0, 60.0, 1.5, 6.0
A_SECOND = 50.0
_BASE = "/beta/deviceManagement/virtualEndpoint"
_CLOUD_PCS, _POLICIES = f"{_BASE}/cloudPCs", f"{_BASE}/provisioningPolicies"
_SELECT = "id,displayName,userPrincipalName,status"
_OPEN_CONNECTIONS, _CLOSED_CONNECTIONS = 8, 4
_FURNISHED = 1000
Tell = Callable[[str], None]


@dataclass
class Found:
    """What was measured, round by round; times in seconds."""

    scheduled: list[list[float]] = field(default_factory=list)
    pages: list[tuple[list[float], list[float]]] = field(default_factory=list)
    """Page one, and the last."""
    singles: list[tuple[list[float], list[float]]] = field(default_factory=list)
    """The empty answer, and one Cloud PC."""
    rates: dict[str, list[float]] = field(default_factory=dict)


def api(server: Server, tell: Tell, *, cloud_pcs: int, page: int, rounds: int, seconds: float, requests: int) -> Part:
    """Everything in turns, round after round, so that a machine that changes its pace changes all of it."""
    database = server.fresh()
    company = companies.found(database, newcomers=0)
    tell(f"api: filling a tenant of {cloud_pcs:,} Cloud PCs")
    companies.populate(company, cloud_pcs)
    companies.furnish(company, min(_FURNISHED, cloud_pcs))
    with process(server, database, module="deskwright.bench.api_server") as serving:
        data = server.directory / "data"
        until(lambda: running(data) is not None or serving.poll() is not None)
        about = running(data)
        if about is None:
            raise RuntimeError("the service did not start")
        url, secrets = about["url"], server.world(database).secrets
        token = issue_token(database, company.tenant, "bench", ["CloudPC.ReadWrite.All"], secrets=secrets, base=url)
        before = machine.resident_mib(serving.pid)
        cpu, postgresql = machine.cpu_seconds(serving.pid), server.cpu_seconds()
        targets = _Targets.of(database, url, token, tell, cloud_pcs, page)
        found = _measure(url, token, tell, targets, rounds=rounds, seconds=seconds, requests=requests)
        after = machine.resident_mib(serving.pid)
        used = machine.cpu_seconds(serving.pid) - cpu, server.cpu_seconds() - postgresql
    server.drop(database)
    part = _told(found, cloud_pcs, page)
    part.add("memory of the service before", before, "MiB")
    part.add("  more afterwards", after - before, "MiB")
    part.add("CPU of the service, of everything above", used[0], "s")
    part.add("  of PostgreSQL", used[1], "s")
    return part


@dataclass(frozen=True)
class _Targets:
    """What is asked for."""

    first: str
    last: str
    whole: str
    """The first page with every property."""
    singles: Sequence[str]

    @classmethod
    def of(cls, database: Database, url: str, token: str, tell: Tell, cloud_pcs: int, page: int) -> "_Targets":
        """Walks every page by its link; raises RuntimeError where they do not give each Cloud PC once."""
        query = {"$filter": "status eq 'provisioned'", "$select": _SELECT, "$top": page}
        first = last = f"{_CLOUD_PCS}?{urlencode(query, quote_via=quote)}"
        tell(f"api: walking {cloud_pcs // page:,} pages")
        seen = set()
        with Connection(url, token) as connection:
            while True:
                answer = json.loads(connection.get(last))
                seen |= {item["id"] for item in answer["value"]}
                if "@odata.nextLink" not in answer:
                    break
                link = urlsplit(answer["@odata.nextLink"])
                last = f"{link.path}?{link.query}"
        if len(seen) != value(database, "SELECT count(*) FROM cloud_pcs WHERE status = 'provisioned'"):
            raise RuntimeError(f"the pages gave {len(seen)} Cloud PCs")
        singles = [f"{_CLOUD_PCS}/{cloud_pc}" for cloud_pc in sorted(seen)[:_FURNISHED]]
        return cls(first, last, f"{_CLOUD_PCS}?$top={page}", singles)


def _measure(url: str, token: str, tell: Tell, ask: _Targets, *, rounds: int, seconds: float, requests: int) -> Found:
    """The first round warms up and does not count."""
    found, singles, names = Found(), cycle(ask.singles), count()
    closed: dict[str, Ask] = {
        "GET one": lambda c: c.get(next(singles)),
        "list by $filter and $select": lambda c: c.get(ask.first),
        "list, every property": lambda c: c.get(ask.whole),
        "POST policy": lambda c: c.post(_POLICIES, _policy(next(names))),
    }
    for n in range(rounds + 1):
        if n == 1:
            found = Found()
        tell(f"api: round {n} of {rounds}: {A_SECOND:.0f} lists a second")
        with several(url, token, _OPEN_CONNECTIONS) as connections:
            found.scheduled.append(on_schedule(connections, lambda c: c.get(ask.first), A_SECOND, seconds))
        tell(f"api: round {n} of {rounds}: the first and the last page, an empty answer and one Cloud PC")
        with Connection(url, token) as only:
            found.pages.append(_in_turns(only, requests, lambda c: c.get(ask.first), lambda c: c.get(ask.last)))
            found.singles.append(_in_turns(only, requests, lambda c: c.get(EMPTY), closed["GET one"]))
        for name, request in closed.items():
            tell(f"api: round {n} of {rounds}: {name}")
            with several(url, token, _CLOSED_CONNECTIONS) as connections:
                found.rates.setdefault(name, []).append(at_once(connections, request, requests))
    return found


def _in_turns(connection: Connection, times: int, first: Ask, second: Ask) -> tuple[list[float], list[float]]:
    """Seconds of each, one after the other."""
    taken: tuple[list[float], list[float]] = [], []
    for _ in range(times):
        for mine, ask in zip(taken, (first, second), strict=True):
            mine.append(timed(lambda: ask(connection)))  # noqa: B023 - called before the next turn
    return taken


def _told(found: Found, cloud_pcs: int, page: int) -> Part:
    part = Part("api", f"Graph API: {cloud_pcs:,} Cloud PCs, medians of {len(found.scheduled)} rounds")
    name = f"list {page} by $filter and $select, {A_SECOND:.0f} a second: median"
    part.add(name, _of(found.scheduled, 0.5) * 1000, "ms", at_most=P50_MILLISECONDS)
    part.add("  99th percentile", _of(found.scheduled, 0.99) * 1000, "ms", at_most=P99_MILLISECONDS)
    part.add("  slowest", max(map(max, found.scheduled)) * 1000, "ms")
    part.add(f"page {cloud_pcs // page:,} to page 1", _ratio(found.pages), "x", at_most=TIMES_PAGE_ONE)
    part.add("  page 1", _of([first for first, _ in found.pages], 0.5) * 1000, "ms")
    part.add("GET one to the framework's empty JSON answer", _ratio(found.singles), "x", at_most=TIMES_EMPTY)
    part.add("  empty answer", _of([empty for empty, _ in found.singles], 0.5) * 1000, "ms")
    part.add("  GET one", _of([single for _, single in found.singles], 0.5) * 1000, "ms")
    for name, rates in found.rates.items():
        part.add(f"{name}, {_CLOSED_CONNECTIONS} connections", statistics.median(rates), "a second")
    part.details = {
        "scheduledMilliseconds": [_spread(each) for each in found.scheduled],
        "firstPageMilliseconds": [_spread(first) for first, _ in found.pages],
        "lastPageMilliseconds": [_spread(last) for _, last in found.pages],
        "emptyMilliseconds": [_spread(empty) for empty, _ in found.singles],
        "oneMilliseconds": [_spread(single) for _, single in found.singles],
        "requestsPerSecond": {name: [round(r, 1) for r in rates] for name, rates in found.rates.items()},
    }
    part.notes = [
        "Requests of the open loop begin on schedule whatever became of those before; their time counts from then.",
        "Service, PostgreSQL and this client share the machine's cores; no worker runs.",
    ]
    return part


def _of(rounds: Sequence[Sequence[float]], share: float) -> float:
    """The quantile of each round, and of these the median."""
    return statistics.median(_quantile(taken, share) for taken in rounds)


def _ratio(rounds: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    return statistics.median(statistics.median(b) / statistics.median(a) for a, b in rounds)


def _quantile(taken: Sequence[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(share * len(taken)))]


def _spread(taken: Sequence[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "slowest": 1.0}
    return {name: round(_quantile(taken, share) * 1000, 3) for name, share in shares.items()}


def _policy(number: int) -> dict[str, Any]:
    return {
        "displayName": f"Policy {number}",
        "provisioningType": "dedicated",
        "imageType": "gallery",
        "imageId": "debian-12-desktop",
        "domainJoinConfigurations": [
            {"domainJoinType": "azureADJoin", "regionGroup": "europeUnion", "regionName": "site-a"}
        ],
    }
