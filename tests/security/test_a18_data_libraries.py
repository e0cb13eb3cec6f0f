"""A18: what once ran code or read freed memory in data libraries, against the running stack: extension types, Arrow streams that lie.

Uploaded tables are read by the trainer's child, bodies of predictions by ml-service itself: both must still be the same processes
afterwards, no larger than before, and nothing of what the files ask for may have been run.
"""

# pyarrow ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import io
import pickle
import random
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from packaging.version import Version

from tests.conftest import Stack, eventually
from tests.security.evidence import ROOT, SEED, Evidence, sized
from tests.security.test_a24_broker import Explosive

TESTS = "test_a18_data_libraries.py"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
FEATURES = ("feature1", "feature2", "feature3", "feature4")
MEBIBYTES = 256
REFUSED = {400, 413, 415, 422}
MAY_BE_FINE = ("harmless", "mutant", "extension")
"""A changed byte may be a changed number; an extension type that nobody knows is read as the plain one it stands on."""


def plain(rows: int = 50) -> Any:
    return pa.table({name: [float(number) for number in range(rows)] for name in FEATURES})


def stream(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()


def parquet(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def with_extension(canary: Path) -> Any:
    """What ran code in pyarrow before 14.0.1 (CVE-2023-47248): the type's metadata is a pickle that is loaded with the schema."""
    payload = pickle.dumps(Explosive(canary))
    metadata = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload}
    fields = [pa.field(name, pa.float64(), metadata=metadata) for name in FEATURES]
    return pa.table([column.combine_chunks() for column in plain().columns], schema=pa.schema(fields))


def of_types() -> Iterator[tuple[str, Any]]:
    """Types that are no plain column."""
    numbers = pa.array([1.0, 2.0])
    yield "a list", pa.array([[1.0], [2.0]])
    yield "a structure", pa.StructArray.from_arrays([numbers], ["inner"])
    yield "a map", pa.array([[("a", 1.0)], []], pa.map_(pa.string(), pa.float64()))
    yield (
        "a dense union",
        pa.UnionArray.from_dense(pa.array([0, 0], pa.int8()), pa.array([0, 1], pa.int32()), [numbers]),
    )
    yield "run-end encoded", pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), numbers)
    yield "binary", pa.array([b"\0", b"\xff"])
    yield "a dictionary of numbers", pa.array([0, 1], pa.int8()).dictionary_encode()
    nested: Any = pa.float64()
    for _ in range(60):
        nested = pa.list_(nested)
    yield "a list in sixty lists", pa.nulls(2, nested)


def lies() -> Iterator[tuple[str, str, bytes]]:
    """Bodies that are wrong on purpose, by a title."""
    good, packed = stream(plain()), stream(plain(), compression="zstd")
    for size in (0, 2**20, 2**31 - 1, 2**32 - 1):
        yield f"a first message of {size} bytes", ARROW, good[:4] + struct.pack("<I", size) + good[8:]
    yield "half a stream", ARROW, good[: len(good) // 2]
    yield "harmless: no mark of the end", ARROW, good[:-8]
    yield "a stream in a stream", ARROW, good[:-8] + good
    yield "an IPC file", ARROW, b"ARROW1\0\0" + good
    yield "a compressed column that is none", ARROW, packed.replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfe")
    huge = pa.table({name: pa.array([0.0]) for name in FEATURES})
    yield "a column that unpacks to 200 MB", ARROW, stream(_zeros(25_000_000), compression="zstd")
    yield "harmless: a table without a column", ARROW, stream(huge.select([]))
    for title, column in of_types():
        table = pa.table(dict.fromkeys(FEATURES, column))
        yield f"{title}, as a stream", ARROW, stream(table)
    yield "a parquet footer of 4 GiB", PARQUET, parquet(plain())[:-8] + struct.pack("<I", 2**32 - 1) + b"PAR1"
    yield "parquet without a footer", PARQUET, parquet(plain())[:-8]


def _zeros(rows: int) -> Any:
    column = pa.array(memoryview(bytes(8 * rows)).cast("d"))
    return pa.table({FEATURES[0]: column})


def mutants(seed: int, number: int) -> Iterator[tuple[str, str, bytes]]:
    """Good bodies with some bytes changed, most of them near where lengths and offsets stand."""
    chance = random.Random(f"a18:{seed}")  # noqa: S311 - reproducible on purpose
    text = pa.table({name: pa.array(["a", "b"] * 20).dictionary_encode() for name in FEATURES})
    sources = [
        (ARROW, stream(plain())),
        (ARROW, stream(plain(), compression="lz4")),
        (ARROW, stream(text)),
        (PARQUET, parquet(plain(), compression="zstd")),
    ]
    for count in range(number):
        form, source = chance.choice(sources)
        body = bytearray(source)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            place = chance.randrange(min(len(body), 700)) if chance.random() < 0.7 else chance.randrange(len(body))
            body[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        yield f"mutant {count}", form, bytes(body)


def resident_mebibytes(pid: int) -> float:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_the_libraries_are_newer_than_their_known_flaws() -> None:
    locked = {one["name"]: one.get("version", "0") for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert Version(locked["pyarrow"]) > Version("23.0.0"), "CVE-2026-25087"
    assert Version(locked["onnx"]) >= Version("1.21.0")
    assert Version(locked["skops"]) >= Version("0.13.0")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_hostile_body_of_a_prediction_is_more_than_a_refusal(stack: Stack, tmp_path: Path) -> None:
    evidence = Evidence(33, "Bad data files do no harm: bodies of predictions", TESTS)
    canary, wrong, most = tmp_path / "executed", list[str](), 0.0
    tries = [
        ("an extension type, as a stream", ARROW, stream(with_extension(canary))),
        ("an extension type, as parquet", PARQUET, parquet(with_extension(canary))),
        *lies(),
        *mutants(SEED, sized(250, 10_000)),
    ]
    pid = stack.pid("ml-service")
    with httpx.Client(base_url=stack.serving_url, timeout=60, trust_env=False) as http:

        def ask(form: str, body: bytes) -> httpx.Response:
            return http.post("/predict/demo_model_1/batch", content=body, headers={"content-type": form})

        assert ask(ARROW, stream(plain())).status_code == 200
        assert ask(PARQUET, parquet(plain())).status_code == 200
        before = resident_mebibytes(pid)
        for title, form, body in tries:
            status = ask(form, body).status_code
            allowed = REFUSED | {200} if any(word in title for word in MAY_BE_FINE) else REFUSED
            evidence.count(failed=status not in allowed)
            if status not in allowed:
                wrong.append(f"{title}: {status}")
            most = max(most, resident_mebibytes(pid) - before)
        assert ask(ARROW, stream(plain())).status_code == 200
    assert stack.pid("ml-service") == pid, "ml-service died"
    evidence.figures = {"bodies": evidence.trials, "most_extra_mebibytes": round(most)}
    evidence.notes = "; ".join(wrong[:8])
    evidence.keep()
    assert wrong == []
    assert not canary.exists()
    assert most < MEBIBYTES


@pytest.mark.slow
def test_an_uploaded_table_with_an_extension_type_runs_nothing(stack: Stack, tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    workers = {part.name: (part.pid, part.restarts) for part in stack.state().parts if part.name.startswith("worker")}
    with stack.client("a18-uploads") as mill:
        project = mill.projects.create("Extension types").id
        uploads = {
            "extension.parquet": parquet(with_extension(canary)),
            "extension.arrow": stream(with_extension(canary)),
        }
        ended: dict[str, str] = {}
        for name, body in uploads.items():
            made = mill.datasets.upload(io.BytesIO(body), file_name=name, name=name, project_id=project)
            eventually(lambda made=made: mill.datasets.get(made.id).status != "processing", 60, f"{name} was looked at")
            ended[name] = mill.datasets.get(made.id).status
    assert ended["extension.arrow"] == "invalid"
    assert not canary.exists()
    assert workers == {
        part.name: (part.pid, part.restarts) for part in stack.state().parts if part.name.startswith("worker")
    }
