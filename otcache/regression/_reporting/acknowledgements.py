"""Acknowledged regressions: known, accepted for a while, and not raised again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from otcache.exceptions import ConfigurationError
from otcache.regression._detector import overall
from otcache.regression._model import Finding, Report, short
from otcache.regression._reporting.files import write_whole

_LARGEST: Final = 1000
_NAMES: Final = ("metric", "until", "reason", "attributes", "statistic", "most")


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement.

    Attributes:
        metric: Which metric, by its name in the catalogue.
        until: The last day on which it holds, UTC.
        reason: Why it is accepted.
        attributes: Which series of it: those that have all of these; names as in the catalogue, or as in a report.
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
        known = {name: said for full, said in finding.key.attributes for name in (full, short(full))}
        return (
            finding.key.metric == self.metric
            and today <= self.until
            and self.attributes.items() <= known.items()
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
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"{path} is not JSON") from exc
    if not isinstance(found, list):
        raise ConfigurationError(f"{path} holds {type(found).__name__}, not a list of acknowledgements")
    return tuple(_ack(each, f"{path}: acknowledgement {number}") for number, each in enumerate(found, 1))


def _ack(found: Any, where: str) -> Ack:
    if not isinstance(found, dict) or not set(found) <= set(_NAMES) or not {"metric", "until", "reason"} <= set(found):
        raise ConfigurationError(f"{where} does not have metric, until and reason, and of {', '.join(_NAMES[3:])}")
    attributes = found.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise ConfigurationError(f"{where}: attributes is {type(attributes).__name__}, not an object")
    texts = [found["metric"], found["reason"], found.get("statistic") or "", *attributes.values()]
    if not all(isinstance(each, str) for each in texts):
        raise ConfigurationError(f"{where}: metric, reason, statistic and attributes are texts")
    until, most = _until(found["until"], where), _most(found.get("most"), where)
    return Ack(found["metric"], until, found["reason"], attributes, found.get("statistic"), most)


def _until(found: Any, where: str) -> date:
    try:
        return date.fromisoformat(found)
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(f"{where}: until={found!r} is no date such as 2026-12-31") from exc


def _most(found: Any, where: str) -> float | None:
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < _LARGEST:
        raise ConfigurationError(f"{where}: most={found!r} is outside 0..{_LARGEST}, both excluded")
    return float(found)


def save(path: str | Path, acks: Iterable[Ack]) -> None:
    """Write them; what was in the file stays if that fails. Raises ConfigurationError: the file can't be written."""
    rows = [{name: said for name, said in asdict(ack).items() if said} | {"until": str(ack.until)} for ack in acks]
    try:
        write_whole(Path(path), json.dumps(rows, indent=2) + "\n")
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc


def apply(report: Report, acks: Iterable[Ack], today: date) -> Report:
    """The report with what is acknowledged made minor, and its verdict of what is left."""
    known = tuple(acks)
    findings = tuple(_acknowledged(finding, known, today) for finding in report.findings)
    if findings == report.findings:
        return report
    return replace(report, findings=findings, verdict=overall(findings, report.blind))


def _acknowledged(finding: Finding, acks: tuple[Ack, ...], today: date) -> Finding:
    if finding.verdict not in ("warning", "critical"):
        return finding
    ack = next((each for each in acks if each.covers(finding, today)), None)
    if ack is None:
        return finding
    return replace(finding, verdict="minor", reason=f"acknowledged until {ack.until}: {ack.reason}; {finding.reason}")
