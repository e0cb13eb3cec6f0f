"""A9: ways around the "safe mode" of skops: types that disagree with their loaders, reductions, operators, files that are no zip."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUnnecessaryIsInstance=false
# skops schemas are JSON of no fixed shape.

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from mill_contracts.adoption import ModelFileFormat, ModelFramework

from tests.security.good_models import good_models
from tests.security.payloads import object_array, pickled, zipped
from tests.security.rooms import Rooms

SKLEARN = ModelFramework.SKLEARN
Schema = dict[str, Any]


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    data = next(model.data for model in good_models(ModelFileFormat.SKOPS))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_schema(good: dict[str, bytes], change: Callable[[Schema], None]) -> bytes:
    schema = json.loads(good["schema.json"])
    change(schema)
    return zipped({**good, "schema.json": json.dumps(schema).encode()})


def node(loader: str, module: str, name: str, **more: Any) -> Schema:
    return {"__loader__": loader, "__module__": module, "__class__": name, "__id__": 1, **more}


TEXT = node("JsonNode", "builtins", "str", content='"id"', is_json=True)
ATTACKS = {
    "a call of os.system": node("FunctionNode", "os", "system", content={"module_path": "os", "function": "system"}),
    "an operator": node("OperatorFuncNode", "operator", "methodcaller", attrs=TEXT),
    "a method": node("MethodNode", "builtins", "exec", content={"obj": TEXT, "func": "format"}),
    "a partial": node("PartialNode", "functools", "partial", content={"func": TEXT, "args": TEXT}),
    "a reduction": node("TreeNode", "os", "system", content=TEXT, __reduce__={"args": TEXT}),
    "a safe name on another loader": node(
        "MethodNode", "sklearn.tree._tree", "Tree", content={"obj": TEXT, "func": "x"}
    ),
    "a tree that is none": node("TreeNode", "sklearn.preprocessing._data", "StandardScaler", content=TEXT),
    "a constructor by its type": node("TypeNode", "subprocess", "Popen"),
    "an object array": node("NdArrayNode", "numpy", "ndarray", type="object", file="1.npy"),
    "bytes": node("BytesNode", "builtins", "bytes", file="1.npy"),
    "a cached node": node("CachedNode", "os", "system"),
    "a name with a dot": node("ObjectNode", "sklearn", "tree._tree.Tree", content=TEXT),
    "no name": {"__loader__": "ObjectNode", "content": TEXT},
    "a name that is no text": node("ObjectNode", "builtins", ["dict"], content=TEXT),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_only_listed_types_with_their_own_loaders_are_built(
    rooms: Rooms, good: dict[str, bytes], attack: Schema
) -> None:
    def inside(schema: Schema) -> None:
        schema["content"]["content"]["criterion"] = attack

    def instead(schema: Schema) -> None:
        schema.clear()
        schema.update(attack)

    for change in (inside, instead):
        rooms.refusal(SKLEARN, with_schema(good, change))


def test_a_file_that_is_no_zip_never_reaches_a_fallback_that_unpickles(rooms: Rooms) -> None:
    assert rooms.refusal(SKLEARN, pickled(rooms.canary, 5))["slug"] == "code-in-model-file"


def test_arrays_of_objects_are_code(rooms: Rooms, good: dict[str, bytes]) -> None:
    name = next(name for name in good if name.endswith(".npy"))
    changed = zipped({**good, name: object_array(pickled(rooms.canary, 2))})
    assert rooms.refusal(SKLEARN, changed)["slug"] == "code-in-model-file"


def test_estimators_that_no_engine_holds_are_refused_by_name(rooms: Rooms, good: dict[str, bytes]) -> None:
    def other(schema: Schema) -> None:
        schema["__module__"], schema["__class__"] = "sklearn.svm._classes", "SVC"

    assert "sklearn.svm._classes.SVC" in rooms.refusal(SKLEARN, with_schema(good, other))["detail"]
