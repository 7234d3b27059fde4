"""What the docs import of the detector is public, and is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otcache import regression

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))


@pytest.mark.parametrize("name", regression.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(regression, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'otcache\.regression' has no attribute 'judge'"):
        _ = regression.judge


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_imports_what_may_change_in_any_commit(page: Path) -> None:
    imported = re.findall(r"(?:from|import) (otcache[\w.]*)", page.read_text())

    assert [name for name in imported if "._" in name] == []
