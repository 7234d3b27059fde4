"""What a command prints: answers on standard output, errors on standard error."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print an answer."""
    print(text, flush=True)  # noqa: T201  a command's answer


def complain(text: object) -> None:
    """Print an error or a warning."""
    print(f"otcache: {text}", file=sys.stderr)  # noqa: T201  a command speaks to its user


def refuse(text: object, status: int) -> int:
    """Print why a command can't be done; its exit status."""
    complain(text)
    return status
