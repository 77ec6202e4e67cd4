"""Commands about the installation itself: serve, worker, init, db, doctor, demo."""

import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from deskwright import __version__
from deskwright.cli.output import JsonOption, out, print_json, refusals
from deskwright.cli.reach import remote
from deskwright.cli.session import open_session
from deskwright.domain.rules import Refused
from deskwright.identity import certificates
from deskwright.settings import Settings

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", file_okay=False, help="Where state lives; else DESKWRIGHT_DATA_DIR, else the user's."),
]

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
_PANEL = "Operation"

db = typer.Typer(help="The database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (serve, worker, init, doctor, demo):
        app.command(rich_help_panel=_PANEL)(function)
    db.command("upgrade")(db_upgrade)
    app.add_typer(db, name="db", rich_help_panel=_PANEL)


def serve(
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Without it 8765, or a free one where that is taken.")
    ] = None,
    https_port: Annotated[
        int | None,
        typer.Option(
            "--https-port", min=0, max=65535, help="Once `deskwright cert` has run; without it 8766, or a free one."
        ),
    ] = None,
    data_dir: DataDirOption = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Serve only; workers run elsewhere.")] = False,
) -> None:
    """Run the service: HTTP, and a worker that provisions. Stop it with Ctrl-C.

    Example: deskwright serve --port 8080
    """
    _use(data_dir)
    from deskwright import serve as service

    with refusals(), open_session(pool_size=_pool_size()) as session:
        _log(session.settings)
        tls = certificates.of(session.settings.data_dir)
        if https_port is not None and not tls.exist():
            raise Refused("--https-port", https_port, "there is no certificate yet", remedy="deskwright cert makes one")
        listening = _listen(host, port, "--port", service.DEFAULT_PORT)
        https = _listen(host, https_port, "--https-port", service.DEFAULT_HTTPS_PORT) if tls.exist() else None

        def started(url: str) -> None:
            also = f" and {service.address(https, 'https')}" if https else ""
            out.print(f"Deskwright is listening on {url}{also}", highlight=False, soft_wrap=True)
            if https and tls.ends_at() < datetime.now(UTC) + timedelta(days=14):
                said = f"The certificate ends on {tls.ends_at():%Y-%m-%d}. deskwright cert renews it."
                out.print(said, style="yellow", soft_wrap=True)
            out.print(f"Data in {session.settings.data_dir.resolve()}. Stop with Ctrl-C.", style="dim", soft_wrap=True)

        service.serve(session.world, listening, https=https, with_worker=not no_worker, started=started)
        out.print("Stopped.", style="dim")


def worker(
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, max=256, help="Runs at once.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Run one more worker, on this or another machine with the same database and secret key.

    Example: deskwright worker --concurrency 16
    """
    _use(data_dir)
    from deskwright.telemetry import endpoint, metrics, traces
    from deskwright.worker import Worker

    with refusals(), open_session(pool_size=concurrency or _pool_size()) as session:
        _log(session.settings)
        working = Worker(session.world, concurrency)
        metrics.begin(__version__)
        with endpoint.answering(session.settings, working.works) as measured:
            out.print(f"Working, {working.concurrency} runs at once. Stop with Ctrl-C.", style="dim")
            if measured:
                out.print(f"Metrics at {measured}/metrics", style="dim", highlight=False, soft_wrap=True)
            working.run(handle_signals=True)
        traces.flush()


def init(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Make a first tenant of that name.")] = None,
    administrator: Annotated[
        str | None,
        typer.Option("--administrator", metavar="UPN", help="Its first administrator; without it admin@TENANT."),
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prepare this machine: keys, database, and, where asked for, a first tenant with its administrator.

    Prints a one-time link, valid for 24 hours, by which the administrator chooses a password. Safe to run again: a
    fresh link is made only for who is named, or while no administrator has chosen a password.

    Example: deskwright init --tenant contoso.com
    """
    _use(data_dir)
    from deskwright.cli.identity_commands import address
    from deskwright.operations import invitations, tenants
    from deskwright.store import migrations
    from deskwright.store.secrets import key_file

    with refusals(), open_session() as session:
        migrations.upgrade(session.database)
        known = {t["name"].lower() for t in tenants.list_(session.database)}
        if tenant is not None and tenant.lower() not in known:
            tenants.create(session.database, session.actor, name=tenant)
        settings, key = session.settings, key_file(session.settings)
        found = [t["name"] for t in tenants.list_(session.database)]
        invited = None
        if tenant is not None or administrator is not None:
            here, base = session.tenant(tenant), address(session)
            invited = invitations.first_administrator(
                session.database, here, session.actor, administrator, base=base, settings=settings
            )
    place = "yours" if settings.database_url else f"embedded, in {settings.data_dir / 'postgresql'}"
    if as_json:
        about = {"dataDirectory": settings.data_dir, "secretKeyFile": key, "database": place, "tenants": found}
        print_json({**about, "invitation": invited})
        return
    for name, value in (
        ("Data", settings.data_dir),
        ("Secret key", key),
        ("Database", place),
        ("Tenants", ", ".join(found)),
    ):
        out.print(Text.assemble((f"{name:<12}", "dim"), str(value) or "none yet"), soft_wrap=True)
    out.print()
    out.print("What to type next", style="bold")
    if not found:
        _command("deskwright init --tenant NAME", "makes a first tenant, and the link to sign in with")
    _command("deskwright serve", "runs the service, with a worker")
    if invited is not None:
        out.print()
        out.print("Then open this link, and choose a password:", style="bold")
        out.print(Text(f"  {invited['url']}"), soft_wrap=True)
        said = f"You are {invited['userPrincipalName']}, and the page that follows leads to the first Cloud PC."
        out.print(Text(f"  {said} It works once, for 24 hours; init makes a fresh one.", "dim"), soft_wrap=True)
    out.print()
    out.print("Or without pages", style="bold")
    _command("deskwright apply -f TENANT.yaml --wait", "describes who gets a Cloud PC, and shows them coming up")
    _command("deskwright doctor", "examines this installation")
    out.print(
        "  On this machine no password is needed: whoever may read the data directory is an administrator.",
        style="dim",
        soft_wrap=True,
    )


def _command(command: str, meaning: str) -> None:
    out.print(Text.assemble((f"  {command:<42}", "cyan"), (meaning, "dim")), soft_wrap=True)


def db_upgrade(data_dir: DataDirOption = None) -> None:
    """Bring the database's schema up to date. The embedded database does this by itself.

    Example: DESKWRIGHT_DATABASE_URL=postgresql://... deskwright db upgrade
    """
    _use(data_dir)
    from deskwright.store import migrations

    with refusals(), open_session() as session:
        before = migrations.current(session.database)
        migrations.upgrade(session.database)
        after = migrations.current(session.database)
    out.print(f"Schema is at revision {after}" + ("" if before == after else f", was {before or 'empty'}"))


def doctor(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Examine this installation: what works, what is late, and the mend. Exit code 1 when something fails.

    Example: deskwright doctor
    """
    _use(data_dir)
    from deskwright.operations.doctor import Finding, examine, examine_host

    elsewhere = remote()
    if elsewhere is not None:
        with refusals():
            _print_findings(elsewhere.get("/doctor")["value"], as_json)
        return
    findings = list(examine_host())
    try:
        with open_session() as session:
            findings += examine(session.world)
    except Exception as failure:  # noqa: BLE001 - that it cannot be opened is the finding
        mend = (
            "Look at DESKWRIGHT_DATABASE_URL"
            if os.environ.get("DESKWRIGHT_DATABASE_URL")
            else "Look at the data directory"
        )
        findings.append(Finding("Database", "fail", f"cannot be opened: {str(failure).splitlines()[0]}", mend))
    _print_findings([f.as_json() for f in findings], as_json)


def _print_findings(findings: list[dict[str, Any]], as_json: bool) -> None:
    marks = [f["status"] for f in findings]
    if as_json:
        print_json(findings)
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(width=2)
        table.add_column(overflow="fold")
        table.add_column(overflow="fold", ratio=1)
        for f in findings:
            detail = Text(f["detail"])
            if f["mend"]:
                detail.append(f"\n↳ {f['mend']}", "cyan")
            table.add_row(Text(*_MARKS[f["status"]]), f["check"], detail)
        out.print(table)
        out.print(
            f"{marks.count('ok')} ok, {marks.count('warn')} warnings, {marks.count('fail')} failures", style="bold"
        )
    if "fail" in marks:
        raise typer.Exit(1)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running afterwards.")] = False,
    speed: Annotated[
        float | None, typer.Option("--speed", min=0.001, help="How much faster than real; the sample says 60.")
    ] = None,
    data_dir: Annotated[Path, typer.Option("--data-dir", file_okay=False, help="Made afresh each time.")] = Path(
        ".demo"
    ),
    compute: Annotated[
        str, typer.Option("--compute", help="simulator, or libvirt for real machines on this one.")
    ] = "simulator",
    directory: Annotated[
        str | None, typer.Option("--directory", help="activedirectory: hybrid join, to a controller made for it.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End a demo that was kept, and its machines.")] = False,
) -> None:
    """See the main job from beginning to end: a company, its policies, and its Cloud PCs coming up.

    Example: deskwright demo --keep
    """
    with refusals():
        if stop:
            from deskwright.cli.demo import stop_demo

            stop_demo(data_dir)
            return
        if compute not in ("simulator", "libvirt"):
            raise Refused("--compute", compute, "must be one of: simulator, libvirt")
        if directory is not None:
            _demo_directory(data_dir, directory, compute, keep=keep, speed=speed)
            return
        if compute == "libvirt":
            from deskwright.cli.demo_real import run_real_demo

            if speed is not None:
                raise Refused("--speed", speed, "is for the simulator: real machines take the time they take")
            run_real_demo(data_dir, keep=keep)
            return
        from deskwright.cli.demo import run_demo

        run_demo(data_dir, keep=keep, speed=speed)


def _demo_directory(data_dir: Path, directory: str, compute: str, *, keep: bool, speed: float | None) -> None:
    if directory != "activedirectory":
        raise Refused("--directory", directory, "must be: activedirectory")
    if keep:
        raise Refused("--keep", "--directory", "is not for this one: its controller ends with it")
    if speed is not None:
        raise Refused("--speed", speed, "is not for this one: the domain controller takes the time it takes")
    from deskwright.cli.demo_directory import run_directory_demo

    run_directory_demo(data_dir, compute=compute)


def _listen(host: str, port: int | None, option: str, default: int) -> socket.socket:
    from deskwright import serve as service

    try:
        return service.listen(host, port, default)
    except OSError as taken:
        rule = f"cannot be listened on at {host}: {taken.strerror or taken}"
        raise Refused(option, port, rule, remedy="Leave it out for a free one") from taken


def _use(data_dir: Path | None) -> None:
    if data_dir is not None:
        # Settings read the environment, and so do the processes this one starts.
        os.environ["DESKWRIGHT_DATA_DIR"] = str(data_dir)


def _pool_size() -> int:
    return _settings().concurrency


def _settings() -> Settings:
    from_environment: dict[str, Any] = {}
    return Settings(**from_environment)


def _log(settings: Settings) -> None:
    from deskwright.telemetry import logs

    logs.configure(settings)
    # A service manager stops a process with SIGTERM; until uvicorn or the worker handles it, it means: leave.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
