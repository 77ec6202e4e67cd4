"""What Deskwright itself is to a site without a directory or device management of its own: records, kept here."""
