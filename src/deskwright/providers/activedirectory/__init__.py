"""Active Directory as a directory provider: computers join a domain that is really asked."""
