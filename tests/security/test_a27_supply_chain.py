"""A27: what is installed is what was locked; an audit that could not look says so and fails; a planted secret is found."""

import json
import re
import tomllib

from tests.security import audit
from tests.security.evidence import ROOT


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
