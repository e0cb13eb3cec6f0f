"""Builds a native module once more, with gcc's address and undefined-behaviour sanitizers, beside a copy of its package.

`python build.py FOLDER PACKAGE` (`packages/forest`, say) prints the environment, as JSON, in which a Python started afterwards
uses that build: any access outside an array, and any undefined operation, ends the process. The `test_sanitizers.py` of
mill_forest and of mill_rows run it.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1"]


def runtime() -> Path | None:
    """gcc's address sanitizer, which has to be loaded before Python itself; None where there is none."""
    if shutil.which("gcc") is None:
        return None
    asked = ["gcc", "-print-file-name=libasan.so"]
    found = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    return found if found.is_absolute() and found.exists() else None


def build(folder: Path, package: Path) -> dict[str, str]:
    """The environment that uses the build made in `folder`."""
    preload = runtime()
    if preload is None:
        raise SystemExit("gcc with its address sanitizer is not installed")
    module: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text())["tool"]["setuptools"][
        "ext-modules"
    ][0]
    name, library = module["name"].split(".")
    shutil.copytree(package / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    flags = [flag for flag in module["extra-compile-args"] if not flag.startswith("-O")]
    defines = [f"-D{name}={value}" for name, value in module["define-macros"]]
    includes = [f"-I{package / path}" for path in module["include-dirs"]] + [f"-I{sysconfig.get_path('include')}"]
    sources = [str(package / path) for path in module["sources"]]
    libraries = [f"-l{name}" for name in module["libraries"]]
    output = ["-shared", "-fPIC", "-o", str(folder / name / f"{library}.abi3.so")]
    command = ["gcc", *flags, *SANITIZE, *defines, *includes, *sources, *libraries, *output]
    subprocess.run(command, check=True)
    return {
        "PYTHONPATH": str(folder),
        "LD_PRELOAD": str(preload),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # Python itself leaks at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that the sanitizer sees every array's end
    }


if __name__ == "__main__":
    print(json.dumps(build(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201
