"""The commands of docs/regress.md can be typed as they are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from otcache.cli._main import _parser
from otcache.cli._regress import SUBCOMMANDS
from otcache.regression._reporting.report import FORMATS

PAGE = (Path(__file__).parents[3] / "docs" / "regress.md").read_text()
COMMANDS = re.findall(r"^(?:- run: )?(otcache regress .+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command: str) -> None:
    arguments = _parser().parse_args(shlex.split(command, comments=True)[1:])

    assert arguments.subcommand in SUBCOMMANDS


def test_every_subcommand_and_form_is_on_the_page() -> None:
    shown = {command.split()[2] for command in COMMANDS}

    assert shown == {each.name for each in SUBCOMMANDS}
    assert all(f"--format {form}" in PAGE for form in FORMATS)
