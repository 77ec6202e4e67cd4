"""Pages that are open and watch: how much memory they take, and when they show what has changed."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from sqlalchemy import text

from deskwright.bench import companies, machine
from deskwright.bench.ground import Server, process, until, value
from deskwright.bench.results import Part
from deskwright.identity import sessions
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import roles, users
from deskwright.serve import running
from deskwright.store.database import Database

MIB, SECONDS = 200.0, 1.0
_ROWS = 50
_COOKIE = "deskwright-session"
Tell = Callable[[str], None]


def viewers(server: Server, tell: Tell, *, viewers: int, changes: int) -> Part:
    """Everybody has the same 50 rows on the screen; one of them changes at a time."""
    database = server.fresh()
    company = companies.found(database, newcomers=0)
    companies.populate(company, max(_ROWS, 100))
    who = users.create(
        database, company.tenant, "bench", user_principal_name=f"admin@{company.tenant.name}", display_name="Admin"
    )
    roles.assign(database, company.tenant, "bench", ADMINISTRATOR, who["userPrincipalName"])
    token = sessions.begin(database, company.tenant.id, value(database, f"SELECT CAST('{who['id']}' AS uuid)"))
    rows = _ids(database)
    with process(server, database, module="deskwright.bench.api_server") as serving:
        data = server.directory / "data"
        until(lambda: running(data) is not None or serving.poll() is not None)
        about = running(data)
        if about is None:
            raise RuntimeError("the service did not start")
        before = machine.resident_mib(serving.pid)
        tell(f"viewers: opening {viewers:,} pages that watch")
        target = f"/admin/{company.tenant.name}/live?rows={','.join(rows)}"
        cpu = machine.cpu_seconds(serving.pid)
        took = asyncio.run(_watch(about["url"], target, token, database, rows, viewers, changes))
        cpu = machine.cpu_seconds(serving.pid) - cpu
        after = machine.resident_mib(serving.pid)
    server.drop(database)
    part = Part("viewers", f"{viewers:,} pages that watch, one process")
    part.add("memory of the service", after, "MiB", at_most=MIB)
    part.add("  before them", before, "MiB")
    part.add("from a change's commit to the last of them: median", statistics.median(map(max, took)), "s")
    part.add("  slowest", max(map(max, took)), "s", at_most=SECONDS)
    part.add("  to half of them", statistics.median(statistics.median(each) for each in took), "s")
    part.add("CPU of the service for each change", cpu / changes, "s")
    part.details = {"secondsToTheLast": [round(max(each), 3) for each in took]}
    part.notes = ["Every viewer shows the row that changes. Client, service and PostgreSQL share the machine's cores."]
    return part


def _ids(database: Database) -> list[str]:
    with database.single.connect() as connection:
        return [
            str(i) for i in connection.execute(text(f"SELECT id FROM cloud_pcs ORDER BY id LIMIT {_ROWS}")).scalars()
        ]


async def _watch(
    url: str, target: str, token: str, database: Database, rows: Sequence[str], viewers: int, changes: int
) -> list[list[float]]:
    """For each change the seconds from its commit to each viewer."""
    parts = urlsplit(url)
    head = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {_COOKIE}={token}\r\n\r\n".encode()
    readers = []
    writers = []
    for _ in range(viewers):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(head)
        readers.append(reader)
        writers.append(writer)
    await asyncio.gather(*(reader.readuntil(b"event: begin") for reader in readers))
    took = []
    for n in range(changes):
        row = rows[n % len(rows)]

        async def seen(reader: asyncio.StreamReader, mark: bytes = row.encode()) -> float:
            await reader.readuntil(b"event: row")
            await reader.readuntil(mark)
            return time.perf_counter()

        waiting = [asyncio.create_task(seen(reader)) for reader in readers]
        await asyncio.sleep(0.37)  # not in step with the looks
        await asyncio.to_thread(_change, database, row, n)
        began = time.perf_counter()
        took.append([at - began for at in await asyncio.gather(*waiting)])
    for writer in writers:
        writer.close()
    return took


def _change(database: Database, row: str, number: int) -> None:
    with database.begin() as connection:
        query = text("UPDATE cloud_pcs SET device_name = :name WHERE id = CAST(:id AS uuid)")
        connection.execute(query, {"id": row, "name": f"CPC-{number:05}"})
