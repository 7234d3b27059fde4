"""A real Prometheus and a real Alertmanager on free loopback ports, each with a directory of its own.

with Webhook() as webhook, Alertmanager(webhook.url) as alertmanager:
    with Prometheus({"shop": [port]}, rules=[text], alertmanager=alertmanager) as prometheus:
        prometheus.wait_for_targets()
        prometheus.query("otcache_build_info")
        webhook.wait_for_alert("OtcacheRedisDown")
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.servers import READY_SECONDS, end, free_port, require, spawn, wait_for
from tests.stack.web import answers, fetch

_INSTALL: Final = "apt-get install -y --no-install-recommends"


class Series(NamedTuple):
    """One series of an answer; `values` are pairs of Unix seconds and a number, one of an instant query."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The last number."""
        return self.values[-1][1]


def program(name: str) -> str:
    """Where Debian's `prometheus`, `promtool` or `prometheus-alertmanager` is."""
    found = shutil.which(name, path="/usr/bin:/usr/local/bin")
    if found is None:
        package = "prometheus" if name == "promtool" else name
        require(name, f"{_INSTALL} {package}")
    return found


def promtool(*arguments: str | Path) -> str:
    """What promtool says: `promtool("check", "rules", path)`, `promtool("test", "rules", path)`.

    Raises:
        AssertionError: It found something wrong; the message is what it says.
    """
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


class _Process:
    """A server in a directory of its own, ready when `/-/ready` answers; killed at the end."""

    name: str

    def __init__(self) -> None:
        self._program = program(self.name)
        self.directory = Path(tempfile.mkdtemp(prefix=f"otc-{self.name}-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Its arguments."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it, again after a `kill`: with what it has kept, on the same port. Returns when it is ready."""
        self._process = spawn([self._program, *self.command()], self.directory / "log")
        wait_for(self._is_ready, f"{self.name}: {self.log[-500:]!r}; ready")

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}: {self.log[-2000:]}")
        return answers(f"{self.url}/-/ready")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def write(self, name: str, content: Any) -> Path:
        """A file of its directory; what is not text is written as JSON, which is YAML."""
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path


class Alertmanager(_Process):
    """Sends every alert to a webhook, at once. Use it as a context manager.

    Args:
        webhook: URL of the receiver.
        group_by: Labels that make a notification of their own.
        repeat: How often a firing alert is told again.
        configuration: Instead of all of that: a whole configuration.
    """

    name = "prometheus-alertmanager"

    def __init__(
        self,
        webhook: str,
        *,
        group_by: Sequence[str] = ("alertname",),
        repeat: str = "1h",
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        hook = {"url": webhook, "send_resolved": True}
        times = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": repeat}
        ours = {
            "route": {"receiver": "test", "group_by": list(group_by), **times},
            "receivers": [{"name": "test", "webhook_configs": [hook]}],
        }
        self._configuration = self.write("alertmanager.yml", configuration or ours)

    def command(self) -> list[str]:
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        files = [f"--config.file={self._configuration}", f"--storage.path={self.directory / 'data'}"]
        return [*files, listen, "--cluster.listen-address="]  # no cluster: nobody to wait for


class Prometheus(_Process):
    """Scrapes targets on this machine, evaluates rules. Use it as a context manager.

    It takes 5 s before the first scrape (a timer inside Prometheus): share one between tests.

    Args:
        targets: Ports whose `/metrics` is scraped, by job.
        rules: Rule files, each as text or a path.
        alertmanager: Where alerts go.
        interval: Between scrapes, and between evaluations of a group that does not say.
        history: What it already knows when it starts: OpenMetrics text whose samples have timestamps, days of them
            if need be. It is there as soon as the server is ready.
        exemplars: How many exemplars are kept.
        args: More of the program's own options.
    """

    name = "prometheus"

    def __init__(
        self,
        targets: Mapping[str, Sequence[int]] | None = None,
        *,
        rules: Sequence[str | Path] = (),
        alertmanager: Alertmanager | None = None,
        interval: str = "1s",
        history: str = "",
        exemplars: int = 10_000,
        args: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._alertmanager = alertmanager
        self._interval = interval
        self._exemplars = exemplars
        self._args = args
        self._targets = targets or {}
        self.configure(rules=rules)
        if history:
            past = self.write("history.txt", history)
            promtool("tsdb", "create-blocks-from", "openmetrics", past, self.directory / "data")

    def configure(
        self, targets: Mapping[str, Sequence[int]] | None = None, *, rules: Sequence[str | Path] = ()
    ) -> None:
        """Write the configuration; `reload` makes a running server read it: rules at once, targets within 5 s."""
        if targets is not None:
            self._targets = targets
        texts = (rule if isinstance(rule, str) else rule.read_text() for rule in rules)
        files = [str(self.write(f"rules-{number}.yml", text)) for number, text in enumerate(texts)]
        scrapes = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for job, ports in self._targets.items()
        ]
        every = {"scrape_interval": self._interval, "scrape_timeout": self._interval}
        configuration: dict[str, Any] = {
            "global": {**every, "evaluation_interval": self._interval},
            "storage": {"exemplars": {"max_exemplars": self._exemplars}},
            "rule_files": files,
            "scrape_configs": scrapes,
        }
        if self._alertmanager is not None:
            to = {"static_configs": [{"targets": [f"127.0.0.1:{self._alertmanager.port}"]}]}
            configuration["alerting"] = {"alertmanagers": [to]}
        self._configuration = self.write("prometheus.yml", configuration)

    def command(self) -> list[str]:
        files = [f"--config.file={self._configuration}", f"--storage.tsdb.path={self.directory / 'data'}"]
        web = [f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-lifecycle", "--web.enable-admin-api"]
        features = ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage,native-histograms"]
        return [*files, *web, *features, "--scrape.discovery-reload-interval=100ms", *self._args]

    def reload(self) -> None:
        """Read the configuration and the rules again (`/-/reload`).

        Raises:
            RuntimeError: They are wrong; the message says where.
        """
        before = len(self.log)
        try:
            fetch(f"{self.url}/-/reload", post=True)
        except RuntimeError as exc:
            raise RuntimeError(f"{exc}: {self.log[before:]}") from None

    # --- questions ----------------------------------------------------------------------------------

    def api(self, path: str, **parameters: Any) -> Any:
        """The `data` of an answer of the HTTP API.

        Raises:
            RuntimeError: The answer is an error.
        """
        given = {name.replace("__", "[]"): value for name, value in parameters.items() if value is not None}
        return json.loads(fetch(f"{self.url}/api/v1/{path}", given))["data"]

    def query(self, expression: str, *, at: float | None = None) -> list[Series]:
        """The series of an instant query, now or `at` Unix seconds."""
        found = self.api("query", query=expression, time=at)
        if found["resultType"] == "scalar":
            return [Series({}, (_pair(found["result"]),))]
        return [Series(each["metric"], (_pair(each["value"]),)) for each in found["result"] if "value" in each]

    def value(self, expression: str) -> float | None:
        """The number of a query with at most one series; `None` if it has none."""
        found = self.query(expression)
        if len(found) > 1:
            raise AssertionError(f"{expression} has {len(found)} series: {[dict(each.labels) for each in found]}")
        return found[0].value if found else None

    def query_range(self, expression: str, start: float, end: float, step: str = "1s") -> list[Series]:
        """The series of a range query; `start` and `end` in Unix seconds."""
        found = self.api("query_range", query=expression, start=start, end=end, step=step)
        return [Series(each["metric"], tuple(map(_pair, each["values"]))) for each in found["result"]]

    def exemplars(self, expression: str, seconds: float = 300) -> list[dict[str, Any]]:
        """The exemplars of the last `seconds`, each with its `labels` (`trace_id`), `value` and `seriesLabels`."""
        now = time.time()
        found = self.api("query_exemplars", query=expression, start=now - seconds, end=now + 1)
        return [{**each, "seriesLabels": row["seriesLabels"]} for row in found for each in row["exemplars"]]

    def series(self, *match: str) -> list[dict[str, str]]:
        """The label sets of every series that one of the selectors matches."""
        found: list[dict[str, str]] = self.api("series", match__=list(match))
        return found

    def targets(self) -> list[dict[str, Any]]:
        """The active targets, each with its `health`, `lastError` and `labels`."""
        found: list[dict[str, Any]] = self.api("targets", state="active")["activeTargets"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """The pending and firing alerts."""
        found: list[dict[str, Any]] = self.api("alerts")["alerts"]
        return found

    # --- waiting ------------------------------------------------------------------------------------

    def wait_for_targets(self, seconds: float = READY_SECONDS) -> None:
        """Return when every target has been scraped with success.

        Raises:
            AssertionError: One was not; the message says why.
        """
        with _explained(lambda: str([(each["scrapeUrl"], each["lastError"]) for each in self.targets()])):
            wait_for(self._all_up, "a scrape of every target", seconds)

    def _all_up(self) -> bool:
        targets = self.targets()
        return bool(targets) and all(each["health"] == "up" for each in targets)

    def wait_for_series(self, expression: str, seconds: float = READY_SECONDS) -> list[Series]:
        """The series of a query, when it has any."""
        wait_for(lambda: bool(self.query(expression)), expression, seconds)
        return self.query(expression)


def _pair(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


@contextmanager
def _explained(why: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise AssertionError(f"{exc}: {why()}") from None
