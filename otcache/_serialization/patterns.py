"""Patterns over keys, as Redis reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

from otcache._serialization.keys import utf8_size


def escape_glob(text: str) -> str:
    """A Redis glob that matches exactly `text`."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", text)


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a key matches a Redis glob: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, backslash.

    As the server's `stringmatchlen` does it, unclosed brackets and reversed ranges included: on the bytes of UTF-8,
    so that `?` is one byte. Linear in the key for each `*`, whatever the pattern. A lone surrogate is
    refused by a `ValidationError`.
    """
    utf8_size(pattern, "pattern")
    fullmatch = re.compile(_translate(pattern.encode()), re.DOTALL).fullmatch
    return lambda key: fullmatch(key.encode()) is not None


def _translate(pattern: bytes) -> bytes:
    """Between stars the first place that fits is enough, so those groups are atomic: time stays linear."""
    first, *rest = _segments(pattern)
    if not rest:
        return first
    *middle, last = rest
    return first + b"".join(b"(?>.*?%s)" % segment for segment in middle if segment) + b".*" + last


def _segments(pattern: bytes) -> list[bytes]:
    """The regular expressions between the stars."""
    segments, at = [b""], 0
    while at < len(pattern):
        one = pattern[at : at + 1]
        at += 1
        if one == b"*":
            segments.append(b"")
            continue
        if one == b"[":
            expression, at = _bracket(pattern, at)
        elif one == b"\\" and at < len(pattern):
            expression, at = re.escape(pattern[at : at + 1]), at + 1
        else:
            expression = b"." if one == b"?" else re.escape(one)
        segments[-1] += expression
    return segments


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The class whose members start at `at`, and where the pattern goes on; one that is not closed ends with it."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        matched, at = _member(pattern, at)
        members |= matched
    chosen = set(range(256)) - members if negated else members
    return b"[%s]" % b"".join(b"\\x%02x" % byte for byte in sorted(chosen)) if chosen else b"(?!)", at + 1


def _member(pattern: bytes, at: int) -> tuple[set[int], int]:
    """One byte or range of a class, and where the next one starts. A range may run backwards, and up to a `]`."""
    left = len(pattern) - at
    if pattern[at : at + 1] == b"\\" and left >= 2:
        return {pattern[at + 1]}, at + 2
    if left >= 3 and pattern[at + 1 : at + 2] == b"-":
        low, high = sorted((pattern[at], pattern[at + 2]), key=_as_char)
        return {byte for byte in range(256) if _as_char(low) <= _as_char(byte) <= _as_char(high)}, at + 3
    return {pattern[at]}, at + 1


def _as_char(byte: int) -> int:
    """As the server orders bytes in a range: C's `char` has a sign where most servers run (not on Linux on ARM)."""
    return byte - 256 if byte > 127 else byte
