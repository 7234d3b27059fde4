"""Files of a source: found by a path, opened, and read as JSON objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otcache._exports import json_objects
from otcache._exports.read import SourceError, file_lines, filled


def found(where: str) -> list[str]:
    """The files that a path stands for: itself, or those with `.json` or `.ndjson` in their name in a directory.

    Raises:
        SourceError: There are none.
    """
    if where == "-" or not Path(where).is_dir():
        return [where]
    try:
        named = (path for path in Path(where).iterdir() if ".json" in path.name or ".ndjson" in path.name)
        files = sorted(str(path) for path in named if path.is_file())
    except OSError as exc:
        raise SourceError(f"{where}: it can't be read: {exc.strerror}") from exc
    if not files:
        raise SourceError(f"{where} holds no files with .json, .jsonl or .ndjson in their name")
    return files


def objects(where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, or of standard input (`-`), and the lines they begin in.

    Raises:
        SourceError: It can't be read, is empty, cut off, holds NaN, or is no JSON.
    """
    with named(where):
        yield from json_objects.objects(filled(file_lines(where)), constants=False)


@contextmanager
def named(where: str) -> Iterator[None]:
    """Begin the message of a `SourceError` with the name of its file."""
    try:
        yield
    except SourceError as exc:
        text = str(exc)
        if text.startswith(where):
            raise
        raise SourceError(f"{where}, {text}" if text.startswith("line ") else f"{where}: {text}") from exc
