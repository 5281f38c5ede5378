"""Alarms: conditions that need an operator; a projection of the log's alarm events."""
