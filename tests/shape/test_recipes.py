"""Each recipe of CONTRIBUTING.md works as it is written, and touches few places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shape.recipes import copy_tree, read_recipes

MOST = {"Add a metric": 3, "Add a panel with its alert": 6, "Add a store": 2, "Add an option": 1}
"""Places that are touched by hand; files that a command writes are none."""


def test_the_page_has_these_recipes() -> None:
    assert read_recipes().keys() == MOST.keys()


@pytest.mark.parametrize("title", MOST)
def test_a_recipe_touches_few_places(title: str) -> None:
    assert len(read_recipes()[title].steps) <= MOST[title]


@pytest.mark.parametrize("title", MOST)
def test_a_recipe_works_as_it_is_written(title: str, tmp_path: Path) -> None:
    read_recipes()[title].follow(copy_tree(tmp_path))
