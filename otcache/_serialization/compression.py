"""Bodies made smaller, where that helps; the one module that imports zstandard."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any, Final, Literal

from otcache.exceptions import ConfigurationError, DecodeError, ValidationError

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

Algorithm = Literal["zlib", "zstd"]

MAX_RAW: Final = 256 * 1024 * 1024
"""Bytes of one body before compression; what claims to be larger is not unpacked."""

_WORTH: Final = 0.9
"""The largest output that is kept, as a share of the input. Measured on JSON text: reading a kB back costs 1.3 to
2.7 µs by zlib, and a tenth of a kB saves 0.8 µs of a 1 Gbit/s wire; for less than that there is nothing to win."""

NONE: Final = 0
_CODES: Final[dict[Algorithm, int]] = {"zlib": 1, "zstd": 2}
NAMES: Final[dict[int, Algorithm | None]] = {NONE: None, 1: "zlib", 2: "zstd"}
"""The codes of the payload's flags; never reused."""


class Compressor:
    """Makes bodies smaller; what `Serializer` says of its arguments holds here too."""

    def __init__(self, threshold: int, level: int, algorithm: Algorithm) -> None:
        if threshold < 0:
            raise ValidationError(f"compression_threshold={threshold} is negative")
        if not 1 <= level <= 9:
            raise ValidationError(f"compression_level={level} is outside 1..9")
        if algorithm not in _CODES:
            raise ValidationError("compression is neither zlib nor zstd")
        self._threshold = threshold
        self._code = _CODES[algorithm]
        self._compress = _zstd_compressor(level) if algorithm == "zstd" else lambda raw: zlib.compress(raw, level)

    def shrink(self, raw: bytes) -> tuple[int, bytes]:
        """The code and the smaller bytes, or `NONE` and `raw` itself where it does not help."""
        if len(raw) <= self._threshold:
            return NONE, raw
        packed = self._compress(raw)
        return (self._code, packed) if len(packed) <= len(raw) * _WORTH else (NONE, raw)


def expand(code: int, body: bytes) -> bytes:
    """What `shrink` was given; `DecodeError` if the body is damaged, too large or of a kind that can't be read here."""
    if code == NONE:
        return body
    unpack = _UNPACK.get(code)
    if unpack is None:
        raise DecodeError("unknown compression")
    return unpack(body)


def _unzlib(body: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(body, MAX_RAW)
    except zlib.error:
        raise DecodeError("damaged zlib stream") from None
    if not stream.eof or stream.unused_data:
        raise DecodeError("a zlib stream that is truncated, too large, or followed by something")
    return raw


class _Zstd(threading.local):
    """zstandard's objects are costly to make (8 µs) and must not be shared between threads."""

    def __init__(self) -> None:
        self.compressors: dict[int, Any] = {}
        self.decompressor: Any = zstandard.ZstdDecompressor() if zstandard is not None else None


_zstd: Final = _Zstd()


def _zstd_compressor(level: int) -> Callable[[bytes], bytes]:
    if zstandard is None:
        raise ConfigurationError('compression="zstd" needs the zstandard package: pip install "otcache[zstd]"')

    def compress(raw: bytes) -> bytes:
        made = _zstd.compressors.get(level)
        if made is None:
            made = _zstd.compressors[level] = zstandard.ZstdCompressor(level=level, write_checksum=True)
        packed: bytes = made.compress(raw)
        return packed

    return compress


def _unzstd(body: bytes) -> bytes:
    if zstandard is None:
        raise DecodeError('a zstd stream needs the zstandard package: pip install "otcache[zstd]"')
    try:
        if not 0 <= zstandard.frame_content_size(body) <= MAX_RAW:
            raise DecodeError("a zstd stream that is too large, or does not say how large it is")
        raw: bytes = _zstd.decompressor.decompress(body, allow_extra_data=False)
    except zstandard.ZstdError:
        raise DecodeError("damaged zstd stream") from None
    return raw


_UNPACK: Final[dict[int, Callable[[bytes], bytes]]] = {1: _unzlib, 2: _unzstd}
