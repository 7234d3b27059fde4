"""The `otcache` command. A subcommand is a row of `COMMANDS`; what it does lives in a module of its own."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, fields
from io import TextIOWrapper
from types import ModuleType
from typing import Any, Final

from otcache.cli import _alerts, _bench, _dashboards, _metrics, _regress
from otcache.cli._output import complain, refuse, say
from otcache.cli._types import positive, whole
from otcache.config import CacheConfig, CacheConfigBuilder
from otcache.config.model import default_of, environment_name, facts_of, options_table
from otcache.exceptions import CacheError
from otcache.version import __version__

USAGE: Final = 2
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""Exit statuses; 0 is success."""


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: its name, one line for `--help`, what adds its arguments, what gives its exit status."""

    name: str
    brief: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0 done, 1 failed, 2 used wrongly or not configured."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that can't show µ shows ?
    parser = _parser()
    arguments = parser.parse_args(argv)
    command: Command | None = arguments.command
    if command is None:
        parser.print_help()
        return USAGE
    try:
        status = command.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:  # before the command could take care of it
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough; Python would try to write the rest once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("otcache", description="An async cache with every operation traced and metered.")
    parser.add_argument("--version", action="version", version=f"otcache {__version__}")
    parser.set_defaults(command=None)
    subparsers = parser.add_subparsers(metavar="command")
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.brief, description=command.brief)
        subparser.set_defaults(command=command)
        command.declare(subparser)
    return parser


def _load(module: str, extra: str) -> ModuleType | None:
    """A module whose packages are an extra; `None`, and the way to get them, if they are not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        complain(f'{exc.name or exc} is missing: pip install "otcache[{extra}]"')
        return None


def _declare_demo(parser: argparse.ArgumentParser) -> None:
    number = positive(1_000_000)
    parser.add_argument("--seconds", type=number, metavar="N", help="end after N seconds (default: at Ctrl-C)")
    parser.add_argument("--rate", type=number, default=200.0, metavar="R", help="requests per second (default: 200)")
    parser.add_argument("--port", type=whole(0, 65_535), default=0, metavar="P", help="port of the app (default: any)")
    parser.add_argument(
        "--regression", action="store_true",
        help="instead of an outage: the network to Redis becomes slower, the regression detector raises an alarm and "
        "clears it (default: 75 s; 60..600)",
    )  # fmt: skip


def _demo(arguments: argparse.Namespace) -> int:
    command = _load("otcache._demo.command", "demo")
    if command is None:
        return USAGE
    status: int = command.run(arguments)
    return status


def _declare_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", metavar="PATH", help="a JSON file to start from; the environment wins over it")
    parser.add_argument("--json", action="store_true", help="the effective configuration as JSON")
    parser.add_argument("--options", action="store_true", help="every option there is, as a Markdown table")


def _config(arguments: argparse.Namespace) -> int:
    if arguments.options:
        say(options_table())
        return 0
    try:
        config = _effective(arguments.file)
    except CacheError as exc:
        return refuse(exc, USAGE)
    say(json.dumps(_masked(config), indent=2) if arguments.json else _listed(config))
    for warning in config.validate().warnings:
        complain(f"warning: {warning}")
    return 0


def _effective(file: str | None) -> CacheConfig:
    """What an application started here would use."""
    builder = CacheConfigBuilder()
    if file is not None:
        builder.from_file(file)
    return builder.from_environment().build()


def _masked(config: CacheConfig) -> dict[str, Any]:
    """Every option, secrets not shown."""
    secrets = {f.name for f in fields(config) if facts_of(f).secret}
    shown = {name: "***" if name in secrets and value else value for name, value in config.to_dict().items()}
    return {**shown, "redis_url": config.shown_url}


def _listed(config: CacheConfig) -> str:
    """A line per option: its value, whether it is the default, and its environment variable."""
    shown = _masked(config)
    ai = shown.pop("ai_config")
    lines = [_line(f, shown[f.name], "", "OTCACHE_") for f in fields(config) if f.name in shown]
    if config.ai_config is not None:
        lines += [_line(f, ai[f.name], "ai_config.", "OTCACHE_AI__") for f in fields(config.ai_config)]
    return "\n".join(lines)


def _line(option: Field[Any], value: Any, prefix: str, environment: str) -> str:
    mark = " " if value == default_of(option) else "*"
    text = "none" if value is None else str(value)
    return f"{mark} {prefix + option.name:<34}{text:<28}  {environment_name(option, environment)}"


COMMANDS: Final = (
    Command("demo", "Show a cached application live: traffic, an outage, its telemetry.", _declare_demo, _demo),
    Command("config", "Print the effective configuration (* marks what is not the default).", _declare_config, _config),
    Command("bench", "Measure operations in fresh processes, and save what was found.", _bench.declare, _bench.run),
    Command("metrics", "Print what is emitted, or check a live page against it.", _metrics.declare, _metrics.run),
    Command("regress", "Say whether a cache has become worse, how surely.", _regress.declare, _regress.run),
    Command("alerts", "Write the alert rules for Prometheus, with your own thresholds.", _alerts.declare, _alerts.run),
    Command("dashboards", "Hand out the Grafana dashboards.", _dashboards.declare, _dashboards.run),
)
