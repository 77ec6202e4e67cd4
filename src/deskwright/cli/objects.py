"""The commands that list, show, create, change and delete the objects of a tenant, one group of commands for each."""

import typer

from deskwright.cli import (
    directory_commands,
    domain_commands,
    identity_commands,
    identity_provider_commands,
    image_commands,
    license_commands,
    place_commands,
    policy_commands,
    tenant_commands,
    webhook_commands,
)

GROUPS: dict[str, typer.Typer] = {
    "tenant": tenant_commands.tenant_app,
    "site": place_commands.site_app,
    "connection": place_commands.connection_app,
    "domain": domain_commands.domain_app,
    "image": image_commands.image_app,
    "policy": policy_commands.policy_app,
    "user-setting": policy_commands.user_setting_app,
    "user": directory_commands.user_app,
    "group": directory_commands.group_app,
    "license": license_commands.license_app,
    "service-plan": license_commands.plan_app,
    "app": identity_commands.app_app,
    "role": identity_commands.role_app,
    "identity-provider": identity_provider_commands.identity_provider_app,
    "fault": tenant_commands.fault_app,
    "clock": tenant_commands.clock_app,
    "audit": tenant_commands.audit_app,
    "webhook": webhook_commands.webhook_app,
}


def register(app: typer.Typer) -> None:
    """Add every group of object commands to the command tree."""
    for name, commands in GROUPS.items():
        app.add_typer(commands, name=name)
