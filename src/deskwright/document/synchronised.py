"""What comes from a domain is changed there. A document may name such people and groups, not change them."""

from sqlalchemy import text

from deskwright.document.problems import SHOWN, Problems
from deskwright.operations.change import Change

_CHANGED = text(
    f"""
    SELECT d.line, d.kind, d.name, o.name AS domain FROM differences d
      LEFT JOIN users u ON d.kind = 'users' AND u.id = d.id LEFT JOIN groups g ON d.kind = 'groups' AND g.id = d.id
      JOIN domains o ON o.id = COALESCE(u.domain_id, g.domain_id)
     WHERE d.before IS NOT NULL AND d.after IS NOT NULL ORDER BY d.position LIMIT {SHOWN}
    """
)
_MEMBERS = text(
    f"""
    SELECT DISTINCT s.line, e.owner_name AS name, o.name AS domain FROM edges e JOIN groups g ON g.id = e.owner_id
      JOIN domains o ON o.id = g.domain_id LEFT JOIN staged s ON s.kind = 'groups' AND s.key = lower(e.owner_name)
     WHERE e.relation = 'members' ORDER BY 1 LIMIT {SHOWN}
    """
)


def refuse(change: Change, problems: Problems) -> None:
    """After everything is written, which is taken back where anything is wrong."""
    for row in change.connection.execute(_CHANGED):
        problems.add(row.line, row.kind, row.name, f"is synchronised from {row.domain}; change it there")
    for row in change.connection.execute(_MEMBERS):
        rule = f"its members are synchronised from {row.domain}; change them there"
        problems.add(row.line or 0, "groups.members", row.name, rule)
