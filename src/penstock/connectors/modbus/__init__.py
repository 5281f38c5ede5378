"""Modbus TCP: registers and bits of PLCs, meters and gateways, read in planned blocks.

The protocol has no types, no clock and no security: types come from the point
list, times are receipt times, and the page of this plugin says "unprotected".
"""

from penstock.connectors.modbus.config import ModbusConfig, ModbusDevice, ModbusPoint
from penstock.connectors.modbus.connector import Modbus

__all__ = ["Modbus", "ModbusConfig", "ModbusDevice", "ModbusPoint"]
