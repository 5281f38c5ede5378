"""SQL over history: docs/reference/sql.md.

Nothing here is imported before somebody asks: core only validates and passes on
(routes.py), compute starts a child process (process.py), and only the child has DuckDB.
"""
