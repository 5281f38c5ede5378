"""Penstock carries a machine's data to a decision, and the decision back to the machine.

Importing the package costs nothing: no submodule is loaded here, so that every
command of the CLI answers before heavy libraries are read from the disk.
"""

__version__ = "0.1.0"
