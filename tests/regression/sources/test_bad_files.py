"""A file that is not what it should be is refused in one sentence, which says what and where."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otcache._exports import read
from otcache._exports.read import SourceError
from otcache.exceptions import ConfigurationError
from otcache.regression._sources import Matcher, Reading, Selection, open_source
from tests.regression.sources.exports import EXPONENTIAL, Request, history, lines, points
from tests.regression.sources.histories import Minute
from tests.rows import every

Page = Callable[..., Path]
START = 1_790_000_040.0
THREE = [Minute((0.002, 0.004)), Minute((0.003,)), Minute((0.02,))]
GOOD = lines(history(THREE, START))
BENCHMARK = '{"schema_version": 1, "kind": "otcache.benchmark", "fingerprint": {}, "results": [{"operation": "get"}]}\n'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (GOOD[:-30], "line 4 is not JSON, or is cut off"),
        (GOOD.splitlines()[0][:-30], "is not JSON, or is cut off"),
        ("<html></html>", "is HTML or XML, not JSON"),
        ("# HELP otcache_lookups_total\n", "is a /metrics page, not JSON"),
        ("otcache_lookups_total 3\n", "is something else, not JSON"),
        ("[1, 2]\n", "line 1 is JSON, and not an object"),
        ('{"a": 1}\n', "line 1 is JSON, and not OTLP"),
        (GOOD + BENCHMARK, "line 5 is JSON, and not OTLP"),
        (BENCHMARK + GOOD, "holds more than one document"),
        ('{"resourceSpans": []}\n', "is OTLP without metrics"),
        ('{"resourceMetrics": 7}\n', "line 1 is not OTLP: its metrics have another shape"),
        ('{"resourceMetrics": [[]]}\n', "line 1 is not OTLP: its metrics have another shape"),
        ('{"a":' * 100_000, "line 1 is nested too deep, or holds a number that is too long"),
        ('{"resourceMetrics": [], "a": %s}' % ("9" * 5000), "line 1 is nested too deep, or holds a number"),
        (b"\xff\xfe{}", "is not UTF-8 text"),
        (b"\x00\x01\x02", "is something else, not JSON"),
        (b'{"a": "\xff"}', "is not UTF-8 text"),
        (b"\x28\xb5\x2f\xfd\x00", "is compressed with zstd, which is not supported; gzip is"),
        (gzip.compress(GOOD.encode())[:-200], "it can't be read: it is cut off"),
        (b"\x1f\x8b" + b"\x00" * 50, "it can't be read: its compressed data are damaged"),
    ],
)
def test_a_file_that_can_not_be_read_is_said(page: Page, content: str | bytes, sentence: str) -> None:
    path = page(content)

    with pytest.raises(SourceError) as caught:
        open_source(str(path))

    assert str(caught.value).startswith(str(path))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda point: point.update(fields)


def without(*fields: str) -> Callable[[dict[str, Any]], None]:
    def damage(point: dict[str, Any]) -> None:
        for field in fields:
            del point[field]

    return damage


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (changed(sum=float("nan")), "holds NaN"),
        (changed(sum=float("-inf")), "holds -Infinity"),
        (changed(sum="NaN"), "holds nan"),
        (changed(sum=1e400), "holds Infinity"),
        (changed(sum="9" * 500), "holds inf, or what is too large"),
        (changed(count="99"), "hold 5 values, and its count is 99"),
        (changed(count=str(2**70)), "is outside 0..2**64"),
        (changed(count=-1), "is outside 0..2**64"),
        (changed(bucketCounts=["1.5", "0", "0", "0", "0"]), "holds 1.5, which is no number of values"),
        (changed(bucketCounts=["-1", "5", "0", "0", "0"]), "holds -1, which is no number of values"),
        (changed(bucketCounts=["4"]), "1 buckets do not fit 4 bounds"),
        (changed(explicitBounds=[4, 3, 2, 1]), "the bounds of a point of otcache.operation.duration are not ascending"),
        (changed(timeUnixNano=0), "has no time"),
        (changed(timeUnixNano=str(10**18)), "before it starts: its clock was set"),
        (without("sum"), "has no sum"),
        (changed(sum=True), "its metrics have another shape"),
        (changed(attributes=[{}]), "its metrics have another shape"),
    ],
)
def test_a_point_that_can_not_be_is_said_with_its_line(page: Page, damage: Callable[..., None], sentence: str) -> None:
    requests = history(THREE, START)
    damage(next(point for point in points(requests[-1]) if "bucketCounts" in point))
    path = page(lines(requests))

    with pytest.raises(SourceError) as caught:
        open_source(str(path))

    assert str(caught.value).startswith(f"{path}, line 4")
    assert sentence in str(caught.value)


def test_a_scale_that_no_exporter_has_is_said(page: Page) -> None:
    requests = history(THREE[:1], START, aggregation=EXPONENTIAL)
    next(point for point in points(requests[0]) if "scale" in point)["scale"] = 4000

    with pytest.raises(SourceError, match=r"line 1: a point of otcache.operation.duration has scale 4000"):
        open_source(str(page(lines(requests))))


def test_a_metric_that_says_no_temporality_is_refused(page: Page) -> None:
    requests = history(THREE[:1], START)
    text = lines(requests).replace("AGGREGATION_TEMPORALITY_CUMULATIVE", "AGGREGATION_TEMPORALITY_UNSPECIFIED")

    with pytest.raises(SourceError, match=r"line 1: .* says neither that it is delta nor that it is cumulative"):
        open_source(str(page(text)))


def test_a_clock_that_goes_back_is_said(page: Page) -> None:
    requests: list[Request] = history(THREE, START)
    for point in points(requests[-1]):
        point["timeUnixNano"] = str(int(point["timeUnixNano"]) - 100 * 10**9)

    with pytest.raises(SourceError, match=r"line 4: the clock went back by 40\.000 s while the counts went on"):
        open_source(str(page(lines(requests))))


def test_a_clock_that_jumps_ahead_leaves_a_gap_and_is_said(page: Page) -> None:
    requests = history(THREE, START)
    for point in points(requests[-1]):
        point["timeUnixNano"] = str(int(point["timeUnixNano"]) + 3600 * 10**9)

    reading = open_source(str(page(lines(requests))))

    assert isinstance(reading, Reading)
    assert reading.notes == ("2 rises over gaps of more than 300 s are left out",)


def test_a_line_that_never_ends_is_refused(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "LONGEST", 10_000)
    path = page('{"resourceMetrics": [' + " " * 20_000)

    with pytest.raises(SourceError, match="a line is longer than 10000 characters"):
        open_source(str(path))


@pytest.mark.parametrize("name", ["nowhere.json", "empty"])
def test_a_path_without_files_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(SourceError, match=f"{name}(: it can't be read: No such file| holds no files with .json)"):
        open_source(str(tmp_path / name))


def test_a_document_over_many_lines_is_read_as_one(page: Page) -> None:
    request = history(THREE, START, "delta")[1]

    reading = open_source(str(page(json.dumps(request, indent=2))))

    assert isinstance(reading, Reading)
    assert sum(getattr(each, "count", 0) for found in reading.series.values() for each in found) == 2


# --- arguments ------------------------------------------------------------------------------------------


@every("text", ["", "job", "=x", "__name__=up", "0day=x", 'job"=x', "job=~(", f"job={'x' * 1001}", "job=a\0b"])
def test_a_matcher_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Matcher.parse(text)


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("job=shop", Matcher("job", "=", "shop")),
        (" env =~ prod|stage ", Matcher("env", "=~", "prod|stage")),
        (r'zone!="a \"b\" \\"', Matcher("zone", "!=", r'a "b" \ '.rstrip())),
        ("service.version!~2.*", Matcher("service.version", "!~", "2.*")),
        ("job=", Matcher("job", "=", "")),
    ],
)
def test_a_matcher_is_read_as_prometheus_writes_it(text: str, matcher: Matcher) -> None:
    assert Matcher.parse(text) == matcher


@pytest.mark.parametrize("arguments", [{"step": 0.5}, {"step": float("nan")}, {"start": 2.0, "end": 1.0}])
def test_a_selection_that_can_not_be_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        Selection(**arguments)  # type: ignore[arg-type]
