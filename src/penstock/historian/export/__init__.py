"""Exports: samples of many points as one file of CSV, Arrow or Parquet.

`files.py` writes one (in the child process that also runs SQL), `handler.py` is what
compute does for it, `desk.py` keeps core's list of exports, `routes.py` is HTTP.
"""
