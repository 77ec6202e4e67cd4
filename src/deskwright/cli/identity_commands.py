"""`deskwright app`, `deskwright role`, `deskwright token` and `deskwright cert`: who may call, and over what."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from deskwright.cli.in_tenant import LimitOption, done, everything, in_tenant, print_one
from deskwright.cli.output import JsonOption, TenantOption, out, print_json, refusals, show
from deskwright.cli.session import Session
from deskwright.identity import certificates
from deskwright.identity.keys import TOKEN_LIFE
from deskwright.operations import applications, credentials, guests, role_groups, roles
from deskwright.operations.applications import APP, SECRET_DAYS
from deskwright.settings import Settings

app_app = typer.Typer(help="App registrations: programs that may call the API.", no_args_is_help=True)
role_app = typer.Typer(help="Who administers this tenant's Cloud PCs.", no_args_is_help=True)

App = Annotated[str, typer.Argument(metavar="APP", help="Its display name or id.")]
Permissions = Annotated[
    list[str] | None,
    typer.Option("--permission", "-p", help="Such as CloudPC.ReadWrite.All; may be given again. They replace the old."),
]
Redirects = Annotated[
    list[str] | None,
    typer.Option("--redirect-uri", help="Where sign-ins in a browser return to; may be given again."),
]
Public = Annotated[
    bool | None, typer.Option("--public/--confidential", help="A program on people's machines keeps no secret.")
]
Role = Annotated[str, typer.Argument(metavar="ROLE", help="administrator, reader, or the role's full name.")]
SomeUser = Annotated[str | None, typer.Argument(metavar="[USER]", help="Their user principal name or id.")]
RoleGroup = Annotated[
    str | None,
    typer.Option("--group", help="Everybody who is in this group (display name or id), instead of a person."),
]
Guest = Annotated[bool, typer.Option("--guest", help="A person of another tenant; they hold one role here.")]

APP_COLUMNS = {
    "displayName": "application",
    "id": "client id",
    "permissions": "permissions",
    "isFallbackPublicClient": "public",
    "accountEnabled": "enabled",
}
ROLE_COLUMNS = {
    "role": "role",
    "userPrincipalName": "user",
    "groupDisplayName": "group",
    "through": "through",
    "tenant": "guest from",
    "createdDateTime": "since",
}
_ALL = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the commands that are not about one kind of object."""
    app.command(rich_help_panel="Tenant")(token)
    app.command(rich_help_panel="Operation")(cert)


@app_app.command("create")
def create_app(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its display name; the audit log shows it.")],
    permission: Permissions = None,
    redirect_uri: Redirects = None,
    public: Public = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register an application. `deskwright app secret` then makes what it signs in with.

    Example: deskwright app create nightly-report -p CloudPC.Read.All
    """
    with in_tenant(tenant) as here:
        item = applications.create(
            here.database,
            here.tenant,
            here.actor,
            display_name=name,
            permissions=permission or (),
            public_client=bool(public),
            redirect_uris=redirect_uri or (),
        )
        done(item, f"Registered {item['displayName']}, client id {item['id']}.", as_json=as_json)


@app_app.command("list")
def list_apps(limit: LimitOption = None, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the app registrations.

    Example: deskwright app list
    """
    with in_tenant(tenant) as here:
        found = everything(APP, lambda a, n: applications.list_(here.database, here.tenant, a, n), limit)
        show(found, APP_COLUMNS, as_json=as_json, empty="No app registrations.")


@app_app.command("show")
def show_app(app: App, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show an app registration, its permissions, and when its secrets end.

    Example: deskwright app show nightly-report
    """
    with in_tenant(tenant) as here:
        item = applications.show(here.database, here.tenant, app)
        print_one(item, as_json=as_json, leave_out=("passwordCredentials", "appId"))
        for secret in () if as_json else item["passwordCredentials"]:
            label = f" {secret['displayName']}" if secret["displayName"] else ""
            said = f"secret {secret['keyId']}  {secret['hint']}…{label}, until {secret['endDateTime']:%Y-%m-%d}"
            out.print(said, markup=False, highlight=False, soft_wrap=True)


@app_app.command("set")
def set_app(
    app: App,
    display_name: Annotated[str | None, typer.Option("--display-name", help="A new name.")] = None,
    permission: Permissions = None,
    redirect_uri: Redirects = None,
    public: Public = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Disabled, its tokens count no more within a minute.")
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an app registration; lists that are given replace the old ones.

    Example: deskwright app set nightly-report -p CloudPC.Read.All -p User.Read.All
    """
    with in_tenant(tenant) as here:
        item = applications.set_(
            here.database,
            here.tenant,
            here.actor,
            app,
            display_name=display_name,
            permissions=permission,
            public_client=public,
            redirect_uris=redirect_uri,
            account_enabled=enabled,
        )
        done(item, f"Changed {item['displayName']}.", as_json=as_json)


@app_app.command("delete")
def delete_app(app: App, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete an app registration with its secrets.

    Example: deskwright app delete nightly-report
    """
    with in_tenant(tenant) as here:
        item = applications.delete_(here.database, here.tenant, here.actor, app)
        done(item, f"Deleted {item['displayName']}.", as_json=as_json)


@app_app.command("secret")
def secret(
    app: App,
    days: Annotated[int, typer.Option("--days", min=1, max=730, help="How long it counts.")] = SECRET_DAYS,
    display_name: Annotated[str, typer.Option("--display-name", help="To tell secrets apart.")] = "",
    remove: Annotated[
        str | None,
        typer.Option(
            "--remove", metavar="SECRET-ID", help="Remove this one instead, as `deskwright app show` lists it."
        ),
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a secret for an application and print it, this once; or remove one.

    Example: deskwright app secret nightly-report --days 90
    """
    with in_tenant(tenant) as here:
        change = here.database, here.tenant, here.actor, app
        if remove is not None:
            gone = applications.remove_secret(*change, remove)
            done(
                gone,
                f"Removed the secret {gone['keyId']}. What it has brought counts an hour at most.",
                as_json=as_json,
            )
            return
        item = applications.add_secret(*change, display_name=display_name, days=days)
        if as_json:
            print_json(item)
            return
        for name, value in (
            ("Tenant id", here.tenant.id),
            ("Client id", item["appId"]),
            ("Secret", item["secretText"]),
            ("Secret id", item["keyId"]),
            ("Until", f"{item['endDateTime']:%Y-%m-%d}"),
        ):
            out.print(Text.assemble((f"{name:<11}", "dim"), str(value)), soft_wrap=True)
        out.print("The secret is not shown again.", style="dim")


@role_app.command("assign")
def assign_role(
    role: Role,
    user: SomeUser = None,
    group: RoleGroup = None,
    guest: Guest = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a person a role in this tenant, or everybody in a group.

    Example: deskwright role assign administrator --group "Desktop admins"
    """
    with in_tenant(tenant) as here:
        change = here.database, here.tenant, here.actor, role
        if _of_group(user, group, guest):
            item = role_groups.assign(*change, str(group))
            done(item, f"Everybody in {item['groupDisplayName']} is {item['role']}.", as_json=as_json)
            return
        item = (guests.assign if guest else roles.assign)(*change, str(user))
        done(item, f"{item['userPrincipalName']} is {item['role']}.", as_json=as_json)


@role_app.command("unassign")
def unassign_role(
    role: Role,
    user: SomeUser = None,
    group: RoleGroup = None,
    guest: Guest = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a role from a person or a group; it counts no more within a minute.

    Example: deskwright role unassign reader adele@contoso.com
    """
    with in_tenant(tenant) as here:
        change = here.database, here.tenant, here.actor, role
        if _of_group(user, group, guest):
            item = role_groups.unassign(*change, str(group))
            done(item, f"{item['groupDisplayName']} gives {item['role']} no more.", as_json=as_json)
            return
        item = (guests.unassign if guest else roles.unassign)(*change, str(user))
        done(item, f"{item['userPrincipalName']} is {item['role']} no more.", as_json=as_json)


@role_app.command("list")
def list_roles(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List who holds which role: by themselves, through which groups, and guests with the tenant they come from.

    Example: deskwright role list
    """
    with in_tenant(tenant) as here:
        where = here.database, here.tenant
        through = [{**p, "through": p["groups"]} for p in role_groups.people(*where, most=_ALL)]
        found = [*roles.list_(*where), *role_groups.list_(*where), *through, *guests.list_(*where)]
        told = {key: heading for key, heading in ROLE_COLUMNS.items() if any(row.get(key) for row in found)}
        show(found, told, as_json=as_json, empty="Nobody holds a role yet.")


def _of_group(user: str | None, group: str | None, guest: bool) -> bool:
    if (user is None) == (group is None):
        raise typer.BadParameter("name one of USER and --group")
    if guest and group is not None:
        raise typer.BadParameter("--guest is about a person; a group is of this tenant")
    return group is not None


def token(
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "-s", help="A permission; may be given again. Without it CloudPC.ReadWrite.All."),
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a bearer token for scripts, valid for an hour: an application's, with exactly the permissions asked for.

    Example: deskwright token --tenant contoso.com --scope CloudPC.Read.All
    """
    with in_tenant(tenant) as here:
        text = credentials.issue_token(
            here.database,
            here.tenant,
            here.actor,
            scope or ("CloudPC.ReadWrite.All",),
            secrets=here.session.world.secrets,
            base=address(here.session),
        )
        if as_json:
            seconds = int(TOKEN_LIFE.total_seconds())
            print_json({"token_type": "Bearer", "expires_in": seconds, "access_token": text})
        else:
            sys.stdout.write(f"{text}\n")


def cert(
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Another name or address of this server; may be given again.")
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=certificates.LONGEST_DAYS, help="How long the certificate counts.")
    ] = certificates.DAYS,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", file_okay=False, help="Where state lives; else DESKWRIGHT_DATA_DIR.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the certificate that `deskwright serve` listens on https with. Run again it renews it; the authority stays.

    Example: deskwright cert --host desktops.contoso.com
    """
    from_environment: dict[str, Any] = {}
    with refusals():
        made = certificates.make(data_dir or Settings(**from_environment).data_dir, host or (), days)
        hosts, ends, authority = made.hosts(), made.ends_at(), made.authority.resolve()
    if as_json:
        print_json({"authority": authority, "certificate": made.server, "hosts": hosts, "endDateTime": ends})
        return
    _print_certificate(authority, hosts, ends)


def _print_certificate(authority: Path, hosts: list[str], ends: datetime) -> None:
    for name, value in (("Authority", authority), ("Names", ", ".join(hosts)), ("Until", f"{ends:%Y-%m-%d}")):
        out.print(Text.assemble((f"{name:<11}", "dim"), str(value)), soft_wrap=True)
    out.print()
    out.print("`deskwright serve` listens on https from its next start. What clients need to trust it:", soft_wrap=True)
    for variable, whom in (
        ("SSL_CERT_FILE", "Go, OpenSSL, httpx, azure-identity (aio)"),
        ("REQUESTS_CA_BUNDLE", "Python's requests: MSAL, azure-identity"),
        ("NODE_EXTRA_CA_CERTS", "Node.js"),
    ):
        out.print(Text.assemble((f"  export {variable}={authority}", "cyan"), (f"   {whom}", "dim")), soft_wrap=True)


def address(session: Session) -> str:
    """Where the service is reached: as set, as it says while it runs, or where it would be."""
    from deskwright import serve

    said = (serve.running(session.settings.data_dir) or {}).get("url")
    return session.settings.public_address or said or f"http://127.0.0.1:{serve.DEFAULT_PORT}"
