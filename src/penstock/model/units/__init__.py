"""Units: UCUM codes are stored, signs are shown.

Only what a label needs lives here; a code without an entry is shown as it
stands, because a strange unit is better than a missing one.
"""

from penstock.model.units.labels import unit_label

__all__ = ["unit_label"]
