"""Pages of the admin center, one module for each kind of object."""
