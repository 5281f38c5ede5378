"""Keeping data: what core knows of backups, retention, deletions and size."""
