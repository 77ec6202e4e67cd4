"""Stage 2, configure: what makes a Cloud PC pleasant and safe. A failure here is a warning, never the end."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.guest import configuration
from deskwright.guest.configuration import Actions
from deskwright.provision.context import Done, StepContext

_TENANT_DEFAULT = text(
    "SELECT t.organization_settings ->> 'userAccountType' FROM tenants t JOIN users u ON u.tenant_id = t.id "
    "WHERE u.id = :user"
)
# On conflict the most recently created user setting wins (the opposite of policies).
_USER_SETTING = text(
    """
    SELECT s.local_admin_enabled, s.display_name FROM memberships m
      JOIN user_setting_assignments a ON a.group_id = m.group_id
      JOIN user_settings s ON s.id = a.setting_id
     WHERE m.user_id = :user ORDER BY s.number DESC LIMIT 1
    """
)


def administrator_wanted(
    connection: Connection, user: UUID, account_type: str | None, policy: Mapping[str, Any]
) -> tuple[bool, str]:
    """Whether the user is to be administrator, and what says so: this run's account type, user setting, policy, and
    where that does not ask for it the organization's settings."""
    if account_type:
        return account_type == "administrator", "the account type given to this run"
    row = connection.execute(_USER_SETTING, {"user": user}).one_or_none()
    if row is not None:
        return row.local_admin_enabled, f"user setting '{row.display_name}'"
    if not policy["local_admin_enabled"]:
        default = connection.execute(_TENANT_DEFAULT, {"user": user}).scalar_one_or_none()
        if default == "administrator":
            return True, "the organization's settings"
    return bool(policy["local_admin_enabled"]), f"policy '{policy['display_name']}'"


def hide_power_icons(ctx: StepContext) -> Done:
    """P1"""
    return _configure(ctx, configuration.hide_power_icons(ctx.so_far["osFamily"]))


def disable_reset(ctx: StepContext) -> Done:
    """P2"""
    return _configure(ctx, configuration.disable_reset(ctx.so_far["osFamily"]))


def local_administrator(ctx: StepContext) -> Done:
    """P3: given for this run, else by the user's user setting, else by the policy."""
    with ctx.world.database.single.connect() as connection:
        account_type = ctx.run.options.get("userAccountType") or ctx.run.user_account_type
        wanted, by = administrator_wanted(connection, ctx.run.user_id, account_type, ctx.run.policy)
    if not wanted and ctx.run.kind.makes_machine:
        return Done(keep={"administrator": False}, skipped=True, output=f"standard user, by {by}")
    done = _configure(ctx, configuration.local_administrator(ctx.member, wanted))
    return Done(
        keep={"administrator": wanted},
        output=f"{'administrator' if wanted else 'standard user'}, by {by}; {done.output}",
    )


def teams_vdi_mode(ctx: StepContext) -> Done:
    """P4"""
    actions = configuration.teams_vdi_mode(ctx.so_far["osFamily"])
    return Done(skipped=True, output="not applicable on Linux") if actions is None else _configure(ctx, actions)


def time_zone_redirection(ctx: StepContext) -> Done:
    """P5"""
    return _configure(ctx, configuration.time_zone_redirection(ctx.so_far["osFamily"]))


def grow_partition(ctx: StepContext) -> Done:
    """P6"""
    return _configure(ctx, configuration.grow_partition(ctx.run.size.storage_gb))


def block_high_risk_ports(ctx: StepContext) -> Done:
    """P7"""
    return _configure(ctx, configuration.block_high_risk_ports(ctx.world.settings.gateway_address))


def _configure(ctx: StepContext, actions: Actions) -> Done:
    return Done(output=ctx.providers.compute.configure_guest(ctx.call, ctx.so_far["vmId"], actions))
