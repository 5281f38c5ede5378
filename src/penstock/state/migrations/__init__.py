"""Schema changes in a line: file name = revision, oldest first, never edited once released.

A migration spells its tables out by itself, because the tables in the code move
on while the step from one release to the next must not.
"""
