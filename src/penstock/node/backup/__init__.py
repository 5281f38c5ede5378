"""Backup and restore of a whole node: docs/reference/formats/backup.md."""
