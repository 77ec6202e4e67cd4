"""The embedded authorisation server, at the addresses that Microsoft's has.

``/{tenant}/...``: the tenant's id, its name, or ``common`` and ``organizations`` where a person signs in.
"""

from deskwright.authority.endpoints import routes

__all__ = ["routes"]
