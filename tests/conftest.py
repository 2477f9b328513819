"""What every test may ask for."""

import asyncio
import getpass
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Who signs in at a page where it does not matter who.
PERSON, PASSWORD = "Li Wei", "a heron over the weir"


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def recorded_data() -> Path:
    """Folder of recorded data; the test skips where it is absent."""
    folder = Path(os.environ.get("PLUMELINE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}: set PLUMELINE_DATA")
    return folder


class Broker:
    """A real mosquitto on 127.0.0.1 that can be killed and started again on the same port.

    `listener` are further lines of its configuration; the default lets everybody in.
    """

    def __init__(self, folder: Path, listener: str = "allow_anonymous true") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._file = folder / f"mosquitto-{self.port}.conf"
        # Without `user` a broker started by root becomes another user, who may not read what the test wrote.
        self._file.write_text(f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\n{listener}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it takes connections."""
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed")
        self._process = subprocess.Popen(
            [program, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                assert self._process.poll() is None, "mosquitto ended at once"
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.02)

    def reload(self) -> None:
        """SIGHUP: it reads certificates and lists again, when it comes to it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL: nothing is saved."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without passwords."""
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def broker_with(tmp_path: Path) -> Iterator[Callable[[str], Broker]]:
    """Start a broker with listener lines of one's own (certificates, access rules)."""
    running: list[Broker] = []

    def start(listener: str) -> Broker:
        running.append(Broker(tmp_path, listener))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.kill()


class Answer:
    """One HTTP answer, read whole."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Visitor:
    """A browser without a window: keeps cookies, follows nothing, sends a path exactly as it is given."""

    def __init__(self, address: str, language: str = "en") -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self._headers = {"accept-language": language}

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.address).netloc, timeout=10)
        headers = {**self._headers, "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method != "GET":
            headers["origin"] = self.address
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, None if form is None else urllib.parse.urlencode(form), headers)
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        for line in answer.headers.get_all("set-cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, **form: str) -> Answer:
        return self.ask("POST", path, form)

    def sign_in(self, name: str = PERSON, password: str = PASSWORD) -> Answer:
        return self.post("/sign-in", name=name, password=password)


@pytest.fixture
def with_account() -> Callable[..., Any]:
    """`with_account(folder, name, role)`: the accounts of a page, with one more; its password is the visitor's own."""
    from web.accounts import Accounts

    def make(folder: Path, name: str = PERSON, role: Any = "admin") -> Accounts:
        accounts = Accounts(folder)
        accounts.add(name, role, PASSWORD)
        return accounts

    return make


class Recorded(list[dict[str, Any]]):
    """What a page puts on record; nothing is taken while `full`."""

    full = False

    async def __call__(self, act: Any) -> None:
        from web.shell import AuditError

        if self.full:
            raise AuditError("no room")
        self.append(dict(act))


@pytest.fixture
def recorded() -> Recorded:
    """The record of a page's acts."""
    return Recorded()


@pytest.fixture
def visitor() -> type[Visitor]:
    """Maker of visitors of an address."""
    return Visitor


@pytest.fixture
def serve_page() -> Iterator[Callable[[Any], str]]:
    """Serve an application on a free port in a thread of its own; gives its address."""
    from web.serve import serve

    running = []

    def start(app: Any, settings: Any = None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        loop = asyncio.new_event_loop()
        task = loop.create_task(serve(app, listener, settings))
        thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
        thread.start()
        running.append((loop, task, thread))
        return f"http://127.0.0.1:{port}"

    yield start
    for loop, task, thread in running:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[bytes, bytes]]:
    """`signer(version, kind, *options, program=...)`: an image MCUboot's own tool signed, and the public key (PEM)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    from imgtool.main import imgtool

    folder = tmp_path_factory.mktemp("images")

    def sign(
        version: str, kind: str = "ed25519", *options: str, program: bytes = b"\x5a" * 3000
    ) -> tuple[bytes, bytes]:
        key, source, target = folder / f"{kind}.pem", folder / "program.bin", folder / "signed.bin"
        if not key.exists():
            imgtool(["keygen", "-k", str(key), "-t", kind], standalone_mode=False)
        source.write_bytes(program)
        sizes = ["-H", "32", "--pad-header", "-S", "0x40000", "--align", "4"]
        words = ["sign", *sizes, "-v", version, *options, "-k", str(key), str(source), str(target)]
        imgtool(words, standalone_mode=False)
        public = load_pem_private_key(key.read_bytes(), None).public_key()
        return target.read_bytes(), public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    return sign
