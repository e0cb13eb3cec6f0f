"""Environments of the benchmark's own, made with uv from a file of pinned requirements; nothing is added to the workspace."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

DEBIAN_PYTHON: Final = Path("/usr/bin/python3")


class InstallError(Exception):
    """The reason, in the words of the installer."""


def python_of(name: str, requirements: Path, cache: Path, *, debian: bool = False) -> Path:
    """The Python of the environment `name`, made anew when the requirements changed.

    `debian`: on the distribution's own Python, for wheels with binaries that load its shared library. Raises `InstallError`.
    """
    folder = cache / "environments" / name
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = shutil.which("uv")
    if uv is None:
        raise InstallError("uv is not installed")
    base = str(DEBIAN_PYTHON) if debian else sys.executable
    _run([uv, "venv", "--quiet", "--clear", "--python", base, str(folder)])
    _run([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)])
    stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(" ".join(done.stderr.split())[-500:])
