"""The demonstration plant: a small water works behind a real Modbus TCP server.

It runs as a process of its own (`python -m penstock.simulator`) and imports
nothing of the product, so that what Penstock shows has come over a wire.
"""
