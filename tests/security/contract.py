"""Promise 28: Schemathesis against both services as processes, as three roles, with calls chained by what earlier ones answered.

`python -m tests.security.contract [--examples 100] [--record]` is the long form (`make test-contract`); `test_contract.py` runs it
small. Each role and each part of the API begins with people and data of its own, because some calls end the sign-in they use.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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

from tests.faults.promises import Result, commit, now, write_result
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


@dataclass
class Findings:
    """What all runs together showed."""

    calls: int = 0
    operations: int = 0
    failures: list[str] = field(default_factory=list[str])


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


def explore(
    found: Services, findings: Findings, *, examples: int, roles: Sequence[Role], phases: str, apart: bool
) -> None:
    """Every part of the api-server for itself (or all at once) and ml-service, as each role."""
    for role in roles:
        for tag in parts_of_the_api() if apart else [""]:
            token = asyncio.run(_token(found.api, role))
            chosen = ["--include-tag", tag] if tag else []
            _run(found, findings, f"api-server {role} {tag}", found.api, token, examples, phases, chosen)
        explore_serving(found, findings, role=role, examples=examples, phases=phases)


def explore_serving(found: Services, findings: Findings, *, role: Role, examples: int, phases: str) -> None:
    token = asyncio.run(_token(found.api, role))
    _run(found, findings, f"ml-service {role}", found.serving, token, examples, phases, [])


def _run(
    found: Services, findings: Findings, title: str, url: str, token: str, examples: int, phases: str, chosen: list[str]
) -> None:
    report = found.folder / "report.json"
    report.unlink(missing_ok=True)
    options = [
        "--checks",
        CHECKS,
        "--phases",
        phases,
        "--max-examples",
        str(examples),
        "--seed",
        str(SEED),
        "--continue-on-failure",
    ]
    quiet = [
        "--no-color",
        "--no-shrink",
        "--generation-database",
        "none",
        "--warnings",
        "off",
        "--suppress-health-check",
        "all",
    ]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *(*options, *quiet, *chosen, "--exclude-path-regex", LEFT_OUT, "--request-timeout", "30"),
        *("-H", f"Authorization: Bearer {token}", "--report-json-path", str(report)),
    ]
    ended = subprocess.run(command, cwd=found.folder, capture_output=True, text=True, check=False)
    (found.folder / f"{title.replace(' ', '-')}.log").write_text(ended.stdout + ended.stderr)
    if not report.is_file():
        raise ChildProcessError(f"{title}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    _gather(findings, title, json.loads(report.read_text()), ended.stdout)


def _gather(findings: Findings, title: str, report: dict[str, Any], told: str) -> None:
    """Adds one run's report. A run that did not try anything is a finding."""
    findings.calls += int(report["test_cases"]["generated"])
    findings.operations += int(report["operations"]["tested"])
    if not report["complete"] or report["errors"] or not report["operations"]["tested"]:
        findings.failures.append(f"{title}: the run is not complete: {report['errors']} {told[-300:]}")
    for failure in report["failures"]:
        findings.failures += [f"{title}: {failure['title']}: {operation}" for operation in failure["operations"]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.contract")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--roles", default=",".join(ROLES))
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args(arguments)
    begun, clock, findings = now(), time.monotonic(), Findings()
    roles = [Role(name) for name in options.roles.split(",")]
    with services() as found:
        explore(found, findings, examples=options.examples, roles=roles, phases=options.phases, apart=True)
    sys.stdout.write("\n".join(findings.failures) + "\n" if findings.failures else "")
    sys.stdout.write(f"{findings.calls} calls, {findings.operations} operations, {len(findings.failures)} failures\n")
    if options.record:
        write_result(
            Result(
                promise=28,
                title="The API keeps its contract",
                trials=1,
                failures=len(findings.failures),
                seed=SEED,
                started=begun,
                seconds=round(time.monotonic() - clock, 1),
                commit=commit(),
                command=f"make test-contract EXAMPLES={options.examples}",
                figures={
                    "calls": findings.calls,
                    "operations_times_roles": findings.operations,
                    "examples_per_operation": options.examples,
                    "roles": len(roles),
                    "phases": options.phases,
                },
                full=1 if options.examples >= 100 and len(roles) == len(ROLES) else 2,
                notes="; ".join(findings.failures[:5]),
            )
        )
    return 1 if findings.failures else 0


if __name__ == "__main__":
    sys.exit(main())
