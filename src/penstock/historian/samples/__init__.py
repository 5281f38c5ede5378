"""Samples of many points as Arrow, a page at a time: how programs read history."""
