"""Back-off between attempts: at once, then 1, 2, 4 … 60 s, each ± 20 %."""

from __future__ import annotations

import random

STEP_S_MAX = 60.0
DOUBLINGS_MAX = 6  # an outage of a night would overflow a float otherwise


def backoff_s(failures: int, jitter: random.Random) -> float:
    """Pause before attempt number `failures` + 1."""
    if failures <= 1:
        return 0.0
    step = min(2.0 ** min(failures - 2, DOUBLINGS_MAX), STEP_S_MAX)
    return step * jitter.uniform(0.8, 1.2)
