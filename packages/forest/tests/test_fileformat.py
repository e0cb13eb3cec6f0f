# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingModuleSource=false
# (the libraries that grow these forests are untyped)
"""A `.forest` file holds the forest exactly, and a damaged one is refused without harm."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from mill_forest import (
    Forest,
    InvalidForest,
    Predictor,
    from_bytes,
    from_sklearn,
    load,
    read_lightgbm,
    save,
    to_bytes,
)
from mill_forest.model import arrays_of
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

Table = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]


@pytest.fixture(scope="module")
def forest(table: Table) -> Forest:
    x, score = table(0)
    options: dict[str, Any] = {"n_estimators": 4, "num_leaves": 7, "verbose": -1, "n_jobs": 1, "cat_smooth": 0}
    data = lgb.Dataset(x, score, categorical_feature=[4])
    del options["n_estimators"]
    text: str = lgb.train(options | {"objective": "regression", "min_data_per_group": 1}, data, 4).model_to_string()
    forest = read_lightgbm(text)
    assert len(forest.category_bits)
    return forest


def test_a_forest_survives_bytes_and_files(forest: Forest, table: Table, tmp_path: Path) -> None:
    save(forest, tmp_path / "a.forest")
    x = table(0)[0]
    expected = Predictor(forest).predict(x)
    for copy in (
        from_bytes(to_bytes(forest)),
        load(tmp_path / "a.forest"),
        load(tmp_path / "a.forest", mmap=False),
    ):
        assert to_bytes(copy) == to_bytes(forest)
        assert np.array_equal(Predictor(copy).predict(x), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["a.forest"]


def test_whole_rows_of_values_survive(table: Table) -> None:
    x, score = table(1)
    model = RandomForestClassifier(5, max_depth=4, random_state=0).fit(x, np.digitize(score, [0, 2]))
    copy = from_bytes(to_bytes(from_sklearn(model)))
    assert np.array_equal(Predictor(copy).predict(x), model.predict_proba(x))


def test_arrays_are_mapped_not_copied_aligned_and_read_only(forest: Forest) -> None:
    data = to_bytes(forest)
    start = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    for name, array in arrays_of(from_bytes(data)).items():
        if array.size:
            place = array.__array_interface__["data"][0] - start
            assert 0 < place < len(data), name
            assert place % 64 == 0, name
            assert not array.flags.writeable, name


def _with_header(data: bytes, **changes: Any) -> bytes:
    length = struct.unpack_from("<I", data, 12)[0]
    header = json.loads(data[16 : 16 + length]) | changes
    text = json.dumps(header).encode()
    body = data[16 + length :]
    return data[:12] + struct.pack("<I", len(text)) + text + body


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"library": "catboost"}, "library"),
        ({"task": 3}, "task"),
        ({"n_features": -1}, "n_features"),
        ({"n_features": True}, "n_features"),
        ({"n_features": 2**80}, "n_features"),
        ({"link_scale": "x"}, "link_scale"),
        ({"arrays": {}}, "arrays"),
        ({"arrays": 5}, "arrays"),
        ({"extra": 1}, "keys"),
    ],
)
def test_a_wrong_header_is_named(forest: Forest, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidForest, match=says):
        from_bytes(_with_header(to_bytes(forest), **changes))


@pytest.mark.parametrize("entry", [["<i8", 5], ["|O", 5], ["<f8", 2**39], ["<f8", -1], ["<f8"], ["<f8", 1, 1], 7])
def test_a_wrong_description_of_an_array_is_named(forest: Forest, entry: Any) -> None:
    data = to_bytes(forest)
    arrays = json.loads(data[16 : 16 + struct.unpack_from("<I", data, 12)[0]])["arrays"]
    with pytest.raises(InvalidForest, match="base"):
        from_bytes(_with_header(data, arrays=arrays | {"base": entry}))


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_every_version_ever_released_open(version: int) -> None:
    forest = load(GOLDEN / f"version{version}.forest")
    with np.load(GOLDEN / "answers.npz", allow_pickle=False) as answers:
        assert np.array_equal(Predictor(forest).predict(answers["rows"]), answers["predictions"])
    assert len(forest.cover) == (len(forest.feature) if version > 1 else 0)


def test_truncated_longer_and_foreign_files_are_refused(forest: Forest, tmp_path: Path) -> None:
    data = to_bytes(forest)
    for length in [*range(64), *range(64, len(data), 97)]:
        with pytest.raises(InvalidForest):
            from_bytes(data[:length])
    for other in (data + b"\0", b"PK\x03\x04" + data, data.replace(b"MILLTREE", b"MILLTRUE"), b"\x80\x04K\x01."):
        with pytest.raises(InvalidForest):
            from_bytes(other)
    for version in (0, 3):
        with pytest.raises(InvalidForest, match=f"version {version}"):
            from_bytes(data[:8] + struct.pack("<I", version) + data[12:])
    with pytest.raises(InvalidForest, match="arrays"):  # the first version has no cover
        from_bytes(data[:8] + struct.pack("<I", 1) + data[12:])
    (tmp_path / "empty.forest").write_bytes(b"")
    with pytest.raises(InvalidForest, match="empty"):
        load(tmp_path / "empty.forest")


MUTATE = """
import sys
import numpy as np
from mill_forest import InvalidForest, Predictor, from_bytes
data, seed = open(sys.argv[1], "rb").read(), int(sys.argv[2])
rng = np.random.default_rng(seed)
start = int.from_bytes(data[12:16], "little") + 16
rows = rng.normal(size=(40, 8)) * 5
rows[rng.random(rows.shape) < 0.1] = np.nan
odd = np.array([0, 1, -1, -2, 2**31 - 1, -(2**31), 7, 100, 2**30], np.int64)
refused = 0
for number in range(2_500):
    mutant = bytearray(data)
    if number % 5 == 4:  # any byte at all, the header's too
        for at in rng.integers(0, len(data), 3):
            mutant[at] = rng.integers(0, 256)
    else:  # any aligned word of the arrays becomes an index that might hurt, or one near the old one
        at = start + (-start % 4) + 4 * int(rng.integers(0, (len(data) - start) // 4 - 1))
        old = int.from_bytes(mutant[at : at + 4], "little", signed=True)
        new = int(rng.choice(odd)) if number % 2 else old + int(rng.integers(-3, 4))
        mutant[at : at + 4] = (new & 0xFFFFFFFF).to_bytes(4, "little")
    try:
        predictor = Predictor(from_bytes(bytes(mutant)))
    except InvalidForest:
        refused += 1
        continue
    if predictor.forest.n_features == 8:
        predictor.predict(rows)
        predictor.predict_one(rows[0])
        if len(predictor.forest.cover):
            predictor.contributions(rows[:3])
print(refused)
"""


@pytest.mark.parametrize("kind", ["categories", "numeric"])
def test_no_mutant_of_a_file_crashes(kind: str, forest: Forest, table: Table, tmp_path: Path) -> None:
    x, score = table(2)
    if kind == "numeric":
        model = RandomForestClassifier(3, max_depth=4, random_state=0).fit(x, np.digitize(score, [0, 2]))
        forest = from_sklearn(model)
    save(forest, tmp_path / "sound.forest")
    command = [sys.executable, "-W", "error", "-c", MUTATE, str(tmp_path / "sound.forest"), "11"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert int(done.stdout) > 500
