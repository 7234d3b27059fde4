"""The page on keys shows what happens: each refusal with its message."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.docs.refusals import ENDPOINTS, FUNCTIONS, listing

PAGE: Final = Path(__file__).parents[2] / "docs" / "keys.md"


@pytest.mark.parametrize(("part", "snippets"), [("functions", FUNCTIONS), ("endpoints", ENDPOINTS)])
def test_each_refusal_is_shown_with_its_message(part: str, snippets: tuple[str, ...]) -> None:
    shown = PAGE.read_text().partition(f"<!-- refused {part}: begin -->")[2].partition("<!-- end -->")[0].strip()

    print(made := listing(snippets))  # noqa: T201  to be copied into the docs
    assert shown == made
