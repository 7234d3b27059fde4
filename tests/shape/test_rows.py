"""A table in one test hides no row: each is tried, and each that fails is named."""

from __future__ import annotations

import pytest

from tests.rows import every


def told(error: BaseExceptionGroup[BaseException]) -> list[str]:
    return [note for each in error.exceptions for note in each.__notes__]


def test_each_row_that_fails_is_named() -> None:
    tried = []

    @every("number, text", [(1, "a"), (2, "b"), (3, "c")])
    def check(number: int, text: str) -> None:
        tried.append(text)
        assert number == 2

    with pytest.raises(BaseExceptionGroup, match="2 of 3 rows fail") as failed:
        check()

    assert tried == ["a", "b", "c"]
    assert told(failed.value) == ["row: 1-'a'", "row: 3-'c'"]


async def test_rows_are_called_as_they_are_told_and_waited_for() -> None:
    @every("number", [1, 2], ids=["one", "two"])
    async def check(number: int, tmp_path: str) -> None:
        assert (number, tmp_path) == (1, "a fixture")

    with pytest.raises(BaseExceptionGroup) as failed:
        await check(tmp_path="a fixture")

    assert told(failed.value) == ["row: two"]
