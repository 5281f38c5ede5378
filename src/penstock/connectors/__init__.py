"""Built-in connectors, one file or folder a protocol; the product finds them by name.

Nothing imports this package: the host loads `penstock.connectors.<plugin>` from
the `plugin` key of a connector's file, just as it loads an installed one.
"""
