"""A worker's own port, and whether a worker that stands still says so."""

import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deskwright.domain.rules import Refused
from deskwright.serve import WorkerThread
from deskwright.settings import Settings
from deskwright.telemetry.endpoint import answering
from deskwright.worker import Worker
from tests.company import Company
from tests.processes.test_workers import until


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def of(tmp_path: Path, **more: Any) -> Settings:
    return Settings(data_dir=tmp_path, **{"metrics_port": 0, **more})


def test_without_a_port_nothing_listens(tmp_path: Path) -> None:
    with answering(of(tmp_path, metrics_port=None), lambda: True) as url:
        assert url is None


def test_it_answers_what_the_process_counted(tmp_path: Path) -> None:
    well = [True]
    with answering(of(tmp_path), lambda: well[0]) as url:
        status, told = get(f"{url}/metrics")
        assert status == 200
        assert "deskwright_leases_lost_total" in told
        assert "deskwright_workers_alive" not in told, "what all share is told by deskwright serve"
        assert get(f"{url}/healthz") == (200, '{"status":"ok"}')
        well[0] = False
        assert get(f"{url}/healthz")[0] == 503
        assert get(f"{url}/nothing")[0] == 404
        assert get(f"{url}/metrics", **{"X-Forwarded-For": "10.0.0.7"})[0] == 403


def test_a_token_is_wanted_where_one_is_set(tmp_path: Path) -> None:
    with answering(of(tmp_path, metrics_token=SecretStr("0123456789abcdef")), lambda: True) as url:
        assert get(f"{url}/metrics")[0] == 401
        assert get(f"{url}/metrics", Authorization="Bearer 0123456789abcdef")[0] == 200


def test_others_reach_it_only_with_a_token(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="METRICS_TOKEN"), answering(of(tmp_path, metrics_host="0.0.0.0"), lambda: True):
        pass


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with answering(of(tmp_path), lambda: True) as url:
        port = int(str(url).rpartition(":")[2])
        again = of(tmp_path, metrics_port=port)
        with pytest.raises(Refused, match=str(port)), answering(again, lambda: True):
            pass


def test_a_worker_that_stands_still_says_so(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = company.world.settings.model_copy(update={"stalled_seconds": 0.4, "sweep_seconds": 0.1})
    world = type(company.world)(company.world.database, company.world.secrets, settings)
    held = threading.Event()
    held.set()
    real = Worker._tick

    def tick(self: Worker) -> float:
        held.wait(30)
        return real(self)

    monkeypatch.setattr(Worker, "_tick", tick)
    thread = WorkerThread(world)
    assert not thread.alive()
    thread.start()
    try:
        until(thread.alive, 20)
        time.sleep(1.0)
        assert thread.alive(), "an idle worker is alive"
        held.clear()
        until(lambda: not thread.alive(), 10)
        held.set()
        until(thread.alive, 10)
    finally:
        held.set()
        thread.stop()
    assert not thread.alive()
