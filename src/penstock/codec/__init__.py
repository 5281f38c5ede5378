"""Bytes to columns and back: log record, batch, link frame, live frame, trend answer.

Each format has a page in docs/reference/formats/ and golden bytes in
tests/golden/. Decoding never copies a column: the arrays are read-only views of
the bytes that came in.
"""
