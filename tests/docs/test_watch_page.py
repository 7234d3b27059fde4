"""The commands and names on the page about the watch exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from otcache.cli import _main as cli
from otcache.telemetry import catalog

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text()
COMMANDS = re.findall(r"\botcache (regress (?:watch|selftest) --.*|demo --\w+)$", PAGE, re.MULTILINE)
ENDINGS = re.compile(r"_(bucket|sum|count)$")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command: str) -> None:
    arguments = cli._parser().parse_args(shlex.split(command))

    assert arguments.command.name == command.split()[0]


def test_every_name_is_the_catalogue_s() -> None:
    known = {row.prometheus for row in catalog.INSTRUMENTS}
    known |= {attribute.name.replace(".", "_") for attribute in catalog.ATTRIBUTES}

    used = set(re.findall(r"\botcache_\w+", PAGE))

    assert used - known == set()
    assert len(COMMANDS) == 5
