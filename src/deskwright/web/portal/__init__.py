"""Pages of the people who work with Cloud PCs."""
