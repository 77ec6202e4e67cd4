"""The nouns of Cloud PC provisioning and their rules. No I/O, no imports from the rest of the package."""
