"""Acknowledged regressions: known, accepted for a while, and not raised again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from otcache.exceptions import ConfigurationError
from otcache.regression.detector import WORST
from otcache.regression.model import Finding, Report

_NAMES: Final = ("metric", "until", "reason", "attributes", "statistic", "most")


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement.

    Attributes:
        metric: Which metric, by its name in the catalogue.
        until: The last day on which it holds, UTC.
        reason: Why it is accepted.
        attributes: Which series of it: those that have all of these.
        statistic: Which statistic; `None` for every one.
        most: The largest change that is accepted, a fraction; `None` for any.
    """

    metric: str
    until: date
    reason: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    statistic: str | None = None
    most: float | None = None

    def covers(self, finding: Finding, today: date) -> bool:
        """Whether it speaks of this finding."""
        return (
            finding.key.metric == self.metric
            and today <= self.until
            and self.attributes.items() <= dict(finding.key.attributes).items()
            and self.statistic in (None, finding.statistic)
            and (self.most is None or (finding.change or 0.0) <= self.most)
        )


def load(path: str | Path) -> tuple[Ack, ...]:
    """The acknowledgements in a JSON file; none where there is no file.

    Raises:
        ConfigurationError: It can't be read, or holds something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigurationError(f"{path} is not JSON") from exc
    if not isinstance(found, list):
        raise ConfigurationError(f"{path} holds {type(found).__name__}, not a list of acknowledgements")
    return tuple(_ack(each, f"{path}: acknowledgement {number}") for number, each in enumerate(found, 1))


def _ack(found: Any, where: str) -> Ack:
    if not isinstance(found, dict) or not set(found) <= set(_NAMES) or not {"metric", "until", "reason"} <= set(found):
        raise ConfigurationError(f"{where} does not have metric, until and reason, and of {', '.join(_NAMES[3:])}")
    try:
        until = date.fromisoformat(found["until"])
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(f"{where}: until is no date such as 2026-12-31") from exc
    attributes = found.get("attributes") or {}
    texts = [found["metric"], found["reason"], found.get("statistic") or "", *attributes, *attributes.values()]
    if not all(isinstance(each, str) for each in texts):
        raise ConfigurationError(f"{where}: metric, reason, statistic and attributes are texts")
    most = found.get("most")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int | float) or not 0 < most < 1000):
        raise ConfigurationError(f"{where}: most={most!r} is outside 0..1000, 0 excluded")
    return Ack(found["metric"], until, found["reason"], attributes, found.get("statistic"), most)


def save(path: str | Path, acks: Iterable[Ack]) -> None:
    """Write them.

    Raises:
        ConfigurationError: The file can't be written.
    """
    rows = [{name: said for name, said in asdict(ack).items() if said} | {"until": str(ack.until)} for ack in acks]
    try:
        Path(path).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc


def apply(report: Report, acks: Iterable[Ack], today: date) -> Report:
    """The report with what is acknowledged made minor, and its verdict of what is left."""
    known = tuple(acks)
    findings = tuple(_acknowledged(finding, known, today) for finding in report.findings)
    if findings == report.findings:
        return report
    verdicts = {finding.verdict for finding in findings}
    blind = report.verdict == "inconclusive"
    verdict = "inconclusive" if blind else next(each for each in WORST if each in verdicts - {"inconclusive"})
    return replace(report, findings=findings, verdict=verdict)


def _acknowledged(finding: Finding, acks: tuple[Ack, ...], today: date) -> Finding:
    if finding.verdict not in ("warning", "critical"):
        return finding
    ack = next((each for each in acks if each.covers(finding, today)), None)
    if ack is None:
        return finding
    return replace(finding, verdict="minor", reason=f"acknowledged until {ack.until}: {ack.reason}; {finding.reason}")
