"""Imports: history out of files of CSV and Parquet.

`look.py` says what a file is and what it leaves open, `check.py` turns all of it into
batches on disk (or says which rows do not fit), `handler.py` sends these to the log from
compute; `desk.py` keeps core's list of imports, `routes.py` is HTTP.

Nothing is sent before all of it is checked. What is sent are bytes that lie on disk under
numbers of their own, so an import that was cut off sends them again and the log takes
each once.
"""
