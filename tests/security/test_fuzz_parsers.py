"""Every parser of outside bytes: whatever comes in, it understands it or refuses it in our words; nothing else is raised.

The readers stand in `tests.security.parsers`; a test compares `parser_list` with the tree, and a module that decodes something and is
in no part of the list fails it. Short in `make test`, 20,000 inputs a reader with `MILL_TEST_LONG=1` (`make test-security`).
"""

import ast
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mill_contracts.tasks import Limits, ProfileTask
from mill_kit.problems import Problem
from mill_pack import open_package
from mill_trainer.profile import profile
from mill_trainer.reporting import PipeReport
from pydantic import ValidationError

from tests.security.bad_files import GOOD as CSV
from tests.security.evidence import ROOT, sized
from tests.security.parser_list import NOT_OUTSIDE, TRIED_ELSEWHERE, TRIED_HERE
from tests.security.parsers import READERS, NotUnderstood

RUNS = settings(
    max_examples=sized(60, 20_000),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    database=None,
)
REFUSALS = (Problem, ValidationError, NotUnderstood)
PRODUCT = (
    "api-server/mill_api",
    "ml-service/mill_serving",
    "trainer/mill_trainer",
    *(f"packages/{folder}/{name}" for folder, name in (
        ("contracts", "mill_contracts"),
        ("forest", "mill_forest"),
        ("kit", "mill_kit"),
        ("local", "mill_local"),
        ("modelpack", "mill_pack"),
        ("rows", "mill_rows"),
        ("sdk", "modelmill"),
    )),
)  # fmt: skip
DECODERS = frozenset(
    {
        "loads",
        "model_validate_json",
        "validate_json",
        "unpack",
        "unpack_from",
        "iter_unpack",
        "frombuffer",
        "fromstring",
    }
    | {"open_stream", "open_file", "ParquetFile", "ZipFile", "TarFile", "decompressobj", "decompress", "b64decode"}
    | {
        "urlsafe_b64decode",
        "ParseFromString",
        "FromString",
        "parse_qs",
        "parse_qsl",
        "urlsplit",
        "reader",
        "DictReader",
    }
    | {
        "parse_options_header",
        "read_csv",
        "read_json",
        "read_parquet",
        "Decoder",
        "decode_complete",
        "feed_data",
        "fromhex",
    }
    | {"get_unverified_header", "ip_address", "ip_network"}
)
NAMED_WHOLE = frozenset({"jwt.decode", "msgspec.json.decode", "msgspec.convert", "wire.decoded", "ast.parse"})


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good input with bytes turned, taken out, doubled or cut off; sometimes noise."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.integers(0, 4))
        if what == 0 and data:
            data[place] = draw(st.integers(0, 255))
        elif what == 1:
            del data[place : place + draw(st.integers(1, 8))]
        elif what == 2:
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif what == 3:
            data[place:place] = data[place : place + 16]
        elif len(data) >= place + 4:
            data[place : place + 4] = draw(
                st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0"])
            )
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_no_bytes_make_a_reader_fail_in_another_way_than_by_refusing(name: str) -> None:
    reader = READERS[name]
    good = reader.good()
    if name not in {"a snapshot", "a frame"}:  # nobody is trusted here; a frame is read from a pipe's own thread
        reader.read(good)
    refused = 0

    @RUNS
    @given(damaged(good))
    def attempt(data: bytes) -> None:
        nonlocal refused
        try:
            reader.read(data)
        except (*REFUSALS, *reader.refusals):
            refused += 1

    attempt()
    assert refused or reader.takes_all, "the damage was never noticed, so nothing was tried"


DEEP = [name for name, reader in READERS.items() if reader.good()[:1] in (b"{", b"[")]


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("depth", [500, 50_000, 1_000_000])
def test_depth_is_refused_by_every_reader_of_json(name: str, depth: int) -> None:
    reader = READERS[name]
    for data in (
        b"[" * depth,
        b"[" * depth + b"]" * depth,
        b'{"inputs":' * (depth // 10),
        b'{"inputs":' + b"[" * depth + b"]" * depth + b"}",
        b'{"input_data":{"feature1":' + b"[" * depth + b"]" * depth + b"}}",
        b'{"age": ' + b"[" * depth + b"]" * depth + b"}\n",
    ):
        try:
            reader.read(data)
        except (*REFUSALS, *reader.refusals):
            continue


@pytest.mark.parametrize("name", READERS)
def test_numbers_of_five_thousand_digits_and_empty_inputs_are_refused_like_others(name: str) -> None:
    reader = READERS[name]
    for data in (
        b"",
        b"\0",
        b"9" * 5_000,
        b"-" + b"9" * 400,
        b"1e" + b"9" * 50,
        b'{"feature1": ' + b"9" * 5_000 + b"}",
    ):
        try:
            reader.read(data)
        except (*REFUSALS, *reader.refusals):
            continue


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("CSV", b"feature1,feature2,feature3,feature4\n5.1,3.6)5,\x1f.4,0.2\n"),
        ("CSV", b"\n\xd1\x12\xd3\x94,\x8f\n1,2\n"),
        ("the arrays of a linear model", b'<\0\0\0{"engine":"linear","shapes":[[1,31e999],[1]]}'.ljust(64) + bytes(32)),
        ("an order among workers", b"[" * 50_000),
    ],
)
def test_what_once_got_through_is_understood_or_refused(name: str, data: bytes) -> None:
    reader = READERS[name]
    with contextlib.suppress(*REFUSALS, *reader.refusals):
        reader.read(data)


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    good = (ROOT / "shared-models" / "demo_model_1.mill").read_bytes()
    opened = 0

    @settings(parent=RUNS, max_examples=sized(40, 3_000))
    @given(damaged(good))
    def attempt(data: bytes) -> None:
        nonlocal opened
        path = tmp_path / "model.mill"
        path.write_bytes(data)
        try:
            open_package(path)
        except REFUSALS:
            return
        opened += int(data != good)

    attempt()
    assert opened == 0, "every byte of a package stands under a hash"


TABLES = {
    "csv": CSV,
    "json": b'[{"a": 1, "b": "x"}, {"a": 2.5, "b": null}]' + b" " * 20,
    "jsonl": b'{"a": 1, "b": "x"}\n{"a": 2.5, "b": null}\n' * 5,
    "parquet": READERS["Parquet"].good(),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_damaged_table_is_profiled_or_refused(tmp_path: Path, kind: str) -> None:
    """By the trainer's own readers; `test_a17_bombs` does the same with what is made to hurt, in a process of its own."""
    good, tried = TABLES[kind], 0

    @settings(parent=RUNS, max_examples=sized(8, 500))
    @given(damaged(good))
    def attempt(data: bytes) -> None:
        nonlocal tried
        tried += 1
        folder = tmp_path / str(tried)
        (folder / "out").mkdir(parents=True)
        (folder / "raw").write_bytes(data)
        task = ProfileTask(
            raw_file=folder / "raw",
            out_dir=folder / "out",
            scratch_dir=folder / "scratch",
            file_name=f"t.{kind}",
            limits=Limits(memory_bytes=2**30),
        )
        task.scratch_dir.mkdir()
        with (folder / "report").open("wb") as report:
            try:
                profile(task, PipeReport(report.fileno()))
            except REFUSALS:
                return

    attempt()


def test_every_module_that_decodes_something_is_in_the_list_of_parsers() -> None:
    decoding = {str(path.relative_to(ROOT)) for path in _modules() if _decodes(ast.parse(path.read_text("utf-8")))}
    listed = {*TRIED_HERE, *TRIED_ELSEWHERE, *NOT_OUTSIDE}
    assert sorted(decoding - listed) == [], "say in tests/security/parser_list.py what tries them, or why nothing must"
    assert [name for name in listed if not (ROOT / name).is_file()] == []
    assert sorted(set(NOT_OUTSIDE) - decoding) == []
    assert not set(TRIED_HERE) & set(TRIED_ELSEWHERE) | set(TRIED_HERE) & set(NOT_OUTSIDE)


def test_what_the_list_of_parsers_names_exists() -> None:
    named = {name for names in TRIED_HERE.values() for name in names}
    assert named <= set(READERS)
    assert set(READERS) - named == set(), "each reader tries the parsers of some module"
    for place in TRIED_ELSEWHERE.values():
        path, _, test = place.partition("::")
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}" in (ROOT / path).read_text("utf-8"), place


def _modules() -> Iterator[Path]:
    for folder in PRODUCT:
        yield from (ROOT / folder).rglob("*.py")


def _decodes(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in DECODERS or ast.unparse(function) in NAMED_WHOLE:
                return True
    return False
