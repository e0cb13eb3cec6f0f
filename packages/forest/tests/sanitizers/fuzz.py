"""Fuzzes a native module under clang's libFuzzer with the address and undefined-behaviour sanitizers.

`python fuzz.py packages/forest --seconds 60` compiles the module's sources into one program with `fuzz.c`, starts from the seeds of
the package's `tests/fuzz_target.py`, and ends with libFuzzer's code: 0 when nothing was found in that time; an input that ends
the program is kept in `.modelmill/fuzz`. `make fuzz` runs it for mill_forest and mill_rows. It needs clang and its runtime
(Debian: clang libclang-rt-14-dev).
"""

import argparse
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SANITIZE = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz a native module")
    parser.add_argument("package", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("clang") is None:
        raise SystemExit("clang is not installed; on Debian: apt install clang libclang-rt-14-dev")
    package: Path = options.package.resolve()
    with tempfile.TemporaryDirectory(prefix="modelmill-fuzz-") as name:
        folder = Path(name)
        program, module = build(folder, package)
        target = package / "tests" / "fuzz_target.py"
        sow(folder / "corpus", target)
        environment = {
            "MILL_FUZZ_PYTHON": sys.executable,
            "MILL_FUZZ_MODULE": module,
            "MILL_FUZZ_TARGET": str(target),
            "PYTHONMALLOC": "malloc",  # so that the sanitizer sees every object's end
            "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaks at its end
        }
        found = Path.cwd() / ".modelmill" / "fuzz"
        found.mkdir(parents=True, exist_ok=True)
        bounds = [
            f"-artifact_prefix={found}/",
            f"-max_total_time={options.seconds}",
            f"-seed={options.seed}",
            "-timeout=20",
            "-print_final_stats=1",
        ]
        return subprocess.run(
            [program, *bounds, folder / "corpus"], env=os.environ | environment, check=False
        ).returncode


def build(folder: Path, package: Path) -> tuple[Path, str]:
    """The program, and the dotted name of the module inside it."""
    module: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text())["tool"]["setuptools"][
        "ext-modules"
    ][0]
    flags = [flag for flag in module["extra-compile-args"] if not flag.startswith(("-O", "-W"))]
    defines = [f"-D{name}={value}" for name, value in module["define-macros"] if name != "Py_LIMITED_API"]
    include = sysconfig.get_path("include")
    library = sysconfig.get_config_var("LIBDIR")
    python = f"python{sysconfig.get_config_var('LDVERSION')}"
    link = [f"-L{library}", f"-Wl,-rpath,{library}", f"-l{python}", *(f"-l{name}" for name in module["libraries"])]
    program = folder / "fuzz"
    command = ["clang", *flags, *SANITIZE, "-g", "-O1", *defines, f"-DMILL_INIT=PyInit_{module['name'].split('.')[-1]}"]
    includes = [f"-I{package / path}" for path in module["include-dirs"]] + [f"-I{include}"]
    sources = [*(str(package / path) for path in module["sources"]), str(HERE / "fuzz.c")]
    subprocess.run([*command, *includes, *sources, *link, "-lm", "-o", str(program)], check=True)
    return program, module["name"]


def sow(corpus: Path, target: Path) -> None:
    """The target's seeds, made by a Python of their own."""
    corpus.mkdir()
    seeds: Callable[[], Iterable[bytes]] = runpy.run_path(str(target))["seeds"]
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    sys.exit(main())
