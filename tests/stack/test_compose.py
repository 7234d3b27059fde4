"""The stack of docker-compose.observability.yml, as far as it can be told without an engine.

Compose's own parser, promtool and amtool judge the files of theirs; the rest is read, and held against each other:
names, ports, paths, versions. Not run: the containers, Grafana's provisioning, Tempo, Loki, the collector.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from otcache._demo import compose
from otcache.alerts import alerts
from tests.alerts.test_rules import UIDS
from tests.servers import require
from tests.stack.prometheus import program, promtool

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "docker-compose.observability.yml"
STACK: Final = ROOT / "dashboards" / "stack"


def load(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text())


SERVICES: Final[dict[str, dict[str, Any]]] = load(FILE)["services"]
OTLP_GRPC: Final = 4317


def parser() -> list[str]:
    """Compose v2: the plugin of docker, or what .ci/compose has put into .cache."""
    unpacked = ROOT / ".cache" / "compose" / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
    if unpacked.exists():
        return [str(unpacked)]
    docker = shutil.which("docker") or "docker"
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode != 0:
        require("Docker Compose v2", "bash .ci/compose")
    return [docker, "compose"]


def mounts(name: str) -> dict[str, str]:
    """Paths of the repository by paths in the container."""
    found = [volume.split(":") for volume in SERVICES[name].get("volumes", ())]
    return {parts[1]: parts[0] for parts in found if parts[0].startswith(".")}


# --- Compose ------------------------------------------------------------------------------------------


def test_compose_itself_accepts_the_file() -> None:
    done = subprocess.run(
        [*parser(), "-f", str(FILE), "config", "--format", "json"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["services"]) == set(SERVICES)
    assert done.stderr == ""


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_one_exact_version(name: str) -> None:
    image = SERVICES[name]["image"]

    assert "build" in SERVICES[name] or re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+(-[a-z]+)?", image), image


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_this_machine_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in SERVICES[name].get("ports", ()))
    assert "network_mode" not in SERVICES[name]


def test_no_two_services_want_the_same_port() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert len(ports) == len(set(ports)) > 6


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists_and_can_not_be_written(name: str) -> None:
    assert [path for path in mounts(name).values() if not (ROOT / path).exists()] == []
    assert [v for v in SERVICES[name].get("volumes", ()) if v.startswith(".") and not v.endswith(":ro")] == []


def test_every_volume_is_declared_and_used() -> None:
    named = {volume.partition(":")[0] for s in SERVICES.values() for volume in s.get("volumes", ())}

    assert set(load(FILE)["volumes"]) == {name for name in named if not name.startswith(".")}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs_in_a_way_that_can_end(name: str) -> None:
    needed = SERVICES[name].get("depends_on", {})
    conditions = needed if isinstance(needed, dict) else {each: {"condition": "service_started"} for each in needed}

    for other, how in conditions.items():
        assert (how["condition"] == "service_healthy") == ("healthcheck" in SERVICES[other]), f"{name} on {other}"
        assert (how["condition"] == "service_completed_successfully") == (SERVICES[other]["restart"] == "no")


def test_what_has_no_shell_is_asked_from_beside_it() -> None:
    silent = {name for name, service in SERVICES.items() if "healthcheck" not in service and service.get("ports")}

    assert {urlsplit(url).hostname for url in SERVICES["ready"]["command"] if "//" in url} == silent


def test_the_demo_s_commands_are_ones_that_it_has() -> None:
    ours = [
        service["command"] for service in SERVICES.values() if "otcache._demo.compose" in service.get("command", ())
    ]

    for command in ours:
        assert command[:3] == ["python", "-m", "otcache._demo.compose"]
        assert callable(compose._parser().parse_args(command[3:]).run)
    assert len(ours) == 3


# --- the files that are mounted -----------------------------------------------------------------------


def listens(name: str) -> set[int]:
    """The ports that a service listens on by its own configuration, or by its program's default."""
    if name == "collector":
        collector = load(STACK / "collector.yaml")
        receivers = collector["receivers"]["otlp"]["protocols"].values()
        every = [*receivers, *collector["extensions"].values()]
        return {int(each["endpoint"].rpartition(":")[2]) for each in every}
    if name == "tempo":
        tempo = load(STACK / "tempo.yaml")
        otlp = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
        return {tempo["server"]["http_listen_port"], int(otlp.rpartition(":")[2])}
    if name == "loki":
        return {load(STACK / "loki.yaml")["server"]["http_listen_port"]}
    return {{"prometheus": 9090, "alertmanager": 9093, "grafana": 3000, "app": 8000, "redis": 6379}[name]}


def texts() -> dict[str, str]:
    """Everything that may name a service and a port."""
    files = [FILE, *(path for path in STACK.rglob("*") if path.suffix in (".yaml", ".yml"))]
    return {str(path.relative_to(ROOT)): re.sub(r"(?m)(^|\s)#.*$", "", path.read_text()) for path in files}


@pytest.mark.parametrize("path", texts())
def test_every_address_is_a_service_that_listens_there(path: str) -> None:
    names = "|".join(SERVICES)

    for host, port in re.findall(rf"(?:^|[/\"\s])({names}):(\d{{4,5}})(?![\d.])", texts()[path]):
        assert int(port) in listens(host), f"{host}:{port}"


@pytest.mark.parametrize("name", [name for name in SERVICES if SERVICES[name].get("ports")])
def test_a_published_port_is_one_that_is_listened_on(name: str) -> None:
    assert {int(port.rpartition(":")[2]) for port in SERVICES[name]["ports"]} <= listens(name)


def test_a_path_in_a_command_is_one_that_is_mounted() -> None:
    for name, service in SERVICES.items():
        options = [word.partition("=")[2] for word in service.get("command", ()) if "config" in word]
        assert [path for path in options if path not in mounts(name)] == [], name


def test_prometheus_accepts_its_configuration_with_the_rules(tmp_path: Path) -> None:
    inside = {path: ROOT / source for path, source in mounts("prometheus").items()}
    text = (STACK / "prometheus.yml").read_text()
    (pattern,) = load(STACK / "prometheus.yml")["rule_files"]
    (rules,) = [source for path, source in inside.items() if Path(path).match(pattern)]
    path = tmp_path / "prometheus.yml"
    path.write_text(text.replace(pattern, str(rules)))

    assert "49 rules found" in promtool("check", "config", path)


def amtool(*arguments: str) -> str:
    """What amtool says of our configuration."""
    command = [program("amtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_alertmanager_accepts_its_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", str(STACK / "alertmanager.yml"))


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "tickets"), ("info", "nobody")])
def test_a_severity_goes_where_it_belongs(severity: str, receiver: str) -> None:
    path = f"--config.file={STACK / 'alertmanager.yml'}"

    assert amtool("config", "routes", "test", path, f"severity={severity}", "job=shop").strip() == receiver


def test_what_is_inhibited_are_alerts_that_exist() -> None:
    named = set(re.findall(r"Otcache\w+", (STACK / "alertmanager.yml").read_text()))

    assert named <= {alert.name for alert in alerts()}


def test_the_collector_s_pipelines_are_made_of_what_it_defines() -> None:
    collector = load(STACK / "collector.yaml")

    assert set(collector["service"]["pipelines"]) == {"traces", "metrics", "logs"}
    for pipeline in collector["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(collector[kind])
    assert collector["service"]["extensions"] == list(collector["extensions"])
    assert all(name.startswith(("otlp_grpc/", "otlp_http/")) for name in collector["exporters"])


def test_data_sources_lead_to_each_other() -> None:
    sources = {each["uid"]: each for each in load(STACK / "grafana" / "datasources" / "otcache.yaml")["datasources"]}

    links = {uid: set(re.findall(r"'datasourceUid': '(\w+)'", str(each))) for uid, each in sources.items()}
    assert links == {"prometheus": {"tempo"}, "tempo": {"loki"}, "loki": {"tempo"}, "alertmanager": set()}
    assert all(urlsplit(each["url"]).hostname == each["type"] for each in sources.values())


def test_dashboards_are_provisioned_from_where_they_are_mounted() -> None:
    (provider,) = load(STACK / "grafana" / "dashboards" / "otcache.yaml")["providers"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert mounts("grafana")[provider["options"]["path"]] == "./dashboards/grafana"
    assert (str(home.parent), home.stem in UIDS) == (provider["options"]["path"], True)


def test_everybody_who_reports_reports_to_the_collector() -> None:
    reporting = {name: s["environment"] for name, s in SERVICES.items() if "OTEL" in str(s.get("environment"))}

    assert set(reporting) == {"app", "detector"}
    assert {each["OTEL_EXPORTER_OTLP_ENDPOINT"] for each in reporting.values()} == {f"http://collector:{OTLP_GRPC}"}


def test_the_detector_judges_the_demo() -> None:
    command = SERVICES["detector"]["command"]

    assert command[:5] == ["python", "-m", "otcache", "regress", "watch"]
    assert f"--target={compose.SERVICE}" in command


def test_the_image_is_built_from_files_that_exist() -> None:
    build = SERVICES["app"]["build"]
    dockerfile = (ROOT / build["dockerfile"]).read_text()
    let_in = (ROOT / f"{build['dockerfile']}.dockerignore").read_text()

    copied = [word for line in re.findall(r"^COPY (.+) \./?", dockerfile, re.MULTILINE) for word in line.split()]
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in let_in] == []
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in re.findall(r"^FROM (.+)$", dockerfile, re.MULTILINE))
    assert "USER otcache" in dockerfile
