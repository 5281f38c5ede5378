"""A scripted Modbus TCP device: sparse tables, holes, limits, exceptions and silence.

Written with struct only, so that it shares no code with the connector or its
library. `log` holds each request as (unit, function, address, count).
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field


@dataclass
class Unit:
    """Tables by read function (1 coil, 2 discrete, 3 holding, 4 input); no cell, no answer."""

    tables: dict[int, dict[int, int]] = field(default_factory=lambda: {f: {} for f in (1, 2, 3, 4)})
    registers_max: int = 125
    limit_code: int = 2
    exception_at: dict[tuple[int, int], int] = field(default_factory=dict)
    busy_answers: int = 0
    busy_code: int = 6
    is_silent: bool = False
    gateway_code: int = 0
    has_mask_write: bool = True

    def put(self, function: int, address: int, values: list[int]) -> None:
        for place, value in enumerate(values):
            self.tables[function][address + place] = value


class Device:
    """Listens on a free port; `units` by unit id."""

    def __init__(self, units: dict[int, Unit] | None = None) -> None:
        self.units = units or {1: Unit()}
        self.log: list[tuple[int, int, int, int]] = []
        self.asked = asyncio.Event()
        self.port = 0
        self.wrong_transaction = False
        self.answer_delay_s = 0.0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Device:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a power cut does, but with resets."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                pdu = await reader.readexactly(length - 1)
                answer = self.answer(unit, pdu)
                if answer is None:
                    continue
                if self.answer_delay_s:
                    await asyncio.sleep(self.answer_delay_s)
                transaction ^= 0x5555 if self.wrong_transaction else 0
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, unit_id: int, pdu: bytes) -> bytes | None:
        function, address, count = struct.unpack(">BHH", pdu[:5])
        self.asked.set()
        self.log.append((unit_id, function, address, count))
        unit = self.units.get(unit_id)
        if unit is None or unit.is_silent:
            return None
        code = self._exception(unit, function, address, count)
        if code:
            return bytes([function | 0x80, code])
        if function in (1, 2):
            bits = [unit.tables[function][address + i] for i in range(count)]
            packed = sum(bit << i for i, bit in enumerate(bits))
            data = packed.to_bytes((count + 7) // 8, "little")
            return bytes([function, len(data)]) + data
        if function in (3, 4):
            words = [unit.tables[function][address + i] for i in range(count)]
            return bytes([function, 2 * count]) + struct.pack(f">{count}H", *words)
        return self._write(unit, pdu)

    def _exception(self, unit: Unit, function: int, address: int, count: int) -> int:
        if unit.gateway_code:
            return unit.gateway_code
        if unit.busy_answers:
            unit.busy_answers -= 1
            return unit.busy_code
        if function > 4:
            return 0
        if count > (unit.registers_max if function > 2 else 16 * unit.registers_max):
            return unit.limit_code
        cells = range(address, address + count)
        for (table, cell), code in unit.exception_at.items():
            if table == function and cell in cells:
                return code
        return 0 if all(cell in unit.tables[function] for cell in cells) else 2

    def _write(self, unit: Unit, pdu: bytes) -> bytes:
        function, address = struct.unpack(">BH", pdu[:3])
        if function == 5:
            unit.tables[1][address] = int(pdu[3] == 0xFF)
            return pdu
        if function == 6:
            unit.tables[3][address] = struct.unpack(">H", pdu[3:5])[0]
            return pdu
        if function == 16:
            count = struct.unpack(">H", pdu[3:5])[0]
            unit.put(3, address, list(struct.unpack(f">{count}H", pdu[6:])))
            return pdu[:5]
        if function == 22 and unit.has_mask_write:
            keep, put = struct.unpack(">HH", pdu[3:7])
            unit.tables[3][address] = (unit.tables[3][address] & keep) | (put & ~keep)
            return pdu
        return bytes([function | 0x80, 1])
