"""Whatever was done, no secret is left: not in logs, databases, files, addresses, metrics, arguments or environments.

The service runs as a process at its most talkative; people and programs use it, rightly and wrongly. Then each secret that
the run used is looked for everywhere, as it is and as it could have been written down."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from documents.codes import Codes
from tests import servers
from tests.load import _wait_until_ready as wait_until_ready
from tests.papers import letter, locked
from tests.secrecy import Known, found_in

ROOT = Path(__file__).parents[2]
MEANT = {
    # file of the home -> why a secret stands in it
    "token/pin": "the PIN itself, for the token process alone; in production a credential of systemd",
}
DOCUMENT_PASSWORD, WRONG_PASSWORD = "Mo-tep-mat-2026-Dung", "Mo-tep-mat-2026-Sai"


def test_a_secret_is_found_in_every_form() -> None:
    secret = 'mật khẩu-/+?="x'
    for written in (
        secret, quote(secret), json.dumps({"a": secret}), f"X'{secret.encode().hex().upper()}'",
        *(base64.b64encode(b"x" * n + secret.encode() + b"yz").decode() for n in range(4)),
        base64.urlsafe_b64encode(b"ab" + secret.encode()).decode(),
    ):  # fmt: skip
        assert found_in("here", f"…{written}…".encode(), {"password": secret}), written
    assert not found_in("here", "mật khẩu khác".encode(), {"password": secret})


# -- the service and who uses it


@dataclass(frozen=True)
class Service:
    port: int
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    dump: Callable[[], bytes]
    sql: Callable[[str], None]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def antin(self, *arguments: str) -> dict[str, Any]:
        """The command as an operator types it."""
        done = subprocess.run(
            [sys.executable, "-c", "from service import antin; antin()", *arguments, "--json"], env=self.environment,
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        with self.err.with_name("words").open("ab") as words:
            words.write(done.stderr)
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def processes(self) -> list[int]:
        """The service, and whom it started."""
        parents = {}
        for one in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(one.name)] = int((one / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue  # it has just ended
        family = [self.process.pid]
        for pid in family:
            family += [child for child, parent in parents.items() if parent == pid]
        return family


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    if request.param == "sqlite":
        facts_file = tmp_path / "home" / "antin.sqlite"
        with running(
            tmp_path, {}, lambda: sqlite_dump(tmp_path / "home"), lambda sql: sqlite_run(facts_file, sql)
        ) as one:
            yield one
        return
    with (
        servers.postgresql() as server,
        servers.new_database(server) as facts,
        servers.new_database(server) as jobs,
    ):
        settings = {
            "ANTIN_DATABASE_URL": facts, "ANTIN_JOBS_DATABASE_URL": jobs,
            "ANTIN_DATABASE_PASSWORD_FILE": str(server.password_file),
        }  # fmt: skip
        names = [one.rpartition("/")[2] for one in (facts, jobs)]
        with running(
            tmp_path, settings, lambda: b"".join(pg_dump(server, one) for one in names),
            lambda sql: servers.run_sql(server, sql, database=names[0]),
        ) as one:  # fmt: skip
            yield one


@contextmanager
def running(
    folder: Path, settings: dict[str, str], dump: Callable[[], bytes], sql: Callable[[str], None]
) -> Iterator[Service]:
    port, home = servers.free_port(), folder / "home"
    environment = {
        **os.environ, "ANTIN_HOME": str(home), "ANTIN_PORT": str(port), "ANTIN_LOG_LEVEL": "debug", **settings
    }  # fmt: skip
    out, err = folder / "out", folder / "err"
    with out.open("wb") as told, err.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", "from service import antin; antin()", "serve", "--json"],
            env=environment, cwd=ROOT, stdout=told, stderr=said,
        )  # fmt: skip
    try:
        wait_until_ready(process, port)
        yield Service(port, home, environment, process, out, err, dump, sql)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def sqlite_dump(home: Path) -> bytes:
    dumped = []
    files = sorted(home.rglob("*.sqlite"))
    assert {"antin.sqlite", "jobs.sqlite", "uses.sqlite"} <= {one.name for one in files}
    for file in files:
        with closing(sqlite3.connect(file)) as db:
            dumped += list(db.iterdump())
    return "\n".join(dumped).encode()


def sqlite_run(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(statement)


def pg_dump(server: servers.PostgresqlServer, name: str) -> bytes:
    environment = {**os.environ, "PGPASSWORD": server.password_file.read_text().strip()}
    command = [
        str(servers._postgresql_programs() / "pg_dump"),
        "-h",
        "127.0.0.1",
        "-p",
        str(server.port),
        "-U",
        "owner",
    ]
    command.append(name)
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def field_of(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, (name, page.status_code, page.url)
    return found[1]


def an_official(service: Service, known: Known, login: str, password: str) -> None:
    """By the pages: a wrong password, the right one, an upload, signatures, a wrong and the right password of a file."""
    with httpx.Client(
        base_url=service.address, timeout=60, event_hooks={"response": [known.hear]}
    ) as browser:

        def send(address: str, form: str, status: int, /, **fields: str) -> httpx.Response:
            shown = browser.get(form)
            hidden = {"csrf": known.note("form", field_of(shown, "csrf"))}
            for name in ("lan", "version"):
                if f'name="{name}"' in shown.text:
                    hidden[name] = field_of(shown, name)
            answer = browser.post(address, data=hidden | fields)
            assert answer.status_code == status, (address, answer.status_code, answer.text[-2000:])
            return answer

        def upload(content: bytes) -> str:
            shown = browser.get("/van-ban")
            hidden = {name: field_of(shown, name) for name in ("csrf", "lan")}
            told = browser.post(
                "/van-ban", data=hidden, files={"file": ("a.pdf", content, "application/pdf")}
            )
            assert told.status_code == 303, told.text
            return told.headers["location"].partition("?")[0]

        wrong = known.note("mistyped password", password[:-1] + "~")
        send("/dang-nhap", "/dang-nhap", 401, login=login, password=wrong)
        send("/dang-nhap", "/dang-nhap", 303, login=login, password=password)
        sign = {"key": login, "page": "last", "corner": "bottom-right", "level": "B-T"}
        for content in (letter(), locked(DOCUMENT_PASSWORD)):
            document = upload(content)
            if b"/Encrypt" in content:
                send(f"{document}/ky", f"{document}/ky", 422, **sign, password=WRONG_PASSWORD)
            send(f"{document}/ky", f"{document}/ky", 303, **sign, password=DOCUMENT_PASSWORD)
            known.note_code(_code_on(browser.get(f"{document}/ket-qua")))
            assert browser.get(f"{document}/bang-chung").status_code == 200
        send("/dang-xuat", "/van-ban", 303)


def _code_on(page: httpx.Response) -> str:
    found = [
        read for one in re.findall(r"(?:[0-9A-Z]{4}-){4}[0-9A-Z]{4}", page.text) if (read := Codes.read(one))
    ]
    assert found, page.url
    return found[0]


def a_program(service: Service, known: Known, api_key: str) -> bytes:
    """By the API: rightly, twice by the same key, and wrongly in all ways. The first file as it is signed."""
    api = httpx.Client(
        base_url=f"{service.address}/api/v1", timeout=60, event_hooks={"response": [known.hear]},
        headers={"Authorization": f"Bearer {api_key}"},
    )  # fmt: skip

    run = secrets.token_hex(8)

    def post(address: str, status: int, *, once: str = "", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | (
            {"Idempotency-Key": known.note("repetition", f"{once}-{run}")} if once else {}
        )
        answer = api.post(address, headers=headers, **more)
        assert answer.status_code == status, (address, answer.status_code, answer.text[:500])
        return answer

    with api:
        made: list[bytes] = []
        for number, content in enumerate((letter(), locked(DOCUMENT_PASSWORD))):
            pdf = {"headers": {"Content-Type": "application/pdf"}, "content": content}
            first = post("/documents?name=a.pdf", 201, once=f"tai-len-{number}", **pdf)
            again = post("/documents?name=a.pdf", 201, once=f"tai-len-{number}", **pdf)
            assert again.text == first.text
            document = first.json()
            known.note_code(document["code"])
            ask = f"/documents/{document['id']}/signatures"
            wish = {"key": "con-dau", "level": "B-T", "mark": {"box": [50, 50, 200, 150], "code": True}}
            wish |= {"password": DOCUMENT_PASSWORD} if number else {}
            if number:
                post(ask, 422, once="ky-sai", json=wish | {"password": WRONG_PASSWORD})
            for _ in range(2):
                post(ask, 201, once=f"ky-{number}", json=wish)
            wrong = wish | {"level": DOCUMENT_PASSWORD, DOCUMENT_PASSWORD: 1}
            post(ask, 422, once=f"khong-hop-le-{number}", json=wrong)
            post(ask, 422, content=b'{"password": "' + DOCUMENT_PASSWORD.encode() + b'", ', headers=_json())
            made.append(api.get(f"/documents/{document['id']}/content").content)
            file = {"file": ("a.pdf", made[-1], "application/pdf")}
            for password in (WRONG_PASSWORD, DOCUMENT_PASSWORD):
                post("/verifications", 200, data={"password": password}, files=file)
        wrong_key = known.note("API key that does not count", api_key[:-4] + "AAAA")
        post("/verifications", 401, headers={"Authorization": f"Bearer {wrong_key}"}, content=b"")
        large = {"key": "con-dau", "password": DOCUMENT_PASSWORD, "reason": "x" * (40 << 20)}
        post(ask, 413, json=large)
        many = {"X-Long": DOCUMENT_PASSWORD * 2000}
        assert api.get("/keys", headers=many).status_code == 431
    return made[0]


def _json(kind: str = "application/json") -> dict[str, str]:
    return {"Content-Type": kind}


def a_citizen(service: Service, known: Known, signed: bytes) -> None:
    """By code and by file; and a fault that nobody foresaw."""
    with httpx.Client(
        base_url=service.address, timeout=60, event_hooks={"response": [known.hear]}
    ) as browser:
        for code in [value for name, value in known.addresses.items() if name.startswith("code")]:
            assert browser.get(f"/v/{code}").status_code in {200, 404}
            assert browser.post("/v", data={"code": code}).status_code == 303
        told = browser.post("/v/tep", files={"file": ("a.pdf", signed, "application/pdf")})
        answer = told.headers["location"]
        known.addresses["brought file"] = answer.rpartition("/")[2]
        assert browser.get(answer).status_code == 200
        assert browser.get(f"{answer}/trang/1.png").status_code == 200
        # What nobody foresaw: the stored answer is none.
        service.sql("UPDATE verifications SET report = '{}'")
        assert browser.get(answer).status_code == 500


def its_token_process_is_killed(service: Service) -> None:
    """The service says so, and starts another."""
    (pid,) = [
        one
        for one in service.processes()
        if b"hsm.token_process" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while b"the token process is gone" not in service.err.read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)
    wait_until_ready(service.process, service.port)


# -- what is left


def of_processes(service: Service) -> Iterator[tuple[str, bytes]]:
    family = service.processes()
    told = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family}
    for module in (b"hsm.token_process", b"demonstration.server", b"signing.workshop_child"):
        assert any(module in one for one in told.values()), module
    for pid, command in told.items():
        assert re.search(r"Max core file size +0 +0", Path(f"/proc/{pid}/limits").read_text()), command
        yield f"arguments of {command!r}", command
        yield f"environment of {command!r}", Path(f"/proc/{pid}/environ").read_bytes()


def of_files(service: Service) -> Iterator[tuple[str, bytes]]:
    for file in sorted(one for one in service.home.rglob("*") if one.is_file()):
        name = file.relative_to(service.home).as_posix()
        assert not file.name.startswith("core"), name
        if name not in MEANT:
            yield name, file.read_bytes()


def check_lines(place: str, content: bytes) -> list[dict[str, Any]]:
    """Each is one JSON object, and nothing in it moves a terminal's cursor."""
    lines = []
    for line in content.splitlines():
        assert re.fullmatch(rb"[ -~]*", line), (place, line)
        told = json.loads(line)
        assert {"event", "level", "timestamp"} <= told.keys(), (place, line)
        lines.append(told)
    return lines


def test_no_secret_is_left(service: Service) -> None:
    known = Known()
    first, _, _ = service.out.read_bytes().partition(b"\n")
    told = json.loads(first)  # said once, at the first start of a demonstration, to who started it
    passwords = {one["login"]: known.note("first password", one["password"]) for one in told["people"]}
    known.note_code(told["sample"].rpartition("/")[2])
    known.note("PIN", (service.home / "token" / "pin").read_text().strip())
    known.note("document password", DOCUMENT_PASSWORD)
    known.note("wrong document password", WRONG_PASSWORD)
    if file := service.environment.get("ANTIN_DATABASE_PASSWORD_FILE"):
        known.note("database password", Path(file).read_text().strip())

    # What is done.
    known.note("password", service.antin("people", "add", "ke-toan", "--name", "Lê Văn Cường")["password"])
    known.note("new password", service.antin("people", "reset", "ke-toan")["password"])
    scopes = [f"--scope={one}" for one in ("documents:write", "documents:read", "sign:*", "verify")]
    client = service.antin("clients", "add", "Quản lý văn bản", *scopes)
    service.antin("keys", "grant", "con-dau", client["id"])
    an_official(service, known, "chu-tich", passwords["chu-tich"])
    a_citizen(service, known, a_program(service, known, known.note("API key", client["key"])))
    its_token_process_is_killed(service)

    # What is left while it runs, and afterwards.
    places = dict(of_processes(service))
    places["/metrics"] = httpx.get(f"{service.address}/metrics").content
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    places |= dict(of_files(service))
    out, err = service.out.read_bytes().partition(b"\n")[2], service.err.read_bytes()
    places |= {
        "standard output": out,
        "error output": err,
        "database": service.dump(),
        "words of commands": service.err.with_name("words").read_bytes(),
    }
    everything = known.everywhere()
    leaks = [one for place, content in places.items() for one in found_in(place, content, everything)]
    # In addresses a code stands, and the name of a brought file's answer: that is what they are for.
    leaks += [
        one for url in known.seen_urls for one in found_in(f"address {url}", url.encode(), known.secrets)
    ]
    assert not leaks, "\n" + "\n".join(leaks)

    # And it is searched where something was said.
    lines = check_lines("error output", err) + check_lines("standard output", out)
    assert any("the token process is gone" in one["event"] for one in lines)
    visits = check_lines("access.log", (service.home / "access.log").read_bytes())
    assert {"/v/{code}", "/v/tep/{token}", "/dang-nhap"} <= {one["route"] for one in visits if "route" in one}
    assert any(one["event"] == "fault" and one["where"] for one in visits)
    assert any(one["status"] == 413 for one in visits if "status" in one)
