"""Cache-Status is a structured field that others can read; Server-Timing follows its own grammar."""

from __future__ import annotations

import re
from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache.http._response_headers import Decision, cache_status, server_timing

METRIC = re.compile(r'[a-z]+(;desc="[a-z0-9 ]+")?;dur=\d+\.\d+')


def read(field: str) -> tuple[str, dict[str, Any]]:
    """The one member of a Cache-Status."""
    members: Any = http_sf.parse(field.encode(), tltype="list")
    ((name, parameters),) = members
    return str(name), {key: value if isinstance(value, bool | int) else str(value) for key, value in parameters.items()}


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision("hit", "l1", ttl=59), {"hit": True, "ttl": 59}),
        (Decision("stale", "l2", ttl=-3, detail="revalidating"), {"hit": True, "ttl": -3, "detail": "revalidating"}),
        (Decision("miss", "loader", "uri-miss", stored=True, ttl=60), {"fwd": "uri-miss", "stored": True, "ttl": 60}),
        (
            Decision("miss", "loader", "stale", stored=True, collapsed=True),
            {"fwd": "stale", "stored": True, "collapsed": True},
        ),
        (Decision("bypass", "none", "bypass", detail="no-store"), {"fwd": "bypass", "detail": "no-store"}),
        (Decision("miss", detail="only-if-cached"), {"detail": "only-if-cached"}),
        (Decision("hit", "l1", ttl=10**30), {"hit": True, "ttl": 999_999_999_999_999}),
    ],
)
def test_a_decision_is_told_in_the_words_of_rfc_9211(decision: Decision, said: dict[str, Any]) -> None:
    assert read(cache_status("otcache", decision)) == ("otcache", said)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20))
def test_any_name_and_any_detail_come_back(text: str) -> None:
    name, said = read(cache_status(text, Decision("hit", detail=text)))

    assert (name, said["detail"]) == (text, text)


@pytest.mark.parametrize(
    ("decision", "timing"),
    [
        (Decision("hit", "l1", lookup_ns=120_000), 'cache;desc="hit l1";dur=0.120'),
        (Decision("bypass", lookup_ns=0, load_ns=35_100_000), 'cache;desc="bypass";dur=0.000, load;dur=35.100'),
        (Decision("miss", "loader", lookup_ns=1, load_ns=1), 'cache;desc="miss";dur=0.000, load;dur=0.000'),
    ],
)
def test_the_times_are_told_in_milliseconds(decision: Decision, timing: str) -> None:
    assert server_timing(decision) == timing
    assert all(METRIC.fullmatch(metric) for metric in timing.split(", "))
