"""Names that a caller may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.5) -> str:
    """The end of an error about an unknown name: `; did you mean 'timeout'?`, or `otherwise` if none is like it."""
    near = get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else otherwise
