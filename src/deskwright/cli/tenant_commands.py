"""`deskwright tenant`, `deskwright clock`, `deskwright fault` and `deskwright audit`."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from deskwright.cli.in_tenant import done, duration, in_installation, in_tenant, pairs, print_one
from deskwright.cli.output import JsonOption, TenantOption, show
from deskwright.cli.reach import reach
from deskwright.operations import audit, notifications, overview, tenants
from deskwright.operations.named import LARGEST_PAGE, Item

tenant_app = typer.Typer(help="Tenants, their settings and their simulation.", no_args_is_help=True)
clock_app = typer.Typer(help="The tenant's time.", no_args_is_help=True)
fault_app = typer.Typer(help="What the simulator shall do wrong.", no_args_is_help=True)
audit_app = typer.Typer(help="Who changed what, and when.", no_args_is_help=True)

SettingOption = Annotated[
    list[str] | None,
    typer.Option("--setting", help="name=value, such as gracePeriodInHours=24; an empty value is the default again."),
]
Speed = Annotated[
    str | None, typer.Option("--speed", help="How much faster than real time simulated work goes, or 'instant'.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="What the simulation's chances come from.")]

TENANT_COLUMNS = {"name": "tenant", "revision": "revision", "simulation": "simulation", "createdDateTime": "created"}
FAULT_COLUMNS = {
    "id": "id",
    "step": "step",
    "code": "code",
    "user": "user",
    "policy": "policy",
    "attempts": "attempts",
    "rate": "rate",
    "delaySeconds": "delay s",
}
AUDIT_COLUMNS = {
    "id": "id",
    "activityDateTime": "when",
    "actor": "who",
    "activity": "what",
    "displayName": "object",
    "change": "change",
}


@tenant_app.command("list")
def list_tenants(as_json: JsonOption = False) -> None:
    """List the tenants of this installation.

    Example: deskwright tenant list
    """
    with in_installation() as session:
        found = tenants.list_(session.database)
        shown = found if as_json else [{**t, "simulation": f"speed {t['simulation']['speed']}"} for t in found]
        show(shown, TENANT_COLUMNS, as_json=as_json, empty="No tenants.")


@tenant_app.command("show")
def show_tenant(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a tenant at a glance: Cloud PCs by status, seats, health, and every setting.

    Example: deskwright tenant show --tenant contoso.com
    """
    with in_tenant(tenant) as here:
        item = {
            **tenants.show(here.database, here.tenant),
            "settings": tenants.get_settings(here.database, here.tenant),
            "overview": overview.overview(here.database, here.tenant),
        }
        if as_json:
            print_one(item, as_json=True)
        else:
            print_one({k: v for k, v in item.items() if k != "overview"} | item["overview"], as_json=False)


@tenant_app.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, such as contoso.com.")],
    no_sites: Annotated[
        bool, typer.Option("--no-sites", help="Without the simulated sites, one for each region group.")
    ] = False,
    setting: SettingOption = None,
    speed: Speed = None,
    seed: Seed = None,
    as_json: JsonOption = False,
) -> None:
    """Make a tenant.

    Example: deskwright tenant create contoso.com --speed 60
    """
    given = {k: v for k, v in pairs(setting or []).items() if v is not None}
    with in_installation() as session:
        item = tenants.create(
            session.database,
            session.actor,
            name,
            default_simulated_sites=not no_sites,
            settings=given,
            speed=1.0 if speed is None else speed,
            seed=seed or 0,
        )
        done(item, f"Created tenant {item['name']}.", as_json=as_json)


@tenant_app.command("set")
def set_tenant(
    setting: SettingOption = None,
    speed: Speed = None,
    seed: Seed = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a tenant's settings, or its simulation.

    Example: deskwright tenant set --setting gracePeriodInHours=24 --speed 600
    """
    changes: dict[str, Any] = dict(pairs(setting or []))
    with in_tenant(tenant) as here:
        if changes:
            tenants.set_settings(here.database, here.tenant, here.actor, changes)
        if speed is not None or seed is not None:
            tenants.set_simulation(here.database, here.tenant, here.actor, speed=speed, seed=seed)
        item = tenants.show(here.database, here.tenant)
        done(item, f"Changed tenant {item['name']}.", as_json=as_json)


@tenant_app.command("webhook-secret")
def webhook_secret(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Print the secret by which the receiver of this tenant's webhook knows that an event is from here.

    Example: deskwright tenant webhook-secret --tenant contoso.com
    """
    with in_tenant(tenant) as here:
        secret = notifications.webhook_secret(here.session.world.secrets, here.tenant)
        done({"tenant": here.tenant.name, "secret": secret}, secret, as_json=as_json)


@clock_app.command("show")
def show_clock(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show the tenant's time, which every deadline is read against.

    Example: deskwright clock show
    """
    with reach(tenant) as there:
        print_one(there.clock(), as_json=as_json)


@clock_app.command("advance")
def advance_clock(
    by: Annotated[timedelta, typer.Argument(parser=duration, metavar="DURATION", help="7d, 3h, 90m, 30s or 1d12h.")],
    tenant: TenantOption = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Do it even though a site of the tenant is not simulated.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Move the tenant's time forward: what was due until then becomes due now.

    Example: deskwright clock advance 7d
    """
    with reach(tenant) as there:
        item = there.advance_clock(by, confirmed=confirm)
        done(item, f"It is {item['now']:%Y-%m-%d %H:%M:%S} in tenant {there.tenant_name} now.", as_json=as_json)


@fault_app.command("list")
def list_faults(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the faults that are in effect.

    Example: deskwright fault list
    """
    with reach(tenant) as there:
        show(there.faults(), FAULT_COLUMNS, as_json=as_json, empty="No faults: everything works.")


@fault_app.command("add")
def add_fault(
    step: Annotated[str, typer.Argument(metavar="STEP", help="C1 to A1, release, image or health:CHECK.")],
    code: Annotated[str, typer.Argument(metavar="CODE", help="An error code of that step, or delay.")],
    user: Annotated[str | None, typer.Option("--user", help="Only for this person.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Only under this policy.")] = None,
    attempt: Annotated[
        list[int] | None, typer.Option("--attempt", help="Only in this one; may be given again.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", help="For this share of them, 0 to 1.")] = 1.0,
    delay: Annotated[timedelta | None, typer.Option("--delay", parser=duration, help="So much later: 30s, 5m.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a simulated step fail.

    Example: deskwright fault add C4 joinDomainFailed --user alex@contoso.com --attempt 1 --attempt 2
    """
    fault = {
        "step": step,
        "code": code,
        "user": user,
        "policy": policy,
        "attempts": attempt or [],
        "rate": rate,
        "delaySeconds": delay.total_seconds() if delay else 0.0,
    }
    with reach(tenant) as there:
        item = there.add_fault(fault)
        done(item, f"Fault {item['id']}: {item['step']} {item['code']}.", as_json=as_json)


@fault_app.command("clear")
def clear_fault(
    fault: Annotated[int | None, typer.Argument(metavar="[ID]", help="One of them; unset: all.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take one fault away, or all of them.

    Example: deskwright fault clear
    """
    with reach(tenant) as there:
        cleared = there.clear_faults(fault)
        done(cleared, f"{len(cleared)} cleared.", as_json=as_json)


@audit_app.command("list")
def list_audit(
    limit: Annotated[int, typer.Option("--limit", min=1, max=LARGEST_PAGE, help="So many of the newest.")] = 50,
    before: Annotated[int | None, typer.Option("--before", help="Those before the event with this id.")] = None,
    resource: Annotated[str | None, typer.Option("--object", help="Only what happened to this name or id.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only what this one did.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was changed, newest first.

    Example: deskwright audit list --object adele@contoso.com
    """
    with in_tenant(tenant) as here:
        found = audit.list_(here.database, here.tenant, before=before, limit=limit, resource=resource, actor=actor)
        shown = found if as_json else [{**e, "change": _change(e)} for e in found]
        show(shown, AUDIT_COLUMNS, as_json=as_json, empty="Nothing has been changed.")


@audit_app.command("show")
def show_audit(
    event: Annotated[int, typer.Argument(metavar="ID", help="The event's id.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one event with everything before and after.

    Example: deskwright audit show 42
    """
    with in_tenant(tenant) as here:
        print_one(audit.show(here.database, here.tenant, event), as_json=as_json)


def _change(event: Item) -> str:
    """An update in a line; what was made or deleted is a whole object, and too long for one."""
    before, after = event["before"], event["after"]
    if not before or not after:
        return ""
    return ", ".join(f"{key}: {before.get(key)} → {after[key]}" for key in after)[:200]
