"""How much memory the service takes: HTTP and a worker in one process, PostgreSQL beside it not counted."""

import time
from collections.abc import Callable

from deskwright.bench import companies, machine
from deskwright.bench.ground import Server, process, until, value
from deskwright.bench.results import Part
from deskwright.operations import groups
from deskwright.serve import running

MIB = 160.0
Tell = Callable[[str], None]


def memory(server: Server, tell: Tell, *, cloud_pcs: int) -> Part:
    """After its start, and after it has provisioned."""
    database = server.fresh()
    company = companies.found(database, newcomers=cloud_pcs)
    part = Part("memory", "Memory of `deskwright serve`, resident")
    tell("memory: starting the service")
    with process(server, database, "serve", "--port", "0") as serving:
        until(lambda: running(server.directory / "data") is not None or serving.poll() is not None)
        time.sleep(2)
        part.add("after the start", machine.resident_mib(serving.pid), "MiB", at_most=MIB)
        tell(f"memory: provisioning {cloud_pcs} Cloud PCs")
        who = [company.newcomer(n) for n in range(cloud_pcs)]
        groups.add_members(database, company.tenant, "bench", companies.EVERYONE, who)
        done = "SELECT count(*) FROM cloud_pcs WHERE status = 'provisioned'"
        until(lambda: bool(value(database, done) == cloud_pcs))
        part.add(f"after {cloud_pcs} Cloud PCs", machine.resident_mib(serving.pid), "MiB", at_most=MIB)
        part.add("threads", float(machine.threads(serving.pid)))
    server.drop(database)
    return part
