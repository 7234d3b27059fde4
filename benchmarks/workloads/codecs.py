"""Values to bytes and back, by what otcache takes and by what it could take."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

import orjson

from benchmarks.harness import Case
from benchmarks.setting import Setting
from benchmarks.workloads import Group
from benchmarks.workloads.payloads import answer
from otcache._serialization.serializer import Serializer

JSON: Final = "json"
ORJSON: Final = "orjson"
_OPERATIONS = 20


def _repeating(function: Callable[[Any], Any], argument: Any) -> Case:
    async def run() -> None:
        for _ in range(_OPERATIONS):
            function(argument)

    return Case(run, _OPERATIONS)


def _modules(setting: Setting) -> dict[str, Any]:
    found = {}
    for name in ("msgspec", "zstandard", "cryptography"):
        try:
            found[name] = import_module(name)
        except ImportError as exc:
            setting.absent[name] = f'{exc}; pip install "otcache[bench]"'
    return found


def _sealed(modules: dict[str, Any]) -> dict[str, Serializer]:
    """What otcache writes and reads entries by, uncompressed: what a seal costs beside the codec."""
    seals: dict[str, dict[str, Any]] = {"checksum": {}, "signature": {"signing_secret": "s" * 32}}
    if "cryptography" in modules:
        seals["cipher"] = {"encryption_keys": "00" * 32}
    return {f"otcache, {name}": Serializer(threshold=2**30, level=6, **seal) for name, seal in seals.items()}


def _encoding(serializer: Serializer) -> Callable[[Any], bytes]:
    return lambda value: serializer.encode(value, key="user:1", expires_at_ms=1, created_at_ms=1, version=1).payload


async def build_decode(size: int, setting: Setting) -> dict[str, Case]:
    """From bytes."""
    value = answer(size)
    text, modules = orjson.dumps(value), _modules(setting)
    cases = {JSON: _repeating(json.loads, text), ORJSON: _repeating(orjson.loads, text)}
    cases["zlib, decompressing"] = _repeating(zlib.decompress, zlib.compress(text, 6))
    if "msgspec" in modules:
        packed = modules["msgspec"].msgpack.encode(value)
        cases["msgspec, JSON"] = _repeating(modules["msgspec"].json.decode, text)
        cases["msgspec, MessagePack"] = _repeating(modules["msgspec"].msgpack.decode, packed)
    if "zstandard" in modules:
        squeezed = modules["zstandard"].ZstdCompressor(3).compress(text)
        cases["zstd, decompressing"] = _repeating(modules["zstandard"].ZstdDecompressor().decompress, squeezed)
    for name, serializer in _sealed(modules).items():
        cases[name] = _repeating(partial(serializer.decode, key="user:1"), _encoding(serializer)(value))
    return cases


async def build_encode(size: int, setting: Setting) -> dict[str, Case]:
    """To bytes."""
    value = answer(size)
    text, modules = orjson.dumps(value), _modules(setting)
    cases = {JSON: _repeating(json.dumps, value), ORJSON: _repeating(orjson.dumps, value)}
    cases["zlib at level 6"] = _repeating(partial(zlib.compress, level=6), text)
    if "msgspec" in modules:
        cases["msgspec, JSON"] = _repeating(modules["msgspec"].json.encode, value)
        cases["msgspec, MessagePack"] = _repeating(modules["msgspec"].msgpack.encode, value)
    if "zstandard" in modules:
        cases["zstd at level 3"] = _repeating(modules["zstandard"].ZstdCompressor(3).compress, text)
    for name, serializer in _sealed(modules).items():
        cases[name] = _repeating(_encoding(serializer), value)
    return cases


GROUPS: Final = tuple(
    Group(f"{verb}-{size // 1000}k", f"{title} an answer of {size // 1000} kB", JSON, partial(build, size), quick=False)
    for size in (2_000, 50_000)
    for verb, title, build in (("decode", "Decoding", build_decode), ("encode", "Encoding", build_encode))
)
