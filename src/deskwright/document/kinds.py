"""Every kind of object and list of a document, with how it stands in the tables.

One JSON object, in the API's property names, describes an object everywhere: what a document gives, what the tables
hold (`document`, SQL over the table's row ``t``), their difference, the audit's before and after, and the export.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    section: str
    object_type: str
    """What the audit calls it."""
    word: str
    table: str
    key: str
    """SQL over ``t``: what it is found by; names are compared without regard to case."""
    name: str
    """SQL over ``t``."""
    document: str
    """SQL over ``t``: the object as a document has it, jsonb."""
    columns: Mapping[str, str]
    """Column -> SQL over ``d.after``, such an object."""
    live: str = "true"
    """SQL over ``t``: leaves out those that count as gone."""
    own: str = "true"
    """SQL over ``t``: leaves out those that a domain has the say about; they are neither exported nor pruned."""
    secret: str = ""
    """The property of its password."""
    all_key: bool = False
    """It is nothing but its key: it is there or not, and never changed."""
    order: str = ""
    """SQL over ``t``: the order of the export, where creating them in that order matters."""
    also_new: Mapping[str, str] = field(default_factory=dict)
    """Columns that only a new object is given -> SQL."""
    also_changed: Mapping[str, str] = field(default_factory=dict)
    """Columns that a changed one is given too -> SQL."""


def _text(name: str) -> str:
    return f"d.after->>'{name}'"


def _nullable(name: str) -> str:
    return f"NULLIF(d.after->>'{name}', '')"


def _typed(name: str, kind: str) -> str:
    return f"CAST(d.after->>'{name}' AS {kind})"


def _texts(name: str) -> str:
    return f"ARRAY(SELECT jsonb_array_elements_text(d.after->'{name}'))"


def _site(name: str = "region") -> str:
    return f"(SELECT s.id FROM sites s WHERE s.tenant_id = :tenant AND lower(s.name) = lower(d.after->>'{name}'))"


_SITE_NAME = "(SELECT s.name FROM sites s WHERE s.id = t.site_id)"
_GROUP_NAME = "(SELECT g.display_name FROM groups g WHERE g.id = t.group_id)"
_BY = "' by '"
# As `providers.registry.with_companions` has it.
_COMPANION = """jsonb_build_object('kind',
    CASE WHEN d.after->'compute'->>'kind' = 'simulator' THEN 'simulator' ELSE 'builtin' END)"""
_MANAGEMENT = """jsonb_build_object('kind',
    CASE WHEN COALESCE(d.after->'directory'->>'kind', d.after->'compute'->>'kind') = 'simulator' THEN 'simulator'
    ELSE 'builtin' END)"""
_NEXT_SYNC = "CASE WHEN CAST(d.after->>'syncEnabled' AS boolean) THEN tenant_now(:tenant) END"
SEPARATOR = "\n"
"""Between the parts of a key; names hold no line breaks."""

KINDS: dict[str, Kind] = {
    kind.section: kind
    for kind in (
        Kind(
            "sites",
            "site",
            "site",
            "sites",
            key="lower(t.name)",
            name="t.name",
            document="""jsonb_build_object('name', t.name, 'regionGroup', t.region_group, 'regionName', t.region,
                'compute', t.compute, 'directory', t.directory, 'management', t.management)""",
            columns={
                "name": _text("name"),
                "region_group": _text("regionGroup"),
                "region": f"COALESCE({_text('regionName')}, {_text('name')})",
                "compute": "d.after->'compute'",
                "directory": f"COALESCE(d.after->'directory', {_COMPANION})",
                "management": f"COALESCE(d.after->'management', {_MANAGEMENT})",
            },
            order="t.created_at, t.name",
        ),
        Kind(
            "domains",
            "domain",
            "domain",
            "domains",
            key="lower(t.name)",
            name="t.name",
            document="""jsonb_build_object('domainName', t.name, 'userName', t.account_name,
                'controllers', to_jsonb(t.controllers), 'nameServers', to_jsonb(t.name_servers),
                'caCertificate', t.ca_certificate, 'startTls', t.start_tls, 'searchBases', to_jsonb(t.search_bases),
                'signIn', t.sign_in, 'syncEnabled', t.sync_enabled,
                'syncIntervalInMinutes', t.sync_interval_minutes)""",
            columns={
                "name": _text("domainName"),
                "account_name": _text("userName"),
                "controllers": _texts("controllers"),
                "name_servers": _texts("nameServers"),
                "ca_certificate": _nullable("caCertificate"),
                "start_tls": _typed("startTls", "boolean"),
                "search_bases": _texts("searchBases"),
                "sign_in": _text("signIn"),
                "sync_enabled": _typed("syncEnabled", "boolean"),
                "sync_interval_minutes": _typed("syncIntervalInMinutes", "integer"),
            },
            also_new={"account_password": "d.secret", "next_sync_at": _NEXT_SYNC},
            # Whatever changed: everything is read again, at once.
            also_changed={
                "account_password": "COALESCE(d.secret, t.account_password)",
                "next_sync_at": _NEXT_SYNC,
                "cursor": "CAST('{}' AS jsonb)",
            },
            secret="password",  # noqa: S106 - a property
        ),
        Kind(
            "users",
            "user",
            "user",
            "users",
            key="lower(t.user_principal_name)",
            name="t.user_principal_name",
            document="""jsonb_build_object('userPrincipalName', t.user_principal_name, 'displayName', t.display_name,
                'accountEnabled', t.account_enabled, 'onPremisesUserPrincipalName',
                  t.on_premises_user_principal_name)""",
            columns={
                "user_principal_name": _text("userPrincipalName"),
                "display_name": f"COALESCE({_text('displayName')}, split_part({_text('userPrincipalName')}, '@', 1))",
                "account_enabled": _typed("accountEnabled", "boolean"),
                "on_premises_user_principal_name": _text("onPremisesUserPrincipalName"),
            },
            live="t.deleted_at IS NULL",
            own="t.domain_id IS NULL",
        ),
        Kind(
            "groups",
            "group",
            "group",
            "groups",
            key="lower(t.display_name)",
            name="t.display_name",
            document="jsonb_build_object('displayName', t.display_name, 'kind', t.kind)",
            columns={"display_name": _text("displayName"), "kind": _text("kind")},
            own="t.domain_id IS NULL",
        ),
        Kind(
            "roleGroups",
            "roleAssignment",
            "role of a group",
            "role_groups",
            key=f"lower(t.role || {_BY} || {_GROUP_NAME})",
            name=f"t.role || {_BY} || {_GROUP_NAME}",
            document=f"jsonb_build_object('role', t.role, 'group', {_GROUP_NAME})",
            columns={
                "role": _text("role"),
                "group_id": "(SELECT g.id FROM groups g WHERE g.tenant_id = :tenant "
                "AND lower(g.display_name) = lower(d.after->>'group'))",
            },
            all_key=True,
        ),
        Kind(
            "identityProviders",
            "identityProvider",
            "identity provider",
            "identity_providers",
            key="lower(t.display_name)",
            name="t.display_name",
            document="""jsonb_build_object('displayName', t.display_name, 'issuer', t.issuer, 'clientId', t.client_id,
                'userClaim', t.user_claim, 'enabled', t.enabled)""",
            columns={
                "display_name": _text("displayName"),
                "issuer": _text("issuer"),
                "client_id": _text("clientId"),
                "user_claim": _text("userClaim"),
                "enabled": _typed("enabled", "boolean"),
            },
            also_new={"client_secret": "d.secret"},
            also_changed={"client_secret": "COALESCE(d.secret, t.client_secret)"},
            secret="clientSecret",  # noqa: S106 - a property
        ),
        Kind(
            "servicePlans",
            "servicePlan",
            "service plan",
            "service_plans",
            key="lower(t.display_name)",
            name="t.display_name",
            document="""jsonb_build_object('displayName', t.display_name, 'seats', t.seats, 'vCpuCount', t.vcpu_count,
                'ramInGB', t.ram_gb, 'storageInGB', t.storage_gb)""",
            columns={
                "display_name": _text("displayName"),
                "seats": _typed("seats", "integer"),
                "vcpu_count": _typed("vCpuCount", "integer"),
                "ram_gb": _typed("ramInGB", "integer"),
                "storage_gb": _typed("storageInGB", "integer"),
            },
        ),
        Kind(
            "onPremisesConnections",
            "onPremisesConnection",
            "network connection",
            "connections",
            key="lower(t.display_name)",
            name="t.display_name",
            document=f"""jsonb_build_object('displayName', t.display_name, 'connectionType', t.connection_type,
                'region', {_SITE_NAME}, 'virtualNetworkId', t.network, 'subnetId', t.subnet,
                'subscriptionId', t.subscription, 'resourceGroupId', t.resource_group, 'adDomainName', t.ad_domain_name,
                'organizationalUnit', t.organizational_unit, 'adDomainUsername', t.ad_domain_username)""",
            columns={
                "display_name": _text("displayName"),
                "connection_type": _text("connectionType"),
                "site_id": _site(),
                "network": _text("virtualNetworkId"),
                "subnet": _text("subnetId"),
                "subscription": _nullable("subscriptionId"),
                "resource_group": _nullable("resourceGroupId"),
                "ad_domain_name": _nullable("adDomainName"),
                "organizational_unit": _nullable("organizationalUnit"),
                "ad_domain_username": _nullable("adDomainUsername"),
            },
            also_new={"next_check_at": "tenant_now(:tenant)", "ad_domain_password": "d.secret"},
            # Checked at once; until the check has ended the last settled health stays (V3).
            also_changed={
                "next_check_at": "tenant_now(:tenant)",
                "ad_domain_password": "COALESCE(d.secret, t.ad_domain_password)",
            },
            secret="adDomainPassword",  # noqa: S106 - a property
        ),
        Kind(
            "deviceImages",
            "deviceImage",
            "device image",
            "device_images",
            key=f"lower(t.display_name || chr(10) || t.version || chr(10) || {_SITE_NAME})",
            name="t.display_name || ' ' || t.version",
            document=f"""jsonb_build_object('displayName', t.display_name, 'version', t.version, 'region', {_SITE_NAME},
                'source', t.source, 'operatingSystem', t.operating_system, 'osFamily', t.os_family, 'sizeInGB',
                  t.disk_gb)""",
            columns={
                "display_name": _text("displayName"),
                "version": _text("version"),
                "site_id": _site(),
                "source": "d.after->'source'",
                "operating_system": _text("operatingSystem"),
                "os_family": _text("osFamily"),
                "disk_gb": _typed("sizeInGB", "integer"),
            },
            also_new={"next_step_at": "tenant_now(:tenant)", "modified_at": "tenant_now(:tenant)"},
            also_changed={"modified_at": "tenant_now(:tenant)"},
        ),
        Kind(
            "userSettings",
            "userSetting",
            "user setting",
            "user_settings",
            key="lower(t.display_name)",
            name="t.display_name",
            document="""jsonb_build_object('displayName', t.display_name, 'localAdminEnabled', t.local_admin_enabled,
                'resetEnabled', t.reset_enabled, 'userRestoreEnabled', t.restore_enabled,
                'frequencyInHours', t.restore_frequency_hours)""",
            columns={
                "display_name": _text("displayName"),
                "local_admin_enabled": _typed("localAdminEnabled", "boolean"),
                "reset_enabled": _typed("resetEnabled", "boolean"),
                "restore_enabled": _typed("userRestoreEnabled", "boolean"),
                "restore_frequency_hours": _typed("frequencyInHours", "integer"),
            },
            also_new={"modified_at": "tenant_now(:tenant)"},
            also_changed={"modified_at": "tenant_now(:tenant)"},
            order="t.number",  # the most recently created wins
        ),
        Kind(
            "provisioningPolicies",
            "provisioningPolicy",
            "provisioning policy",
            "policies",
            key="lower(t.display_name)",
            name="t.display_name",
            document="""jsonb_build_object('displayName', t.display_name, 'description', t.description,
                'provisioningType', t.provisioning_type,
                'domainJoinConfigurations', CASE WHEN t.region_group IS NULL THEN COALESCE(
                  (SELECT jsonb_agg(jsonb_build_object('domainJoinType', t.join_type, 'onPremisesConnection',
                    k.display_name)
                          ORDER BY pc.position)
                     FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id
                       WHERE pc.policy_id = t.id), '[]')
                  ELSE jsonb_build_array(jsonb_build_object('domainJoinType', t.join_type, 'regionGroup',
                    t.region_group,
                          'regionName', COALESCE(t.region, 'automatic'))) END,
                'image', CASE t.image_type WHEN 'gallery' THEN jsonb_build_object('gallery', t.gallery_image)
                                           ELSE jsonb_build_object('device', t.device_image) END,
                'cloudPcNamingTemplate', t.naming_template, 'windowsSetting', jsonb_build_object('locale', t.locale),
                'enableSingleSignOn', t.single_sign_on, 'localAdminEnabled', t.local_admin_enabled)""",
            columns={
                "display_name": _text("displayName"),
                "description": _text("description"),
                "provisioning_type": _text("provisioningType"),
                "join_type": "d.after#>>'{domainJoinConfigurations,0,domainJoinType}'",
                "region_group": "d.after#>>'{domainJoinConfigurations,0,regionGroup}'",
                "region": "NULLIF(d.after#>>'{domainJoinConfigurations,0,regionName}', 'automatic')",
                "image_type": "CASE WHEN d.after->'image' ? 'gallery' THEN 'gallery' ELSE 'custom' END",
                "gallery_image": "d.after#>>'{image,gallery}'",
                "device_image": "d.after#>>'{image,device}'",
                "naming_template": _text("cloudPcNamingTemplate"),
                "locale": "d.after#>>'{windowsSetting,locale}'",
                "single_sign_on": _typed("enableSingleSignOn", "boolean"),
                "local_admin_enabled": _typed("localAdminEnabled", "boolean"),
            },
            also_new={"created_by": "CAST(:actor AS text)", "modified_by": "CAST(:actor AS text)"},
            also_changed={
                "revision": "t.revision + 1",
                "modified_at": "tenant_now(:tenant)",
                "modified_by": "CAST(:actor AS text)",
            },
            order="""(SELECT COALESCE(min(a.number), 9007199254740992) FROM policy_assignments a
                WHERE a.policy_id = t.id),
                lower(t.display_name)""",
        ),
    )
}


@dataclass(frozen=True)
class Relation:
    """A list inside an object, as rows (owner, target) of a table of its own."""

    name: str
    owner: Kind
    target: Kind
    table: str
    owner_column: str
    target_column: str
    property: str
    """What the audit calls the list."""
    adding: str
    removing: str
    """The audit's activities."""
    added: str | None = None
    removed: str | None = None
    """What happened to the people concerned, the reason of a grace period; None: it does not concern entitlement."""
    gives: bool = False
    """Whether membership of the target, a group, is what gives something to people."""


RELATIONS: dict[str, Relation] = {
    relation.name: relation
    for relation in (
        Relation(
            "members",
            KINDS["groups"],
            KINDS["users"],
            "memberships",
            "group_id",
            "user_id",
            "members",
            "Add group members",
            "Remove group members",
            "Added to group",
            "Removed from group",
        ),
        Relation(
            "licenseUsers",
            KINDS["servicePlans"],
            KINDS["users"],
            "license_users",
            "plan_id",
            "user_id",
            "users",
            "Assign licence",
            "Remove licence",
            "Licence assigned",
            "Licence removed",
        ),
        Relation(
            "licenseGroups",
            KINDS["servicePlans"],
            KINDS["groups"],
            "license_groups",
            "plan_id",
            "group_id",
            "groups",
            "Assign licence",
            "Remove licence",
            "Licence assigned (group)",
            "Licence removed (group)",
            gives=True,
        ),
        Relation(
            "userSettingAssignments",
            KINDS["userSettings"],
            KINDS["groups"],
            "user_setting_assignments",
            "setting_id",
            "group_id",
            "assignments",
            "Assign user setting",
            "Unassign user setting",
        ),
        Relation(
            "policyAssignments",
            KINDS["provisioningPolicies"],
            KINDS["groups"],
            "policy_assignments",
            "policy_id",
            "group_id",
            "assignments",
            "Assign provisioning policy",
            "Unassign provisioning policy",
            "Policy assigned",
            "Policy unassigned",
            gives=True,
        ),
    )
}
