"""Prepare a virtual environment with the project in it, by the standard library alone; at once if nothing changed."""

from __future__ import annotations

import argparse
import configparser
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
INDEX = "https://pypi.org/simple"
SUPERSETS = {"demo": ("demo", "dev"), "dev": ("dev",)}
"""The extras that contain an extra; one of them installed is enough."""
SECONDS = 60.0
"""For one answer of the package index."""


class SetupError(Exception):
    """Something that the user has to put right; the message says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare what the command line names; 0 when it is ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extra", choices=sorted(SUPERSETS))
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--constraint", type=Path, help="pip's constraints file")
    options = parser.parse_args(arguments)
    try:
        prepare(options.extra, ROOT / options.venv, options.constraint)
    except SetupError as error:
        say(str(error))
        return 1
    return 0


def prepare(extra: str, venv: Path, constraint: Path | None) -> None:
    """Make `venv` hold the project with `extra`, editable."""
    stamp = digest(constraint)
    if any(read(marker(venv, name)) == stamp for name in SUPERSETS[extra]) and works(venv):
        return
    started = time.monotonic()
    say(f"installing otcache[{extra}] into {shown(venv)} (a minute or two, once)")
    if not (works(venv) and read(venv / "otcache-python") == interpreter()):
        make_venv(venv)
    install(venv, extra, constraint)
    marker(venv, extra).write_text(stamp)
    say(f"installed in {time.monotonic() - started:.0f} s")


def digest(constraint: Path | None) -> str:
    """What decides whether an environment is up to date: the interpreter, the place, and the requirements."""
    files = [ROOT / "pyproject.toml", *([constraint] if constraint else [])]
    parts = [interpreter(), str(ROOT), *(file.read_text() for file in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def interpreter() -> str:
    return f"{sys.base_prefix} {sys.version}"


def marker(venv: Path, extra: str) -> Path:
    return venv / f"otcache-{extra}"


def read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def works(venv: Path) -> bool:
    """Whether its interpreter still runs; it does not after the system's Python was replaced."""
    program = python_of(venv)
    return program.exists() and run([program, "-c", ""]).returncode == 0


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def say(text: str) -> None:
    sys.stderr.write(f"otcache: {text}\n")
    sys.stderr.flush()


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("PIP_TARGET", None)
    return subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
    )


# --- the environment ----------------------------------------------------------------------------------


def make_venv(venv: Path) -> None:
    """Make an empty environment with pip; where Debian has cut ensurepip out, pip comes from the package index."""
    shutil.rmtree(venv, ignore_errors=True)
    base = getattr(sys, "_base_executable", None) or sys.executable  # ours may lie in the directory just removed
    if run([base, "-m", "venv", venv]).returncode != 0:
        shutil.rmtree(venv, ignore_errors=True)
        made = run([base, "-m", "venv", "--without-pip", venv])
        if made.returncode != 0:
            raise SetupError(f"no virtual environment could be made:\n{made.stdout}{made.stderr}{advice()}")
        install_pip(venv)
    (venv / "otcache-python").write_text(interpreter())


def advice() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"On Debian or Ubuntu this helps: apt-get install -y python3-venv (or python{version}-venv)"


def install(venv: Path, extra: str, constraint: Path | None) -> None:
    """Install the project; what pip says is shown only if it fails."""
    limits = ["--constraint", str(constraint)] if constraint else []
    target = f"{ROOT}[{extra}]"
    done = run([python_of(venv), "-m", "pip", "install", "--quiet", *limits, "--editable", target])
    if done.returncode != 0:
        raise SetupError(f"pip could not install otcache[{extra}]:\n{done.stdout}{done.stderr}")


# --- pip without ensurepip ----------------------------------------------------------------------------


class Wheel(NamedTuple):
    """A wheel of pip on the index."""

    version: tuple[int, ...]
    url: str
    sha256: str | None


def install_pip(venv: Path) -> None:
    """Install pip from its wheel, which can install itself."""
    say("this Python has no ensurepip: pip comes from the package index")
    with tempfile.TemporaryDirectory() as directory:
        wheel = download_pip(Path(directory))
        done = run([python_of(venv), wheel / "pip", "install", "--quiet", "--no-deps", "--no-index", wheel])
    if done.returncode != 0:
        raise SetupError(f"pip could not install itself:\n{done.stdout}{done.stderr}{advice()}")


def download_pip(directory: Path) -> Path:
    """The newest pip of the index, in `directory`, its checksum compared.

    Raises:
        SetupError: The index can't be reached, or what it gave is not what it announced.
    """
    page = index_url().rstrip("/") + "/pip/"
    try:
        wheel = newest(links(fetch(page).decode(), page))
        content = fetch(wheel.url)
    except (OSError, ssl.SSLError, urllib.error.URLError) as exc:
        raise SetupError(f"pip could not be downloaded from {without_password(page)}: {exc}\n{advice()}") from exc
    if wheel.sha256 and hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise SetupError(f"the pip of {without_password(page)} has another checksum than announced\n{advice()}")
    path = directory / urllib.parse.urlsplit(wheel.url).path.rpartition("/")[2]
    path.write_bytes(content)
    return path


def without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def fetch(url: str) -> bytes:
    """What is at `url`; user and password may be in it, as pip allows."""
    parts = urllib.parse.urlsplit(url)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(
        None, plain, urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
    )
    certificates = ssl.create_default_context(cafile=setting("cert"))
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=certificates), urllib.request.HTTPBasicAuthHandler(passwords)
    )
    with opener.open(
        urllib.request.Request(plain, headers={"Accept": "text/html, */*;q=0.1"}), timeout=SECONDS
    ) as answer:
        content: bytes = answer.read()
    return content


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append({name: value or "" for name, value in attrs})


def links(page: str, url: str) -> Iterator[Wheel]:
    """The released wheels of pip on a page of the index that this Python can run."""
    parser = _Anchors()
    parser.feed(page)
    for anchor in parser.found:
        href, _, fragment = urllib.parse.urljoin(url, anchor.get("href", "")).partition("#")
        match = re.search(r"/pip-(\d+(?:\.\d+)*)-py3-none-any\.whl$", href)
        if match and "data-yanked" not in anchor and suits(anchor.get("data-requires-python", "")):
            version = tuple(int(part) for part in match[1].split("."))
            yield Wheel(version, href, fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None)


def suits(requires: str) -> bool:
    """Whether this Python is at least the `>=` of a requirement."""
    least = re.search(r">=\s*(\d+)\.(\d+)", requires)
    return least is None or sys.version_info[:2] >= (int(least[1]), int(least[2]))


def newest(wheels: Iterator[Wheel]) -> Wheel:
    found = sorted(wheels)
    if not found:
        raise SetupError(f"the package index has no pip for this Python\n{advice()}")
    return found[-1]


# --- pip's own settings -------------------------------------------------------------------------------


def index_url() -> str:
    return setting("index-url") or INDEX


def setting(name: str) -> str | None:
    """An option as pip would read it: its environment variable, else the last of its files that has it."""
    variable = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if variable:
        return variable
    parser = configparser.RawConfigParser()
    parser.read(pip_files(), encoding="utf-8")
    found = [parser.get(section, name) for section in ("install", "global") if parser.has_option(section, name)]
    return found[0] if found else None


def pip_files() -> list[Path]:
    """Where pip looks for its settings, the strongest last."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    system = [Path(folder, "pip", "pip.conf") for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    home = Path(os.path.expanduser("~"))
    user = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    last = [Path(chosen)] if chosen else []
    return [*system, Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user, *last]


if __name__ == "__main__":
    raise SystemExit(main())
