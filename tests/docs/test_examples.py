"""The examples of README.md and docs/ run as they are written; commands and links lead somewhere."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SECONDS = 60


@dataclass(frozen=True)
class Example:
    """A block of Python on a page of the documentation.

    Attributes:
        reason: Why it can't be run; `None` for one that is.
    """

    page: Path
    line: int
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples() -> Iterator[Example]:
    """Every example but those of the API document, which tests/shape runs; the files of examples/ as a whole."""
    for script in sorted((ROOT / "examples").glob("*.py")):
        yield Example(script, 1, script.read_text(), None)
    for page in PAGES:
        if page.name != "api-reference.md":
            text = page.read_text()
            for block in BLOCK.finditer(text):
                line = text.count("\n", 0, block.start("code")) + 1
                yield Example(page, line, block["code"], block["reason"])


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example.reason is None], ids=str)
def test_an_example_runs_as_it_is_written(example: Example, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(example.code)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTCACHE_", "OTEL_", "REDIS"))
    }

    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_drop_in_example_answers_from_the_cache() -> None:
    app = runpy.run_path(str(ROOT / "examples" / "drop_in.py"))["app"]

    def hits(client: TestClient) -> int:
        return int(client.get("/health/cache").json()["statistics"]["hits"]["l1"])

    with TestClient(app) as client:
        before = hits(client)  # of the whole process: the global providers' counts are everybody's
        answers = [client.get("/products/7").json() for _ in range(2)]
        after = hits(client)

    assert answers == [{"id": 7, "name": "product 7"}] * 2
    assert after - before == 1


def test_the_readme_has_an_example_and_few_are_left_out() -> None:
    left_out = [str(example) for example in EXAMPLES if example.reason is not None]

    assert any(example.page.name == "README.md" and example.reason is None for example in EXAMPLES)
    assert len(left_out) <= len(EXAMPLES) / 4, left_out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_command_is_a_target(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+(?: [\w-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = re.findall(r"(?:^|`)make ([a-z][\w-]*)", page.read_text(), re.MULTILINE)

    assert set(named) <= {name for names in targets for name in names.split()}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "api-reference.md"], ids=lambda page: page.name
)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text())

    missing = [link for link in links if not (page.parent / link).exists()]

    assert missing == []


def test_the_generated_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "tables.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
