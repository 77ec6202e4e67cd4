"""`deskwright site` and `deskwright connection`: where Cloud PCs run."""

from typing import Annotated

import typer

from deskwright.cli.in_tenant import PasswordStdin, done, everything, in_tenant, print_one, provider, read_password
from deskwright.cli.output import JsonOption, TenantOption, out, show
from deskwright.operations import connections, sites
from deskwright.operations.connection_rules import HYBRID
from deskwright.operations.connections import CONNECTION
from deskwright.operations.sites import SITE

site_app = typer.Typer(help="Sites: where Cloud PCs run.", no_args_is_help=True)
connection_app = typer.Typer(help="Network connections into the customer's networks.", no_args_is_help=True)

Site = Annotated[str, typer.Argument(metavar="SITE", help="Its name or id.")]
Connection = Annotated[str, typer.Argument(metavar="CONNECTION", help="Its display name or id.")]
Region = Annotated[str, typer.Option("--region", help="The site, by name or region.")]
ProviderOption = Annotated[str | None, typer.Option(help="A kind, or JSON with a kind and its configuration.")]

SITE_COLUMNS = {"name": "site", "regionName": "region", "regionGroup": "region group", "compute": "compute"}
CONNECTION_COLUMNS = {
    "displayName": "connection",
    "connectionType": "type",
    "region": "site",
    "subnetId": "subnet",
    "healthCheckStatus": "health",
    "provisioningPolicies": "policies",
}
CHECK_COLUMNS = {
    "displayName": "check",
    "status": "status",
    "errorType": "error",
    "durationInSeconds": "seconds",
    "additionalDetail": "detail",
    "recommendedAction": "remedy",
}


@site_app.command("list")
def list_sites(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the sites.

    Example: deskwright site list
    """
    with in_tenant(tenant) as here:
        found = everything(SITE, lambda a, n: sites.list_(here.database, here.tenant, a, n), None)
        kinds = found if as_json else [{**s, "compute": s["compute"].get("kind", "simulator")} for s in found]
        show(kinds, SITE_COLUMNS, as_json=as_json, empty="No sites.")


@site_app.command("show")
def show_site(site: Site, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a site and the providers that serve it.

    Example: deskwright site show westeurope
    """
    with in_tenant(tenant) as here:
        print_one(sites.show(here.database, here.tenant, site), as_json=as_json)


@site_app.command("create")
def create_site(
    site: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    region_group: Annotated[str, typer.Option("--region-group", help="Such as europeUnion or usEast.")],
    region: Annotated[str, typer.Option("--region", help="Its region; unset: called like the site.")] = "",
    compute: ProviderOption = None,
    directory: ProviderOption = None,
    management: ProviderOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a site; it is simulated where no provider is named.

    Example: deskwright site create site-a --region-group europeUnion
    """
    with in_tenant(tenant) as here:
        item = sites.create(
            here.database,
            here.tenant,
            here.actor,
            name=site,
            region_group=region_group,
            region=region,
            compute=provider(compute),
            directory=provider(directory),
            management=provider(management),
        )
        done(item, f"Created site {item['name']}.", as_json=as_json)


@site_app.command("set")
def set_site(
    site: Site,
    name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    compute: ProviderOption = None,
    directory: ProviderOption = None,
    management: ProviderOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rename a site, or change its providers' configuration.

    Example: deskwright site set site-a --name berlin
    """
    with in_tenant(tenant) as here:
        item = sites.set_(
            here.database,
            here.tenant,
            here.actor,
            site,
            name=name,
            compute=provider(compute),
            directory=provider(directory),
            management=provider(management),
        )
        done(item, f"Changed site {item['name']}.", as_json=as_json)


@site_app.command("delete")
def delete_site(site: Site, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete a site that nothing uses.

    Example: deskwright site delete site-a
    """
    with in_tenant(tenant) as here:
        item = sites.delete(here.database, here.tenant, here.actor, site)
        done(item, f"Deleted site {item['name']}.", as_json=as_json)


@connection_app.command("list")
def list_connections(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the network connections with their health.

    Example: deskwright connection list
    """
    with in_tenant(tenant) as here:
        found = everything(CONNECTION, lambda a, n: connections.list_(here.database, here.tenant, a, n), None)
        show(found, CONNECTION_COLUMNS, as_json=as_json, empty="No network connections.")


@connection_app.command("show")
def show_connection(connection: Connection, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a connection with every health check, its remedy, and the addresses that are free.

    Example: deskwright connection show HQ
    """
    with in_tenant(tenant) as here:
        item = connections.show(here.database, here.tenant, connection)
        item["freeAddresses"] = connections.free_addresses(here.database, here.tenant, item["id"])
        print_one(item, as_json=as_json, leave_out=("healthChecks",))
        if not as_json:
            out.print()
            show(item["healthChecks"], CHECK_COLUMNS, as_json=False, empty="No check has run yet.")


@connection_app.command("create")
def create_connection(
    connection: Annotated[str, typer.Argument(metavar="NAME", help="Its display name.")],
    region: Region,
    network: Annotated[str, typer.Option("--network", help="The network's name or id.")],
    subnet: Annotated[str, typer.Option("--subnet", help="The subnet: 10.20.0.0/24, or its name or id.")],
    kind: Annotated[str, typer.Option("--type", help="hybridAzureADJoin or azureADJoin.")] = "azureADJoin",
    domain: Annotated[str, typer.Option("--domain", help="Hybrid join: the domain's full DNS name.")] = "",
    unit: Annotated[str, typer.Option("--ou", help="Hybrid join: the organizational unit.")] = "",
    username: Annotated[str, typer.Option("--username", help="Hybrid join: the join account's UPN.")] = "",
    password_stdin: PasswordStdin = False,
    subscription: Annotated[str, typer.Option("--subscription", help="Subscription or project.")] = "",
    resource_group: Annotated[str, typer.Option("--resource-group", help="Resource group.")] = "",
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a network connection; its health checks start at once. A hybrid one asks for the join account's password.

    Example: deskwright connection create Office --region site-a --network corp --subnet 10.20.0.0/24
    """
    password = read_password(password_stdin) if kind == HYBRID or password_stdin else ""
    with in_tenant(tenant) as here:
        item = connections.create(
            here.database,
            here.tenant,
            here.actor,
            secrets=here.session.world.secrets,
            display_name=connection,
            connection_type=kind,
            region=region,
            network=network,
            subnet=subnet,
            subscription=subscription,
            resource_group=resource_group,
            ad_domain_name=domain,
            organizational_unit=unit,
            ad_domain_username=username,
            ad_domain_password=password,
        )
        done(item, f"Created connection {item['displayName']}; it is being checked.", as_json=as_json)


@connection_app.command("set")
def set_connection(
    connection: Connection,
    display_name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    region: Annotated[str | None, typer.Option(help="Another site, while nothing uses the connection.")] = None,
    network: Annotated[str | None, typer.Option(help="The network its Cloud PCs go into.")] = None,
    subnet: Annotated[str | None, typer.Option(help="Their subnet, as CIDR.")] = None,
    subscription: Annotated[str | None, typer.Option(help="The subscription or project of the network.")] = None,
    resource_group: Annotated[str | None, typer.Option(help="The resource group of the network.")] = None,
    domain: Annotated[str | None, typer.Option(help="The Active Directory domain to join.")] = None,
    ou: Annotated[str | None, typer.Option(help="The organizational unit for the computer accounts.")] = None,
    username: Annotated[str | None, typer.Option(help="The join account, as UPN.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a connection; it is checked anew, and keeps its last settled health until then.

    Example: deskwright connection set HQ --subnet 10.21.0.0/24
    """
    with in_tenant(tenant) as here:
        item = connections.set_(
            here.database,
            here.tenant,
            here.actor,
            connection,
            display_name=display_name,
            region=region,
            network=network,
            subnet=subnet,
            subscription=subscription,
            resource_group=resource_group,
            ad_domain_name=domain,
            organizational_unit=ou,
            ad_domain_username=username,
        )
        done(item, f"Changed connection {item['displayName']}.", as_json=as_json)


@connection_app.command("set-password")
def set_password(
    connection: Connection,
    password_stdin: PasswordStdin = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the join account's password; it is asked for, or read from standard input.

    Example: deskwright connection set-password HQ --password-stdin < password.txt
    """
    password = read_password(password_stdin)
    with in_tenant(tenant) as here:
        secrets = here.session.world.secrets
        item = connections.set_password(here.database, here.tenant, here.actor, connection, password, secrets=secrets)
        done(item, f"Connection {item['displayName']} has a new password; it is being checked.", as_json=as_json)


@connection_app.command("check")
def check_connection(connection: Connection, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Run the health checks now, a trial domain join among them; a worker does it.

    Example: deskwright connection check HQ
    """
    with in_tenant(tenant) as here:
        item = connections.request_check(here.database, here.tenant, here.actor, connection)
        name = item["displayName"]
        done(item, f"{name} is being checked; see: deskwright connection show {name}", as_json=as_json)


@connection_app.command("delete")
def delete_connection(connection: Connection, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete a connection that no policy and no Cloud PC uses.

    Example: deskwright connection delete HQ
    """
    with in_tenant(tenant) as here:
        item = connections.delete(here.database, here.tenant, here.actor, connection)
        done(item, f"Deleted connection {item['displayName']}.", as_json=as_json)
