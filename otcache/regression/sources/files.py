"""Files of JSON, object by object: one per line, or one document; plain or compressed with gzip."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from otcache._exports.read import LONGEST, SourceError

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_OTHERS: Final = {"<": "HTML or XML", "#": "a /metrics page"}


def found(where: str) -> list[str]:
    """The files that a path stands for: itself, or those with `.json` or `.ndjson` in their name in a directory.

    Raises:
        SourceError: There are none.
    """
    if where == "-" or not Path(where).is_dir():
        return [where]
    try:
        files = sorted(str(path) for path in Path(where).iterdir() if path.is_file() and _is_json(path.name))
    except OSError as exc:
        raise SourceError(f"{where} can't be read: {exc.strerror}") from exc
    if not files:
        raise SourceError(f"{where} holds no files with .json, .jsonl or .ndjson in their name")
    return files


def _is_json(name: str) -> bool:
    return ".json" in name or ".ndjson" in name


def objects(where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, or of standard input (`-`), and the lines they begin in.

    Raises:
        SourceError: It can't be read, is empty, cut off, holds NaN, or is no JSON.
    """
    lines = _lines(where)
    start, first = next(lines, (1, ""))
    if not first:
        raise SourceError(f"{where} is empty")
    if first.lstrip()[:1] not in ("{", "["):
        raise SourceError(f"{where} is {_OTHERS.get(first.lstrip()[:1], 'something else')}, not JSON")
    try:
        one = _object(first, where, start)
    except json.JSONDecodeError:  # one document over many lines, then
        yield start, _document(where, start, chain([(start, first)], lines))
        return
    yield start, one
    for number, line in lines:
        try:
            yield number, _object(line, where, number)
        except json.JSONDecodeError as exc:
            raise SourceError(f"{where}, line {number}: it is not JSON, or is cut off") from exc


def _document(where: str, start: int, lines: Iterator[tuple[int, str]]) -> dict[str, Any]:
    parts, size = [], 0
    for _, line in lines:
        parts.append(line)
        size += len(line)
        if size > LONGEST:
            raise SourceError(f"{where} is neither one JSON object per line nor shorter than {LONGEST} characters")
    try:
        return _object("".join(parts), where, start)
    except json.JSONDecodeError as exc:
        raise SourceError(f"{where} is not JSON, or is cut off") from exc


def _object(text: str, where: str, number: int) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise SourceError(f"{where}, line {number}: it holds {constant}")

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as exc:  # ValueError: an integer of thousands of digits
        raise SourceError(f"{where}, line {number}: it is nested too deep, or holds a number that is too long") from exc
    if not isinstance(value, dict):
        raise SourceError(f"{where}, line {number}: it is JSON, and not an object")
    return value


def _lines(where: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, and their numbers."""
    try:
        if where == "-":
            yield from _numbered(where, sys.stdin.buffer)
            return
        with open(where, "rb") as file:
            head = file.read(4)
            file.seek(0)
            if head == _ZSTD:
                raise SourceError(f"{where} is compressed with zstd, which is not supported; gzip is")
            yield from _numbered(where, gzip.GzipFile(fileobj=file) if head[:2] == _GZIP else file)
    except UnicodeDecodeError as exc:
        raise SourceError(f"{where} is not UTF-8 text") from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise SourceError(f"{where}: its compressed data are damaged or cut off") from exc
    except OSError as exc:
        raise SourceError(f"{where} can't be read: {exc.strerror or exc}") from exc


def _numbered(where: str, stream: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, str]]:
    number = 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise SourceError(f"{where}, line {number}: it is longer than {LONGEST} bytes")
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        if text.strip():
            yield number, text
