"""Quality of a sample: the OPC UA severity bits plus a closed set of reasons.

Bad data is a value, never an exception: a dead sensor must reach the operator
as "bad", not vanish in a traceback. The worst of many is the minimum.
"""

from enum import IntEnum

SEVERITY_MASK = 0b1100_0000


class Quality(IntEnum):
    """One byte: severity in the top two bits, reason in the lower six (closed list).

    Severity follows OPC UA Part 8 (good, uncertain, bad); a number is never
    reused for another reason, because it lies in history for ever.
    """

    BAD = 0
    BAD_CONFIGURATION = 1
    BAD_NO_COMMUNICATION = 2
    BAD_DEVICE_FAILURE = 3
    BAD_SENSOR_FAILURE = 4
    BAD_NOT_AVAILABLE = 5
    BAD_DECODING = 6
    BAD_OUT_OF_SERVICE = 7
    BAD_WAITING_FOR_INITIAL_DATA = 8
    BAD_DATA_LOST = 9
    UNCERTAIN = 64
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 65
    UNCERTAIN_SUBSTITUTED = 66
    UNCERTAIN_OVERRIDDEN = 67
    UNCERTAIN_SIMULATED = 68
    UNCERTAIN_SOURCE_TIME = 69
    UNCERTAIN_LAST_USABLE = 70
    UNCERTAIN_SUB_NORMAL = 71
    GOOD = 192


class Severity(IntEnum):
    """The top two bits of a quality byte."""

    BAD = 0
    UNCERTAIN = 64
    GOOD = 192


def severity(quality: int) -> Severity:
    """Severity of one quality byte; the unassigned pattern 128 counts as uncertain."""
    assert 0 <= quality <= 255
    bits = quality & SEVERITY_MASK
    return Severity.UNCERTAIN if bits == 128 else Severity(bits)
