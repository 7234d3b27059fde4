"""Saved benchmarks: raw rounds of fresh processes, and the machine they ran on.

```
{"schema_version": 1, "kind": "otcache.benchmark", "fingerprint": {"cpu": "...", "python": "3.11.7", ...},
 "results": [{"operation": "get", ...,
              "metadata": {"runs": [{"process": "1", "rounds": [1.1e-06, ...], "at": 1.8e9}]}}]}
```
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otcache._exports.read import SourceError
from otcache.regression._model import Run
from otcache.regression._sources.files import named, objects

SCHEMA_VERSION: Final = 1
KIND: Final = "otcache.benchmark"
_LONGEST_NAME: Final = 200

Benchmark = Mapping[str, tuple[Run, ...]]
"""Per operation its runs; none where only summaries were saved."""


def read(where: str) -> Benchmark:
    """The runs of a saved benchmark, per operation.

    Args:
        where: A path, or `-` for standard input.

    Raises:
        SourceError: It can't be read, is of another version, or is no saved benchmark.
    """
    return benchmark(where, objects(where))


def is_benchmark(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says that it is a saved benchmark."""
    return document.get("kind") == KIND


def benchmark(where: str, documents: Iterator[tuple[int, dict[str, Any]]]) -> Benchmark:
    """The same for a document that has been opened. Raises SourceError: see `read`."""
    with named(where):
        return _benchmark(documents)


def _benchmark(documents: Iterator[tuple[int, dict[str, Any]]]) -> Benchmark:
    _, document = next(documents)
    if not is_benchmark(document):
        raise SourceError(f"it is JSON, and not a saved benchmark: its kind is not {KIND}")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise SourceError(f"it is a benchmark of schema version {str(version)[:20]}; this reads {SCHEMA_VERSION}")
    if next(documents, None) is not None:
        raise SourceError("it holds more than one document")
    try:
        return dict(_results(document))
    except ValueError as exc:
        raise SourceError(str(exc)) from exc
    except (AttributeError, KeyError, TypeError) as exc:
        raise SourceError("it says that it is a saved benchmark, and has another shape") from exc


def _results(document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Run, ...]]]:
    fingerprint = {str(name): str(value) for name, value in document["fingerprint"].items()}
    names: set[str] = set()
    for result in document["results"]:
        name = result["operation"]
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            raise ValueError(f"an operation's name is not a text of 1..{_LONGEST_NAME} characters")
        if name in names:
            raise ValueError(f"operation {name} is there twice")
        names.add(name)
        saved = (result.get("metadata") or {}).get("runs") or ()
        yield name, tuple(_run(each, f"run {index} of {name}", fingerprint) for index, each in enumerate(saved, 1))
    if not names:
        raise ValueError("it has no results")


def _run(saved: Mapping[str, Any], what: str, fingerprint: Mapping[str, str]) -> Run:
    rounds = tuple(_positive(each, f"a round of {what}") for each in saved["rounds"])
    if not rounds:
        raise ValueError(f"{what} has no rounds")
    paired = saved.get("paired_with")
    if paired is not None and (not isinstance(paired, int) or isinstance(paired, bool) or paired < 0):
        raise ValueError(f"{what} is paired with {str(paired)[:20]!r}, which is no index of a run")
    at = saved.get("at") or 0
    own = {str(name): str(value) for name, value in (saved.get("fingerprint") or {}).items()}
    return Run(
        process=str(saved["process"]),
        rounds=rounds,
        at=_positive(at, f"the time of {what}") if at else 0.0,
        fingerprint={**fingerprint, **own},
        paired_with=paired,
    )


def _positive(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    if not 0 < value <= 1e12 or not math.isfinite(value):
        raise ValueError(f"{what} is {value:.3g}, outside 0..1e12 s, 0 excluded")
    return float(value)
