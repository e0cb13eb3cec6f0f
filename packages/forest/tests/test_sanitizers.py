"""No access outside an array and no undefined operation, over the tests that walk odd and damaged forests."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = HERE / "sanitizers" / "build.py"
WALKED = ("test_random_forests.py", "test_fileformat.py", "test_validate.py", "test_contributions.py")
LOADED = "import mill_forest, mill_forest._kernel as kernel; print(kernel.__file__)"


def _has_sanitizers() -> bool:
    spec = importlib.util.spec_from_file_location("sanitizers_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.runtime() is not None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_kernel_is_clean_under_sanitizers(tmp_path: Path) -> None:
    if not _has_sanitizers():
        pytest.skip("gcc's address sanitizer is not installed")
    folder = tmp_path / "build"
    folder.mkdir()
    built = subprocess.run(
        [sys.executable, str(BUILD), str(folder), str(HERE.parent)], capture_output=True, text=True, check=True
    )
    environment = os.environ | json.loads(built.stdout)
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.startswith(str(folder))
    chosen = "random or mutant or sound or wrong or definition or threads or without_cover"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, "--timeout=500"]
    files = [str(HERE / name) for name in WALKED]
    done = subprocess.run([*command, *files], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
