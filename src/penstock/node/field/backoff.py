"""Back-off between attempts: at once, then 1, 2, 4 … seconds, each ± 20 %.

A silent device costs its neighbours on the line a time-out at each attempt, so
its steps grow to a minute. A line that does not connect costs nobody anything,
so its steps stay short and it is back within five seconds.
"""

from __future__ import annotations

import random

STEP_S_MAX = 60.0
LINE_STEP_S_MAX = 3.5
DOUBLINGS_MAX = 6  # an outage of a night would overflow a float otherwise


def backoff_s(failures: int, jitter: random.Random, step_s_max: float = STEP_S_MAX) -> float:
    """Pause before attempt number `failures` + 1."""
    if failures <= 1:
        return 0.0
    step = min(2.0 ** min(failures - 2, DOUBLINGS_MAX), step_s_max)
    return step * jitter.uniform(0.8, 1.2)
