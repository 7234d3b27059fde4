"""Times to live: what may be written, what may not, what a program may come to, and the seconds that each means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from otcache import FOREVER

WRITTEN: Final[dict[Any, float]] = {
    0: 0, timedelta(0): 0, 0.0004: 0, timedelta(microseconds=999): 0,
    60: 60, 90.5: 90.5, 61.0005: 61, timedelta(minutes=2): 120, 31_536_000: 31_536_000, FOREVER: FOREVER,
}  # fmt: skip
"""What a programmer may write, and the seconds that it means."""

WRONG: Final = (-1, -0.001, timedelta(seconds=-1), float("nan"), -FOREVER, 31_536_001, timedelta(days=366), 10**5000,
                True, "60", "forever", b"1", [60], object(), lambda: 60)  # fmt: skip
"""What no place takes from a programmer."""

COMPUTED: Final = ((-1, 0), (float("nan"), 0), (-FOREVER, 0), (1e12, 31_536_000), (10**400, 31_536_000),
                   (timedelta.max, 31_536_000), (timedelta.min, 0), ("60", 0), (True, 0), (object(), 0))  # fmt: skip
"""What a program may come to besides, and the seconds that it means: the load never fails for it."""
