"""Every TraceQL and LogQL query parses by Grafana's own grammars, and names what is emitted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from otcache.telemetry.catalog import EVENTS, SPANS
from tests.dashboards.model import PANELS, filled, other
from tests.rows import every
from tests.servers import require

HERE: Final = Path(__file__).parent
GRAMMARS: Final = HERE.parents[1] / ".cache" / "grammars"
VALUES: Final = {r"\${__value\.raw}": "0.25", r"\${__field\.labels\.\w+}": "l2", r"\${\w+}": "uid"}
"""What Grafana puts into a link."""


def links() -> list[tuple[str, str]]:
    """The TraceQL of every data link that leads to traces, as it arrives in Explore."""
    found = []
    for panel in PANELS:
        for link in panel.model["fieldConfig"]["defaults"].get("links") or []:
            url = link["url"]
            for pattern, value in VALUES.items():
                url = re.sub(pattern, value, url)
            (panes,) = parse_qs(urlsplit(url).query)["panes"]
            found += [(f"{panel}:link", query["query"]) for query in json.loads(panes)["otc"]["queries"]]
    return found


QUERIES: Final = [
    *(("tempo", name, filled(query)) for name, query in [*other("tempo"), *links()]),
    *(("loki", name, filled(query)) for name, query in other("loki")),
]


def errors(pairs: list[tuple[str, str]]) -> list[list[int]]:
    """Where the grammars find an error in each."""
    node = shutil.which("node")
    if node is None:
        require("node", "apt-get install -y --no-install-recommends nodejs npm")
    if not (GRAMMARS / "node_modules" / "@grafana").is_dir():
        require("Grafana's grammars", ".ci/grammars")
    done = subprocess.run(
        [node, HERE / "errors.mjs", GRAMMARS], input=json.dumps(pairs), capture_output=True, text=True, check=True
    )
    found: list[list[int]] = json.loads(done.stdout)
    return found


def test_every_query_for_traces_and_logs_parses() -> None:
    found = errors([(language, query) for language, _, query in QUERIES])

    assert {query: at for (_, _, query), at in zip(QUERIES, found, strict=True) if at} == {}


def test_the_grammars_find_errors() -> None:
    assert errors([("tempo", "{ duration > }"), ("loki", '{service_name="shop"} |= ')]) == [[13], [25]]


def test_there_are_queries_of_each_kind() -> None:
    kinds = [kind for kind, _, _ in QUERIES]

    assert kinds.count("tempo") > 10
    assert kinds.count("loki") > 10


@every("query", [query for kind, _, query in QUERIES if kind == "tempo"])
def test_every_attribute_in_traceql_is_on_a_span(query: str) -> None:
    known = {key.name for span in SPANS for key in (*span.at_start, *span.attributes)}

    assert set(re.findall(r"span\.([\w.]+)", query)) <= known


@every("query", [query for kind, _, query in QUERIES if kind == "loki"])
def test_every_event_in_logql_is_emitted(query: str) -> None:
    names = re.findall(r'event_name = "([^"]+)"', query)
    patterns = re.findall(r'event_name =~ "([^"]+)"', query)

    assert set(names) <= {event.name for event in EVENTS}
    assert all(re.fullmatch(pattern, event.name) for pattern in patterns for event in EVENTS)
    assert names or patterns
