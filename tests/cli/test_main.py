"""The `otcache` command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from otcache.cli._main import COMMANDS, main
from otcache.config import CacheConfig
from otcache.version import __version__


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2

    shown = " ".join(capsys.readouterr().out.split())
    assert all(command.name in shown and command.brief in shown for command in COMMANDS)


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"otcache {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["demo", "--seconds", "0"], ["demo", "--seconds", "x"], ["demo", "--rate", "-1"],
     ["demo", "--rate", "nan"], ["demo", "--port", "65536"]],
)  # fmt: skip
def test_wrong_usage_is_exit_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: otcache" in capsys.readouterr().err


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("OTCACHE_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_config_without_an_environment_is_the_defaults(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == CacheConfig().to_dict()


def test_config_shows_what_is_set_and_no_secret(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("OTCACHE_REDIS_URL", "redis://me:hidden1@example:6379")
    environment.setenv("OTCACHE_REDIS_PASSWORD", "hidden2")
    environment.setenv("OTCACHE_KEY_SALT", "hidden3")
    environment.setenv("OTCACHE_AI__MAX_TEXT_LENGTH", "5000")

    statuses = main(["config"]), main(["config", "--json"])

    shown = capsys.readouterr().out
    assert statuses == (0, 0)
    assert "hidden" not in shown
    assert "* redis_password                    ***" in shown
    assert "  default_ttl                       3600 " in shown
    assert "* ai_config.max_text_length         5000 " in shown


def test_config_reads_a_file_and_the_environment_wins(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cache.json"
    file.write_text('{"default_ttl": 5, "memory_cache_size": 6}')
    environment.setenv("OTCACHE_DEFAULT_TTL", "7")

    assert main(["config", "--json", "--file", str(file)]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["default_ttl"], shown["memory_cache_size"]) == (7, 6)


@pytest.mark.parametrize(("name", "value"), [("OTCACHE_DEFAULT_TTL", "-1"), ("OTCACHE_DEFAULT_TTL", "often")])
def test_a_bad_environment_is_exit_status_2_and_names_the_option(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(name, value)

    assert main(["config"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "default_ttl" in shown.err.lower()


def test_config_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--options"]) == 0

    shown = capsys.readouterr().out
    assert all(f"`{name}`" in shown for name in CacheConfig().to_dict() if name != "ai_config")
