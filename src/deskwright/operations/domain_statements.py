"""The statements of domain_merge: temporary tables, and what is compared between them and the tenant's.

All have :tenant and :domain.
"""

from deskwright.operations.domain_findings import Code

TABLES = (
    """
    CREATE TEMPORARY TABLE sync_people (source_id uuid PRIMARY KEY, upn text, display_name text, mail text,
      enabled boolean, name text, dn text, sid text, in_groups uuid[], user_id uuid, how text, old_upn text,
      problem text) ON COMMIT DROP
    """,
    """
    CREATE TEMPORARY TABLE sync_groups (source_id uuid PRIMARY KEY, display_name text, description text, name text,
      dn text, sid text, group_id uuid, how text, old_name text, problem text) ON COMMIT DROP
    """,
    "CREATE TEMPORARY TABLE sync_members (group_source uuid, member_source uuid) ON COMMIT DROP",
    """
    CREATE TEMPORARY TABLE sync_computers (source_id uuid PRIMARY KEY, name text, dn text, sid text, enabled boolean)
      ON COMMIT DROP
    """,
    "CREATE TEMPORARY TABLE sync_gone (source_id uuid PRIMARY KEY) ON COMMIT DROP",
    # What came and went: user, group and how it is told.
    "CREATE TEMPORARY TABLE sync_moves (user_id uuid, group_id uuid, came boolean) ON COMMIT DROP",
)
INDEXES = (
    "CREATE INDEX ON sync_people (lower(upn))",
    "CREATE INDEX ON sync_people (user_id)",
    "CREATE INDEX ON sync_members (group_source, member_source)",
    "ANALYZE sync_people",
    "ANALYZE sync_groups",
    "ANALYZE sync_members",
)
GONE = {
    "complete": """
        INSERT INTO sync_gone SELECT o.source_id FROM domain_objects o WHERE o.domain_id = :domain AND NOT EXISTS (
          SELECT 1 FROM sync_people p WHERE p.source_id = o.source_id UNION ALL
          SELECT 1 FROM sync_groups g WHERE g.source_id = o.source_id UNION ALL
          SELECT 1 FROM sync_computers c WHERE c.source_id = o.source_id)
        """,
    "listed": """
        INSERT INTO sync_gone SELECT o.source_id FROM domain_objects o WHERE o.domain_id = :domain
          AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:listed AS uuid[])) AS l (source) WHERE l.source = o.source_id)
        ON CONFLICT DO NOTHING
        """,
}

# --- people --------------------------------------------------------------------------------------------

# Who has a name already: their object (also where they were deleted), or else the person of that name who is not from
# a domain, as Entra Connect matches them. Like there, administrators are not taken over by a name that somebody gave
# himself elsewhere.
MATCH = """
    UPDATE sync_people p SET user_id = u.id, old_upn = u.user_principal_name,
           how = CASE WHEN u.deleted_at IS NULL THEN 'linked' ELSE 'restored' END
      FROM domain_objects o JOIN users u ON u.id = o.object_id AND u.tenant_id = :tenant
     WHERE o.domain_id = :domain AND o.source_id = p.source_id AND p.problem IS NULL
"""
TAKE_OVER = """
    UPDATE sync_people p SET user_id = u.id, old_upn = u.user_principal_name, how = 'taken' FROM users u
     WHERE p.user_id IS NULL AND p.problem IS NULL AND u.tenant_id = :tenant AND u.deleted_at IS NULL
       AND lower(u.user_principal_name) = lower(p.upn) AND (u.domain_id IS NULL OR u.domain_id = :domain)
       AND NOT EXISTS (SELECT 1 FROM domain_objects o WHERE o.object_id = u.id)
"""
HOLDS_ROLE = f"""
    UPDATE sync_people p SET problem = '{Code.HOLDS_ROLE}', user_id = NULL
     WHERE p.problem IS NULL AND p.how = 'taken' AND EXISTS (SELECT 1 FROM held_roles r WHERE r.user_id = p.user_id)
"""
NEW = "UPDATE sync_people SET user_id = gen_random_uuid(), how = 'new' WHERE user_id IS NULL AND problem IS NULL"
SAME_NAME = f"""
    UPDATE sync_people p SET problem = '{Code.UPN_NOT_UNIQUE}' FROM (
      SELECT s.source_id, row_number() OVER (PARTITION BY lower(upn) ORDER BY o.object_id IS NULL, s.source_id) AS n
        FROM sync_people s LEFT JOIN domain_objects o ON o.domain_id = :domain AND o.source_id = s.source_id
       WHERE s.problem IS NULL) d WHERE d.source_id = p.source_id AND d.n > 1
"""
# Somebody else has the name, and neither loses it nor is deleted by this very run.
TAKEN = f"""
    UPDATE sync_people p SET problem = '{Code.UPN_IN_USE}' FROM users u
     WHERE p.problem IS NULL AND u.tenant_id = :tenant AND u.deleted_at IS NULL
       AND lower(u.user_principal_name) = lower(p.upn) AND u.id <> p.user_id
       AND NOT EXISTS (SELECT 1 FROM sync_people other WHERE other.user_id = u.id AND other.problem IS NULL
                        AND lower(other.upn) <> lower(p.upn))
       AND NOT EXISTS (SELECT 1 FROM domain_objects o JOIN sync_gone USING (source_id)
                        WHERE o.domain_id = :domain AND o.object_id = u.id)
"""
DELETE_PEOPLE = """
    UPDATE users u SET deleted_at = tenant_now(:tenant) FROM domain_objects o JOIN sync_gone USING (source_id)
     WHERE o.domain_id = :domain AND o.object_id = u.id AND o.kind = 'user' AND u.deleted_at IS NULL
       AND u.tenant_id = :tenant RETURNING u.id, u.user_principal_name AS name
"""
# Two may change names with each other, which the index would not let them do one after the other.
RENAMED = """
    UPDATE users u SET user_principal_name = 'renamed-' || u.id FROM sync_people p
     WHERE p.user_id = u.id AND p.problem IS NULL AND p.how <> 'new' AND u.deleted_at IS NULL
       AND lower(u.user_principal_name) <> lower(p.upn)
"""
CHANGE_PEOPLE = """
    WITH old AS (
      SELECT u.*, p.how, p.old_upn FROM users u JOIN sync_people p ON p.user_id = u.id
       WHERE p.problem IS NULL AND p.how <> 'new' AND (
         (u.user_principal_name, u.display_name, u.account_enabled, u.mail, u.on_premises_user_principal_name,
          u.domain_id) IS DISTINCT FROM
         (p.upn, p.display_name, p.enabled, nullif(p.mail, ''), p.upn, CAST(:domain AS uuid))
         OR u.deleted_at IS NOT NULL)),
    changed AS (
      UPDATE users u SET user_principal_name = p.upn, display_name = p.display_name, account_enabled = p.enabled,
             mail = nullif(p.mail, ''), on_premises_user_principal_name = p.upn, domain_id = :domain, deleted_at = NULL
        FROM sync_people p, old WHERE p.user_id = u.id AND old.id = u.id RETURNING u.*)
    SELECT c.id, c.user_principal_name AS name, old.how, old.account_enabled AS was_enabled,
           c.account_enabled AS enabled, old.old_upn, old.display_name AS old_display_name, old.mail AS old_mail,
           c.display_name, c.mail FROM changed c JOIN old USING (id)
"""
ADD_PEOPLE = """
    INSERT INTO users (id, tenant_id, user_principal_name, display_name, account_enabled, mail,
           on_premises_user_principal_name, domain_id, created_at)
    SELECT user_id, :tenant, upn, display_name, enabled, nullif(mail, ''), upn, :domain, tenant_now(:tenant)
      FROM sync_people WHERE how = 'new' AND problem IS NULL ORDER BY lower(upn)
    RETURNING id, user_principal_name AS name
"""
LINK = """
    INSERT INTO domain_objects AS o (domain_id, source_id, tenant_id, kind, object_id, name, distinguished_name,
           security_identifier, enabled, seen_at)
    SELECT :domain, source_id, :tenant, '{kind}', {object}, name, dn, sid, {enabled}, tenant_now(:tenant)
      FROM {table} WHERE {condition}
    ON CONFLICT (domain_id, source_id) DO UPDATE SET object_id = excluded.object_id, name = excluded.name,
           distinguished_name = excluded.distinguished_name, security_identifier = excluded.security_identifier,
           enabled = excluded.enabled, seen_at = excluded.seen_at
     WHERE (o.object_id, o.name, o.distinguished_name, o.security_identifier, o.enabled) IS DISTINCT FROM
           (excluded.object_id, excluded.name, excluded.distinguished_name, excluded.security_identifier,
            excluded.enabled) RETURNING o.name, xmax = 0 AS is_new
"""
LINKS = {
    "user": {"object": "user_id", "enabled": "enabled", "table": "sync_people", "condition": "problem IS NULL"},
    "group": {"object": "group_id", "enabled": "true", "table": "sync_groups", "condition": "problem IS NULL"},
    "computer": {"object": "CAST(NULL AS uuid)", "enabled": "enabled", "table": "sync_computers", "condition": "true"},
}

# --- groups --------------------------------------------------------------------------------------------

MATCH_GROUPS = """
    UPDATE sync_groups s SET group_id = g.id, old_name = g.display_name, how = 'linked'
      FROM domain_objects o JOIN groups g ON g.id = o.object_id
     WHERE o.domain_id = :domain AND o.source_id = s.source_id AND s.problem IS NULL
"""
# Those the administrator gave to the domain.
ADOPT = """
    UPDATE sync_groups s SET group_id = g.id, old_name = g.display_name, how = 'adopted' FROM groups g
     WHERE s.group_id IS NULL AND s.problem IS NULL AND g.tenant_id = :tenant AND g.domain_id = :domain
       AND lower(g.display_name) = lower(s.display_name)
       AND NOT EXISTS (SELECT 1 FROM domain_objects o WHERE o.object_id = g.id)
"""
NEW_GROUPS = (
    "UPDATE sync_groups SET group_id = gen_random_uuid(), how = 'new' WHERE group_id IS NULL AND problem IS NULL"
)
SAME_GROUP = f"""
    UPDATE sync_groups p SET problem = '{Code.GROUP_NOT_UNIQUE}' FROM (
      SELECT s.source_id, row_number() OVER (PARTITION BY lower(display_name) ORDER BY o.object_id IS NULL, s.source_id)
             AS n
        FROM sync_groups s LEFT JOIN domain_objects o ON o.domain_id = :domain AND o.source_id = s.source_id
       WHERE s.problem IS NULL) d WHERE d.source_id = p.source_id AND d.n > 1
"""
GROUP_TAKEN = f"""
    UPDATE sync_groups s SET problem = '{Code.GROUP_IN_USE}' FROM groups g
     WHERE s.problem IS NULL AND g.tenant_id = :tenant AND lower(g.display_name) = lower(s.display_name)
       AND g.id <> s.group_id
       AND NOT EXISTS (SELECT 1 FROM sync_groups other WHERE other.group_id = g.id AND other.problem IS NULL
                        AND lower(other.display_name) <> lower(s.display_name))
       AND NOT EXISTS (SELECT 1 FROM domain_objects o JOIN sync_gone USING (source_id)
                        WHERE o.domain_id = :domain AND o.object_id = g.id)
"""
GROUPS_GONE = """
    SELECT g.id, g.display_name AS name,
           ARRAY(SELECT p.display_name FROM policy_assignments a JOIN policies p ON p.id = a.policy_id
                  WHERE a.group_id = g.id ORDER BY a.number) AS policies,
           ARRAY(SELECT p.display_name FROM license_groups l JOIN service_plans p ON p.id = l.plan_id
                  WHERE l.group_id = g.id ORDER BY p.display_name) AS plans
      FROM domain_objects o JOIN sync_gone USING (source_id) JOIN groups g ON g.id = o.object_id
     WHERE o.domain_id = :domain AND o.kind = 'group' ORDER BY lower(g.display_name)
"""
DELETE_GROUPS = "DELETE FROM groups WHERE tenant_id = :tenant AND id = ANY(:groups)"
RENAMED_GROUPS = """
    UPDATE groups g SET display_name = 'renamed-' || g.id FROM sync_groups s
     WHERE s.group_id = g.id AND s.problem IS NULL AND s.how <> 'new' AND lower(g.display_name) <> lower(s.display_name)
"""
WITH_DESCRIPTION = """
    CASE WHEN s.description = '' THEN g.profile - 'description'
         ELSE g.profile || jsonb_build_object('description', s.description) END
"""
CHANGE_GROUPS = f"""
    WITH old AS (
      SELECT g.*, s.how, s.old_name FROM groups g JOIN sync_groups s ON s.group_id = g.id
       WHERE s.problem IS NULL AND s.how <> 'new' AND (g.display_name, g.kind, g.domain_id, g.profile)
             IS DISTINCT FROM (s.display_name, 'security', CAST(:domain AS uuid), {WITH_DESCRIPTION})),
    changed AS (
      UPDATE groups g SET display_name = s.display_name, kind = 'security', domain_id = :domain,
             profile = {WITH_DESCRIPTION}
        FROM sync_groups s, old WHERE s.group_id = g.id AND old.id = g.id RETURNING g.*)
    SELECT c.id, c.display_name AS name, old.old_name, old.how FROM changed c JOIN old USING (id)
"""
ADD_GROUPS = """
    INSERT INTO groups (id, tenant_id, display_name, kind, profile, domain_id, created_at)
    SELECT group_id, :tenant, display_name, 'security',
           CASE WHEN description = '' THEN '{}'::jsonb ELSE jsonb_build_object('description', description) END,
           :domain, tenant_now(:tenant)
      FROM sync_groups WHERE how = 'new' AND problem IS NULL ORDER BY lower(display_name)
    RETURNING id, display_name AS name
"""

# --- memberships -----------------------------------------------------------------------------------------

# Of deleted people they stay, so that whoever comes back has everything back.
LEFT = """
    WITH gone AS (
      DELETE FROM memberships m USING sync_groups s, users u
       WHERE s.problem IS NULL AND m.group_id = s.group_id AND u.id = m.user_id AND u.deleted_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM sync_members x JOIN domain_objects o ON o.source_id = x.member_source
                          WHERE x.group_source = s.source_id AND o.domain_id = :domain AND o.object_id = m.user_id)
      RETURNING m.user_id, m.group_id)
    INSERT INTO sync_moves SELECT user_id, group_id, false FROM gone
"""
JOINED = """
    WITH new AS (
      INSERT INTO memberships (group_id, user_id, tenant_id)
      SELECT DISTINCT s.group_id, u.id, CAST(:tenant AS uuid) FROM sync_groups s
        JOIN sync_members x ON x.group_source = s.source_id
        JOIN domain_objects o ON o.domain_id = :domain AND o.source_id = x.member_source AND o.kind = 'user'
        JOIN users u ON u.id = o.object_id AND u.deleted_at IS NULL WHERE s.problem IS NULL
      ON CONFLICT DO NOTHING RETURNING user_id, group_id)
    INSERT INTO sync_moves SELECT user_id, group_id, true FROM new
"""
# Who came into sight now: their groups did not change by that. Only where changes were read: else all groups were.
CAME_WITH = """
    WITH new AS (
      INSERT INTO memberships (group_id, user_id, tenant_id)
      SELECT o.object_id, p.user_id, CAST(:tenant AS uuid) FROM sync_people p
        CROSS JOIN unnest(p.in_groups) AS w (source)
        JOIN domain_objects o ON o.domain_id = :domain AND o.source_id = w.source AND o.kind = 'group'
       WHERE p.problem IS NULL AND p.how <> 'linked'
      ON CONFLICT DO NOTHING RETURNING user_id, group_id)
    INSERT INTO sync_moves SELECT user_id, group_id, true FROM new
"""
CAME_WITHOUT = """
    WITH gone AS (
      DELETE FROM memberships m USING sync_people p, domain_objects o
       WHERE p.problem IS NULL AND p.how IN ('restored', 'taken') AND m.user_id = p.user_id
         AND o.domain_id = :domain AND o.kind = 'group' AND o.object_id = m.group_id
         AND NOT o.source_id = ANY(p.in_groups)
      RETURNING m.user_id, m.group_id)
    INSERT INTO sync_moves SELECT user_id, group_id, false FROM gone
"""
MOVES = """
    SELECT g.id, g.display_name AS name, m.came, count(*) AS n,
           (array_agg(u.user_principal_name ORDER BY lower(u.user_principal_name)))[1:50] AS who
      FROM sync_moves m JOIN groups g ON g.id = m.group_id JOIN users u ON u.id = m.user_id
     GROUP BY g.id, g.display_name, m.came ORDER BY lower(g.display_name), m.came
"""
# A group without licence and policy makes no difference to anyone's Cloud PC.
MATTERS = """
    (EXISTS (SELECT 1 FROM license_groups l WHERE l.group_id = g.id)
     OR EXISTS (SELECT 1 FROM policy_assignments a WHERE a.group_id = g.id))
"""
NESTED = """
    SELECT s.source_id, s.display_name AS name, count(*) AS n FROM sync_members m
      JOIN sync_groups s ON s.source_id = m.group_source
     WHERE EXISTS (SELECT 1 FROM domain_objects o WHERE o.domain_id = :domain AND o.source_id = m.member_source
                    AND o.kind = 'group')
     GROUP BY s.source_id, s.display_name ORDER BY lower(s.display_name)
"""
PROBLEMS = """
    SELECT source_id, 'user' AS kind, problem, upn AS name, dn FROM sync_people WHERE problem IS NOT NULL
    UNION ALL
    SELECT source_id, 'group', problem, display_name, dn FROM sync_groups WHERE problem IS NOT NULL ORDER BY 2, 4
"""
FORGET = """
    DELETE FROM domain_objects o USING sync_gone g WHERE o.domain_id = :domain AND o.source_id = g.source_id
       AND o.kind <> 'user' RETURNING o.kind, o.name
"""
TOTALS = """
    SELECT (SELECT count(*) FROM users WHERE domain_id = :domain AND deleted_at IS NULL) AS people,
           (SELECT count(*) FROM groups WHERE domain_id = :domain) AS groups,
           (SELECT count(*) FROM domain_objects WHERE domain_id = :domain AND kind = 'computer') AS computers
"""
TOUCH = """
    INSERT INTO touched_users (tenant_id, user_id, cause)
    SELECT CAST(:tenant AS uuid), f.user_id,
           jsonb_build_object('actor', CAST(:actor AS text), 'activity', f.activity, 'object', f.subject)
      FROM ({found}) AS f (user_id, activity, subject) JOIN users u ON u.id = f.user_id
     ORDER BY u.created_at, lower(u.user_principal_name)
"""
