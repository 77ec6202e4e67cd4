"""Remote actions on a running Cloud PC: restart, power, rename, resize, snapshot, restore, troubleshoot."""

from typing import Annotated

import typer

from deskwright.cli.cloud_pc_commands import CloudPcArgument, act
from deskwright.cli.in_tenant import in_tenant
from deskwright.cli.output import JsonOption, TenantOption, show
from deskwright.operations import remote_actions

_PANEL = "Cloud PCs"
_snapshot = typer.Typer(help="Restore points of a Cloud PC.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (restart, power_on, power_off, rename, resize, restore, account_type, troubleshoot):
        app.command(function.__name__.replace("_", "-"), rich_help_panel=_PANEL)(function)
    _snapshot.command("create")(snapshot_create)
    _snapshot.command("list")(snapshot_list)
    app.add_typer(_snapshot, name="snapshot", rich_help_panel=_PANEL)


def restart(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Restart a Cloud PC's machine.

    Example: deskwright restart CPC-adele-7K2QX
    """
    act(remote_actions.restart, cloud_pc, tenant, as_json, "being restarted")


def power_on(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Start a Cloud PC that is powered off.

    Example: deskwright power-on CPC-adele-7K2QX
    """
    act(remote_actions.power_on, cloud_pc, tenant, as_json, "being powered on")


def power_off(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Shut a Cloud PC down; nobody can sign in until it is powered on again.

    Example: deskwright power-off CPC-adele-7K2QX
    """
    act(remote_actions.power_off, cloud_pc, tenant, as_json, "being powered off")


def rename(
    cloud_pc: CloudPcArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 characters.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rename a Cloud PC as people see it; its device keeps its name.

    Example: deskwright rename CPC-adele-7K2QX "Adele's desk"
    """
    act(remote_actions.rename, cloud_pc, tenant, as_json, "renamed", display_name=name)


def resize(
    cloud_pc: CloudPcArgument,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The service plan to move to: its name or id.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a Cloud PC to another service plan, and its user's licence with it. Disks can grow, but not shrink.

    Example: deskwright resize CPC-adele-7K2QX "Cloud PC Enterprise 4vCPU/16GB/256GB"
    """
    act(remote_actions.resize, cloud_pc, tenant, as_json, "being resized", service_plan=plan)


def restore(
    cloud_pc: CloudPcArgument,
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="The snapshot's id.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a Cloud PC what it was when a snapshot was taken; what came since is lost.

    Example: deskwright restore CPC-adele-7K2QX 1b4e28ba-2fa1-11d2-883f-0016d3cca427
    """
    act(remote_actions.restore, cloud_pc, tenant, as_json, "being restored", snapshot_id=snapshot)


def account_type(
    cloud_pc: CloudPcArgument,
    user_account_type: Annotated[str, typer.Argument(metavar="TYPE", help="standardUser or administrator.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a Cloud PC's user its local administrator, or a standard user.

    Example: deskwright account-type CPC-adele-7K2QX administrator
    """
    words, change = "its account type is being changed", remote_actions.change_user_account_type
    act(change, cloud_pc, tenant, as_json, words, user_account_type=user_account_type)


def troubleshoot(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Look whether a Cloud PC answers on the way its user takes; `show` tells what was found.

    Example: deskwright troubleshoot CPC-adele-7K2QX
    """
    act(remote_actions.troubleshoot, cloud_pc, tenant, as_json, "being looked at")


def snapshot_create(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Take a restore point of a Cloud PC as it is now.

    Example: deskwright snapshot create CPC-adele-7K2QX
    """
    act(remote_actions.create_snapshot, cloud_pc, tenant, as_json, "a snapshot is being taken")


def snapshot_list(
    cloud_pc: Annotated[
        str | None, typer.Argument(metavar="[CLOUDPC]", help="Only those of this Cloud PC; unset: of all.")
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore points, oldest first.

    Example: deskwright snapshot list CPC-adele-7K2QX
    """
    columns = {
        "id": "Id",
        "cloudPcDisplayName": "Cloud PC",
        "snapshotType": "Type",
        "createdDateTime": "Taken",
        "lastRestoredDateTime": "Restored",
    }
    with in_tenant(tenant) as here:
        rows = remote_actions.snapshots(here.database, here.tenant, cloud_pc)
    show(rows, columns, as_json=as_json, empty="No snapshot yet.")
