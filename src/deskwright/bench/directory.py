"""Synchronising people and groups from a real directory: a Samba domain controller of the benchmark's own.

Goals: an unchanged run reads less than one object in a hundred. Seconds and memory are told. The account that reads is
an ordinary one, which does not see deleted objects: after a change everything is listed by name for what is gone.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import ldap3

from deskwright.active_directory.client import Account, signed_in
from deskwright.active_directory.sandbox import DomainController, prepared
from deskwright.bench import machine
from deskwright.bench.ground import Server, until, value, worker
from deskwright.bench.results import Part
from deskwright.operations import domains
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.provision.context import World

READ_SHARE_PERCENT = 1.0
_NAME = "bench.example"
_ACTOR = "bench"
_PROGRAMS = ("samba", "samba-tool", "ldbadd", "unshare", "nsenter", "ip")
_MODULES = ("/usr/lib/x86_64-linux-gnu/samba/ldb", "/usr/lib/aarch64-linux-gnu/samba/ldb", "/usr/lib/samba/ldb")
_IN_EACH = 2
"""How many groups a person is in."""
_PATIENCE_SECONDS = 300.0
Tell = Callable[[str], None]


def directory(server: Server, tell: Tell, *, people: int, groups: int, changes: int) -> Part:
    """A first run of everything, runs of nothing, and a run after some changes; one more group has everybody in it."""
    part = Part("directory", f"Synchronising {people:,} people in {groups:,} groups from a domain controller")
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        part.add("unchanged run: objects read", None, "%", at_most=READ_SHARE_PERCENT)
        part.notes.append(f"Not measured: this machine lacks {', '.join(missing)}.")
        return part
    with _filled(tell, people, groups) as (controller, reader, seconds):
        part.add("filling the domain (not Deskwright's work)", seconds, "s")
        database = server.fresh()
        world = server.world(database)
        with database.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO tenants (name) VALUES ('{_NAME}')")
        tenant = TenantRef(value(database, "SELECT id FROM tenants"), _NAME)
        with worker(server, database, 2) as process:
            _measure(part, tell, world, tenant, controller, reader, process.pid, people, changes)
        server.drop(database)
    part.notes.append("By an ordinary account, by LDAPS, on the machine that also runs the controller and PostgreSQL.")
    return part


def _measure(
    part: Part,
    tell: Tell,
    world: World,
    tenant: TenantRef,
    controller: DomainController,
    reader: Account,
    pid: int,
    people: int,
    changes: int,
) -> None:
    idle = machine.resident_mib(pid)
    tell("directory: the first run")
    domains.create(
        world.database,
        tenant,
        _ACTOR,
        secrets=world.secrets,
        domain_name=controller.domain.name,
        user_name=reader.name,
        password=reader.password,
        name_servers=controller.domain.name_servers,
        ca_certificate=controller.domain.ca_certificate,
        search_bases=[f"OU=Bench,{controller.domain.distinguished_name}"],
    )
    first, most = _ended(world, tenant, controller, pid, 1)
    objects = first["objectsRead"]
    part.add("first run", first["seconds"], "s")
    part.add("first run: objects read", objects)
    part.add("first run: memory beyond an idle worker's", most - idle, "MiB")
    tell("directory: runs of nothing")
    unchanged = [_again(world, tenant, controller, pid, n) for n in range(2, 5)]
    part.add("unchanged run, median of 3", sorted(run["seconds"] for run in unchanged)[1], "s")
    share = max(run["objectsRead"] for run in unchanged) / objects * 100
    part.add("unchanged run: objects read", share, "%", at_most=READ_SHARE_PERCENT)
    tell(f"directory: {changes} changes")
    _change(controller, people, changes)
    after = _again(world, tenant, controller, pid, 5)
    part.add(f"run after {changes} changes", after["seconds"], "s")
    part.add(f"run after {changes} changes: objects read, by name alone but for those", after["objectsRead"])
    done = sum(after[name] for name in ("peopleChanged", "peopleRemoved", "membersRemoved"))
    if done < changes:
        raise RuntimeError(f"{done} of {changes} changes were followed: {after}")
    tell("directory: everything once more")
    domains.synchronise(world.database, tenant, _ACTOR, controller.domain.name, complete=True)
    complete, _ = _ended(world, tenant, controller, pid, 6)
    part.add("complete run in which nothing differs", complete["seconds"], "s")
    part.details["runs"] = [
        {k: v for k, v in run.items() if k != "startDateTime"} for run in (first, *unchanged, after, complete)
    ]


def _again(world: World, tenant: TenantRef, controller: DomainController, pid: int, number: int) -> Item:
    domains.synchronise(world.database, tenant, _ACTOR, controller.domain.name)
    return _ended(world, tenant, controller, pid, number)[0]


def _ended(world: World, tenant: TenantRef, controller: DomainController, pid: int, number: int) -> tuple[Item, float]:
    """The run of that number, once it has ended, and the most memory the worker had meanwhile, in MiB."""
    most = 0.0

    def ended() -> bool:
        nonlocal most
        most = max(most, machine.resident_mib(pid))
        shown = domains.show(world.database, tenant, controller.domain.name)
        return len(shown["lastSyncs"]) >= number and not shown["syncRunning"]

    until(ended, pause=0.05, seconds=_PATIENCE_SECONDS)
    run: Item = domains.show(world.database, tenant, controller.domain.name)["lastSyncs"][0]
    if run["status"] != "succeeded":
        raise RuntimeError(f"the run failed: {run['errorCode']}: {run['detail']}")
    return run, most


@contextmanager
def _filled(tell: Tell, people: int, groups: int) -> Iterator[tuple[DomainController, Account, float]]:
    """A running controller with so many in it, who may read it, and how long filling it took."""
    where = Path(tempfile.mkdtemp(prefix="dwad"))
    try:
        tell("directory: making a domain")
        controller = prepared(where, f"corp.{_NAME}")
        try:
            tell(f"directory: filling it with {people:,} people in {groups:,} groups")
            began = time.perf_counter()
            _fill(controller, where, people, groups)
            seconds = time.perf_counter() - began
            controller.start()
            reader = Account(f"reader@{controller.domain.name}", f"{UUID(int=people).hex}.aA1")
            controller.tool("user", "create", "reader", reader.password)
            yield controller, reader, seconds
        finally:
            controller.stop()
    finally:
        shutil.rmtree(where, ignore_errors=True)


def _fill(controller: DomainController, where: Path, people: int, groups: int) -> None:
    """Into the stopped controller's database, as one transaction: ten times as fast as by LDAP."""
    top = f"OU=Bench,{controller.domain.distinguished_name}"
    modules = next((path for path in _MODULES if Path(path).is_dir()), "")
    for name, entries in (("people", _people(top, people)), ("groups", _groups(top, people, groups))):
        file = where / f"{name}.ldif"
        file.write_text("\n".join(entries) + "\n", encoding="utf-8")
        database = str(where / "private" / "sam.ldb")
        controller.run("env", f"LDB_MODULES_PATH={modules}", "ldbadd", "-H", database, str(file))


def _people(top: str, people: int) -> Iterator[str]:
    yield f"dn: {top}\nobjectClass: organizationalUnit\n"
    for n in range(people):
        account = f"p{n:06}"
        yield (
            f"dn: CN={account},{top}\nobjectClass: user\nsAMAccountName: {account}\n"
            f"userPrincipalName: {account}@{_NAME}\ndisplayName: Person {n:06}\nmail: {account}@{_NAME}\n"
            "userAccountControl: 544\n"
        )


def _groups(top: str, people: int, groups: int) -> Iterator[str]:
    each = max(people // groups, 1) * _IN_EACH
    for g in range(groups):
        who = {(g * each // _IN_EACH + n) % people for n in range(each)}
        yield _group(top, f"g{g:04}", sorted(who))
    yield _group(top, "everybody", list(range(people)))


def _group(top: str, name: str, who: list[int]) -> str:
    members = "".join(f"member: CN=p{n:06},{top}\n" for n in who)
    return f"dn: CN={name},{top}\nobjectClass: group\nsAMAccountName: {name}\n{members}"


def _change(controller: DomainController, people: int, changes: int) -> None:
    """Names, disabled accounts, people who leave a group, and people who are deleted."""
    top = f"OU=Bench,{controller.domain.distinguished_name}"
    administrator = Account(f"Administrator@{controller.domain.name}", controller.password)
    with signed_in(controller.domain, administrator) as opened:
        ldap: Any = opened.ldap
        for n in range(changes):
            person = f"CN=p{n * (people // changes):06},{top}"
            if n % 5 == 0:
                ldap.delete(person)
            elif n % 5 == 1:
                ldap.modify(f"CN=everybody,{top}", {"member": [(ldap3.MODIFY_DELETE, [person])]})
            elif n % 5 == 2:
                ldap.modify(person, {"userAccountControl": [(ldap3.MODIFY_REPLACE, ["546"])]})
            else:
                ldap.modify(person, {"displayName": [(ldap3.MODIFY_REPLACE, [f"Renamed {n}"])]})
