"""`deskwright license` and `deskwright service-plan`."""

from typing import Annotated

import typer

from deskwright.cli.directory_commands import USER_COLUMNS
from deskwright.cli.in_tenant import LimitOption, done, everything, in_tenant, print_one
from deskwright.cli.output import ConfirmOption, JsonOption, TenantOption, show
from deskwright.operations import licenses
from deskwright.operations.licenses import PLAN
from deskwright.operations.users import USER

plan_app = typer.Typer(help="Service plans: the sizes licences stand for, and their seats.", no_args_is_help=True)
license_app = typer.Typer(help="Licences: who holds which service plan.", no_args_is_help=True)

Plan = Annotated[str, typer.Argument(metavar="PLAN", help="The service plan's display name or id.")]
UserOption = Annotated[list[str] | None, typer.Option("--user", help="A person, directly; may be given again.")]
GroupOption = Annotated[list[str] | None, typer.Option("--group", help="A group's members; may be given again.")]

PLAN_COLUMNS = {
    "displayName": "service plan",
    "vCpuCount": "vCPU",
    "ramInGB": "RAM GB",
    "storageInGB": "storage GB",
    "seats": "seats",
    "seatsInUse": "in use",
}
LICENSE_COLUMNS = {
    "servicePlanName": "service plan",
    "seats": "seats",
    "consumedUnits": "held by",
    "seatsInUse": "in use",
    "groups": "groups",
}


@plan_app.command("list")
def list_plans(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the service plans with their sizes and seats.

    Example: deskwright service-plan list
    """
    with in_tenant(tenant) as here:
        found = everything(PLAN, lambda a, n: licenses.list_plans(here.database, here.tenant, a, n), None)
        show(found, PLAN_COLUMNS, as_json=as_json, empty="No service plans.")


@plan_app.command("show")
def show_plan(plan: Plan, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a service plan, how many hold it and how many work with it.

    Example: deskwright service-plan show "Cloud PC Enterprise 2vCPU/8GB/128GB"
    """
    with in_tenant(tenant) as here:
        print_one(licenses.show_plan(here.database, here.tenant, plan), as_json=as_json)


@plan_app.command("create")
def create_plan(
    plan: Annotated[str, typer.Argument(metavar="NAME", help="Its name, with a size such as 2vCPU/8GB/128GB.")],
    seats: Annotated[int, typer.Option("--seats", help="How many may work with it at a time.")],
    vcpu: Annotated[int | None, typer.Option("--vcpu", help="Virtual processors, where the name does not say.")] = None,
    ram: Annotated[int | None, typer.Option("--ram", help="Memory in GB.")] = None,
    storage: Annotated[int | None, typer.Option("--storage", help="Disk in GB.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a service plan.

    Example: deskwright service-plan create "Cloud PC Enterprise 2vCPU/8GB/128GB" --seats 25
    """
    with in_tenant(tenant) as here:
        item = licenses.create_plan(
            here.database,
            here.tenant,
            here.actor,
            display_name=plan,
            seats=seats,
            vcpu_count=vcpu,
            ram_gb=ram,
            storage_gb=storage,
        )
        done(item, f"Created service plan {item['displayName']} with {item['seats']} seats.", as_json=as_json)


@plan_app.command("set")
def set_plan(
    plan: Plan,
    seats: Annotated[int, typer.Option("--seats", help="The new number; more of them start those who wait longest.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the number of seats.

    Example: deskwright service-plan set "Cloud PC Enterprise 2vCPU/8GB/128GB" --seats 50
    """
    with in_tenant(tenant) as here:
        item = licenses.set_plan(here.database, here.tenant, here.actor, plan, seats=seats)
        done(item, f"{item['displayName']} has {item['seats']} seats, {item['seatsInUse']} in use.", as_json=as_json)


@plan_app.command("delete")
def delete_plan(plan: Plan, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete a service plan that nobody holds and no Cloud PC was made of.

    Example: deskwright service-plan delete "Cloud PC Enterprise 2vCPU/8GB/128GB"
    """
    with in_tenant(tenant) as here:
        item = licenses.delete_plan(here.database, here.tenant, here.actor, plan)
        done(item, f"Deleted service plan {item['displayName']}.", as_json=as_json)


@license_app.command("list")
def list_licenses(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the licences: seats, how many hold them, how many work with them, the licensed groups.

    Example: deskwright license list --json
    """
    with in_tenant(tenant) as here:
        found = everything(PLAN, lambda a, n: licenses.list_(here.database, here.tenant, a, n), None)
        show(found, LICENSE_COLUMNS, as_json=as_json, empty="No service plans.")


@license_app.command("show")
def show_license(
    plan: Plan, limit: LimitOption = None, tenant: TenantOption = None, as_json: JsonOption = False
) -> None:
    """List the people who hold a licence directly.

    Example: deskwright license show "Cloud PC Enterprise 2vCPU/8GB/128GB"
    """
    with in_tenant(tenant) as here:
        found = everything(USER, lambda a, n: licenses.holders(here.database, here.tenant, plan, a, n), limit)
        show(found, USER_COLUMNS, as_json=as_json, empty="Nobody holds it directly.")


@license_app.command("assign")
def assign_license(
    plan: Plan,
    user: UserOption = None,
    group: GroupOption = None,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give people a licence; directly beyond the seats is refused, through a group they queue.

    Example: deskwright license assign "Cloud PC Enterprise 2vCPU/8GB/128GB" --user adele@contoso.com
    """
    _someone(user, group)
    with in_tenant(tenant) as here:
        item = licenses.assign(
            here.database, here.tenant, here.actor, plan, users=user or (), groups=group or (), confirmed=confirm
        )
        said = f"Assigned to {len(item['users'])} users and {len(item['groups'])} groups."
        done(item, said, as_json=as_json)


@license_app.command("remove")
def remove_license(
    plan: Plan,
    user: UserOption = None,
    group: GroupOption = None,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a licence from people or groups; their Cloud PCs go into their grace period.

    Example: deskwright license remove "Cloud PC Enterprise 2vCPU/8GB/128GB" --group Sales
    """
    _someone(user, group)
    with in_tenant(tenant) as here:
        item = licenses.remove(
            here.database, here.tenant, here.actor, plan, users=user or (), groups=group or (), confirmed=confirm
        )
        said = f"Removed from {len(item['users'])} users and {len(item['groups'])} groups."
        done(item, said, as_json=as_json)


def _someone(user: list[str] | None, group: list[str] | None) -> None:
    if not user and not group:
        raise typer.BadParameter("name somebody: --user or --group")
