"""`make test` on a bare machine: what .ci/bootstrap.py does where Debian has cut ensurepip out."""

from __future__ import annotations

import base64
import hashlib
import http.server
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = "pip-{}-py3-none-any.whl"


def pack_pip(directory: Path) -> Path:
    """The wheel of the pip that is installed here, packed again from its files."""
    distribution = importlib.metadata.distribution("pip")
    wheel = directory / WHEEL.format(distribution.version)
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                archive.write(file.locate(), str(file))
    return wheel


Serve = Callable[..., "Index"]


class Index(http.server.ThreadingHTTPServer):
    """A package index on loopback that knows pip and asks for a password."""

    def __init__(self, wheel: Path, sha256: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {
            "/simple/pip/": (
                f'<a href="../../{wheel.name}#sha256={sha256}" data-requires-python="&gt;=3.8">{wheel.name}</a>'
                f'<a href="/{WHEEL.format("999.0")}" data-requires-python="&gt;=3.99">for a later Python</a>'
                f'<a href="/{WHEEL.format("998.0")}" data-yanked="broken">withdrawn</a>'
            ).encode(),
            f"/{wheel.name}": wheel.read_bytes(),
        }

    @property
    def url(self) -> str:
        return f"http://ada:l%40ce@127.0.0.1:{self.server_address[1]}/simple"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"ada:l@ce").decode()
        content = self.server.files.get(self.path)
        self.send_response(401 if not known else 200 if content else 404)
        self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.end_headers()
        self.wfile.write(content or b"" if known else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Index] = []

    def begin(sha256: str | None = None) -> Index:
        wheel = pack_pip(tmp_path)
        server = Index(wheel, sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def debian_python(tmp_path: Path) -> Path:
    """A Python that refuses to make a virtual environment with pip, as Debian's does without python3-venv."""
    program = tmp_path / "python3"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--without-pip*) ;; "-m venv "*) echo "ensurepip is not available"; exit 1 ;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    return program


def make_venv(python: Path, venv: Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / '.ci')!r}); sys._base_executable = {str(python)!r}\n"
        "import bootstrap, pathlib\n"
        f"try: bootstrap.make_venv(pathlib.Path({str(venv)!r}))\n"
        "except bootstrap.SetupError as error: sys.exit(str(error))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=kept | {"HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pip_comes_from_the_configured_index_where_ensurepip_is_missing(
    serve: Serve, debian_python: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "home" / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[global]\nindex-url = {serve().url}\n")

    done = make_venv(debian_python, tmp_path / "venv", tmp_path / "home")

    assert done.returncode == 0, done.stderr
    version = subprocess.run([tmp_path / "venv/bin/python", "-m", "pip", "--version"], capture_output=True, text=True)
    assert version.stdout.startswith(f"pip {importlib.metadata.version('pip')} from {tmp_path / 'venv'}")


def test_a_pip_with_another_checksum_is_not_run(serve: Serve, debian_python: Path, tmp_path: Path) -> None:
    done = make_venv(debian_python, tmp_path / "venv", tmp_path, PIP_INDEX_URL=serve("0" * 64).url)

    assert done.returncode == 1
    assert "another checksum" in done.stderr
    assert "l%40ce" not in done.stderr


def test_without_ensurepip_and_without_an_index_the_message_says_what_to_install(
    debian_python: Path, tmp_path: Path
) -> None:
    done = make_venv(debian_python, tmp_path / "venv", tmp_path, PIP_INDEX_URL="http://127.0.0.1:9/simple")

    assert done.returncode == 1
    assert "apt-get install -y python3-venv" in done.stderr


def setup(*arguments: str, python: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(ROOT / ".ci" / "setup"), *arguments]
    return subprocess.run(command, env=os.environ | {"PYTHON": python}, capture_output=True, text=True, check=False)


def load_bootstrap() -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / ".ci" / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_older_python_is_refused_by_name(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = setup("dev", python=str(old))

    assert done.returncode == 1
    assert f"needs Python 3.11 or newer, and none of these is: {old}" in done.stderr


def test_an_environment_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    bootstrap = load_bootstrap()
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    bootstrap.marker(venv, "dev").write_text(bootstrap.digest(None))

    done = setup("demo", "--venv", str(venv), python=sys.executable)

    assert (done.returncode, done.stderr) == (0, "")
