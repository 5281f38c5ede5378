"""Text files to validated models: what is desired, with all errors at once.

The files are the truth for what a person wants; what was discovered and which
identity a thing has lives in the registry.
"""

from penstock.config.plant import AssetEntry, ConnectorEntry, Plant, PointEntry

__all__ = ["AssetEntry", "ConnectorEntry", "Plant", "PointEntry"]
