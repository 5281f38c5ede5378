"""Settings of a Modbus connector and of its points; form, check and reference come from here.

`invalid` holds bit patterns when written in hex and values when written in
decimal, because manuals print sentinels both ways.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from penstock.plugin import PluginConfig

WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]


def _split(cell: object) -> object:
    """A cell "0x8000;0xFFFF" or one number become a list of texts."""
    if isinstance(cell, int | float):
        return [str(cell)]
    if isinstance(cell, list | tuple):
        return [str(entry) for entry in cell]
    return cell.replace(";", " ").split() if isinstance(cell, str) else cell


class ModbusDevice(PluginConfig):
    """One unit behind a host and port."""

    host: str = Field(min_length=1, description="Name or IP address of the device or gateway.")
    port: int = Field(502, ge=1, le=65535, description="TCP port.")
    unit_id: int = Field(
        1, ge=0, le=255, description="Unit identifier; 0 is never written to (broadcast)."
    )
    registers_max: int | None = Field(
        None, ge=1, le=125, description="Registers in one read of this device; default: shared."
    )
    pipeline_max: int | None = Field(
        None, ge=1, le=16, description="Requests under way at once; default: shared."
    )


class ModbusConfig(PluginConfig):
    """Either `host` for one device named like the connector, or `[devices.<name>]` tables."""

    host: str | None = Field(
        None, description="Name or IP address of the only device; leave out with [devices]."
    )
    port: int = Field(502, ge=1, le=65535, description="TCP port of the only device.")
    unit_id: int = Field(
        1, ge=0, le=255, description="Unit identifier of the only device; 0 is never written to."
    )
    devices: dict[str, ModbusDevice] = Field(
        default_factory=dict, description="Devices by name; those of one host:port share a socket."
    )
    timeout_s: float = Field(
        1.0, ge=0.05, le=60, description="Seconds to wait for an answer before the unit is silent."
    )
    connect_timeout_s: float = Field(
        3.0, ge=0.1, le=60, description="Seconds to wait for a connection."
    )
    rate_s: float = Field(
        1.0, ge=0.02, le=86_400, description="Seconds between two reads of a point."
    )
    registers_max: int = Field(
        125, ge=1, le=125, description="Registers in one read; halved when a device refuses."
    )
    merge_gap: int = Field(
        16, ge=0, le=124, description="Unused registers that are read along to save a request."
    )
    word_order: WordOrder = Field(
        "ABCD", description="Byte order of values wider than a register; ABCD is high word first."
    )
    pipeline_max: int = Field(
        1, ge=1, le=16, description="Requests under way at once; many devices need 1."
    )

    @model_validator(mode="after")
    def _one_way_only(self) -> ModbusConfig:
        if self.host and self.devices:
            raise ValueError("give either host or [devices.<name>] tables, not both")
        if not self.host and not self.devices:
            raise ValueError("give host, or one [devices.<name>] table for each device")
        return self

    def device_by_name(self, connector: str) -> dict[str, ModbusDevice]:
        """All devices; the only one is named like its connector."""
        if self.host is None:
            return dict(self.devices)
        return {connector: self.only_device()}

    def only_device(self) -> ModbusDevice:
        """The device that `host`, `port` and `unit_id` describe."""
        assert self.host is not None
        return ModbusDevice(
            host=self.host,
            port=self.port,
            unit_id=self.unit_id,
            registers_max=self.registers_max,
            pipeline_max=self.pipeline_max,
        )


class ModbusPoint(PluginConfig):
    """Modbus columns of one row of the point list."""

    address: str = Field(
        description="Register or bit: 40001, 400001, 4x0001, holding 0, holding 0x0000; 40010.3."
    )
    type: str = Field(
        "",
        description="bool, int16 ... uint64, float32, float64, bcd16, bcd32, string:N; bits: bool.",
    )
    order: str = Field(
        "", description="Byte order of this value: ABCD, CDAB, BADC or DCBA; default word_order."
    )
    scale: float = Field(
        1.0, allow_inf_nan=False, description="Engineering value = raw value x scale + offset."
    )
    offset: float = Field(
        0.0, allow_inf_nan=False, description="Added after scaling, in the point's unit."
    )
    rate_s: float | None = Field(
        None, ge=0.02, le=86_400, description="Seconds between two reads; default of the connector."
    )
    writable: bool = Field(False, description="Whether commands may write this point.")
    device: str = Field("", description="Name of the device; default the only one.")
    invalid: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        (), max_length=8, description="Raw values that mean 'no value': 0x8000 (bits) or -9999."
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_default(cls, row: object) -> object:
        if not isinstance(row, dict):
            return row
        return {key: cell for key, cell in row.items() if cell is not None and cell != ""}
