"""`deskwright user` and `deskwright group`."""

from typing import Annotated

import typer

from deskwright.cli.identity_commands import address
from deskwright.cli.in_tenant import LimitOption, PasswordStdin, done, everything, in_tenant, print_one, read_password
from deskwright.cli.output import ConfirmOption, JsonOption, TenantOption, out, print_json, show
from deskwright.operations import credentials, groups, invitations, users
from deskwright.operations.groups import GROUP
from deskwright.operations.users import USER

user_app = typer.Typer(help="People of the tenant's directory.", no_args_is_help=True)
group_app = typer.Typer(help="Groups, and who is in them.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="USER", help="Its user principal name or id.")]
Users = Annotated[list[str], typer.Argument(metavar="USER...", help="User principal names or ids.")]
Group = Annotated[str, typer.Argument(metavar="GROUP", help="Its display name or id.")]
DisplayName = Annotated[str | None, typer.Option("--display-name", help="The name people see.")]
OnPremises = Annotated[
    str | None, typer.Option("--on-premises-upn", help="The user principal name in the on-premises domain.")
]

USER_COLUMNS = {
    "userPrincipalName": "user",
    "displayName": "name",
    "accountEnabled": "enabled",
    "deletedDateTime": "deleted",
}
GROUP_COLUMNS = {"displayName": "group", "securityEnabled": "security", "groupTypes": "types", "id": "id"}


@user_app.command("list")
def list_users(
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that were deleted and can be restored.")] = False,
    limit: LimitOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the people of the directory.

    Example: deskwright user list --json
    """
    with in_tenant(tenant) as here:
        found = everything(USER, lambda a, n: users.list_(here.database, here.tenant, a, n, deleted=deleted), limit)
        show(found, USER_COLUMNS, as_json=as_json, empty="No users.")


@user_app.command("show")
def show_user(user: User, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a person with groups, licences and Cloud PCs.

    Example: deskwright user show adele@contoso.com
    """
    with in_tenant(tenant) as here:
        print_one(users.show(here.database, here.tenant, user), as_json=as_json)


@user_app.command("create")
def create_user(
    user: Annotated[str, typer.Argument(metavar="UPN", help="The user principal name, such as adele@contoso.com.")],
    display_name: DisplayName = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Nothing starts until they are enabled.")] = False,
    on_premises: OnPremises = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a person to the directory.

    Example: deskwright user create adele@contoso.com --display-name "Adele Vance"
    """
    with in_tenant(tenant) as here:
        item = users.create(
            here.database,
            here.tenant,
            here.actor,
            user_principal_name=user,
            display_name=display_name or "",
            account_enabled=not disabled,
            on_premises_user_principal_name=on_premises,
        )
        done(item, f"Created user {item['userPrincipalName']}.", as_json=as_json)


@user_app.command("set")
def set_user(
    user: User,
    display_name: DisplayName = None,
    upn: Annotated[str | None, typer.Option("--upn", help="A new user principal name.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Disabling takes nothing away.")] = None,
    on_premises: OnPremises = None,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change a person's names, or disable and enable the account.

    Example: deskwright user set alex@contoso.com --disabled
    """
    with in_tenant(tenant) as here:
        item = users.set_(
            here.database,
            here.tenant,
            here.actor,
            user,
            user_principal_name=upn,
            display_name=display_name,
            account_enabled=enabled,
            on_premises_user_principal_name=on_premises,
            confirmed=confirm,
        )
        done(item, f"Changed user {item['userPrincipalName']}.", as_json=as_json)


@user_app.command("delete")
def delete_user(
    user: User, tenant: TenantOption = None, confirm: ConfirmOption = False, as_json: JsonOption = False
) -> None:
    """Delete a person; a Cloud PC goes into its grace period, and `restore` brings all of it back.

    Example: deskwright user delete alex@contoso.com
    """
    with in_tenant(tenant) as here:
        item = users.delete(here.database, here.tenant, here.actor, user, confirmed=confirm)
        done(item, f"Deleted user {item['userPrincipalName']}.", as_json=as_json)


@user_app.command("restore")
def restore_user(user: User, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Bring a deleted person back, with groups and licences.

    Example: deskwright user restore alex@contoso.com
    """
    with in_tenant(tenant) as here:
        item = users.restore(here.database, here.tenant, here.actor, user)
        done(item, f"Restored user {item['userPrincipalName']}.", as_json=as_json)


@user_app.command("set-password")
def set_user_password(
    user: User,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a one-time password and print it, to be passed on.")
    ] = False,
    password_stdin: PasswordStdin = False,
    must_change: Annotated[
        bool | None,
        typer.Option(
            "--must-change/--keep", help="Whether it is for one sign-in only; unset: only a generated one is."
        ),
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the password a person signs in with; what was signed in with the old one is signed out.

    Example: deskwright user set-password adele@contoso.com --generate
    """
    if generate and password_stdin:
        raise typer.BadParameter("--generate makes the password: leave --password-stdin out")
    password = None if generate else read_password(password_stdin)
    with in_tenant(tenant) as here:
        item = credentials.set_password(here.database, here.tenant, here.actor, user, password, must_change=must_change)
        made = f" One-time password: {item['password']}" if generate else ""
        done(item, f"Set the password of {item['userPrincipalName']}.{made}", as_json=as_json)


@user_app.command("invite")
def invite_user(user: User, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Make a one-time link by which a person chooses their password, and mail it where a mail server is set.

    Example: deskwright user invite adele@contoso.com
    """
    with in_tenant(tenant) as here:
        settings = here.session.settings
        item = invitations.invite(
            here.database, here.tenant, here.actor, user, base=address(here.session), settings=settings
        )
        if as_json:
            print_json(item)
            return
        out.print(item["url"], markup=False, highlight=False, soft_wrap=True)
        mailed = "It was mailed to them." if item["mailed"] else "Pass it on to them."
        said = f"{item['userPrincipalName']} chooses a password there. It works once, for 24 hours. {mailed}"
        out.print(said, style="dim", markup=False, highlight=False, soft_wrap=True)


@group_app.command("list")
def list_groups(limit: LimitOption = None, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the groups.

    Example: deskwright group list
    """
    with in_tenant(tenant) as here:
        found = everything(GROUP, lambda a, n: groups.list_(here.database, here.tenant, a, n), limit)
        show(found, GROUP_COLUMNS, as_json=as_json, empty="No groups.")


@group_app.command("show")
def show_group(group: Group, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show a group: how many are in it, and which policies, licences and user settings it brings them.

    Example: deskwright group show Sales
    """
    with in_tenant(tenant) as here:
        print_one(groups.show(here.database, here.tenant, group), as_json=as_json)


@group_app.command("members")
def group_members(
    group: Group, limit: LimitOption = None, tenant: TenantOption = None, as_json: JsonOption = False
) -> None:
    """List the people in a group.

    Example: deskwright group members Sales --limit 50
    """
    with in_tenant(tenant) as here:
        found = everything(USER, lambda a, n: groups.members(here.database, here.tenant, group, a, n), limit)
        show(found, USER_COLUMNS, as_json=as_json, empty="Nobody is in it.")


@group_app.command("create")
def create_group(
    group: Annotated[str, typer.Argument(metavar="NAME", help="Its display name.")],
    kind: Annotated[str, typer.Option("--kind", help="security or microsoft365.")] = "security",
    member: Annotated[list[str] | None, typer.Option("--member", help="A first member; may be given again.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a group.

    Example: deskwright group create Sales --member adele@contoso.com
    """
    with in_tenant(tenant) as here:
        item = groups.create(
            here.database, here.tenant, here.actor, display_name=group, kind=kind, members=member or ()
        )
        done(item, f"Created group {item['displayName']}.", as_json=as_json)


@group_app.command("set")
def set_group(
    group: Group,
    display_name: Annotated[str, typer.Option("--display-name", help="The new name.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rename a group.

    Example: deskwright group set Sales --display-name "Sales Europe"
    """
    with in_tenant(tenant) as here:
        item = groups.set_(here.database, here.tenant, here.actor, group, display_name=display_name)
        done(item, f"The group is called {item['displayName']} now.", as_json=as_json)


@group_app.command("delete")
def delete_group(
    group: Group, tenant: TenantOption = None, confirm: ConfirmOption = False, as_json: JsonOption = False
) -> None:
    """Delete a group; its members lose what they had through it.

    Example: deskwright group delete Sales
    """
    with in_tenant(tenant) as here:
        item = groups.delete(here.database, here.tenant, here.actor, group, confirmed=confirm)
        done(item, f"Deleted group {item['displayName']}.", as_json=as_json)


@group_app.command("add")
def add_members(
    group: Group,
    members: Users,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put people into a group.

    Example: deskwright group add Sales adele@contoso.com alex@contoso.com
    """
    with in_tenant(tenant) as here:
        item = groups.add_members(here.database, here.tenant, here.actor, group, members, confirmed=confirm)
        done(item, f"{item['displayName']}: {len(item['added'])} added.", as_json=as_json)


@group_app.command("remove")
def remove_members(
    group: Group,
    members: Users,
    tenant: TenantOption = None,
    confirm: ConfirmOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take people out of a group; Cloud PCs they had through it go into their grace period.

    Example: deskwright group remove Sales alex@contoso.com
    """
    with in_tenant(tenant) as here:
        item = groups.remove_members(here.database, here.tenant, here.actor, group, members, confirmed=confirm)
        done(item, f"{item['displayName']}: {len(item['removed'])} removed.", as_json=as_json)
