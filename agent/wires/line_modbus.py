"""Modbus on a line. The frames are pymodbus's; the wire stays ours.

pymodbus's own clients hide the system's words, log each lost answer and close a TCP connection after three, so only
its framers and PDUs are used.
"""

from functools import partial
from typing import Final

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from agent.config import Bus
from agent.config_wires import SerialWire
from agent.wires.line import GarbledError, NoAnswerError, exchange
from agent.wires.wire import Wire
from drivers.base import Ask, BadAnswer, ReadRegisters, Step, Table, Tell, WriteCoil

# The largest frame is 260 bytes (Modbus application protocol 1.1b3, section 4.1); more is rubbish.
MODBUS_BYTES_MAX: Final = 1024
# Exceptions by which a gateway says that it is there and the unit behind it is not (same document, section 7).
GATEWAY_CODES: Final = frozenset({10, 11})
EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}

_READS: Final[dict[Table, type[ModbusPDU]]] = {
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
}


def _request(unit: int, transaction: int, step: Step) -> ModbusPDU:
    match step:
        case ReadRegisters(table, address, count):
            return _READS[table](dev_id=unit, transaction_id=transaction, address=address, count=count)
        case WriteCoil(address, on):
            return WriteSingleCoilRequest(dev_id=unit, transaction_id=transaction, address=address, bits=[on])
        case Ask() | Tell():
            raise TypeError("a text question on a Modbus bus: the driver and the bus do not fit")


def _values(step: Step, frame: bytes) -> tuple[int, ...]:
    """Values of an answer's PDU."""
    answer = DecodePDU(False).decode(frame)
    if answer is None:
        raise GarbledError(f"a frame that cannot be read: {frame[:24].hex(' ')}")
    if answer.isError():
        code = answer.exception_code
        text = f"exception {code} ({EXCEPTIONS.get(code, 'unknown')})"
        raise NoAnswerError(text) if code in GATEWAY_CODES else BadAnswer(text, modbus_exception=code)
    if isinstance(step, WriteCoil):
        return (int(step.on),)
    assert isinstance(step, ReadRegisters)
    if step.table in ("holding", "input"):
        values = tuple(int(value) for value in answer.registers)
        expected = step.count
    else:
        values = tuple(int(bit) for bit in answer.bits)
        expected = -(-step.count // 8) * 8
    if len(values) != expected:
        raise GarbledError(f"{len(values)} values came where {step.count} were asked for")
    return values[: step.count]


class ModbusLine:
    """Modbus, framed as RTU (any wire) or TCP."""

    tells_late_answers = True

    def __init__(self, wire: Wire, config: Bus) -> None:
        self._wire = wire
        self._rtu = config.protocol == "modbus-rtu"
        self._framer = FramerRTU(DecodePDU(False)) if self._rtu else FramerSocket(DecodePDU(False))
        self._transaction = 0
        # 3.5 characters of 11 bits end an RTU frame, 1.75 ms at the least (Modbus over serial line 1.02, 2.5.1.1).
        serial_s = max(3.5 * 11 / config.wire.baud, 0.00175) if isinstance(config.wire, SerialWire) else 0.0
        self.silence_s = max(config.gap_ms / 1000, serial_s)

    async def ask(self, unit: int | None, step: Step, timeout_s: float) -> tuple[int, ...]:
        """See `Line`. A unit that is not configured is 1."""
        self._transaction = self._transaction % 65535 + 1
        request = _request(1 if unit is None else unit, 0 if self._rtu else self._transaction, step)
        find = self._rtu_answer if self._rtu else self._tcp_answer
        question = self._framer.buildFrame(request)
        frame = await exchange(self._wire, question, partial(find, request), MODBUS_BYTES_MAX, timeout_s)
        return _values(step, frame)

    def _rtu_answer(self, request: ModbusPDU, came: bytes) -> bytes | None:
        """The first frame with a right check sum from the unit and function asked, rubbish around it or not."""
        for start in range(len(came) - 1):
            if came[start] == request.dev_id and came[start + 1] & 0x7F == request.function_code:
                _, _, _, frame = self._framer.decode(came[start:])
                if frame:
                    return frame
        return None

    def _tcp_answer(self, request: ModbusPDU, came: bytes) -> bytes | None:
        """The frame that carries the request's transaction; late answers to earlier ones are passed over."""
        while came:
            used, unit, transaction, frame = self._framer.decode(came)
            if used == 0:
                return None
            same = (unit, transaction) == (request.dev_id, request.transaction_id)
            if same and frame and frame[0] & 0x7F == request.function_code:
                return frame
            came = came[used:]
        return None
