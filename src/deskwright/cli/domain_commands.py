"""`deskwright domain`: Active Directory domains, and what is synchronised from them."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.status import Status

from deskwright import jobs
from deskwright.cli.in_tenant import Here, PasswordStdin, done, everything, in_tenant, print_one, read_password
from deskwright.cli.output import ConfirmOption, JsonOption, TenantOption, err, out, print_json, show
from deskwright.domain.rules import Refused
from deskwright.operations import domain_sync, domains
from deskwright.operations.domains import DOMAIN
from deskwright.operations.named import Item

domain_app = typer.Typer(help="Active Directory domains that people and computers come from.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Its DNS name or id.")]
Controllers = Annotated[
    list[str] | None,
    typer.Option("--controller", help="A controller's full name, NAME=ADDRESS where DNS does not know it. Repeatable."),
]
NameServers = Annotated[
    list[str] | None, typer.Option("--name-server", help="Address of a DNS server of the domain. Repeatable.")
]
Bases = Annotated[
    list[str] | None, typer.Option("--search-base", help="A unit that is read; none: the whole domain. Repeatable.")
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", help="Certificate (PEM) of who signed the controllers' certificates.")
]
StartTls = Annotated[bool | None, typer.Option("--start-tls/--ldaps", help="StartTLS on port 389, or LDAPS on 636.")]
SignIn = Annotated[str | None, typer.Option("--sign-in", help="none, or ldap: people sign in with its passwords.")]
Enabled = Annotated[bool | None, typer.Option("--sync/--no-sync", help="Whether it is synchronised by itself.")]
Interval = Annotated[int | None, typer.Option("--interval", help="Minutes between two runs; 30 unless said.")]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Sign in there before it is kept.")]

COLUMNS = {
    "domainName": "domain",
    "syncStatus": "synchronisation",
    "lastSyncDateTime": "last",
    "people": "people",
    "groups": "groups",
    "computers": "computers",
    "signIn": "sign-in",
}
RUN_COLUMNS = {
    "startDateTime": "started",
    "status": "result",
    "read": "read",
    "seconds": "seconds",
    "objectsRead": "objects",
    "did": "what it did",
}
FINDING_COLUMNS = {
    "displayName": "object",
    "code": "finding",
    "detail": "detail",
    "recommendedAction": "way out",
}
CHECK_COLUMNS = {
    "displayName": "check",
    "status": "status",
    "seconds": "seconds",
    "additionalDetail": "detail",
    "recommendedAction": "remedy",
}
_DID = {
    "peopleAdded": "+{} people",
    "peopleChanged": "{} people changed",
    "peopleRemoved": "-{} people",
    "peopleRestored": "{} people back",
    "groupsAdded": "+{} groups",
    "groupsChanged": "{} groups changed",
    "groupsRemoved": "-{} groups",
    "membersAdded": "+{} members",
    "membersRemoved": "-{} members",
    "computersAdded": "+{} computers",
    "computersRemoved": "-{} computers",
}
_PAUSE_SECONDS, _PATIENCE_SECONDS = 0.3, 3600.0


@domain_app.command("list")
def list_domains(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the domains with how their synchronisation stands.

    Example: deskwright domain list
    """
    with in_tenant(tenant) as here:
        found = everything(DOMAIN, lambda a, n: domains.list_(here.database, here.tenant, a, n), None)
        show(found, COLUMNS, as_json=as_json, empty="No domains.")


@domain_app.command("show")
def show_domain(domain: Domain, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a domain: how it is reached, its last runs, what could not be taken over, and what waits for a yes.

    Example: deskwright domain show corp.contoso.com
    """
    with in_tenant(tenant) as here:
        item = domains.show(here.database, here.tenant, domain)
        print_one(item, as_json=as_json, leave_out=("lastSyncs", "findings", "wouldLose", "caCertificate"))
        if as_json:
            return
        if item["lastSyncs"]:
            out.print()
            show([_run(run) for run in item["lastSyncs"]], RUN_COLUMNS, as_json=False)
        if item["findings"]:
            out.print()
            show(item["findings"], FINDING_COLUMNS, as_json=False)
        _say_losing(item)


@domain_app.command("create")
def create_domain(
    domain: Annotated[str, typer.Argument(metavar="NAME", help="Its full DNS name.")],
    username: Annotated[str, typer.Option("--username", help="UPN of the account that reads it.")],
    password_stdin: PasswordStdin = False,
    controllers: Controllers = None,
    name_servers: NameServers = None,
    ca_file: CaFile = None,
    start_tls: StartTls = None,
    search_bases: Bases = None,
    sign_in: SignIn = None,
    sync: Enabled = None,
    interval: Interval = None,
    verify: Verify = True,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a domain. The account's password is asked for and tried there; the first synchronisation starts at once.

    Example: deskwright domain create corp.contoso.com --username reader@corp.contoso.com --ca-file corp-ca.pem
    """
    password = read_password(password_stdin)
    with in_tenant(tenant) as here:
        item = domains.create(
            here.database,
            here.tenant,
            here.actor,
            secrets=here.session.world.secrets,
            domain_name=domain,
            user_name=username,
            password=password,
            controllers=controllers or (),
            name_servers=name_servers or (),
            ca_certificate=_pem(ca_file) or "",
            start_tls=bool(start_tls),
            search_bases=search_bases or (),
            sign_in=sign_in or "none",
            sync_enabled=sync is not False,
            sync_interval_minutes=30 if interval is None else interval,
            verify=verify,
        )
        name = item["domainName"]
        follows = f" Watch its first run: deskwright domain sync {name}" if item["syncEnabled"] else ""
        done(item, f"Created domain {name}.{follows}", as_json=as_json)


@domain_app.command("set")
def set_domain(
    domain: Domain,
    username: Annotated[str | None, typer.Option("--username", help="UPN of the account that reads it.")] = None,
    new_password: Annotated[bool, typer.Option("--password", help="Ask for a new password of the account.")] = False,
    password_stdin: PasswordStdin = False,
    controllers: Controllers = None,
    name_servers: NameServers = None,
    ca_file: CaFile = None,
    start_tls: StartTls = None,
    search_bases: Bases = None,
    sign_in: SignIn = None,
    sync: Enabled = None,
    interval: Interval = None,
    verify: Verify = True,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a domain; the password stays unless a new one is given. An empty value empties a list.

    Example: deskwright domain set corp.contoso.com --search-base OU=Staff,DC=corp,DC=contoso,DC=com
    """
    password = read_password(password_stdin) if new_password or password_stdin else None
    with in_tenant(tenant) as here:
        item = domains.set_(
            here.database,
            here.tenant,
            here.actor,
            domain,
            secrets=here.session.world.secrets,
            user_name=username,
            password=password,
            controllers=controllers,
            name_servers=name_servers,
            ca_certificate=_pem(ca_file),
            start_tls=start_tls,
            search_bases=search_bases,
            sign_in=sign_in,
            sync_enabled=sync,
            sync_interval_minutes=interval,
            verify=verify,
        )
        done(item, f"Changed domain {item['domainName']}.", as_json=as_json)


@domain_app.command("test")
def try_domain(domain: Domain, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Try everything a synchronisation needs, and count what it would read. Ends with 1 where something failed.

    Example: deskwright domain test corp.contoso.com
    """
    with in_tenant(tenant) as here:
        seen = domains.test(here.database, here.tenant, domain, secrets=here.session.world.secrets)
        if as_json:
            print_json(seen)
        else:
            show(seen["checks"], CHECK_COLUMNS, as_json=False)
        if not seen["passed"]:
            raise typer.Exit(1)


@domain_app.command("sync")
def sync_domain(
    domain: Domain,
    confirm: ConfirmOption = False,
    complete: Annotated[bool, typer.Option("--complete", help="Read everything, not only what changed.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until the run has ended.")] = True,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Synchronise a domain now, and show how far it is. --confirm: go ahead with the run that stopped and asked.

    Example: deskwright domain sync corp.contoso.com
    """
    with in_tenant(tenant) as here:
        item = domains.synchronise(here.database, here.tenant, here.actor, domain, confirm=confirm, complete=complete)
        if not wait:
            done(item, f"{item['domainName']} is synchronised by a worker in a moment.", as_json=as_json)
            return
        ended = _follow(here, item, quiet=as_json)
        run = ended["lastSyncs"][0]
        if as_json:
            print_json(run)
        else:
            _say_run(ended, run)
        if run["status"] != domain_sync.SUCCEEDED:
            raise typer.Exit(1)


@domain_app.command("adopt")
def adopt_group(
    domain: Domain,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="A group of this tenant, by name or id.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a domain have the group of this tenant that is called like one of its own; its members become the domain's.

    Example: deskwright domain adopt corp.contoso.com Sales
    """
    with in_tenant(tenant) as here:
        item = domains.adopt(here.database, here.tenant, here.actor, domain, group)
        name, owner = item["displayName"], item["domainName"]
        done(item, f"{name} is {owner}'s from its next run on, which starts now.", as_json=as_json)


@domain_app.command("delete")
def delete_domain(domain: Domain, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Forget a domain. Its people and groups stay, as the tenant's own.

    Example: deskwright domain delete corp.contoso.com
    """
    with in_tenant(tenant) as here:
        item = domains.delete(here.database, here.tenant, here.actor, domain)
        stay = f"{item['people']} people and {item['groups']} groups stay and are the tenant's own"
        done(item, f"Deleted domain {item['domainName']}; {stay}.", as_json=as_json)


def _pem(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("caCertificate", str(file), f"cannot be read: {error}") from error


def _follow(here: Here, asked: Item, *, quiet: bool) -> Item:
    """Wait for the run that was asked for, and say how far it is; done here where no worker lives."""

    def look() -> Item:
        return domains.show(here.database, here.tenant, asked["id"])

    stale = here.session.settings.stalled_seconds
    with here.database.single.connect() as connection:
        alone = jobs.workers_alive(connection, stale) == 0
    if alone:
        world = here.session.world
        doing = threading.Thread(target=domain_sync.synchronise, args=(world, UUID(asked["id"])), daemon=True)
        doing.start()
    name, said = asked["domainName"], ""
    ends = time.monotonic() + _PATIENCE_SECONDS
    with err.status(f"{name}: waiting for a worker") if not quiet else _Silent() as status:
        while True:
            item = look()
            first = item["lastSyncs"][0]["startDateTime"] if item["lastSyncs"] else None
            if first is not None and first >= asked["nextSyncDateTime"] and not item["syncRunning"]:
                return item
            if item["syncProgress"] and item["syncProgress"] != said:
                said = item["syncProgress"]
                _tell(status, f"{name}: {said}")
            if time.monotonic() > ends:
                raise Refused("domain", name, "its run has not ended yet", remedy=f"See: deskwright domain show {name}")
            time.sleep(_PAUSE_SECONDS)


class _Silent:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _tell(status: Status | None, said: str) -> None:
    if status is None:
        return
    status.update(said)
    if not err.is_terminal:
        err.print(said, markup=False, highlight=False)


def _run(run: Item) -> Item:
    return {
        **run,
        "startDateTime": f"{run['startDateTime']:%Y-%m-%d %H:%M}",
        "read": "everything" if run["complete"] else "changes",
        "seconds": f"{run['seconds']:.1f}",
        "did": _did(run),
    }


def _did(run: Item) -> str:
    if run["status"] == domain_sync.FAILED:
        return f"{run['errorCode']}: {run['detail']}"
    parts = [words.format(f"{run[name]:,}") for name, words in _DID.items() if run[name]]
    would = "would: " if run["status"] == domain_sync.CONFIRM and parts else ""
    return would + (", ".join(parts) or "nothing had changed")


def _say_run(item: Item, run: Item) -> None:
    say: Callable[..., Any] = out.print
    name = item["domainName"]
    if run["status"] == domain_sync.SUCCEEDED:
        read = "everything" if run["complete"] else "what changed"
        said = f"{name}: {_did(run)}. Read {read} ({run['objectsRead']:,} objects) in {run['seconds']:.1f} s."
        say(said, markup=False, highlight=False)
        if item["findings"]:
            show(item["findings"], FINDING_COLUMNS, as_json=False)
        return
    if run["status"] == domain_sync.FAILED:
        say(f"{name}: failed, nothing was changed. {_did(run)}", markup=False, highlight=False)
        return
    _say_losing(item)


def _say_losing(item: Item) -> None:
    losing = item["wouldLose"]
    if losing is None:
        return
    say: Callable[..., Any] = out.print
    people = f"{losing['people']} of {losing['of']} people would lose their Cloud PC"
    say(f"\nStopped, nothing was changed: {people}.", markup=False, highlight=False)
    for who in losing["who"][:10]:
        say(f"  {who}", markup=False, highlight=False)
    if losing["people"] > 10:
        say(f"  … and {losing['people'] - 10} more", markup=False, highlight=False)
    name = item["domainName"]
    say(f"If this is meant: deskwright domain sync {name} --confirm", markup=False, highlight=False)
