"""`deskwright policy` and `deskwright user-setting`."""

from typing import Annotated

import typer

from deskwright.cli.in_tenant import done, everything, in_tenant, print_one
from deskwright.cli.output import ConfirmOption, JsonOption, TenantOption, show
from deskwright.domain.naming import DEFAULT_TEMPLATE
from deskwright.operations import assignments, policies, user_settings
from deskwright.operations.named import Item
from deskwright.operations.policy_view import POLICY
from deskwright.operations.user_settings import USER_SETTING

policy_app = typer.Typer(help="Provisioning policies: where, what and for whom.", no_args_is_help=True)
user_setting_app = typer.Typer(help="User settings: what people may do on their Cloud PC.", no_args_is_help=True)

Policy = Annotated[str, typer.Argument(metavar="POLICY", help="Its display name or id.")]
Setting = Annotated[str, typer.Argument(metavar="SETTING", help="Its display name or id.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its display name.")]
Groups = Annotated[list[str], typer.Argument(metavar="GROUP...", help="Display names or ids, in order.")]
AnyGroups = Annotated[
    list[str] | None, typer.Argument(metavar="[GROUP]...", help="The whole list; none: unassign all.")
]
GroupOption = Annotated[list[str] | None, typer.Option("--group", help="Assign it to this group; may be given again.")]
Rename = Annotated[str | None, typer.Option("--display-name", help="A new name.")]
JoinType = Annotated[str | None, typer.Option("--join-type", help="azureADJoin or hybridAzureADJoin.")]
Connections = Annotated[
    list[str] | None, typer.Option("--connection", help="A network connection; several in order of preference.")
]
RegionGroup = Annotated[str | None, typer.Option("--region-group", help="Microsoft-hosted network: the region group.")]
Region = Annotated[str | None, typer.Option("--region", help="A region or site in it; unset: any with room.")]
Gallery = Annotated[str | None, typer.Option("--gallery-image", help="An image of the gallery.")]
Device = Annotated[str | None, typer.Option("--device-image", help="An image of the tenant's own.")]
Template = Annotated[str | None, typer.Option("--naming-template", help=f"Device names; default {DEFAULT_TEMPLATE}.")]
Locale = Annotated[
    str | None, typer.Option("--locale", help="Language and country; default the organization's, en-US.")
]
SingleSignOn = Annotated[
    bool | None,
    typer.Option("--single-sign-on/--no-single-sign-on", help="Sign in once, with the organisation's account."),
]
LocalAdmin = Annotated[
    bool | None, typer.Option("--local-admin/--no-local-admin", help="Where no user setting says otherwise.")
]
Description = Annotated[str | None, typer.Option("--description", help="For administrators.")]

POLICY_COLUMNS = {
    "displayName": "policy",
    "network": "network",
    "imageId": "image",
    "cloudPcNamingTemplate": "naming template",
    "assignments": "assigned to",
}
SETTING_COLUMNS = {
    "displayName": "user setting",
    "localAdminEnabled": "local administrator",
    "resetEnabled": "may reset",
    "assignments": "assigned to",
}


def _names(item: Item) -> list[str]:
    return [a["groupDisplayName"] for a in item["assignments"]]


def _row(policy: Item) -> Item:
    """A policy for the table: people want names, not objects."""
    joins = policy["domainJoinConfigurations"]
    networks = [j.get("onPremisesConnection") or f"{j['regionGroup']}/{j['regionName']}" for j in joins]
    return {**policy, "network": networks, "assignments": _names(policy)}


@policy_app.command("list")
def list_policies(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the provisioning policies.

    Example: deskwright policy list
    """
    with in_tenant(tenant) as here:
        found = everything(POLICY, lambda a, n: policies.list_(here.database, here.tenant, a, n), None)
        rows = found if as_json else [_row(p) for p in found]
        show(rows, POLICY_COLUMNS, as_json=as_json, empty="No provisioning policies.")


@policy_app.command("show")
def show_policy(policy: Policy, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a policy with its network and assignments, in the order in which they count.

    Example: deskwright policy show "Sales desktops"
    """
    with in_tenant(tenant) as here:
        print_one(policies.show(here.database, here.tenant, policy), as_json=as_json)


@policy_app.command("create")
def create_policy(
    policy: Name,
    description: Description = None,
    join_type: JoinType = None,
    connection: Connections = None,
    region_group: RegionGroup = None,
    region: Region = None,
    gallery_image: Gallery = None,
    device_image: Device = None,
    naming_template: Template = None,
    locale: Locale = None,
    single_sign_on: SingleSignOn = None,
    local_admin: LocalAdmin = None,
    group: GroupOption = None,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Create a policy; assigned to groups, it provisions for their licensed members from now on.

    Example: deskwright policy create Sales --region-group europeUnion --gallery-image debian-12-desktop --group Sales
    """
    with in_tenant(tenant) as here:
        item = policies.create(
            here.database,
            here.tenant,
            here.actor,
            display_name=policy,
            description=description or "",
            join_type=join_type or "azureADJoin",
            connections=connection or (),
            region_group=region_group or "",
            region=region or "",
            gallery_image=gallery_image,
            device_image=device_image,
            naming_template=naming_template or DEFAULT_TEMPLATE,
            locale=locale,
            single_sign_on=single_sign_on is not False,
            local_admin_enabled=bool(local_admin),
            groups=group or (),
            confirmed=confirm,
        )
        done(item, f"Created policy {item['displayName']}.", as_json=as_json)


@policy_app.command("set")
def set_policy(
    policy: Policy,
    display_name: Rename = None,
    description: Description = None,
    join_type: JoinType = None,
    connection: Connections = None,
    region_group: RegionGroup = None,
    region: Region = None,
    gallery_image: Gallery = None,
    device_image: Device = None,
    naming_template: Template = None,
    locale: Locale = None,
    single_sign_on: SingleSignOn = None,
    local_admin: LocalAdmin = None,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change a policy for Cloud PCs provisioned or reprovisioned from now on; existing ones stay as they are.

    Example: deskwright policy set "Sales desktops" --gallery-image debian-12-desktop
    """
    with in_tenant(tenant) as here:
        item = policies.set_(
            here.database,
            here.tenant,
            here.actor,
            policy,
            display_name=display_name,
            description=description,
            join_type=join_type,
            connections=connection or None,
            region_group=region_group,
            region=region,
            gallery_image=gallery_image,
            device_image=device_image,
            naming_template=naming_template,
            locale=locale,
            single_sign_on=single_sign_on,
            local_admin_enabled=local_admin,
            confirmed=confirm,
        )
        done(item, f"Changed policy {item['displayName']}.", as_json=as_json)


@policy_app.command("delete")
def delete_policy(policy: Policy, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete a policy that is assigned to no group.

    Example: deskwright policy delete "Sales desktops"
    """
    with in_tenant(tenant) as here:
        item = policies.delete(here.database, here.tenant, here.actor, policy)
        done(item, f"Deleted policy {item['displayName']}.", as_json=as_json)


@policy_app.command("assign")
def assign_policy(
    policy: Policy,
    groups: Groups,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Assign a policy to more groups; who is reached by several policies gets the one assigned first.

    Example: deskwright policy assign "Sales desktops" Sales
    """
    with in_tenant(tenant) as here:
        item = assignments.assign(here.database, here.tenant, here.actor, policy, groups, confirmed=confirm)
        done(item, _assigned(item), as_json=as_json)


@policy_app.command("unassign")
def unassign_policy(
    policy: Policy,
    groups: Groups,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a policy from groups; Cloud PCs it made for their members go into their grace period.

    Example: deskwright policy unassign "Sales desktops" Sales
    """
    with in_tenant(tenant) as here:
        item = assignments.unassign(here.database, here.tenant, here.actor, policy, groups, confirmed=confirm)
        done(item, _assigned(item), as_json=as_json)


@policy_app.command("set-assignments")
def set_policy_assignments(
    policy: Policy,
    groups: AnyGroups = None,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replace the whole list of groups; those that stay keep their place among all assignments.

    Example: deskwright policy set-assignments "Sales desktops" Sales Marketing
    """
    with in_tenant(tenant) as here:
        item = assignments.set_assignments(
            here.database, here.tenant, here.actor, policy, groups or [], confirmed=confirm
        )
        done(item, _assigned(item), as_json=as_json)


def _assigned(item: Item) -> str:
    return f"{item['displayName']} is assigned to {', '.join(_names(item)) or 'no group'}."


@user_setting_app.command("list")
def list_user_settings(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the user settings.

    Example: deskwright user-setting list
    """
    with in_tenant(tenant) as here:
        found = everything(USER_SETTING, lambda a, n: user_settings.list_(here.database, here.tenant, a, n), None)
        rows = found if as_json else [{**s, "assignments": _names(s)} for s in found]
        show(rows, SETTING_COLUMNS, as_json=as_json, empty="No user settings.")


@user_setting_app.command("show")
def show_user_setting(setting: Setting, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a user setting.

    Example: deskwright user-setting show "Local administrators"
    """
    with in_tenant(tenant) as here:
        print_one(user_settings.show(here.database, here.tenant, setting), as_json=as_json)


@user_setting_app.command("create")
def create_user_setting(
    setting: Name,
    local_admin: Annotated[bool, typer.Option("--local-admin", help="People are local administrators.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="People may reset their Cloud PC.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="People may go back to a restore point.")] = False,
    every_hours: Annotated[int, typer.Option("--every-hours", help="Restore points: 4, 6, 12, 16 or 24.")] = 12,
    group: GroupOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a user setting; where several reach a person, the one created last wins.

    Example: deskwright user-setting create "Local administrators" --local-admin --group Sales
    """
    with in_tenant(tenant) as here:
        item = user_settings.create(
            here.database,
            here.tenant,
            here.actor,
            display_name=setting,
            local_admin_enabled=local_admin,
            reset_enabled=reset,
            restore_enabled=restore,
            restore_frequency_hours=every_hours,
            groups=group or (),
        )
        done(item, f"Created user setting {item['displayName']}.", as_json=as_json)


@user_setting_app.command("set")
def set_user_setting(
    setting: Setting,
    display_name: Rename = None,
    local_admin: LocalAdmin = None,
    reset: Annotated[bool | None, typer.Option("--reset/--no-reset", help="People may reset their Cloud PC.")] = None,
    restore: Annotated[
        bool | None, typer.Option("--restore/--no-restore", help="People may go back to a restore point.")
    ] = None,
    every_hours: Annotated[int | None, typer.Option("--every-hours", help="4, 6, 12, 16 or 24.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a user setting; it takes effect at the next sign-in, or by `repair`.

    Example: deskwright user-setting set "Local administrators" --no-local-admin
    """
    with in_tenant(tenant) as here:
        item = user_settings.set_(
            here.database,
            here.tenant,
            here.actor,
            setting,
            display_name=display_name,
            local_admin_enabled=local_admin,
            reset_enabled=reset,
            restore_enabled=restore,
            restore_frequency_hours=every_hours,
        )
        done(item, f"Changed user setting {item['displayName']}.", as_json=as_json)


@user_setting_app.command("set-assignments")
def set_user_setting_assignments(
    setting: Setting, groups: AnyGroups = None, tenant: TenantOption = None, as_json: JsonOption = False
) -> None:
    """Replace the whole list of groups.

    Example: deskwright user-setting set-assignments "Local administrators" Sales
    """
    with in_tenant(tenant) as here:
        item = user_settings.set_assignments(here.database, here.tenant, here.actor, setting, groups or [])
        done(item, _assigned(item), as_json=as_json)


@user_setting_app.command("delete")
def delete_user_setting(setting: Setting, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete a user setting.

    Example: deskwright user-setting delete "Local administrators"
    """
    with in_tenant(tenant) as here:
        item = user_settings.delete(here.database, here.tenant, here.actor, setting)
        done(item, f"Deleted user setting {item['displayName']}.", as_json=as_json)
