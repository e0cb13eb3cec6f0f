"""The shell scripts of the stack: checked by shellcheck, and `deploy/make-env` by running it."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from mill_api.settings import is_weak
from mill_kit import signing

SCRIPTS = ("test_api.sh", "deploy/make-env", "deploy/valkey.sh", "nginx/run.sh", ".ci/run")


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what make-env needs, after it ran; its output is in `.env`."""
    place = tmp_path_factory.mktemp("installation")
    (place / "deploy").mkdir()
    shutil.copy(root / "deploy/make-env", place / "deploy/make-env")
    shutil.copy(root / ".env.example", place / ".env.example")
    (place / ".env").write_text(run(place))
    return place


def run(place: Path) -> str:
    return subprocess.run([place / "deploy/make-env"], capture_output=True, text=True, check=True, timeout=60).stdout


def values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", text, flags=re.MULTILINE))


def test_make_env_fills_in_every_empty_value_and_changes_no_other(made: Path) -> None:
    example, filled = values((made / ".env.example").read_text()), values((made / ".env").read_text())
    assert set(filled) == set(example)
    for name, value in filled.items():
        assert value, name
        if example[name]:
            assert value == example[name]


def test_its_secrets_are_random_strong_and_all_different(made: Path) -> None:
    example, first = values((made / ".env.example").read_text()), values((made / ".env").read_text())
    secrets = {name for name, value in example.items() if not value and name != "MILL_USER"}
    second = values(run(made))
    for name in secrets:
        assert not is_weak(first[name]), name
        assert first[name] != second[name], name
    assert len({first[name] for name in secrets}) == len(secrets)


def test_its_keys_are_private_ed25519_files_that_fit_and_stay(made: Path) -> None:
    folder = made / "deploy/secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for purpose in ("tokens", "publish"):
        private, public = folder / f"{purpose}.key.pem", folder / f"{purpose}.public.pem"
        assert {stat.S_IMODE(path.stat().st_mode) for path in (private, public)} == {0o600}
        key = signing.load_private_key(private)
        assert signing.key_id(key.public_key()) == signing.key_id(signing.load_public_key(public))
    before = (folder / "tokens.key.pem").read_bytes()
    run(made)
    assert (folder / "tokens.key.pem").read_bytes() == before


def test_the_containers_run_as_the_owner_of_the_keys_and_never_as_root(made: Path) -> None:
    user, _, group = values((made / ".env").read_text())["MILL_USER"].partition(":")
    owner = (made / "deploy/secrets/tokens.key.pem").stat()
    assert (int(user), int(group)) == (owner.st_uid, owner.st_gid)
    assert int(user) != 0


def test_keys_and_env_are_kept_out_of_git(root: Path) -> None:
    git = shutil.which("git") or "/usr/bin/git"
    for path in (".env", "deploy/secrets/tokens.key.pem", "backups/x.dump"):
        done = subprocess.run([git, "check-ignore", "-q", path], cwd=root, check=False)
        if done.returncode == 128:
            pytest.skip("not a git checkout")
        assert done.returncode == 0, path


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(root: Path, script: str) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck (.ci/run does it)")
    done = subprocess.run([shellcheck, root / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert os.access(root / script, os.X_OK)


def test_the_smoke_test_says_when_nothing_answers(root: Path) -> None:
    done = subprocess.run(
        [root / "test_api.sh", "http://127.0.0.1:1", "http://127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 100
    assert "nothing answers" in done.stderr
