"""The service: its HTTP surface, where it listens, how it starts, stops and is found; and the demo on top of it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import uvicorn

from deskwright import serve
from deskwright.provision.context import World
from deskwright.store.database import Database
from tests.company import Company


def get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


@contextlib.contextmanager
def listening(world: World, *, worker: bool) -> Iterator[str]:
    """A real server on a free port, in a thread."""
    bound = serve.listen("127.0.0.1", 0)
    beside = serve.WorkerThread(world) if worker else None
    app = serve.application(world, beside.alive if beside else None)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    thread.start()
    if beside:
        beside.start()
    try:
        yield serve.address(bound)
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
        if beside:
            beside.stop()


def test_answers_are_sent_at_once() -> None:
    """An answer is two packets. Were the second held back for the first one's receipt, each would take 40 ms longer."""

    async def accepted() -> int:
        delays: asyncio.Queue[int] = asyncio.Queue()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            delays.put_nowait(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        bound = serve.listen("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=bound):
            with socket.create_connection(bound.getsockname()):
                return await asyncio.wait_for(delays.get(), 10)

    assert asyncio.run(accepted()) != 0


def until(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_it_says_who_it_is_and_whether_it_is_ready(company: Company) -> None:
    with listening(company.world, worker=False) as url:
        status, about = get(f"{url}/")
        assert (status, about["name"]) == (200, "Deskwright")
        assert about["links"]["readiness"] == "/readyz"
        assert get(f"{url}/healthz") == (200, {"status": "ok"})
        status, ready = get(f"{url}/readyz")
        assert status == 503
        assert ready["checks"]["database"]["status"] == "passed"
        assert ready["checks"]["schema"]["status"] == "passed"
        assert ready["checks"]["worker"]["status"] == "failed"
        assert "deskwright worker" in ready["checks"]["worker"]["detail"]


def test_its_worker_makes_it_ready_and_provisions(company: Company) -> None:
    with listening(company.world, worker=True) as url:
        until(lambda: get(f"{url}/readyz")[0] == 200)
        company.basics("adele")
        until(lambda: company.sql("SELECT status FROM cloud_pcs") == [("provisioned",)])


def test_without_its_database_it_lives_but_is_not_ready(company: Company) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    world = World(away, company.world.secrets, company.world.settings)
    found = serve.readiness(world)
    assert not found.ready
    assert "not reachable" in found.checks["database"]
    away.close()


def test_a_taken_default_port_gives_a_free_one_but_an_asked_for_one_is_refused() -> None:
    first = serve.listen("127.0.0.1", None)  # the default, or already another where that is taken on this machine
    second = serve.listen("127.0.0.1", None)
    first.listen()
    taken = first.getsockname()[1]
    assert second.getsockname()[1] != taken
    with pytest.raises(OSError, match="in use"):
        serve.listen("127.0.0.1", taken)
    first.close()
    second.close()


def test_addresses_can_be_opened_in_a_browser() -> None:
    with contextlib.closing(serve.listen("0.0.0.0", 0)) as bound:
        assert serve.address(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
    if socket.has_ipv6:
        with contextlib.suppress(OSError), contextlib.closing(serve.listen("::1", 0)) as bound:
            assert serve.address(bound).startswith("http://[::1]:")


def test_service_json_says_where_it_is_while_it_runs(tmp_path: Path) -> None:
    with serve.announced(tmp_path, "http://127.0.0.1:1"):
        about = serve.running(tmp_path)
        assert about is not None
        assert (about["url"], about["pid"]) == ("http://127.0.0.1:1", os.getpid())
    assert serve.running(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def started(company: Company, *words: str, cwd: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "DESKWRIGHT_DATABASE_URL": company.world.database.url}
    environment["PYTHONPATH"] = str(Path(serve.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-m", "deskwright", *words],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_stops_gracefully(company: Company, tmp_path: Path, how: signal.Signals) -> None:
    with started(company, "serve", "--port", "0", "--data-dir", str(tmp_path), cwd=tmp_path) as process:
        until(lambda: serve.running(tmp_path) is not None or process.poll() is not None)
        about = serve.running(tmp_path)
        assert about is not None, process.communicate()[0]
        until(lambda: get(f"{about['url']}/readyz")[0] == 200)
        process.send_signal(how)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert f"listening on {about['url']}" in said
    assert "Stopped." in said
    assert "Traceback" not in said
    assert serve.running(tmp_path) is None


@pytest.mark.processes
def test_serve_refuses_a_port_that_is_taken(company: Company, tmp_path: Path) -> None:
    with contextlib.closing(serve.listen("127.0.0.1", 0)) as bound:
        bound.listen()
        port = str(bound.getsockname()[1])
        with started(company, "serve", "--port", port, "--data-dir", str(tmp_path), cwd=tmp_path) as process:
            said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "--port" in said
    assert "in use" in " ".join(said.split())


@pytest.mark.processes
def test_a_worker_provisions_beside_a_service_without_one(company: Company, tmp_path: Path) -> None:
    with started(company, "worker", "--concurrency", "2", "--data-dir", str(tmp_path), cwd=tmp_path) as process:
        company.basics("adele")
        until(lambda: company.sql("SELECT status FROM cloud_pcs") == [("provisioned",)])
        assert serve.readiness(company.world).ready
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said


@pytest.mark.processes
def test_the_demo_runs_to_its_end_survives_a_kill_and_leaves_foreign_directories_alone(tmp_path: Path) -> None:
    # A socket's path may have about 100 characters, which pytest's own directories can exceed.
    place = Path(tempfile.mkdtemp(prefix="dwd"))
    place.chmod(0o711)
    environment = {**os.environ, "PYTHONPATH": str(Path(serve.__file__).parent.parent), "COLUMNS": "100"}
    words = [sys.executable, "-m", "deskwright", "demo", "--speed", "400"]
    try:
        with subprocess.Popen(
            words, env=environment, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            until(lambda: serve.running(place / ".demo") is not None or process.poll() is not None, 60)
            about = serve.running(place / ".demo")
            assert about is not None, process.communicate()[0]
            until(lambda: get(f"{about['url']}/readyz")[0] == 200)
            time.sleep(3)
            os.kill(about["pid"], signal.SIGKILL)
            said, _ = process.communicate(timeout=150)
        assert process.returncode == 0, said
        assert "was killed by SIGKILL" in said
        for wanted in ("18 Cloud PCs", "13  ✓ provisioned", "1  ✗ failed", "1  ! provisionedWithWarnings", "place 2"):
            assert wanted in said
        assert "DESKWRIGHT_DATA_DIR=.demo" in said
        assert "fault clear" in said
        assert serve.running(place / ".demo") is None

        foreign = place / "home"
        foreign.mkdir()
        (foreign / "letter.txt").write_text("keep me")
        refused = subprocess.run(
            [*words, "--data-dir", str(foreign)], env=environment, cwd=place, capture_output=True, text=True, timeout=60
        )
        assert refused.returncode == 1
        assert "left alone" in " ".join(refused.stderr.split())
        assert (foreign / "letter.txt").read_text() == "keep me"
    finally:
        shutil.rmtree(place, ignore_errors=True)
