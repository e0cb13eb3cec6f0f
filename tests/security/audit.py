"""`make audit`: lock, advisories, bill of materials, images, secrets. Each step says what it looked at; one that could not look fails.

Tools that are no part of the workspace come through `uv run --with`, at fixed versions. `sbom.cdx.json` is left in `dist/`.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PIP_AUDIT = "pip-audit==2.10.1"
DETECT_SECRETS = ("detect-secrets==1.5.0", "unidiff==0.7.5")
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
    """pip-audit over what the lock installs. A package it could not look up counts as not audited, and that fails."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        export("requirements-txt", requirements)
        tool = [
            "uv",
            "tool",
            "run",
            "--quiet",
            PIP_AUDIT,
            "--require-hashes",
            "--disable-pip",
            "--progress-spinner",
            "off",
        ]
        command = [*tool, "--format", "json", "--timeout", "15", "-r", str(requirements)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return judge_advisories(ended.stdout, ended.stderr)


def judge_advisories(out: str, error: str) -> Verdict:
    """Whatever is no complete answer is a failure."""
    try:
        found: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict(
            "advisories", held=False, told=f"pip-audit gave no answer, so nothing is known: {error.strip()[-300:]}"
        )
    skipped = [one["name"] for one in found if "skip_reason" in one]
    known = [f"{one['name']} {one['version']}: {flaw['id']}" for one in found for flaw in one.get("vulns", [])]
    if known:
        return Verdict("advisories", held=False, told="; ".join(known))
    if skipped or not found:
        told = f"{len(skipped)} of {len(found)} packages could not be looked up: the advisory database is out of reach, nothing is known"
        return Verdict("advisories", held=False, told=told)
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


_SCAN = """
import json, sys
from detect_secrets.core import scan
from detect_secrets.settings import transient_settings
names = ["ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "CloudantDetector", "DiscordBotTokenDetector",
         "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector",
         "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector", "SquareOAuthDetector", "StripeDetector",
         "TelegramBotTokenDetector", "TwilioKeyDetector"]
found = []
with transient_settings({"plugins_used": [{"name": name} for name in names]}):
    if sys.argv[1] == "tree":
        for path in sys.stdin.read().split("\\0"):
            if path:
                found += [f"{path}:{one.line_number} {one.type}" for one in scan.scan_file(path)]
    else:
        found += [f"{one.filename} {one.type}" for one in scan.scan_diff(sys.stdin.read())]
print(json.dumps(sorted(set(found))))
"""
DATA = [
    f":(exclude)*.{ending}"
    for ending in ("csv", "svg", "lock", "parquet", "mill", "gz", "json", "ipynb", "min.js", "css", "ubj")
]
"""Tables, drawings and generated documents: megabytes in which no line is written by a person."""
ALLOWED = {
    "tests/security/audit.py": "names the detectors",
    "tests/security/test_a27_supply_chain.py": "plants what the scan must find",
}


def secrets_in(what: str) -> Verdict:
    """`tree`: the files as they are; `history`: every line that any commit added."""
    git = (
        ["git", "ls-files", "-z"]
        if what == "tree"
        else ["git", "log", "-p", "--all", "--no-color", "--unified=0", "--no-textconv"]
    )
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True).stdout
    found = scan_for_secrets(what, listed)
    if found is None:
        return Verdict(f"secrets in the {what}", held=False, told="detect-secrets did not run, so nothing is known")
    left = [one for one in found if not any(one.startswith(path) for path in ALLOWED)]
    return Verdict(
        f"secrets in the {what}",
        held=not left,
        told="; ".join(left[:20]) or f"none in {len(listed):,} bytes of list or diff",
    )


def scan_for_secrets(what: str, data: bytes, folder: Path = ROOT) -> list[str] | None:
    tools = [option for name in DETECT_SECRETS for option in ("--with", name)]
    command = ["uv", "run", "--quiet", "--no-project", *tools, "python", "-c", _SCAN, what]
    ended = subprocess.run(command, cwd=folder, input=data, capture_output=True, check=False)
    return None if ended.returncode else list(json.loads(ended.stdout))


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
        verdict = STEPS[name]()
        mark = {True: "held", False: "FAILED", None: "open"}[verdict.held]
        sys.stdout.write(f"{mark:6} {verdict.step}: {verdict.told}\n")
        sys.stdout.flush()
        held = held and verdict.held is not False
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("steps", nargs="*", help=", ".join(STEPS))
    return 0 if run(parser.parse_args(arguments).steps or STEPS) else 1


if __name__ == "__main__":
    sys.exit(main())
