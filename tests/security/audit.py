"""`make audit`: lock, advisories, bill of materials, images, secrets. Each step says what it looked at; one that could not look fails.

`STEPS="lock sbom images tree history"`, or `STEPS=local` for short, needs no network. pip-audit comes through `uv tool run` at a fixed
version and asks PyPI, or an offline copy of OSV's database (`MILL_AUDIT_ADVISORIES=all.zip`). `sbom.cdx.json` is left in `dist/`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.security.advisories import SOURCE, Copy, serving
from tests.security.secret_scan import blobs_of_history, blobs_of_tree, scan

ROOT = Path(__file__).parents[2]
PIP_AUDIT = "pip-audit==2.10.1"
OFFLINE = "MILL_AUDIT_ADVISORIES"
_OTHERWISE = f"{OFFLINE}=all.zip uses a copy: {SOURCE}"
LOCAL = ("lock", "sbom", "images", "tree", "history")
_IMAGE = re.compile(r"\$\{([A-Z_]+_IMAGE):-([^}]+)\}")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Verdict:
    """`held` None: the promise is not kept yet, and that is told rather than failed."""

    step: str
    held: bool | None
    told: str


def lock() -> Verdict:
    """Every package of a registry has hashes, and the lock fits the projects."""
    document: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = [one for one in document["package"] if "registry" in one["source"]]
    bare = [one["name"] for one in packages if not all("hash" in part for part in unhashed(one)) or not unhashed(one)]
    if bare:
        return Verdict("lock", held=False, told=f"without a hash: {', '.join(bare)}")
    command = ["uv", "lock", "--check", "--offline"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if checked.returncode:
        return Verdict("lock", held=False, told=f"uv.lock does not fit the projects: {checked.stderr.strip()[-300:]}")
    return Verdict("lock", held=True, told=f"{len(packages)} packages, each pinned by hash")


def unhashed(package: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a package that an installer may choose."""
    return [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]


def export(form: str, target: Path) -> None:
    command = [
        "uv",
        "export",
        "--frozen",
        "--all-packages",
        "--no-emit-workspace",
        "--quiet",
        "--format",
        form,
        "--output-file",
        str(target),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def advisories() -> Verdict:
    """pip-audit over what the lock installs. A package it could not look up counts as not audited, and that fails.

    `MILL_AUDIT_ADVISORIES` names an offline copy of the database; with it nothing is asked of the network.
    """
    if (path := os.environ.get(OFFLINE)) is None:
        return _ask_pip_audit([])
    try:
        copy = Copy.read(Path(path))
    except ValueError as error:
        return Verdict("advisories", held=False, told=str(error))
    with serving(copy) as url:
        verdict = _ask_pip_audit(["--vulnerability-service", "osv", "--osv-url", url])
    return replace(verdict, told=f"{verdict.told} (a copy whose newest advisory is of {copy.newest[:10]})")


def _ask_pip_audit(service: list[str]) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        export("requirements-txt", requirements)
        command = [
            *(
                "uv",
                "tool",
                "run",
                "--quiet",
                PIP_AUDIT,
                "--require-hashes",
                "--disable-pip",
                "--progress-spinner",
                "off",
            ),
            *("--format", "json", "--timeout", "15", "--cache-dir", folder, *service, "-r", str(requirements)),
        ]
        environment = {**os.environ, "NO_PROXY": f"127.0.0.1,{os.environ.get('NO_PROXY', '')}"}
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    return judge_advisories(ended.stdout, ended.stderr)


def judge_advisories(out: str, error: str) -> Verdict:
    """Whatever is no complete answer is a failure."""
    try:
        found: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        told = f"pip-audit gave no answer, so nothing is known: {error.strip()[-300:]}. {_OTHERWISE}"
        return Verdict("advisories", held=False, told=told)
    skipped = [one["name"] for one in found if "skip_reason" in one]
    known = [f"{one['name']} {one['version']}: {flaw['id']}" for one in found for flaw in one.get("vulns", [])]
    if known:
        return Verdict("advisories", held=False, told="; ".join(known))
    if skipped or not found:
        told = f"{len(skipped)} of {len(found)} packages could not be looked up: the advisory database is out of reach, nothing is known"
        return Verdict("advisories", held=False, told=f"{told}. {_OTHERWISE}")
    return Verdict("advisories", held=True, told=f"{len(found)} packages, none with a known flaw")


def bill_of_materials() -> Verdict:
    target = ROOT / "dist" / "sbom.cdx.json"
    target.parent.mkdir(exist_ok=True)
    export("cyclonedx1.5", target)
    components = json.loads(target.read_text())["components"]
    return Verdict(
        "bill of materials", held=bool(components), told=f"{len(components)} components in {target.relative_to(ROOT)}"
    )


def images() -> dict[str, str]:
    """The images of the compose stack and of the Dockerfiles, by the variable that chooses them."""
    texts = [(ROOT / "docker-compose.yml").read_text(), *(path.read_text() for path in ROOT.glob("*/Dockerfile"))]
    return {name: default for text in texts for name, default in _IMAGE.findall(text)}


def image_digests() -> Verdict:
    """Tags can be moved. What runs is pinned by `deploy/pin-images`, which writes digests into .env."""
    known = images()
    path = ROOT / ".env"
    chosen = (
        dict(re.findall(r"^([A-Z_]+_IMAGE)=(\S+)$", path.read_text(), flags=re.MULTILINE)) if path.is_file() else {}
    )
    loose = sorted(name for name, default in known.items() if not _DIGEST.search(chosen.get(name, default)))
    if loose:
        return Verdict(
            "images",
            held=None,
            told=f"not pinned by digest ({len(loose)} of {len(known)}): {', '.join(loose)}; run deploy/pin-images",
        )
    return Verdict("images", held=True, told=f"{len(known)} images, each pinned by digest")


ALLOWED = {"tests/security/test_a04_traversal_read.py": "knows a private key by its first line"}


def secrets_in(what: str, folder: Path = ROOT) -> Verdict:
    """`tree`: the files that git tracks, as they would be committed; `history`: every blob that any commit reaches, once."""
    blobs = blobs_of_tree(folder) if what == "tree" else blobs_of_history(folder)
    seen = scan(folder, blobs, told=ALLOWED.__contains__)
    looked = f"{seen.lines:,} different lines of {seen.blobs:,} blobs"
    return Verdict(
        f"secrets in the {what}",
        held=bool(seen.lines) and not seen.found,
        told="; ".join(seen.found[:20]) or f"none in {looked}",
    )


STEPS: dict[str, Callable[[], Verdict]] = {
    "lock": lock,
    "advisories": advisories,
    "sbom": bill_of_materials,
    "images": image_digests,
    "tree": lambda: secrets_in("tree"),
    "history": lambda: secrets_in("history"),
}


def run(steps: Iterable[str]) -> bool:
    held = True
    for name in steps:
        begun = time.monotonic()
        verdict = STEPS[name]()
        mark = {True: "held", False: "FAILED", None: "open"}[verdict.held]
        sys.stdout.write(f"{mark:6} {verdict.step}: {verdict.told} ({time.monotonic() - begun:.0f} s)\n")
        sys.stdout.flush()
        held = held and verdict.held is not False
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("steps", nargs="*", choices=[[], "local", *STEPS], help="`local`: all that need no network")
    steps: list[str] = parser.parse_args(arguments).steps or list(STEPS)
    return 0 if run(step for name in steps for step in (LOCAL if name == "local" else (name,))) else 1


if __name__ == "__main__":
    sys.exit(main())
