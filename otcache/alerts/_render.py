"""Rules as the YAML that Prometheus reads. A string in JSON is one in YAML, so there is nothing to import."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from otcache.alerts._model import Alert, Group, Recording
from otcache.alerts._parameters import Parameters
from otcache.alerts._rules import rules

HEAD: Final = """\
# Recording rules and alerts of otcache. Rendered by `otcache alerts export`: change the parameters, not this file.
"""


def render(parameters: Parameters | None = None) -> str:
    """The content of a rule file for Prometheus."""
    using = parameters or Parameters()
    return HEAD + "\n".join(_lines(rules(using), using)) + "\n"


def _lines(groups: Iterable[Group], parameters: Parameters) -> Iterator[str]:
    yield "groups:"
    for group in groups:
        yield f"  - name: {group.name}"
        if group.interval is not None:
            yield f"    interval: {parameters.time(group.interval)}"
        yield "    rules:"
        for rule in group.rules:
            yield from _recording(rule) if isinstance(rule, Recording) else _alert(rule, parameters)


def _recording(rule: Recording) -> Iterator[str]:
    yield f"      - record: {rule.name}"
    yield from _expression(rule.expression)


def _alert(rule: Alert, parameters: Parameters) -> Iterator[str]:
    yield f"      - alert: {rule.name}"
    yield from _expression(rule.expression)
    if rule.hold:
        yield f"        for: {parameters.time(rule.hold)}"
    yield from _mapping("labels", {"severity": rule.severity, **rule.labels})
    yield from _mapping("annotations", annotations_of(rule, parameters))


def annotations_of(rule: Alert, parameters: Parameters) -> dict[str, str]:
    """What an alert says, and where it leads."""
    return {
        "summary": rule.summary,
        "description": rule.description,
        "runbook_url": f"{parameters.runbook_url}#{rule.name.lower()}",
        "dashboard_uid": rule.dashboard,
    }


def _expression(text: str) -> Iterator[str]:
    yield "        expr: |-"
    yield from (f"          {line}" for line in text.splitlines())


def _mapping(name: str, values: Mapping[str, str]) -> Iterator[str]:
    yield f"        {name}:"
    yield from (f"          {key}: {json.dumps(value)}" for key, value in values.items())
