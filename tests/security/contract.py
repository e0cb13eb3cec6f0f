"""Promise 28: Schemathesis against both services as processes, as three roles, with calls chained by what earlier ones answered.

`python -m tests.security.contract [--examples 100] [--seconds 200] [--record]` is the long form (`make test-contract`). It can be ended
at any time and goes on where it was; `test_contract.py` runs it small. Each piece begins with people and data of its own, because some
calls end the sign-in they use.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from mill_api.app import openapi_document
from mill_api.db.schema import migrate
from mill_api.testing import invite, sign_in
from mill_contracts.tokens import Role
from mill_kit.signing import new_key_pair
from mill_local.postgres import PostgresServer
from mill_local.valkey import ValkeyServer

from tests.faults.promises import commit, now, write_result
from tests.security.contract_pieces import SERVING, Ended, Piece, Shelf, merged, pieces
from tests.security.evidence import ROOT, SEED
from tests.security.support import make_estate

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,ignored_auth,use_after_free,ensure_resource_availability"
)
ROLES = (Role.ADMIN, Role.DATA_SCIENTIST, Role.USER)
LEFT_OUT = "(/events|/logout|/logout-everywhere)$"
"""Answers that never end have no schema, and who has signed out is refused everything else."""


@dataclass(frozen=True)
class Services:
    api: str
    serving: str
    folder: Path


@contextmanager
def services() -> Generator[Services]:
    """Both services on servers of their own, without rate limits: here the answers are tried, not their number."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelmill-contract-")))
        postgres = stack.enter_context(PostgresServer.temporary())
        valkey = stack.enter_context(ValkeyServer.temporary())
        for name in ("tokens", "publish"):
            pair = new_key_pair()
            (folder / f"{name}.pem").write_text(pair.private_pem)
            (folder / f"{name}.public.pem").write_text(pair.public_pem)
        asyncio.run(migrate(postgres.url("mill_owner")))
        serving_port, api_port = _free_port(), _free_port()
        shared = {
            "MILL_ENVIRONMENT": "test",
            "MILL_LOG_LEVEL": "ERROR",
            "MILL_STORE__URL": f"file://{folder / 'objects'}",
            "MILL_CACHE__URL": valkey.url,
        }
        serving = shared | {
            "MILL_TOKENS__PUBLIC_KEY_FILE": str(folder / "tokens.public.pem"),
            "MILL_PUBLISH__PUBLIC_KEY_FILE": str(folder / "publish.public.pem"),
            "MILL_SERVING__CACHE_DIR": str(folder / "serving"),
            "MILL_SERVING__SHARED_MODELS_DIR": str(ROOT / "shared-models"),
        }
        api = shared | {
            "MILL_DATABASE__URL": postgres.url("mill_app"),
            "MILL_DATABASE__SYSTEM_URL": postgres.url("mill_system"),
            "MILL_BROKER__URL": valkey.url,
            "MILL_TOKENS__PRIVATE_KEY_FILE": str(folder / "tokens.pem"),
            "MILL_TOKENS__ATTEMPTS_PER_MINUTE": "1000",
            "MILL_PUBLISH__PRIVATE_KEY_FILE": str(folder / "publish.pem"),
            "MILL_SERVING__URL": f"http://127.0.0.1:{serving_port}",
            "MILL_LIMITS__ENABLED": "false",
            "MILL_ACCESS__REGISTRATION": "open",
        }
        found = Services(f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{serving_port}", folder)
        for module, port, environment in (("mill_serving", serving_port, serving), ("mill_api", api_port, api)):
            stack.enter_context(_service(module, port, environment, folder / f"{module}.log"))
        yield found


@contextmanager
def _service(module: str, port: int, environment: dict[str, str], log: Path) -> Generator[None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MILL_")}
    command = [sys.executable, "-m", module, "serve", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=inherited | environment, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 60
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ChildProcessError(f"{module} did not start: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(60)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _token(api: str, role: Role) -> str:
    """Of a new person of this role, in a workspace that has one of everything."""
    async with httpx.AsyncClient(base_url=api, timeout=60) as client:
        estate = await make_estate(client, f"{role.value.replace('_', '-')}")
        if role is Role.ADMIN:
            return (await sign_in(client, estate.owner.username)).access_token
        return (await invite(client, estate.owner, role)).access_token


def parts_of_the_api() -> list[str]:
    tags = {
        tag for verbs in openapi_document()["paths"].values() for one in verbs.values() for tag in one.get("tags", [])
    }
    return sorted(tags)


def all_parts() -> list[str]:
    return [SERVING, *parts_of_the_api()]


def explore(found: Services, piece: Piece, examples: int, *, seconds: float | None = None) -> Ended | None:
    """One piece, with people of its own. None where it did not end within `seconds`: then nothing is known."""
    begun, clock = now(), time.monotonic()
    token = asyncio.run(_token(found.api, piece.role))
    url, chosen = (found.serving, []) if piece.part == SERVING else (found.api, ["--include-tag", piece.part])
    report = found.folder / "report.json"
    report.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--checks", CHECKS, "--phases", piece.phases, "--max-examples", str(examples), "--seed", str(SEED)),
        *("--continue-on-failure", "--no-color", "--no-shrink", "--generation-database", "none", "--warnings", "off"),
        *("--suppress-health-check", "all", *chosen, "--exclude-path-regex", LEFT_OUT, "--request-timeout", "30"),
        *("-H", f"Authorization: Bearer {token}", "--report-json-path", str(report)),
    ]
    try:
        done = subprocess.run(command, cwd=found.folder, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    (found.folder / f"{piece.slug}.log").write_text(done.stdout + done.stderr)
    if not report.is_file():
        raise ChildProcessError(f"{piece.title}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    document: dict[str, Any] = json.loads(report.read_text())
    return Ended(
        piece=piece,
        examples=examples,
        seed=SEED,
        started=begun,
        seconds=round(time.monotonic() - clock, 1),
        commit=commit(),
        calls=int(document["test_cases"]["generated"]),
        operations=_tested(document),
        failures=tuple(_failures(piece, document, done.stdout)),
    )


def _tested(report: dict[str, Any]) -> int:
    """How many operations; a phase that finds nothing to try has no count."""
    return int((report["operations"] or {"tested": 0})["tested"])


def _failures(piece: Piece, report: dict[str, Any], told: str) -> Iterator[str]:
    """A run that did not try anything is a failure too, unless there was nothing to try."""
    nothing = not _tested(report) and not piece.may_be_empty
    if not report["complete"] or report["errors"] or nothing:
        yield f"{piece.title}: the run is not complete: {report['errors']} {told[-300:]}"
    for failure in report["failures"]:
        yield from (f"{piece.title}: {failure['title']}: {operation}" for operation in failure["operations"])


def explore_all(shelf: Shelf, wanted: Sequence[Piece], seconds: float) -> None:
    """What is left of `wanted`, as long as the next piece is likely to end within `seconds`."""
    deadline = time.monotonic() + seconds
    left = shelf.left(wanted)
    if not left:
        return
    with services() as found:
        for number, piece in enumerate(left):
            remaining = deadline - time.monotonic()
            if shelf.expected(piece) > remaining:
                _say(f"{len(left) - number} pieces are left: run it again")
                return
            ended = explore(found, piece, shelf.examples, seconds=remaining)
            if ended is None:
                _say(f"{piece.title}: not ended within {remaining:.0f} s; {len(left) - number} pieces are left")
                return
            shelf.keep(ended)
            _say(f"{piece.title}: {ended.calls} calls, {ended.seconds:.0f} s, {len(ended.failures)} failures")
            if ended.failures:
                log = shelf.folder / f"{piece.slug}.log"
                log.write_bytes((found.folder / f"{piece.slug}.log").read_bytes())
                _say("\n".join(f"    {text}" for text in ended.failures) + f"\n    {log}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.contract", description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--roles", default=",".join(ROLES))
    parser.add_argument("--parts", default="", help="parts of the API, comma separated; without it all")
    parser.add_argument("--seconds", type=float, default=4 * 3600, help="begin no piece that would end later")
    parser.add_argument("--folder", type=Path, default=ROOT / ".modelmill" / "contract", help="where ended pieces are")
    parser.add_argument("--fresh", action="store_true", help="forget the pieces that have ended")
    parser.add_argument("--record", action="store_true", help="write the result of all pieces into the repository")
    options = parser.parse_args(arguments)
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    shelf = Shelf.open(options.folder, options.examples, SEED)
    everything = pieces(ROLES, all_parts())
    roles = [Role(name) for name in options.roles.split(",")]
    explore_all(shelf, pieces(roles, options.parts.split(",") if options.parts else all_parts()), options.seconds)
    result = merged(shelf, everything, len(everything))
    _say(f"{result.trials} of {len(everything)} pieces: {result.figures['calls']} calls, {result.failures} failures")
    if options.record:
        write_result(result)
    return int(bool(result.failures) or result.trials < len(everything))


if __name__ == "__main__":
    sys.exit(main())
