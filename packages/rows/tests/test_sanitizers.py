"""No access outside a body or a matrix and no undefined operation, over the tests that read odd and damaged rows."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "forest" / "tests" / "sanitizers" / "build.py"
CHOSEN = "damaged or chance or columns or lists or halfway or joined or refused or given_up"
LOADED = "import mill_rows, mill_rows._native as native; print(native.__file__)"


def _has_sanitizers() -> bool:
    spec = importlib.util.spec_from_file_location("sanitizers_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.runtime() is not None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_reader_is_clean_under_sanitizers(tmp_path: Path) -> None:
    if not _has_sanitizers():
        pytest.skip("gcc's address sanitizer is not installed")
    folder = tmp_path / "build"
    folder.mkdir()
    command = [sys.executable, str(BUILD), str(folder), str(HERE.parent)]
    built = subprocess.run(command, capture_output=True, text=True, check=True)
    environment = os.environ | json.loads(built.stdout)
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.startswith(str(folder))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, "--timeout=250"]
    done = subprocess.run(
        [*command, str(HERE)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
