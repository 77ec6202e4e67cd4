"""`deskwright demo --compute libvirt`: the main job with real machines on this one.

As root it starts a libvirtd of its own, in namespaces of its own: the machine's libvirt, firewall and network are left
alone, and everything is gone afterwards. Who is not root uses the machine's libvirt.
"""

import contextlib
import io
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image, ImageChops
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deskwright.cli import live
from deskwright.cli.demo import Service, command_line, make_fresh, mark, pid_of
from deskwright.cli.output import out
from deskwright.cli.session import Session, open_session
from deskwright.cli.timeline_text import print_timeline
from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.images import process
from deskwright.images.tools import MissingTools
from deskwright.operations import cloud_pcs, consoles, groups, invitations, view
from deskwright.operations import sites as site_operations
from deskwright.operations.change import TenantRef
from deskwright.operations.timeline import reveal_sign_in
from deskwright.providers import rfb
from deskwright.providers.registry import providers_for
from deskwright.provision.sites import load_site
from deskwright.settings import Settings

SAMPLE, GALLERY_IMAGE = "workshop.yaml", "debian-12-tiny"
PICTURE = "signed-in.png"
_CURSOR = 10, 18
"""Of a text screen, in pixels."""
_STILL_SECONDS, _PATIENCE_SECONDS = 1.0, 90.0


@dataclass(frozen=True)
class Host:
    """Where the demo's machines run."""

    uri: str
    directory: str
    sandbox: Path | None = None
    """Of a libvirtd that was started for the demo, and is gone with it."""


def run_real_demo(data_dir: Path, *, keep: bool) -> None:
    """The whole of it: two Cloud PCs come up, one is signed in to, one made anew, one removed; nothing is left."""
    make_fresh(data_dir)
    os.environ["DESKWRIGHT_DATA_DIR"] = str(data_dir)
    os.environ.pop("DESKWRIGHT_DATABASE_URL", None)
    mark(data_dir, keep=False)
    with real_host(keep=keep) as host:
        say(f"Machines run at {host.uri}" + (", a libvirt of the demo's own" if host.sandbox else ""))
        build_image()
        service = Service(data_dir)
        try:
            service.start()
            with open_session() as session:
                say(f"The service listens on {service.url} (pid {pid_of(service)}); its data are in {data_dir}")
                _Demo(session, service, host, data_dir).show(keep=keep)
        except BaseException:
            service.stop()
            raise
        if keep:
            mark(data_dir, keep=True, sandbox=host.sandbox)
        else:
            service.stop()


class _Demo:
    def __init__(self, session: Session, service: Service, host: Host, data_dir: Path) -> None:
        self._session, self._service, self._host, self._data_dir = session, service, host, data_dir
        self._world = session.world

    def show(self, *, keep: bool) -> None:
        tenant = self._apply()
        heading("Two people in the group, two licences: two Cloud PCs come up")
        self._follow(tenant)
        rows = self._rows(tenant)
        for row in rows:
            if row["status"] not in (Status.PROVISIONED, Status.WARNINGS):
                self._print_timeline(tenant, row["id"])
                raise Refused("demo", row["userPrincipalName"], "its Cloud PC did not come up, see above")
        heading(f"The timeline of {rows[0]['managedDeviceName']}: real durations, and what was read back inside")
        self._print_timeline(tenant, rows[0]["id"])
        self._sign_in(tenant, rows[0])
        if keep:
            self._closing(tenant)
            return
        heading(f"{rows[0]['managedDeviceName']} is made anew: another machine, another name")
        cloud_pcs.reprovision(self._world, tenant, self._session.actor, rows[0]["id"])
        self._follow(tenant)
        heading("Diego leaves the group, his grace period is ended: his Cloud PC is removed")
        self._remove(tenant, "diego@workshop.example")
        heading("Adele leaves as well")
        self._remove(tenant, "adele@workshop.example")
        self._nothing_left(tenant)

    def _apply(self) -> TenantRef:
        from deskwright.document.apply import apply

        text = files("deskwright").joinpath("samples", SAMPLE).read_text(encoding="utf-8")
        document = self._data_dir / SAMPLE
        document.write_text(text.replace("@uri@", self._host.uri).replace("@directory@", self._host.directory))
        say(f"Applying {document} …")
        apply(self._world, document, self._session.actor)
        return self._session.tenant(None)

    def _follow(self, tenant: TenantRef) -> None:
        live.follow(self._session.database, tenant, out, tick=self._service.look_after)

    def _rows(self, tenant: TenantRef) -> list[Any]:
        return list(live.take(self._session.database, tenant).rows)

    def _print_timeline(self, tenant: TenantRef, cloud_pc: str) -> None:
        with self._session.database.single.connect() as connection:
            print_timeline(out, {**view.timeline(connection, tenant, UUID(cloud_pc)), "ledger": []})

    def _sign_in(self, tenant: TenantRef, row: Any) -> None:
        """As its user does at the console: the one-time password, a new one twice, and a shell."""
        actor = self._session.actor
        heading(f"Signing in to {row['managedDeviceName']} at its console, with the one-time password")
        told = reveal_sign_in(self._world, tenant, actor, row["id"])
        once, chosen = told["oneTimePassword"], secrets.token_urlsafe(12)
        ticket = consoles.open_console(self._world, tenant, actor, row["id"])
        screen = consoles.screen_of(self._world, tenant, actor, ticket.sealed)
        assert screen is not None
        with contextlib.closing(screen.connect()) as wire:
            rfb.greet(wire, ticket.password)
            for typed in (
                told["userName"],
                once,
                once,
                chosen,
                chosen,
                "id; hostname; ip -br address",
            ):
                self._still(tenant, row)
                rfb.type_text(wire, f"{typed}\n")
            picture = self._still(tenant, row)
        file = self._data_dir / PICTURE
        file.write_bytes(picture)
        out.print(f"{told['userName']} is signed in. What the screen shows: {file}", style="bold", highlight=False)

    def _still(self, tenant: TenantRef, row: Any) -> bytes:
        """What the screen shows, once it has stood still for a moment."""
        ends, seen, since = time.monotonic() + _PATIENCE_SECONDS, b"", time.monotonic()
        while True:
            now = consoles.screenshot(self._world, tenant, self._session.actor, row["id"])
            if not _same(now, seen):
                seen, since = now, time.monotonic()
            if time.monotonic() - since >= _STILL_SECONDS or time.monotonic() >= ends:
                return now
            time.sleep(0.2)

    def _remove(self, tenant: TenantRef, user: str) -> None:
        actor, database = self._session.actor, self._session.database
        (row,) = [r for r in self._rows(tenant) if r["userPrincipalName"] == user]
        groups.remove_members(database, tenant, actor, "Workshop", [user], confirmed=True)
        while not any(r["id"] == row["id"] and r["status"] == Status.IN_GRACE for r in self._rows(tenant)):
            time.sleep(0.2)
        cloud_pcs.end_grace(self._world, tenant, actor, row["id"])
        while any(r["id"] == row["id"] for r in self._rows(tenant)):
            time.sleep(0.2)
        say(f"{row['managedDeviceName']} is gone.")

    def _nothing_left(self, tenant: TenantRef) -> None:
        """Networks are never removed by clean-up (L3); the demo does it by hand, and looks what is left."""
        database = self._session.database
        sites = [UUID(site["id"]) for site in site_operations.list_(database, tenant)]
        ends = time.monotonic() + _PATIENCE_SECONDS
        for site in sites:
            compute = providers_for(database, load_site(database, site)).compute
            shared = (Kind.NETWORK, Kind.SECURITY_GROUP)
            while any(f.kind not in shared for f in compute.inventory()) and time.monotonic() < ends:
                time.sleep(0.2)
            for left in [f for kind in shared for f in compute.inventory() if f.kind == kind]:
                compute.release(Kind(left.kind), left.key)
            still = [f"{f.kind} {f.name or f.external_id}" for f in compute.inventory()]
            if still:
                raise Refused("demo", None, f"something was left behind: {', '.join(still)}")
        out.print(
            "Nothing is left: no machine, no disk, no network, no address. (Its data stay until the next demo.)",
            style="bold green",
            highlight=False,
        )

    def _closing(self, tenant: TenantRef) -> None:
        made = invitations.first_administrator(
            self._session.database, tenant, self._session.actor, base=self._service.url
        )
        out.print()
        out.print(f"The service is still running: {self._service.url}, pid {pid_of(self._service)}", style="bold")
        if made is not None:
            out.print(
                "  The admin center, where each Cloud PC has a console; this link lets you choose a password, once:"
            )
            out.print(f"    {made['url']}", style="cyan", highlight=False, soft_wrap=True)
        stop = f"{command_line(self._data_dir)} demo --stop --data-dir {self._data_dir}"
        out.print(f"  Stop it, and its machines, with: {stop}", highlight=False, soft_wrap=True)
        if self._host.sandbox:
            out.print(f"  Its machines run at {self._host.uri}", highlight=False, soft_wrap=True)


@contextlib.contextmanager
def real_host(*, keep: bool) -> Iterator[Host]:
    try:
        import libvirt
    except ModuleNotFoundError as missing:
        rule, mend = "needs libvirt and its Python binding, which are not installed here", "make libvirt installs them"
        raise Refused("--compute", "libvirt", rule, remedy=mend) from missing
    if os.geteuid() != 0:
        try:
            libvirt.open("qemu:///system").close()
        except libvirt.libvirtError as error:
            rule = f"cannot use this machine's libvirt: {error}"
            mend = "Be a member of the group libvirt (sudo adduser $USER libvirt, then sign in again), or use sudo"
            raise Refused("--compute", "libvirt", rule, remedy=mend) from error
        yield Host("qemu:///system", "/var/lib/libvirt/images/deskwright-demo")
        return
    from deskwright.providers.libvirt.sandbox import SandboxFailed, prepared

    say("Starting a libvirt of the demo's own, in namespaces of its own …")
    directory = Path(tempfile.mkdtemp(prefix="deskwright-"))
    sandbox = prepared(directory)
    try:
        try:
            sandbox.start()
        except SandboxFailed as failed:
            raise Refused(
                "--compute", "libvirt", str(failed), remedy="make libvirt installs what is needed"
            ) from failed
        yield Host(sandbox.uri, sandbox.disks, directory)
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            sandbox.stop()
            shutil.rmtree(directory, ignore_errors=True)


def build_image() -> None:
    """Once on this machine; the Cloud PCs wait for it otherwise, with less to see."""
    into = Settings().image_dir / GALLERY_IMAGE
    if process.look(into).finished is not None:
        return
    say(f"Building the image {GALLERY_IMAGE} from Debian's packages; it is kept in {into} …")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("beginning", total=1.0)
        try:
            process.start(GALLERY_IMAGE, into)
        except MissingTools as missing:
            raise Refused(
                "--compute", "libvirt", str(missing), remedy="make libvirt installs what is missing"
            ) from None
        while (progress := process.look(into)).finished is None:
            if progress.failed or not progress.running:
                raise Refused("image", GALLERY_IMAGE, f"could not be built: {progress.failed or 'its build ended'}")
            bar.update(task, completed=progress.fraction, description=progress.doing or "beginning")
            time.sleep(0.2)


def _same(one: bytes, other: bytes) -> bool:
    """Whether two pictures differ in no more than a blinking cursor."""
    if not other:
        return False
    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png in (one, other)]
    if pictures[0].size != pictures[1].size:
        return False
    box = ImageChops.difference(*pictures).getbbox()
    return box is None or (box[2] - box[0] <= _CURSOR[0] and box[3] - box[1] <= _CURSOR[1])


def heading(text: str) -> None:
    out.print()
    out.print(text, style="bold", highlight=False)


def say(text: str) -> None:
    out.print(text, style="dim", highlight=False, soft_wrap=True)
