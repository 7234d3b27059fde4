"""What is read from a saved benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otcache._exports.read import SourceError
from otcache.regression._model import Run
from otcache.regression._sources import bench_json, open_source

Page = Callable[..., Path]
RUN = {"process": "41", "rounds": [1.5e-06, 2e-06], "at": 1_790_000_000.5}


def saved(*runs: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"runs": list(runs)} if runs else {}
    result = {"operation": "get", "iterations": 1000, "avg_duration_ms": 0.0017, "metadata": metadata}
    return {
        "schema_version": 1,
        "kind": "otcache.benchmark",
        "fingerprint": {"cpu": "x", "cores": 2},
        "results": [result],
        **more,
    }


def test_runs_are_read_per_operation(page: Page) -> None:
    document = saved(RUN, {**RUN, "process": 42, "paired_with": 0, "fingerprint": {"python": "3.13"}})

    found = bench_json.read(str(page(json.dumps(document, indent=1))))

    machine = {"cpu": "x", "cores": "2"}
    first = Run("41", (1.5e-06, 2e-06), 1_790_000_000.5, machine)
    second = Run("42", (1.5e-06, 2e-06), 1_790_000_000.5, {**machine, "python": "3.13"}, 0)
    assert found == {"get": (first, second)}


def test_a_file_is_known_by_what_it_says_it_is(page: Page) -> None:
    path = page(json.dumps(saved(RUN)), "anything.txt")

    assert open_source(str(path)) == bench_json.read(str(path))


def test_summaries_without_rounds_have_no_runs(page: Page) -> None:
    assert bench_json.read(str(page(json.dumps(saved())))) == {"get": ()}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"kind": "pytest"}, "is JSON, and not a saved benchmark: its kind is not otcache.benchmark"),
        (saved(RUN, schema_version=2), "is a benchmark of schema version 2; this reads 1"),
        (saved(RUN, schema_version=True), "is a benchmark of schema version True; this reads 1"),
        (saved(RUN, results=[]), "it has no results"),
        (saved(RUN, results=saved(RUN)["results"] * 2), "operation get is there twice"),
        (saved(RUN, results=[{"operation": ""}]), "an operation's name is not a text of 1..200 characters"),
        (saved(RUN, results=None), "has another shape"),
        (saved(RUN, fingerprint=None), "has another shape"),
        (saved({**RUN, "rounds": []}), "run 1 of get has no rounds"),
        (saved({**RUN, "rounds": [0.0]}), "a round of run 1 of get is 0, outside 0..1e12 s"),
        (saved({**RUN, "rounds": [-1]}), "a round of run 1 of get is -1, outside"),
        (saved({**RUN, "rounds": ["1"]}), "has another shape"),
        (saved({**RUN, "rounds": [float("nan")]}), "line 1 holds NaN"),
        (saved({**RUN, "at": 1e300}), "the time of run 1 of get is 1e+300, outside"),
        (saved({**RUN, "paired_with": -1}), "run 1 of get is paired with '-1', which is no index"),
        (saved({"process": "1"}), "has another shape"),
    ],
)
def test_what_is_no_benchmark_is_said(page: Page, document: dict[str, Any], sentence: str) -> None:
    path = page(json.dumps(document))

    with pytest.raises(SourceError) as caught:
        bench_json.read(str(path))

    assert str(caught.value).startswith(str(path))
    assert sentence in str(caught.value)


def test_a_file_that_is_cut_off_is_said(page: Page) -> None:
    with pytest.raises(SourceError, match="is not JSON, or is cut off"):
        bench_json.read(str(page(json.dumps(saved(RUN), indent=1)[:-5])))
