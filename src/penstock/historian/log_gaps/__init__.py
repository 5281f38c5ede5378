"""Gaps: spans of the log that nobody has any more, as objects with a cause, sequences and times."""
