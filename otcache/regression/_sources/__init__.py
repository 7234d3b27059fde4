"""Where the detector's numbers come from: each source gives the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from otcache.regression._sources import bench_json
from otcache.regression._sources.bench_json import Benchmark
from otcache.regression._sources.files import found, objects
from otcache.regression._sources.otlp_json import OtlpReader
from otcache.regression._sources.selection import Matcher, Reading, Selection

__all__ = ["Benchmark", "Matcher", "Reading", "Selection", "open_source"]


def open_source(where: str | Sequence[str], selection: Selection | None = None) -> Reading | Benchmark:
    """What files hold, by what they say they are: windows of OTLP JSON, or the runs of one saved benchmark.

    Args:
        where: Paths of files or directories, `-` for standard input.
        selection: What is read of OTLP JSON.

    Raises:
        SourceError: One can't be read, is neither, or they are of both kinds.
    """
    paths = [path for each in ([where] if isinstance(where, str) else where) for path in found(each)]
    reader = OtlpReader(selection or Selection())
    for path in paths:
        documents = objects(path)
        number, first = next(documents)
        documents = chain([(number, first)], documents)
        if bench_json.is_benchmark(first) and len(paths) == 1:
            return bench_json.benchmark(path, documents)
        reader.read(path, documents)
    return reader.reading()
