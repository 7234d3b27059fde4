"""The way of a hit in L2: few functions, in few files, none of them long."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from otcache import GenericRedisCache
from tests.servers import RedisServer
from tests.shape.source import PACKAGE, ROOT
from tests.shape.test_size import Function, length

MOST_FUNCTIONS: Final = 60
MOST_FILES: Final = 12
MOST_LINES: Final = 25
"""Of code, from `def` to the end without the docstring."""


class Walk:
    """The functions of the package that run while it is traced, each once, in their order."""

    def __init__(self) -> None:
        self._codes: dict[CodeType, None] = {}

    def __enter__(self) -> Walk:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
            self._codes.setdefault(frame.f_code)

    def steps(self) -> Iterator[tuple[str, str, int]]:
        """File, function and lines of each."""
        for code in self._codes:
            path = Path(code.co_filename)
            functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))
            # a decorated function begins with its decorator
            starts = {min([node.lineno, *(each.lineno for each in node.decorator_list)]): node for node in functions}
            lines = length(starts[code.co_firstlineno])
            yield str(path.relative_to(ROOT)), code.co_qualname, lines


async def test_a_hit_in_l2_passes_few_functions_in_few_files(redis_server: RedisServer, prefix: str) -> None:
    cache = GenericRedisCache(
        redis_url=redis_server.url, key_prefix=prefix, enable_l1_cache=False, timeout=5.0, max_staleness=60.0
    )
    async with cache:
        await cache.set("k", {"a": 1})
        await cache.get("k")  # what only a first read does

        with Walk() as walk:
            found = await cache.get("k")

    steps = list(walk.steps())
    print(*(f"{file:50} {function:40} {lines:3}" for file, function, lines in steps), sep="\n")  # noqa: T201
    files = {file for file, _, _ in steps}
    assert found == {"a": 1}
    assert (len(steps) <= MOST_FUNCTIONS, len(files) <= MOST_FILES) == (True, True), f"{len(steps)}, {len(files)}"
    assert [step for step in steps if step[2] > MOST_LINES] == []
