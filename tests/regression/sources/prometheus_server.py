"""A real Prometheus on loopback, filled by remote write or from a file.

To be replaced by tests/stack/prometheus.py, which is built at the same time.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers import end, free_port, require, spawn, wait_for

_INSTALL: Final = "apt-get install -y --no-install-recommends prometheus"
_FEATURES: Final = "native-histograms"


@dataclass(frozen=True)
class Native:
    """A native histogram: spans of one piece from `offset` on."""

    count: int
    sum: float
    schema: int
    offset: int
    buckets: tuple[int, ...]
    zero: int = 0
    zero_threshold: float = 1e-9


@dataclass(frozen=True)
class Samples:
    """One series, its name among the labels, and its samples: times in seconds, and values."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float | Native]]


class PrometheusServer:
    """One Prometheus.

    Args:
        directory: Where it keeps its data.
        scrape: Ports of 127.0.0.1 that it scrapes every second, as job `live`.
    """

    def __init__(self, directory: Path, scrape: Iterable[int] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        targets = ", ".join(f"'127.0.0.1:{port}'" for port in scrape)
        job = f"scrape_configs: [{{job_name: live, scrape_interval: 1s, static_configs: [{{targets: [{targets}]}}]}}]"
        (directory / "prometheus.yml").write_text(job if targets else "scrape_configs: []")

    def fill(self, page: str) -> None:
        """Make blocks of an OpenMetrics page with times; before it is started."""
        (self.directory / "page").write_text(page)
        command = [_tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", "page", "data"]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)

    def start(self) -> PrometheusServer:
        """Start it, and return when it is ready."""
        options = {
            "config.file": self.directory / "prometheus.yml",
            "storage.tsdb.path": self.directory / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "enable-feature": _FEATURES,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        command = [_tool("prometheus"), *flags, "--web.enable-remote-write-receiver"]
        self.process = spawn(command, self.directory / "log")
        wait_for(self._is_ready, "prometheus", 60.0)
        return self

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def write(self, series: Iterable[Samples]) -> None:
        """Remote write: what has been written can be queried when this returns."""
        body = b"".join(_field(1, _series(each)) for each in series)
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
        request = urllib.request.Request(f"{self.url}/api/v1/write", _snappy(body), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status in (200, 204)

    def stop(self) -> None:
        """Kill it."""
        end(self.process)


def _tool(name: str) -> str:
    return shutil.which(name, path="/usr/bin:/usr/local/bin") or require(name, _INSTALL)


# --- the protobuf message prometheus.WriteRequest, in snappy's block format without compression ---------


def _series(series: Samples) -> bytes:
    labels = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(series.labels.items())
    )  # fmt: skip
    return labels + b"".join(_point(at, value) for at, value in series.points)


def _point(at: float, value: float | Native) -> bytes:
    time = round(at * 1000)
    if isinstance(value, Native):
        return _field(4, _native(value) + _number(15, time))
    return _field(2, _double(1, value) + _number(2, time))


def _native(value: Native) -> bytes:
    deltas = [now - before for before, now in zip((0, *value.buckets), value.buckets, strict=False)]
    span = _number(1, _zigzag(value.offset)) + _number(2, len(value.buckets))
    return (
        _number(1, value.count)
        + _double(3, value.sum)
        + _number(4, _zigzag(value.schema))
        + _double(5, value.zero_threshold)
        + _number(6, value.zero)
        + _field(11, span)
        + _field(12, b"".join(_varint(_zigzag(delta)) for delta in deltas))
    )


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _snappy(body: bytes) -> bytes:
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    return _varint(len(body)) + b"".join(bytes([61 << 2]) + struct.pack("<H", len(p) - 1) + p for p in pieces)
