"""JSON read line by line: one object per line, or one document over many lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, NoReturn

from otcache._exports.read import LONGEST, SourceError

_OTHERS: Final = {"<": "HTML or XML", "#": "a /metrics page"}


def objects(lines: Iterator[tuple[int, str]], *, constants: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects in lines that are not blank, each with the number of the line that it begins in.

    `constants` is whether NaN and Infinity are numbers; JSON itself has none.

    Raises:
        SourceError: The text is empty, cut off, or no JSON, or holds something else than objects.
    """
    start, first = next(lines, (1, ""))
    mark = first.lstrip()[:1]
    if not mark:
        raise SourceError("it is empty")
    if mark not in "{[":
        raise SourceError(f"it is {_OTHERS.get(mark, 'something else')}, not JSON")
    try:
        found = _object(first, start, constants)
    except json.JSONDecodeError:  # one document over many lines, then
        yield start, _document(start, chain([first], (line for _, line in lines)), constants)
        return
    yield start, found
    for number, line in lines:
        try:
            yield number, _object(line, number, constants)
        except json.JSONDecodeError as exc:
            raise SourceError(f"line {number} is not JSON, or is cut off") from exc


def _document(start: int, lines: Iterator[str], constants: bool) -> dict[str, Any]:
    parts, size = [], 0
    for line in lines:
        parts.append(line)
        size += len(line)
        if size > LONGEST:
            raise SourceError(f"it is neither one JSON object per line nor shorter than {LONGEST} characters")
    try:
        return _object("".join(parts), start, constants)
    except json.JSONDecodeError as exc:
        raise SourceError("it is not JSON, or is cut off") from exc


def _object(text: str, number: int, constants: bool) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise SourceError(f"line {number} holds {constant}")

    try:
        found = json.loads(text, parse_constant=None if constants else refuse)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise SourceError(f"line {number} is nested too deep, or holds a number that is too long") from None
    if not isinstance(found, dict):
        raise SourceError(f"line {number} is JSON, and not an object")
    return found
