"""`otcache alerts export`."""

from __future__ import annotations

from pathlib import Path

import pytest

from otcache.alerts import Parameters, render, rules, thresholds
from otcache.cli import main


def test_a_directory_gets_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "export", str(tmp_path)]) == 0

    assert (tmp_path / "otcache-rules.yml").read_text() == render()
    recorded, told = (len(group.rules) for group in rules())
    assert f"{told} alerts, {recorded} recordings" in capsys.readouterr().out


def test_options_are_the_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = ["--threshold", "slo=0.99", "--threshold", "redis_p99=0.2"]
    options = "--job shop --cache web --detector-job watch --short-job x --label cluster"
    status = main(
        ["alerts", "export", *numbers, *options.split(), "--runbook-url", "https://x", "--for-scale", "0.5", "-"]
    )

    expected = Parameters(
        job="shop", cache="web", detector_job="watch", short_job="x", labels=("cluster",), scale=0.5,
        runbook_url="https://x", slo=0.99, redis_p99=0.2,
    )  # fmt: skip
    assert (status, capsys.readouterr().out) == (0, render(expected))


def test_a_list_names_every_alert_and_marks_what_is_not_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "export", "--list", "--threshold", "slo=0.9"]) == 0

    shown = capsys.readouterr().out
    assert all(each.name in shown and each.meaning in shown for each in thresholds.ALERTS.values())
    assert "* slo " in shown
    assert "OtcacheRedisDown" in shown


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("slow=1", "there is no threshold 'slow'; did you mean 'slo'?"),
        ("zzzzzzzzzzzz=1", "there are: slo, slo_calls"),
        ("slo=most", "slo=most is not a number"),
        ("slo=nan", "slo=nan is outside 0.5..0.99999 share"),
        ("slo=7", "slo=7.0 is outside 0.5..0.99999 share"),
        ("slo", "--threshold slo is not NAME=VALUE"),
    ],
)
def test_a_wrong_threshold_is_named(option: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "export", "--threshold", option, "-"]) == 2

    answer = capsys.readouterr()
    assert said in answer.err
    assert answer.out == ""


def test_without_a_place_to_write_to_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "export"]) == 2

    assert "FILE or DIR is missing" in capsys.readouterr().err


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "export", str(tmp_path / "none" / "rules.yml")]) == 5

    assert "rules.yml can't be written: No such file or directory" in capsys.readouterr().err
