"""A27: what is installed is what was locked; an audit that could not look says so and fails; a planted secret is found."""

import json
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.security import audit
from tests.security.advisories import Copy, serving
from tests.security.evidence import ROOT
from tests.security.secret_scan import blobs_of_tree, scan


def test_every_locked_package_is_pinned_by_hash() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert len(packages) > 100
    for package in packages:
        if "registry" in package["source"]:
            files = audit.unhashed(package)
            assert files, package["name"]
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one["hash"]) for one in files), package["name"]
        else:
            assert {"editable", "virtual", "workspace"} & set(package["source"]), (
                f"{package['name']} comes from elsewhere"
            )


def test_the_images_install_from_the_lock_and_nothing_else() -> None:
    for path in ROOT.glob("*/Dockerfile"):
        text = path.read_text()
        assert "--frozen" in text or "--locked" in text or "--require-hashes" in text, path
        assert not re.search(r"curl[^\n|]*\|\s*(ba)?sh", text), path


def test_every_image_can_be_pinned_by_its_variable() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    named = [line.split("image:")[1].strip() for line in compose.splitlines() if re.match(r"\s+image:", line)]
    outside = [one for one in named if not one.startswith("modelmill/")]
    assert outside
    assert all(re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[^}:]+(/[^}:]+)*:[^}]+\}", one) for one in outside), outside
    assert not [one for one in audit.images().values() if one.endswith(":latest")]


def test_an_audit_without_an_advisory_database_fails_and_says_why() -> None:
    nothing = audit.judge_advisories("", "connection refused")
    skipped = audit.judge_advisories(
        json.dumps({"dependencies": [{"name": "a", "skip_reason": "not found on PyPI"}]}), ""
    )
    empty = audit.judge_advisories('{"dependencies": []}', "")
    assert [one.held for one in (nothing, skipped, empty)] == [False] * 3
    assert "out of reach" in skipped.told
    assert all("all.zip" in one.told for one in (nothing, skipped))


def test_an_audit_that_finds_something_fails_and_one_that_looked_at_all_holds() -> None:
    flawed = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]}
    clean = {"name": "b", "version": "2", "vulns": list[str]()}
    assert audit.judge_advisories(json.dumps({"dependencies": [flawed, clean]}), "").held is False
    assert audit.judge_advisories(json.dumps({"dependencies": [clean]}), "").held is True


def test_no_file_of_the_repository_is_a_private_key_or_a_pickle() -> None:
    for path in ROOT.rglob("*.p*"):
        if path.suffix in {".pem", ".pkl", ".pickle", ".p12"} and not {".venv", ".uv", ".modelmill", "secrets"} & set(
            path.parts
        ):
            raise AssertionError(f"{path} does not belong here")


KEY = "AKIA" + "Q4" * 8
"""Shaped like a key of AWS, put together so that this file holds none."""


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    command = ["git", *author, *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_a_planted_secret_is_found_in_the_tree_and_afterwards_in_the_history_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "settings.py").write_text(f'NAME = "fine"\nKEY = "{KEY}"\n')
    (tmp_path / "image.bin").write_bytes(b"\0" + KEY.encode())
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "plant")
    found = audit.secrets_in("tree", tmp_path)
    assert found.held is False
    assert re.fullmatch(r"settings\.py@[0-9a-f]{10}:2 AWSKey", found.told), found.told
    (tmp_path / "settings.py").write_text('NAME = "fine"\n')
    git(tmp_path, "commit", "--quiet", "-a", "-m", "mend")
    assert audit.secrets_in("tree", tmp_path).held is True
    assert audit.secrets_in("history", tmp_path).told == found.told


def test_what_an_allowed_file_says_excuses_no_other(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for name in ("a_told.py", "b_other.py"):
        (tmp_path / name).write_text(f"{KEY}\n")
    git(tmp_path, "add", ".")
    seen = scan(tmp_path, blobs_of_tree(tmp_path), told={"a_told.py"}.__contains__)
    assert [one.partition("@")[0] for one in seen.found] == ["b_other.py"]


def test_every_detector_finds_what_it_is_for_in_the_midst_of_a_text(tmp_path: Path) -> None:
    planted = {
        "GitHubToken": "ghp_" + "a1B2" * 9,
        "Slack": "xoxb-" + "1" * 12 + "-" + "2" * 12 + "-" + "a" * 24,
        "PrivateKey": "-----BEGIN RSA " + "PRIVATE KEY-----",
        "Stripe": "sk_live_" + "a1B2" * 6,
        "PypiToken": "pypi-AgEIcHlwaS5vcmc" + "a1B2" * 20,
        "Artifactory": "AKC" + "a1B2" * 5,
    }
    git(tmp_path, "init", "--quiet")
    (tmp_path / "all.txt").write_text("\n".join(["first", *planted.values(), "last"]))
    git(tmp_path, "add", ".")
    found = scan(tmp_path, blobs_of_tree(tmp_path)).found
    assert {one.partition(" ")[2] for one in found} >= set(planted)


def test_the_repository_holds_no_secret() -> None:
    verdict = audit.secrets_in("tree")
    assert verdict.held, verdict.told


def advisory(**affected: object) -> dict[str, object]:
    package = {"name": "Some_Package", "ecosystem": "PyPI"}
    return {"id": "PYSEC-1", "modified": "2026-11-01T00:00:00Z", "affected": [{"package": package, **affected}]}


def events(*pairs: tuple[str, str]) -> list[dict[str, object]]:
    return [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pairs]}]


@pytest.mark.parametrize(
    ("affected", "hit", "missed"),
    [
        ({"versions": ["1.0", "1.1"]}, ["1.0"], ["1.2"]),
        ({"ranges": events(("introduced", "0"), ("fixed", "2.0"))}, ["1.9", "2.0rc1", "0.1a1"], ["2.0", "3"]),
        ({"ranges": events(("introduced", "1.0"), ("last_affected", "1.4"))}, ["1.0", "1.4"], ["0.9", "1.4.1"]),
        (
            {"ranges": events(("introduced", "3"), ("fixed", "3.2"), ("introduced", "1"), ("fixed", "1.5"))},
            ["1.4", "3.1"],
            ["1.5", "2", "3.2"],
        ),
    ],
)
def test_an_offline_copy_answers_as_the_database_would(
    tmp_path: Path, affected: dict[str, object], hit: list[str], missed: list[str]
) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(advisory(**affected)))
    with serving(Copy.read(path)) as url:
        for version in hit + missed:
            asked = {"package": {"name": "some-package", "ecosystem": "PyPI"}, "version": version}
            answer = httpx.post(url, json=asked, trust_env=False).json()
            assert [one["id"] for one in answer.get("vulns", [])] == (["PYSEC-1"] if version in hit else []), version


def test_a_file_that_is_no_copy_fails_the_audit_and_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "all.zip"
    path.write_text("nothing")
    monkeypatch.setenv(audit.OFFLINE, str(path))
    verdict = audit.advisories()
    assert verdict.held is False
    assert "osv-vulnerabilities" in verdict.told
