"""The parts themselves: scrape, rule, Alertmanager, webhook; exemplars; a reload."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers import wait_for
from tests.stack.prometheus import Alertmanager, Prometheus, promtool
from tests.stack.web import OPENMETRICS, Page, Webhook

RULES = json.dumps({"groups": [{"name": "test", "rules": [
    {"record": "job:answer:max", "expr": "max by (job) (answer)"},
    {"alert": "AnswerIsHigh", "expr": "job:answer:max > 41", "labels": {"severity": "warning"},
     "annotations": {"summary": "{{ $labels.job }} says {{ $value }}"}},
]}]})  # fmt: skip
EXEMPLAR = """\
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.05
took_seconds_bucket{le="+Inf"} 1
took_seconds_sum 0.05
took_seconds_count 1
# EOF
"""


class Stack(NamedTuple):
    """A Prometheus with two targets that are up and one that is not, behind it Alertmanager and a webhook."""

    page: Page
    other: Page
    webhook: Webhook
    prometheus: Prometheus


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with ExitStack() as held:
        page, other = held.enter_context(Page("answer 1\n")), held.enter_context(Page(EXEMPLAR, OPENMETRICS))
        webhook = held.enter_context(Webhook())
        alertmanager = held.enter_context(Alertmanager(webhook.url))
        targets = {"shop": [page.port], "other": [other.port], "away": [1]}
        prometheus = Prometheus(targets, rules=[RULES], alertmanager=alertmanager, interval="500ms")
        yield Stack(page, other, webhook, held.enter_context(prometheus))


def test_an_alert_goes_from_a_scrape_to_the_webhook_and_is_resolved(stack: Stack) -> None:
    stack.page.text = "answer 42\n"
    fired = stack.webhook.wait_for_alert("AnswerIsHigh")
    stack.page.text = "answer 7\n"
    resolved = stack.webhook.wait_for_alert("AnswerIsHigh", "resolved")

    assert fired["labels"] == {"alertname": "AnswerIsHigh", "job": "shop", "severity": "warning"}
    assert fired["annotations"] == {"summary": "shop says 42"}
    assert resolved["labels"] == fired["labels"]


def test_what_was_scraped_can_be_asked_for(stack: Stack) -> None:
    started = time.time()
    stack.page.text = "answer 5\n"
    stack.prometheus.wait_for_series("answer == 5")

    (history,) = stack.prometheus.query_range("answer", started, time.time() + 1)
    (series,) = stack.prometheus.series("answer")

    assert history.value == stack.prometheus.value("answer") == 5
    assert series == {"__name__": "answer", "job": "shop", "instance": f"127.0.0.1:{stack.page.port}"}


def test_exemplars_are_kept_with_their_trace(stack: Stack) -> None:
    stack.prometheus.wait_for_series("took_seconds_count")

    (exemplar,) = stack.prometheus.exemplars("took_seconds_bucket")

    assert exemplar["labels"] == {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert exemplar["seriesLabels"]["le"] == "0.1"


def test_a_target_that_is_away_is_down(stack: Stack) -> None:
    stack.prometheus.wait_for_series("up")
    wait_for(lambda: all(each["health"] != "unknown" for each in stack.prometheus.targets()), "scrapes")

    health = {each["labels"]["job"]: each["health"] for each in stack.prometheus.targets()}

    assert health == {"shop": "up", "other": "up", "away": "down"}
    with pytest.raises(AssertionError, match="connection refused"):
        stack.prometheus.wait_for_targets(0.1)


def test_history_is_there_from_the_start() -> None:
    now = int(time.time())
    hours = range(now - 48 * 3600, now, 3600)
    samples = "".join(f"answer {number} {at}\n" for number, at in enumerate(hours))
    with Prometheus(history=f"# TYPE answer gauge\n{samples}# EOF\n") as prometheus:
        assert prometheus.value("answer offset 1d") == 24
        assert prometheus.value("count_over_time(answer[3d])") == 48


def test_promtool_says_what_is_wrong_with_a_rule(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.yml", tmp_path / "wrong.yml"
    right.write_text(RULES)
    wrong.write_text(RULES.replace("> 41", ">> 41"))

    assert "2 rules found" in promtool("check", "rules", right)
    with pytest.raises(AssertionError, match="parse error"):
        promtool("check", "rules", wrong)


def test_a_reload_reads_new_rules_and_refuses_wrong_ones(stack: Stack) -> None:
    stack.prometheus.configure(rules=[RULES.replace("job:answer:max", "job:answer:most")])
    stack.prometheus.reload()
    stack.prometheus.wait_for_series("job:answer:most")

    stack.prometheus.configure(rules=[RULES.replace("> 41", ">> 41")])
    with pytest.raises(RuntimeError, match="parse error"):
        stack.prometheus.reload()
