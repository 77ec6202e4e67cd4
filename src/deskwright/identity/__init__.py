"""Who calls and what they may do: permissions, secrets and passwords, signing keys and tokens.

Administration (app registrations, roles, passwords) is in `operations`; the HTTP endpoints are in `authority`.
"""
