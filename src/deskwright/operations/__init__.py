"""What an administrator can do, one file per noun. CLI, document, API and pages all go through these functions."""
