"""Every table Deskwright owns, in the order a reader needs them.

Times are UTC. Columns that a rule waits for (`wake_at`, `grace_ends_at`, `release_at`, `next_check_at`, ...)
are in the tenant's time (see `clock`), each with a partial index: waiting costs nothing. The job queue's own
tables belong to Procrastinate, the simulated outside world's to `providers.simulator`.
"""

from deskwright.store.tables.bulk import bulk_action_items, bulk_actions, export_jobs
from deskwright.store.tables.changes import (
    alert_records,
    alert_rules,
    audit_events,
    faults,
    notifications,
    strangers,
    touched_users,
)
from deskwright.store.tables.cloud_pcs import cloud_pcs, ledger, runs, sign_in_details, snapshots, steps
from deskwright.store.tables.columns import metadata
from deskwright.store.tables.directory import groups, memberships, users
from deskwright.store.tables.domains import domain_objects, domain_syncs, domains
from deskwright.store.tables.ground import (
    connection_checks,
    connection_results,
    connections,
    device_images,
    user_setting_assignments,
    user_settings,
)
from deskwright.store.tables.identity import (
    app_registrations,
    app_secrets,
    authorization_codes,
    device_codes,
    guest_roles,
    identity_providers,
    refresh_tokens,
    role_assignments,
    role_groups,
    sign_in_links,
    signing_keys,
    user_credentials,
    web_sessions,
)
from deskwright.store.tables.licences import license_groups, license_users, service_plans
from deskwright.store.tables.places import sites, tenants
from deskwright.store.tables.policies import policies, policy_assignments, policy_connections

__all__ = [
    "alert_records",
    "alert_rules",
    "app_registrations",
    "app_secrets",
    "audit_events",
    "authorization_codes",
    "bulk_action_items",
    "bulk_actions",
    "cloud_pcs",
    "connection_checks",
    "connection_results",
    "connections",
    "device_codes",
    "device_images",
    "domain_objects",
    "domain_syncs",
    "domains",
    "export_jobs",
    "faults",
    "groups",
    "guest_roles",
    "identity_providers",
    "ledger",
    "license_groups",
    "license_users",
    "memberships",
    "metadata",
    "notifications",
    "policies",
    "policy_assignments",
    "policy_connections",
    "refresh_tokens",
    "role_assignments",
    "role_groups",
    "runs",
    "service_plans",
    "sign_in_details",
    "sign_in_links",
    "signing_keys",
    "sites",
    "snapshots",
    "steps",
    "strangers",
    "tenants",
    "touched_users",
    "user_credentials",
    "user_setting_assignments",
    "user_settings",
    "users",
    "web_sessions",
]
