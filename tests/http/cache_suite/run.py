"""Runs the public HTTP cache test suite against the gateway of app.py, and prints or writes what came of it.

Usage: python -m tests.http.cache_suite.run [--write] [--test ID]

The suite is foreign and stays outside of the repository; `.ci/cache-suite` gets it, in a pinned revision.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from tests.http.cache_suite.deviations import DEVIATIONS, reason_of
from tests.servers import end, free_port, spawn, wait_for

ROOT: Final = Path(__file__).parents[3]
SUITE: Final = ROOT / ".cache" / "cache-suite"
PAGE: Final = ROOT / "docs" / "http-cache-tests.md"
_LIST: Final = "import('./tests/index.mjs').then(found => console.log(JSON.stringify(found.default)))"

Verdict = Literal["pass", "fail", "optional fail", "yes", "no", "not run"]
LEFT_OUT: Final = {"interim": "an ASGI application sends no interim responses"}
"""Groups that are not judged."""


class Result(NamedTuple):
    """What came of one test."""

    group: str
    id: str
    name: str
    verdict: Verdict
    detail: str


# --- running --------------------------------------------------------------------------------------------


def run(test: str = "") -> str:
    """Run the suite, or one test of it, and return what it printed."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory, origin, gateway = Path(name), free_port(), free_port()
        stack.enter_context(_serving(
            ["node", "--no-warnings", "test-engine/server/server.mjs"], directory / "origin", "Listening on", SUITE,
            npm_config_protocol="http", npm_config_port=str(origin), npm_config_pidfile=str(directory / "pid"),
        ))  # fmt: skip
        stack.enter_context(_serving(
            [sys.executable, "-m", "uvicorn", "tests.http.cache_suite.app:app", "--port", str(gateway),
             "--no-access-log", "--no-server-header"],
            directory / "gateway", "startup complete", ROOT, CACHE_SUITE_ORIGIN=f"http://127.0.0.1:{origin}",
        ))  # fmt: skip
        base = f"http://127.0.0.1:{gateway}"
        # the second is what npm makes of package.json: without it, all tests are the test `undefined`
        chosen = {"npm_config_id": test, "npm_package_config_id": test}
        return _node("--no-warnings", "test-engine/cli.mjs", npm_config_base=base, **chosen)


@contextmanager
def _serving(command: Sequence[str], log: Path, ready: str, directory: Path, **variables: str) -> Iterator[None]:
    named = [f"{name}={value}" for name, value in variables.items()]
    process = spawn(["env", "-C", str(directory), *named, *command], log)
    try:
        wait_for(lambda: ready in log.read_text(), command[-1], 60)
        yield
    finally:
        end(process)


def _node(*arguments: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    return subprocess.run(
        ["node", *arguments], cwd=SUITE, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


# --- judging --------------------------------------------------------------------------------------------


def results() -> list[Result]:
    """Run the suite and judge each test as the suite's own pages do."""
    found = json.loads(run())
    groups = json.loads(_node("--no-warnings", "-e", _LIST))
    tests = {test["id"]: test for group in groups for test in group["tests"]}
    return [
        Result(group["name"], test["id"], test["name"], *_verdict(test, tests, found, group["id"]))
        for group in groups
        for test in group["tests"]
    ]


def _verdict(
    test: Mapping[str, Any], tests: Mapping[str, Any], found: Mapping[str, Any], group: str
) -> tuple[Verdict, str]:
    got = found.get(test["id"])
    if got is None or group in LEFT_OUT:
        return "not run", LEFT_OUT.get(group, "for browsers")
    for other in test.get("depends_on", ()):
        if _verdict(tests[other], tests, found, "")[0] not in ("pass", "yes"):
            return "not run", f"needs {other}"
    detail = "" if got is True else f"{got[0]}: {got[1]}"
    if got is not True and got[0] == "Setup":
        return "not run", detail
    words: dict[str, tuple[Verdict, Verdict]] = {"optimal": ("pass", "optional fail"), "check": ("yes", "no")}
    good, bad = words.get(test.get("kind", "required"), ("pass", "fail"))
    return (good if got is True else bad), detail


# --- showing --------------------------------------------------------------------------------------------


def table(found: Sequence[Result]) -> str:
    """By group, how many tests ended how."""
    shown: tuple[Verdict, ...] = ("pass", "fail", "optional fail", "yes", "no", "not run")
    lines = ["| group | " + " | ".join(shown) + " |", "|---|" + "---:|" * len(shown)]
    for group in [*dict.fromkeys(each.group for each in found), "**all**"]:
        counts = Counter(each.verdict for each in found if group in (each.group, "**all**"))
        lines.append(f"| {group} | " + " | ".join(str(counts[verdict] or "") for verdict in shown) + " |")
    return "\n".join(lines)


def failures(found: Sequence[Result]) -> str:
    """Each test that fails, under its reason."""
    lines = ["| why | required | optional |", "|---|---|---|"]
    for reason in dict.fromkeys([*(each.reason for each in DEVIATIONS), None]):
        here = [each for each in found if reason_of(each.id) == reason]
        fails = [[f"`{each.id}`" for each in here if each.verdict == bad] for bad in ("fail", "optional fail")]
        if any(fails):
            lines.append(f"| {reason or '**unknown**'} | {', '.join(fails[0])} | {', '.join(fails[1])} |")
    return "\n".join(lines)


def _write(found: Sequence[Result]) -> None:
    text = PAGE.read_text()
    for name, body in (("results", table(found)), ("deviations", failures(found))):
        start = f"<!-- suite: {name} -->\n"
        before, _, rest = text.partition(start)
        text = f"{before}{start}{body}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    PAGE.write_text(text)


def main() -> None:
    """Run the suite."""
    parser = argparse.ArgumentParser(description="Run the HTTP cache test suite.")
    parser.add_argument("--write", action="store_true", help=f"write the tables of {PAGE.name}")
    parser.add_argument("--test", default="", metavar="ID", help="run one test and show its requests")
    options = parser.parse_args()
    if not (SUITE / "test-engine").is_dir():
        parser.exit(2, "the suite is missing; get it with: .ci/cache-suite\n")
    if options.test:
        sys.stdout.write(run(options.test))
        return
    found = results()
    if options.write:
        _write(found)
    odd = [f"{each.verdict:<14} {each.id:<44} {each.detail}" for each in found if each.verdict not in ("pass", "yes")]
    sys.stdout.write("\n".join([*odd, table(found), ""]))


if __name__ == "__main__":
    main()
