"""Seeded mutants of good model files: every index and length changed to what it must not be, and the bytes themselves mangled.

One in forty carries code (a pickle that would write a file and call home) in a place where a careless reader would load it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUnnecessaryIsInstance=false
# Mutants are made of documents of no fixed shape, and onnx is partly typed.

import io
import json
import math
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from mill_contracts.adoption import ModelFileFormat

from tests.security.good_models import Good
from tests.security.payloads import Canary, pickled
from tests.security.ubj import to_ubj

Mutator = Callable[[random.Random, bytes], bytes]
INDICES = (
    -1,
    0,
    1,
    2,
    -2,
    7,
    29,
    30,
    31,
    255,
    256,
    65_535,
    65_536,
    10**6,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32,
    2**63 - 1,
    -(2**63),
)
NUMBERS = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1e308, 1e-320, 3.5e38)
SIZES = ("-1", "0", "1", "999999999", "2147483647", "99999999999999999999", "1e9", "nan", "", "abc", "0x10", "1 2")


@dataclass
class Mutants:
    """An endless, repeatable stream of mutants of some good files."""

    kind: ModelFileFormat
    goods: Sequence[Good]
    canary: Canary
    seed: int
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.kind}-{self.seed}")  # noqa: S311 - it must be repeatable, not secret

    def __iter__(self) -> Iterator[bytes]:
        own = _OWN[self.kind]
        number = 0
        while True:
            number += 1
            good = self._random.choice(self.goods).data
            if number % 40 == 0:
                yield self._armed(good)
            elif number % 5 == 0:
                yield _bytes(self._random, good)
            else:
                yield own(self._random, good)

    def _armed(self, data: bytes) -> bytes:
        """The file with code in it, where code could be."""
        code = pickled(self.canary, self._random.randrange(6))
        if self.kind is ModelFileFormat.SKOPS:
            return _armed_archive(self._random, data, code)
        cut = self._random.randrange(len(data))
        return self._random.choice((data + code, code + data, data[:cut] + code + data[cut:], code))


def _bytes(chance: random.Random, data: bytes) -> bytes:
    """Cut, flipped, overwritten, doubled, left out, glued."""
    raw = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(6):
            case 0:
                raw = raw[:at]
            case 1 if raw:
                raw[at] ^= 1 << chance.randrange(8)
            case 2:
                raw[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"nan "))
            case 3:
                raw[at:at] = raw[at : at + chance.randrange(1, 64)]
            case 4:
                del raw[at : at + chance.randrange(1, 64)]
            case _:
                raw[at:at] = chance.randbytes(chance.randrange(1, 16))
    return bytes(raw)


def _document(chance: random.Random, document: Any) -> None:
    """Change one to three things of an XGBoost model in place."""
    learner = document["learner"]
    trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        place = chance.random()
        if place < 0.75 and trees:
            _fields(chance, chance.choice(trees))
        elif place < 0.85:
            _fields(chance, learner["gradient_booster"]["model"])
        else:
            _fields(chance, chance.choice((learner["learner_model_param"], learner, learner["gradient_booster"])))


def _fields(chance: random.Random, fields: dict[str, Any]) -> None:
    name = chance.choice(sorted(fields))
    value = fields[name]
    if isinstance(value, list) and value and isinstance(value[0], int | float):
        fields[name] = _numbers(chance, value, fields)
    elif isinstance(value, dict) and value:
        _fields(chance, value)
    elif isinstance(value, str):
        fields[name] = chance.choice(SIZES)
    else:
        fields[name] = chance.choice((None, [], {}, -1, 2**31, "x", [[0]], [None], True, math.nan))


def _numbers(chance: random.Random, values: list[Any], fields: dict[str, Any]) -> Any:
    changed = list(values)
    at = chance.randrange(len(changed))
    match chance.randrange(9):
        case 0 | 1 | 2:
            changed[at] = chance.choice((*INDICES, at, max(0, at - 1), len(changed), len(changed) - 1))
        case 3:
            changed[at] = chance.choice(NUMBERS)
        case 4:
            changed = changed[:at]
        case 5:
            changed += changed[: at + 1]
        case 6:
            chance.shuffle(changed)
        case 7:
            others = [other for other in fields.values() if isinstance(other, list)]
            return chance.choice(others)
        case _:
            changed[at] = chance.choice((None, "x", [1], {}, True))
    return changed


def _json(chance: random.Random, data: bytes) -> bytes:
    document = json.loads(data)
    _document(chance, document)
    return json.dumps(document).encode()


def _ubj(chance: random.Random, data: bytes) -> bytes:
    document = json.loads(data)  # the good models of this kind are handed over as JSON
    _document(chance, document)
    return to_ubj(document)


def _lightgbm(chance: random.Random, data: bytes) -> bytes:
    """Tokens of one or two lines changed, dropped or doubled; lines swapped, left out or repeated."""
    lines = data.decode().split("\n")
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.choice([number for number, line in enumerate(lines) if "=" in line])
        key, _, value = lines[at].partition("=")
        words = value.split(" ")
        place = chance.randrange(len(words))
        match chance.randrange(8):
            case 0 | 1 | 2:
                words[place] = str(chance.choice((*INDICES, *NUMBERS, place, len(words))))
            case 3:
                words = words[:place]
            case 4:
                words += words[: place + 1]
            case 5:
                words[place] = chance.choice(SIZES)
            case 6:
                other = chance.choice([line for line in lines if "=" in line])
                words = other.partition("=")[2].split(" ")
            case _:
                chance.shuffle(words)
        lines[at] = f"{key}={' '.join(words)}"
        if chance.random() < 0.05:
            del lines[at]
        elif chance.random() < 0.05:
            lines.insert(at, lines[at])
    return "\n".join(lines).encode()


def _onnx(chance: random.Random, data: bytes) -> bytes:
    model = onnx.ModelProto.FromString(data)
    node = chance.choice(list(model.graph.node))
    if node.attribute and chance.random() < 0.85:
        _attribute(chance, chance.choice(list(node.attribute)), node)
    else:
        _graph(chance, model, node)
    return model.SerializeToString()


def _attribute(chance: random.Random, attribute: Any, node: Any) -> None:
    for values, choices in (
        (attribute.ints, INDICES),
        (attribute.floats, NUMBERS),
        (attribute.strings, (b"", b"LEAF", b"BRANCH_LT")),
    ):
        if not len(values):
            continue
        at = chance.randrange(len(values))
        match chance.randrange(5):
            case 0 | 1 | 2:
                values[at] = _fitting(chance.choice((*choices, values[chance.randrange(len(values))])))
            case 3:
                del values[at:]
            case _:
                values.extend(list(values)[: at + 1])
        return
    match chance.randrange(3):
        case 0:
            attribute.type = chance.randrange(15)
        case 1:
            attribute.i = _fitting(chance.choice(INDICES))
        case _:
            node.attribute.append(attribute)


def _fitting(value: Any) -> Any:
    return min(max(value, -(2**63)), 2**63 - 1) if isinstance(value, int) else value


def _graph(chance: random.Random, model: Any, node: Any) -> None:
    match chance.randrange(7):
        case 0:
            node.op_type = chance.choice(("Loop", "If", "Scan", "TreeEnsemble", "SVMClassifier", "PyOp", "ReadFile"))
        case 1:
            node.domain = chance.choice(("com.microsoft", "custom", "ai.onnx.contrib", "\u0000"))
        case 2:
            tensor = model.graph.initializer.add(name="w", data_type=1, dims=[2**40, 2**40])
            tensor.data_location = 1
            tensor.external_data.add(key="location", value="../../../../etc/passwd")
        case 3:
            model.graph.node.append(node)
        case 4 if node.input:
            node.input[0] = chance.choice(("", "nowhere", node.output[0]))
        case 5:
            dims = model.graph.input[0].type.tensor_type.shape.dim
            dims[len(dims) - 1].dim_value = chance.choice((0, 1, 2, 10**6, 2**40))
        case _:
            model.functions.add(name="f", domain="custom")


def _skops(chance: random.Random, data: bytes) -> bytes:
    entries = _unzipped(data)
    arrays = sorted(name for name in entries if name.endswith(".npy"))
    if chance.random() < 0.6 and arrays:
        name = chance.choice(arrays)
        entries[name] = _array(chance, entries[name])
    else:
        schema = json.loads(entries["schema.json"])
        _schema(chance, schema)
        entries["schema.json"] = json.dumps(schema).encode()
    return _zipped(entries)


def _array(chance: random.Random, content: bytes) -> bytes:
    """An array whose items, shape or kind are others."""
    if chance.random() < 0.2:
        return _bytes(chance, content)
    array = np.load(io.BytesIO(content), allow_pickle=False).copy()
    flat = array.reshape(-1)
    if array.dtype.names and len(flat):
        name = chance.choice(array.dtype.names)
        _set(chance, flat[name], chance.randrange(len(flat)))
    elif len(flat) and chance.random() < 0.8:
        _set(chance, flat, chance.randrange(len(flat)))
    elif array.ndim and len(array):
        array = array[: chance.randrange(len(array) + 1)]
    result = io.BytesIO()
    np.save(result, array, allow_pickle=False)
    return result.getvalue()


def _set(chance: random.Random, values: Any, at: int) -> None:
    if values.dtype.kind == "f":
        values[at] = chance.choice(NUMBERS)
    elif values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        values[at] = min(max(chance.choice((*INDICES, at, len(values))), int(limits.min)), int(limits.max))
    elif values.dtype.kind == "b":
        values[at] = not values[at]


def _schema(chance: random.Random, schema: Any) -> None:
    nodes: list[dict[str, Any]] = []
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            nodes.append(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    node = chance.choice([node for node in nodes if "__loader__" in node])
    match chance.randrange(6):
        case 0:
            node["__class__"] = chance.choice(("system", "Popen", "eval", "Tree", "ndarray", "dict", "RandomState"))
            node["__module__"] = chance.choice(("os", "subprocess", "builtins", "posix", "sklearn.tree._tree", "numpy"))
        case 1:
            node["__loader__"] = chance.choice(
                ("MethodNode", "OperatorFuncNode", "PartialNode", "TreeNode", "TypeNode", "ListNode")
            )
        case 2 if "content" in node:
            node["content"] = chance.choice(("-1", "999999999999", "null", "[]", "1e999", '"x"', [], {}, None, 7))
        case 3 if "file" in node:
            node["file"] = chance.choice(("../../etc/passwd", "/etc/passwd", "schema.json", "1.npy"))
        case 4:
            del node[chance.choice(sorted(node))]
        case _:
            other = chance.choice(nodes)
            node.clear()
            node.update(json.loads(json.dumps(other)) if len(json.dumps(other)) < 10_000 else {})


def _armed_archive(chance: random.Random, data: bytes, code: bytes) -> bytes:
    entries = _unzipped(data)
    arrays = sorted(name for name in entries if name.endswith(".npy"))
    head = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    match chance.randrange(4):
        case 0:
            entries[chance.choice(arrays)] = head + code
        case 1:
            entries[chance.choice(arrays)] = code
        case 2:
            entries["model.pkl"] = code
        case _:
            return code + data
    return _zipped(entries)


def _unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(entries: dict[str, bytes]) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return result.getvalue()


_OWN: dict[ModelFileFormat, Mutator] = {
    ModelFileFormat.XGBOOST_JSON: _json,
    ModelFileFormat.XGBOOST_UBJ: _ubj,
    ModelFileFormat.LIGHTGBM_TEXT: _lightgbm,
    ModelFileFormat.ONNX: _onnx,
    ModelFileFormat.SKOPS: _skops,
}
