"""`deskwright demo --directory activedirectory`: hybrid join to a domain whose controller is real.

A Samba domain controller is started in namespaces of its own. Its people and groups are synchronised, their Cloud PCs
join the domain, and the controller itself is asked what it knows of them. With real machines each joins from inside.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.table import Table
from sqlalchemy import text

from deskwright.active_directory.client import Account, signed_in
from deskwright.active_directory.sandbox import DomainController, SandboxFailed, prepared
from deskwright.cli import live
from deskwright.cli.demo import Service, make_fresh, mark, pid_of
from deskwright.cli.demo_real import GALLERY_IMAGE, Host, build_image, heading, real_host, say
from deskwright.cli.output import out
from deskwright.cli.session import Session, open_session
from deskwright.cli.timeline_text import print_timeline
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.guest.actions import RunCommand
from deskwright.operations import cloud_pcs, domains, view
from deskwright.operations.change import TenantRef
from deskwright.providers.contract import Call
from deskwright.providers.registry import providers_for
from deskwright.provision.sites import load_site

DOMAIN, UNIT, SUBNET = "corp.contoso.test", "CloudPCs", "10.20.0.0/24"
PEOPLE = {"adele": "Adele Vance", "diego": "Diego Siciliani"}
_GROUP = "Sales"
_SAMPLES = ("hybrid.yaml", "hybrid-policies.yaml")
_NEEDS = {
    "samba": "samba",
    "samba-tool": "samba-ad-dc",
    "adcli": "adcli",
    "kinit": "krb5-user",
    "unshare": "util-linux",
}
_PATIENCE_SECONDS = 120.0
_NETWORK = """\
<network>
  <name>corp</name>
  <forward mode='route'/>
  <bridge name='corp0' stp='off' delay='0'/>
  <dns><forwarder domain='{domain}' addr='{controller}'/></dns>
  <ip address='10.20.0.1' netmask='255.255.255.0'><dhcp><range start='10.20.0.10' end='10.20.0.200'/></dhcp></ip>
</network>
"""


@dataclass(frozen=True)
class Company:
    """What the demo made in the domain."""

    controller: DomainController
    unit: str
    reader: str
    """Passwords of the accounts that read the directory and that join computers."""
    joiner: str


def run_directory_demo(data_dir: Path, *, compute: str) -> None:
    """The whole of it: people are synchronised, two Cloud PCs join, one is removed, and the domain refuses it."""
    _refuse_where_it_cannot()
    # Whoever ends the demo ends what it started, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    make_fresh(data_dir)
    os.environ["DESKWRIGHT_DATA_DIR"] = str(data_dir)
    os.environ.pop("DESKWRIGHT_DATABASE_URL", None)
    mark(data_dir, keep=False)
    with _controller() as controller, contextlib.ExitStack() as stack:
        host = stack.enter_context(real_host(keep=False)) if compute == "libvirt" else None
        if host is not None:
            _lay_network(host, controller)
            build_image()
        company = _furnish(controller)
        os.environ["DEMO_READER_PASSWORD"], os.environ["DEMO_JOINER_PASSWORD"] = company.reader, company.joiner
        service = Service(data_dir)
        try:
            service.start()
            with open_session() as session:
                say(f"The service listens on {service.url} (pid {pid_of(service)}); its data are in {data_dir}")
                _Demo(session, service, company, host, data_dir).show()
        finally:
            service.stop()


class _Demo:
    def __init__(self, session: Session, service: Service, company: Company, host: Host | None, data_dir: Path) -> None:
        self._session, self._service, self._company, self._host = session, service, company, host
        self._data_dir, self._world = data_dir, session.world
        self._controller = company.controller

    def show(self) -> None:
        tenant = self._apply(_SAMPLES[0])
        heading(f"The people and groups of {DOMAIN} are synchronised")
        self._synchronise(tenant)
        heading(f"{_GROUP} gets a policy and licences: two Cloud PCs come up, and join the domain")
        self._apply(_SAMPLES[1])
        live.follow(self._session.database, tenant, out, tick=self._service.look_after)
        rows = self._rows(tenant)
        for row in rows:
            if row["status"] not in (Status.PROVISIONED, Status.WARNINGS):
                self._print_timeline(tenant, row["id"])
                raise Refused("demo", row["userPrincipalName"], "its Cloud PC did not come up, see above")
        heading(f"The timeline of {rows[0]['managedDeviceName']}")
        self._print_timeline(tenant, rows[0]["id"])
        heading("What the domain controller has")
        self._print_computers()
        (leaver,) = (r for r in rows if r["userPrincipalName"].startswith("diego@"))
        keys = self._keytab(tenant, leaver) if self._host else self._password(leaver)
        self._ask_for_ticket(leaver, keys, expected=True)
        heading(f"Diego is taken out of {_GROUP} in the domain; his grace period is ended")
        self._remove(tenant, leaver)
        heading("What the domain controller has now: the account is disabled, not deleted, and gets no ticket")
        self._print_computers()
        self._ask_for_ticket(leaver, keys, expected=False)

    def _apply(self, sample: str) -> TenantRef:
        from deskwright.document.apply import apply

        written = files("deskwright").joinpath("samples", sample).read_text(encoding="utf-8")
        compute = {"kind": "simulator"}
        if self._host is not None:
            compute = {"kind": "libvirt", "uri": self._host.uri, "directory": self._host.directory}
        for name, value in {
            "@domain@": DOMAIN,
            "@controller@": self._controller.address,
            "@certificate@": json.dumps(self._controller.domain.ca_certificate),
            "@compute@": json.dumps(compute),
            "@subnet@": SUBNET,
            "@unit@": self._company.unit,
            "@image@": GALLERY_IMAGE if self._host else "debian-12-desktop",
            "@plan@": "Desktop 1vCPU/1GB/4GB" if self._host else "Desktop 2vCPU/4GB/64GB",
            "@simulation@": "" if self._host else "simulation: {speed: 60}",
        }.items():
            written = written.replace(name, value)
        document = self._data_dir / sample
        document.write_text(written)
        say(f"Applying {document} …")
        apply(self._world, document, self._session.actor)
        return self._session.tenant(None)

    def _synchronise(self, tenant: TenantRef) -> None:
        database, ends = self._session.database, time.monotonic() + _PATIENCE_SECONDS
        before = domains.show(database, tenant, DOMAIN)["lastSyncDateTime"]
        domains.synchronise(database, tenant, self._session.actor, DOMAIN)
        while True:
            now = domains.show(database, tenant, DOMAIN)
            if now["syncStatus"] == "failed":
                raise Refused("demo", DOMAIN, f"could not be synchronised: {now['syncDetail']}")
            if now["lastSyncDateTime"] not in (None, before):
                break
            if time.monotonic() > ends:
                raise Refused("demo", DOMAIN, f"was not synchronised within {_PATIENCE_SECONDS:.0f} s")
            time.sleep(0.1)
        with database.single.connect() as connection:
            counted = connection.execute(
                text("SELECT kind, count(*) FROM domain_objects WHERE tenant_id = :t GROUP BY kind ORDER BY kind DESC"),
                {"t": tenant.id},
            ).all()
        say("Synchronised: " + ", ".join(f"{number} {kind}s" for kind, number in counted))

    def _rows(self, tenant: TenantRef) -> list[Any]:
        return list(live.take(self._session.database, tenant).rows)

    def _print_timeline(self, tenant: TenantRef, cloud_pc: str) -> None:
        with self._session.database.single.connect() as connection:
            print_timeline(out, {**view.timeline(connection, tenant, UUID(cloud_pc)), "ledger": []})

    def _print_computers(self) -> None:
        """Asked of the controller itself, not of Deskwright."""
        table = Table("computer account", "unit", "state", "its own password since")
        reader = Account(f"reader@{DOMAIN}", self._company.reader)
        with signed_in(self._controller.domain, reader) as opened:
            wanted = ["cn", "distinguishedName", "userAccountControl", "pwdLastSet"]
            opened.ldap.search(self._company.unit, "(objectClass=computer)", attributes=wanted)
            for entry in opened.ldap.response or ():
                found = entry.get("raw_attributes")
                if not found:
                    continue
                name, dn, control, changed = ((found[w] or [b""])[0].decode() for w in wanted)
                state = "disabled" if int(control) & 2 else "enabled"
                # A Windows time: tenths of microseconds since 1601.
                since = time.strftime("%H:%M:%S", time.localtime(int(changed) / 1e7 - 11644473600)) if changed else ""
                table.add_row(name, dn.split(",")[1], state, since)
        out.print(table)

    def _keytab(self, tenant: TenantRef, row: Any) -> bytes:
        """The machine's own keys, read inside it, and its ticket by them."""
        machine = _machine(self._session, tenant, UUID(row["id"]))
        compute = providers_for(self._session.database, load_site(self._session.database, machine.call.site_id)).compute
        who = f"{row['managedDeviceName']}$@{DOMAIN.upper()}"
        inside = f"kinit -k '{who}' && klist && kdestroy"
        heading(f"Inside {row['managedDeviceName']}: its own Kerberos ticket")
        out.print(compute.configure_guest(machine.call, machine.vm_id, (RunCommand(inside),)), highlight=False)
        told = compute.configure_guest(machine.call, machine.vm_id, (RunCommand("base64 -w0 /etc/krb5.keytab"),))
        return _decoded(told)

    def _password(self, row: Any) -> str:
        """Nobody has a simulated machine's own: the domain's administrator gives it one, so that it can be asked for a
        ticket."""
        password = f"{secrets.token_urlsafe(15)}.aA1"
        self._controller.tool("user", "setpassword", f"{row['managedDeviceName']}$", f"--newpassword={password}")
        return password

    def _ask_for_ticket(self, row: Any, keys: bytes | str, *, expected: bool) -> None:
        """With the machine's own keys, or a password."""
        who = f"{row['managedDeviceName']}$@{DOMAIN.upper()}"
        with tempfile.TemporaryDirectory(prefix="deskwright-") as folder:
            config, keytab = Path(folder, "krb5.conf"), Path(folder, "keytab")
            kdc = f"[realms]\n {DOMAIN.upper()} = {{\n  kdc = {self._controller.address}\n }}\n"
            config.write_text(f"[libdefaults]\n dns_lookup_kdc = false\n{kdc}")
            command = ["kinit", "-c", f"FILE:{folder}/tickets", who]
            if isinstance(keys, bytes):
                keytab.write_bytes(keys)
                command[1:1] = ["-k", "-t", str(keytab)]
            done = subprocess.run(  # noqa: S603
                command,
                input=f"{keys}\n" if isinstance(keys, str) else "",
                capture_output=True,
                text=True,
                env={**os.environ, "KRB5_CONFIG": str(config), "LC_ALL": "C"},
                check=False,
            )
        said = "a ticket" if done.returncode == 0 else (done.stderr.strip().splitlines() or [""])[-1]
        by = "the machine's own keys" if isinstance(keys, bytes) else "the right password"
        out.print(f"Asked for a ticket as {who} with {by}, the controller gives: [bold]{said}[/]", highlight=False)
        if (done.returncode == 0) != expected or (not expected and "revoked" not in said):
            raise Refused("demo", who, f"the controller answered otherwise than it should: {said}")

    def _remove(self, tenant: TenantRef, row: Any) -> None:
        self._controller.tool("group", "removemembers", _GROUP, "diego")
        self._synchronise(tenant)
        ends = time.monotonic() + _PATIENCE_SECONDS
        while not any(r["id"] == row["id"] and r["status"] == Status.IN_GRACE for r in self._rows(tenant)):
            _wait(ends, f"{row['managedDeviceName']} did not come into its grace period")
        cloud_pcs.end_grace(self._world, tenant, self._session.actor, row["id"])
        while any(r["id"] == row["id"] for r in self._rows(tenant)) or self._unreleased(row):
            _wait(ends, f"{row['managedDeviceName']} was not cleaned up")
        say(f"{row['managedDeviceName']} is gone.")

    def _unreleased(self, row: Any) -> bool:
        query = "SELECT 1 FROM ledger WHERE cloud_pc_id = :id AND state IN ('intended', 'created') LIMIT 1"
        with self._session.database.single.connect() as connection:
            return connection.execute(text(query), {"id": UUID(row["id"])}).one_or_none() is not None


@dataclass(frozen=True)
class _Inside:
    call: Call
    vm_id: str


def _machine(session: Session, tenant: TenantRef, cloud_pc: UUID) -> _Inside:
    query = text(
        """
        SELECT l.site_id, l.run_number, l.attempt, l.external_id FROM ledger l
         WHERE l.tenant_id = :tenant AND l.cloud_pc_id = :id AND l.kind = 'vm' AND l.state = 'created'
        """
    )
    with session.database.single.connect() as connection:
        row = connection.execute(query, {"tenant": tenant.id, "id": cloud_pc}).one()
    return _Inside(Call(tenant.id, row.site_id, cloud_pc, row.run_number, row.attempt, "demo"), row.external_id)


def _decoded(told: str) -> bytes:
    import base64
    import re

    (longest,) = sorted(re.findall(r"[A-Za-z0-9+/=]{60,}", told), key=len)[-1:] or ("",)
    return base64.b64decode(longest)


def _wait(ends: float, otherwise: str) -> None:
    if time.monotonic() > ends:
        raise Refused("demo", None, f"{otherwise} within {_PATIENCE_SECONDS:.0f} s")
    time.sleep(0.2)


def _refuse_where_it_cannot() -> None:
    if os.geteuid() != 0:
        rule = "wants root: the domain controller runs in network namespaces of its own"
        raise Refused("--directory", "activedirectory", rule, remedy="Run it by sudo")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [package for program, package in _NEEDS.items() if shutil.which(program, path=path) is None]
    if missing:
        rule = f"needs programs that are not installed here (packages {', '.join(missing)})"
        raise Refused("--directory", "activedirectory", rule, remedy="make demo-ad installs them")


@contextlib.contextmanager
def _controller() -> Iterator[DomainController]:
    say(f"Starting a domain controller (Samba) for {DOMAIN}, in namespaces of its own …")
    directory = Path(tempfile.mkdtemp(prefix="deskwright-dc-"))
    try:
        try:
            controller = prepared(directory, DOMAIN)
        except SandboxFailed as failed:
            raise Refused("--directory", "activedirectory", f"the controller did not start: {failed}") from failed
        try:
            controller.start()
            yield controller
        finally:
            controller.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _furnish(controller: DomainController) -> Company:
    """What the domain's own administrator would do, once."""
    say(f"Making the unit {UNIT}, an account that reads, an account that joins, {len(PEOPLE)} people and a group …")
    unit = f"OU={UNIT},{controller.domain.distinguished_name}"
    passwords = [f"{secrets.token_urlsafe(15)}.aA1" for _ in range(2)]
    controller.tool("ou", "create", unit)
    for name, password in zip(("reader", "joiner"), passwords, strict=True):
        controller.tool("user", "create", name, password)
    for name, display in PEOPLE.items():
        given, _, surname = display.partition(" ")
        whole = (f"--given-name={given}", f"--surname={surname}")
        controller.tool("user", "create", name, f"{secrets.token_urlsafe(15)}.aA1", *whole)
    controller.tool("group", "add", _GROUP)
    controller.tool("group", "addmembers", _GROUP, ",".join(PEOPLE))
    controller.may_join("joiner", unit)
    return Company(controller, unit, *passwords)


def _lay_network(host: Host, controller: DomainController) -> None:
    """The company's network, as its administrator would have it on the host: there is a way to the controller."""
    import libvirt

    assert host.sandbox is not None  # as root there is one
    pid = int((host.sandbox / "run" / "virtlogd.pid").read_text())
    controller.reachable_from(pid, SUBNET)
    connection = libvirt.open(host.uri)
    try:
        network = connection.networkDefineXML(_NETWORK.format(domain=DOMAIN, controller=controller.address))
        network.create()
    finally:
        connection.close()
