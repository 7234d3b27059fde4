"""Acknowledged regressions."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from otcache.exceptions import ConfigurationError
from otcache.regression._reporting.acknowledgements import Ack, apply, load, save
from otcache.telemetry import catalog
from tests.cli.regress.disk import full_disk
from tests.cli.regress.reports import DURATION, ERRORS, SET, finding, report

TODAY = date(2026, 11, 24)
ACK = Ack(DURATION, TODAY, "a new serializer")


def test_what_is_acknowledged_is_minor_and_says_why() -> None:
    found = report("critical", finding("critical", 0.3, reason="worse"), finding("ok", 0.0, SET))

    after = apply(found, [ACK], TODAY)

    assert after.verdict == "minor"
    assert (after.findings[0].verdict, after.findings[0].reason) == (
        "minor", "acknowledged until 2026-11-24: a new serializer; worse",
    )  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        replace(ACK, metric=catalog.L2_DURATION.name),
        replace(ACK, until=date(2026, 11, 23)),
        replace(ACK, attributes={"cache": "orders"}),
        replace(ACK, statistic="p99"),
        replace(ACK, most=0.29),
    ],
)
def test_what_an_acknowledgement_does_not_speak_of_stays(other: Ack) -> None:
    found = report("critical", finding("critical", 0.3))

    assert apply(found, [other], TODAY) == found


@pytest.mark.parametrize("name", ["cache", catalog.CACHE.name])
def test_an_attribute_may_be_named_as_in_a_report(name: str) -> None:
    found = report("critical", finding("critical", 0.3))

    assert apply(found, [replace(ACK, attributes={name: "users"}, most=0.3)], TODAY).verdict == "minor"


def test_an_alarm_that_is_left_counts() -> None:
    found = report("critical", finding("critical", 0.3), finding("warning", 0.02, ERRORS, "ratio"))

    assert apply(found, [ACK], TODAY).verdict == "warning"


def test_too_little_data_stay_too_little_behind_an_alarm_that_is_acknowledged() -> None:
    found = report("critical", finding("critical", 0.3), finding("inconclusive", None, SET), blind=True)

    assert apply(found, [ACK], TODAY).verdict == "inconclusive"


def test_they_are_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "acks.json"
    second = Ack(DURATION, date(2027, 1, 1), "known", {"cache": "users"}, "p95", 0.4)

    save(path, [ACK, second])

    assert load(path) == (ACK, second)
    assert load(tmp_path / "none.json") == ()
    assert os.listdir(tmp_path) == ["acks.json"]


GOOD: dict[str, Any] = {"metric": "m", "until": "2026-12-31", "reason": "r"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff", "is not JSON"),
        ("{}", "holds dict, not a list of acknowledgements"),
        (["x"], "acknowledgement 1 does not have metric, until and reason"),
        ([{"metric": "m", "reason": "r"}], "acknowledgement 1 does not have metric, until and reason"),
        ([GOOD, GOOD | {"untill": 1}], "acknowledgement 2 does not have"),
        ([GOOD | {"until": "soon"}], "until='soon' is no date"),
        ([GOOD | {"until": 5}], "until=5 is no date"),
        ([GOOD | {"attributes": ["x"]}], "attributes is list, not an object"),
        ([GOOD | {"attributes": {"a": 1}}], "attributes are texts"),
        ([GOOD | {"most": -1}], "most=-1 is outside 0..1000"),
        ([GOOD | {"most": float("nan")}], "most=nan is outside"),
        ([GOOD | {"most": True}], "most=True is outside"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "acks.json"
    path.write_bytes(content if isinstance(content, bytes) else
                     (content if isinstance(content, str) else json.dumps(content)).encode())  # fmt: skip

    with pytest.raises(ConfigurationError, match=said):
        load(path)


def test_a_file_that_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        load(tmp_path)
    with pytest.raises(ConfigurationError, match="can't be written"):
        save(tmp_path / "none" / "acks.json", [ACK])


def test_what_was_in_the_file_stays_if_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "acks.json"
    save(path, [ACK])

    with full_disk(), pytest.raises(ConfigurationError, match="can't be written: File too large"):
        save(path, [ACK, ACK])

    assert load(path) == (ACK,)
    assert os.listdir(tmp_path) == ["acks.json"]
