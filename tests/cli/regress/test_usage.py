"""What is asked wrongly is said with its name, its value and what would be right: status 2, and nothing is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from otcache.cli import main
from tests.cli.regress.conftest import benchmark

SOURCE = ("--prometheus", "http://127.0.0.1:1", "--target", "shop")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line that the command complains with."""
    try:
        status = main(["regress", *arguments])
    except SystemExit as exc:
        status = int(exc.code or 0)
    output, errors = capsys.readouterr()
    assert (status, output) == (2, "")
    return errors.splitlines()[-1]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[str, ...]:
    file = str(benchmark(tmp_path / "saved.json", {"get": 1e-6}))
    return ("--baseline", file, "--current", file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--warning", "x"], "argument --warning: 'x' is no number of 0..1000 %, 0 excluded"),
        (["--warning", "0"], "argument --warning: 0 is outside 0..1000 %, 0 excluded"),
        (["--critical", "nan"], "argument --critical: nan is outside 0..1000 %"),
        (["--warning", "30"], "--warning 30 is not below --critical 25"),
        (["--format", "pdf"], "argument --format: 'pdf' is not one of text, json, markdown, junit, github"),
        (["--format", "json", "--format", "text"], "--format: one form can go to standard output"),
        (["--format", "json:a", "--format", "markdown:a"], "a is named twice"),
        (["--format", "json:none/a"], "none/a can't be written: its directory is not there"),
        (["--acks", "none.json"], "--acks none.json is not there; otcache regress ack makes it"),
        (["--fail-on", "minor"], "argument --fail-on: invalid choice: 'minor'"),
    ],
)
def test_of_a_comparison(
    capsys: pytest.CaptureFixture[str], sides: tuple[str, ...], options: list[str], said: str
) -> None:
    assert said in refused(capsys, "compare", *sides, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["prometheus", "--step", "m"], "argument --step: 'm' is no length of time such as 90s, 15m, 1h, 7d"),
        (["prometheus", "--step", "0.5s"], "argument --step: 0.5s is outside 1s..1d"),
        (["prometheus", "--window", "-5m"], "argument --window: expected one argument"),
        (["prometheus", "--window", "0"], "argument --window: 0 is outside 0..366d, 0 excluded"),
        (["prometheus", "--window", "inf"], "argument --window: inf is outside 0..366d"),
        (["prometheus", "--end", "noon"], "argument --end: 'noon' is no time such as 2026-11-24T20:00:00Z"),
        (["prometheus", "--end", "nan"], "argument --end: nan is outside 0..253402300799"),
        (["prometheus", "--match", "!"], "'!' is not a matcher such as job=shop"),
        (["selftest", "--past", "10m"], "--past 600 s is shorter than two windows of 1800 s"),
        (["selftest", "--warning", "30"], "--warning 30 is not below --critical 25"),
        (["watch", "--looks", "0"], "argument --looks: 0 is outside 1..1000000000"),
        (["watch", "--raise", "x"], "argument --raise: 'x' is no whole number of 1..100"),
        (["watch", "--metrics-port", "70000"], "argument --metrics-port: 70000 is outside 0..65535"),
        (["watch", "--every", "2d"], "argument --every: 2d is outside 1s..1d"),
        (["watch", "--state", "none/state.json"], "none is no directory: no state can be kept in it"),
    ],
)
def test_of_a_prometheus(capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    command, *rest = options

    assert said in refused(capsys, command, *SOURCE, *rest)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "latency"], "argument --metric: invalid choice: 'latency'"),
        (["--metric", "benchmark", "--days", "400"], "argument --days: 400 is outside 1..366"),
        (["--metric", "benchmark", "--attribute", "x"], "argument --attribute: 'x' is not NAME=VALUE"),
        (["--metric", "benchmark", "--statistic", "p42"], "argument --statistic: invalid choice: 'p42'"),
    ],
)
def test_of_an_acknowledgement(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], said: str
) -> None:
    assert said in refused(capsys, "ack", str(tmp_path / "acks.json"), "--reason", "r", *options)
    assert list(tmp_path.iterdir()) == []


def test_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the following arguments are required: what" in refused(capsys)
