"""Active Directory as its clients see it: DNS, LDAP, Kerberos. Nothing of Deskwright's own objects is known here."""
