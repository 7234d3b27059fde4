"""`otcache metrics` as a command: what it prints, and its exit statuses."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from otcache.cli import main
from otcache.telemetry import catalog
from otcache.telemetry.catalog import tables
from tests.telemetry import real
from tests.telemetry.real import OPENMETRICS, ROOT

OTCACHE: Final = [sys.executable, "-W", "error", "-m", "otcache", "metrics"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A file with a page that agrees."""
    file = tmp_path / "good.txt"
    file.write_text(real.page(OPENMETRICS))
    return str(file)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    """One with a value and a metric that are not in the catalogue."""
    file = tmp_path / "bad.txt"
    file.write_text(real.page().replace('write_reason="set"', 'write_reason="a|b"') + "otcache_hits_total 1\n")
    return str(file)


# --- the catalogue ------------------------------------------------------------------------------------


def test_the_text_names_every_metric_and_its_attributes(capsys: Captured) -> None:
    assert main(["metrics"]) == 0

    shown = capsys.readouterr().out
    for row in catalog.INSTRUMENTS:
        assert f"{row.name}  {row.kind}  {row.unit or '-'}\n    {row.brief}\n    {row.prometheus}{{" in shown
        assert all(f"\n{key.name} " in shown for key in row.keys)
    assert "error_type?" in shown


def test_the_json_is_the_whole_catalogue(capsys: Captured) -> None:
    assert main(["metrics", "--format", "json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown == tables.registry()
    assert shown["schema_version"] == catalog.SCHEMA_VERSION
    assert [len(shown[part]) for part in ("attributes", "metrics", "spans", "events")] == [
        len(catalog.ATTRIBUTES), len(catalog.INSTRUMENTS), len(catalog.SPANS), len(catalog.EVENTS)
    ]  # fmt: skip


def test_the_json_says_of_a_metric_what_the_catalogue_says() -> None:
    (found,) = [each for each in tables.registry()["metrics"] if each["name"] == catalog.L2_DURATION.name]

    assert found == {
        "name": catalog.L2_DURATION.name,
        "kind": "histogram",
        "unit": "s",
        "brief": catalog.L2_DURATION.brief,
        "scope": "otcache.redis",
        "attributes": [catalog.CACHE.name, catalog.DB_OPERATION.name],
        "conditional_attributes": [catalog.ERROR_TYPE.name],
        "buckets": list(catalog.B_L2),
        "present": "use",
        "prometheus": catalog.L2_DURATION.prometheus,
    }


def test_the_markdown_has_every_table(capsys: Captured) -> None:
    assert main(["metrics", "--format", "markdown"]) == 0

    shown = capsys.readouterr().out
    assert re.findall(r"(?m)^## (\w+)$", shown) == ["Metrics", "Buckets", "Attributes", "Spans", "Events"]
    assert all(f"`{row.name}`" in shown for row in catalog.INSTRUMENTS)
    assert all(f"`{attribute.name}`" in shown for attribute in catalog.ATTRIBUTES)


def test_a_reader_that_has_read_enough_is_no_trouble() -> None:
    command = f"{shlex.join(OTCACHE)} --format json | head -n 1"

    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("{\n", "")


# --- the comparison -----------------------------------------------------------------------------------


def test_agreement_is_one_line_and_what_is_yet_to_come(good: str, capsys: Captured) -> None:
    assert main(["metrics", "--check", good]) == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{good}: agrees with schema {catalog.SCHEMA_VERSION} (")
    assert second.startswith("Absent until their first use: ")


def test_differences_are_a_line_each_and_exit_status_1(bad: str, capsys: Captured) -> None:
    assert main(["metrics", "--check", bad]) == 1

    first, *found, _ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{bad}: 2 differences from schema {catalog.SCHEMA_VERSION} (")
    allowed = "set, backfill, load, refresh, refused"
    assert found == [
        "unknown   otcache_hits_total: not in the catalogue (samples: 1)",
        f"value     otcache_writes_total: otcache_write_reason=a|b is not one of {allowed} (samples: 1)",
    ]


def test_one_difference_is_not_said_to_be_several(good: str, capsys: Captured) -> None:
    text = Path(good).read_text().replace('otcache_schema_version="', 'otcache_schema_version="1')
    Path(good).write_text(text)

    assert main(["metrics", "--check", good]) == 1

    assert ": 1 difference from schema" in capsys.readouterr().out


def test_json_has_every_fact(bad: str, capsys: Captured) -> None:
    assert main(["metrics", "--check", bad, "--format", "json"]) == 1

    shown = json.loads(capsys.readouterr().out)
    assert (shown["source"], shown["agrees"], shown["more"]) == (bad, False, 0)
    assert shown["schema_version"] == catalog.SCHEMA_VERSION
    assert shown["differences"][0] == {
        "kind": "unknown", "metric": "otcache_hits_total", "detail": "not in the catalogue", "samples": 1
    }  # fmt: skip
    assert catalog.LOOKUPS.prometheus in shown["seen"]


def test_markdown_is_a_table_that_a_value_cannot_break(bad: str, capsys: Captured) -> None:
    assert main(["metrics", "--check", bad, "--format", "markdown"]) == 1

    shown = capsys.readouterr().out
    assert "| difference | metric | detail | samples |\n| --- | --- | --- | --- |\n" in shown
    allowed = "set, backfill, load, refresh, refused"
    assert rf"| value | `otcache_writes_total` | otcache_write_reason=a\|b is not one of {allowed} | 1 |" in shown


def test_labels_and_completeness_are_asked_for(good: str, capsys: Captured) -> None:
    text = Path(good).read_text().replace("otcache_writes_total{", 'otcache_writes_total{cluster="eu",env="x",')
    Path(good).write_text(text)

    statuses = [
        main(["metrics", "--check", good]),
        main(["metrics", "--check", good, "--label", "cluster", "--label", "env"]),
        main(["metrics", "--check", good, "--label", "cluster", "--label", "env", "--complete"]),
    ]

    assert statuses == [1, 0, 1]
    assert "missing   otcache_ai_lookups_total: " in capsys.readouterr().out


def test_a_page_without_anything_of_ours_asks_the_question(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "page").write_text("shop_orders_total 1\n")

    assert main(["metrics", "--check", str(tmp_path / "page")]) == 1

    assert "Nothing of otcache's is there: has this process built a cache" in capsys.readouterr().out


def test_standard_input_is_read() -> None:
    done = subprocess.run(
        [*OTCACHE, "--check", "-"], cwd=ROOT, input=real.page(), capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("standard input: agrees with schema ")


def test_what_cannot_be_read_is_exit_status_5_and_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "page").write_text("a 1\na 2")

    assert main(["metrics", "--check", str(tmp_path / "page")]) == 5

    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"otcache: {tmp_path}/page: it is cut off: its last line has no end\n")


@pytest.mark.parametrize("url", ["http://me:hunter2@127.0.0.1:1/metrics", "http://127.0.0.1:1/?password=hunter2"])
def test_a_password_is_never_shown(url: str, capsys: Captured) -> None:
    assert main(["metrics", "--check", url]) == 5

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("otcache: http://")
    assert "***" in shown.err
    assert "hunter2" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--check", "ftp://me:hunter2@example/metrics"], "ftp://me:***@example/metrics is neither a URL of http"),
        (["--complete"], "go with --check"),
        (["--label", "x"], "go with --check"),
    ],
)
def test_wrong_use_is_exit_status_2(arguments: list[str], said: str, capsys: Captured) -> None:
    assert main(["metrics", *arguments]) == 2

    assert said in capsys.readouterr().err


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "3601", "soon"])
def test_a_timeout_that_is_none_is_refused_with_a_sentence(timeout: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["metrics", "--check", "-", f"--timeout={timeout}"])

    assert ended.value.code == 2
    assert re.search(r"is outside 0\.\.3600 s|is no number of 0\.\.3600 s", capsys.readouterr().err)


def test_the_commands_of_the_page_on_checking_are_understood(capsys: Captured) -> None:
    text = (ROOT / "docs" / "checking.md").read_text()
    options = set(re.findall(r"(?m)^\| `(--\w+)", text))

    with pytest.raises(SystemExit):
        main(["metrics", "--help"])

    shown = capsys.readouterr().out
    assert options == {"--format", "--complete", "--label", "--timeout"}
    assert all(option in shown for option in options)
