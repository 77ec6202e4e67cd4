"""Server-sent events over a real socket: what changes is told at once, what was missed is told again."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from deskwright.api import watch
from tests.api.conftest import Served
from tests.company import Company


@dataclass
class Event:
    name: str
    id: str
    data: Any


@pytest.fixture(autouse=True)
def looks_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)


def listen(served: Served, path: str, last: str | None = None) -> Iterator[Event]:
    headers = {"authorization": f"Bearer {served.token}", **({"last-event-id": last} if last else {})}
    with httpx2.stream("GET", f"{served.url}/deskwright{path}", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
                fields = {}


def test_changes_are_told_as_they_happen(served: Served, company: Company) -> None:
    """R1: live."""
    company.basics("adele")
    events = listen(served, "/cloudPCs/events")
    began = next(events)
    assert began.name == "begin"
    threading.Timer(0.1, company.settle).start()
    seen = [next(events)]
    while seen[-1].data["status"] != "provisioned":
        seen.append(next(events))
    assert {e.data["userPrincipalName"] for e in seen} == {"adele@contoso.com"}
    assert all(e.id > began.id for e in seen)
    events.close()  # type: ignore[attr-defined]

    company.leave("adele", "Sales")
    company.settle()
    again = listen(served, "/cloudPCs/events", last=seen[-1].id)
    assert next(again).id == seen[-1].id
    missed = next(again)
    assert (missed.name, missed.data["status"]) == ("cloudPC", "inGracePeriod")
    again.close()  # type: ignore[attr-defined]


def test_a_timeline_is_told_step_by_step_until_it_is_gone(served: Served, company: Company) -> None:
    company.basics("adele")
    company.settle()
    events = listen(served, "/cloudPCs/adele@contoso.com/timeline/events")
    first = next(events)
    assert (first.name, first.data["status"]) == ("cloudPC", "provisioned")
    steps = [next(events) for _ in range(15)]
    assert [e.data["step"] for e in steps][:2] == ["C1", "C2"]
    assert {e.data["outcome"] for e in steps} <= {"succeeded", "skipped"}

    company.leave("adele", "Sales")
    company.settle().advance(days=8)
    rest = list(events)  # ends by itself
    assert rest[-1].name == "gone"
    assert "step" not in {e.name for e in rest}


def test_the_last_look_ends_with_the_last_listener(served: Served, company: Company) -> None:
    company.basics("adele")
    company.settle()
    events = listen(served, "/cloudPCs/events")
    next(events)
    threads = threading.active_count()
    more = [listen(served, "/cloudPCs/events") for _ in range(20)]
    for one in more:
        next(one)
    assert threading.active_count() - threads < 20, "no thread for each listener"
    for one in [events, *more]:
        one.close()  # type: ignore[attr-defined]


def test_an_id_that_is_none_is_refused(served: Served, company: Company) -> None:
    headers = {"authorization": f"Bearer {served.token}", "last-event-id": "yesterday"}
    answer = httpx2.get(f"{served.url}/deskwright/cloudPCs/events", headers=headers)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "Last-Event-ID")
    assert httpx2.get(f"{served.url}/deskwright/cloudPCs/events").status_code == 401
