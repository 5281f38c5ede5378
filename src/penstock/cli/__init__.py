"""The command line: one file a verb, and a table from which parser, help and docs are made.

`main` and `verbs` import the standard library only; a verb's own file is
imported when it runs, so that `--help` never waits for numpy.
"""
