"""A skops file taken apart by us before skops sees it: entries, types, arrays and the state of every tree.

skops itself reads only a fresh archive written here from entries that passed. Types are those of a fixed list; what skops
would call untrusted is never asked for and never handed back.
"""

import io
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from mill_pack.outside.bounds import MAX_ENTRIES, MAX_SCHEMA_BYTES, MAX_TREES, MAX_UNPACKED_BYTES
from mill_pack.outside.errors import CodeInModelFile, ModelFileRejected
from mill_pack.outside.identify import HOW_TO_CONVERT
from mill_pack.outside.skops_types import LOADERS, LOSSES, TREE, TYPES

SCHEMA: Final = "schema.json"
_NAME: Final = re.compile(r"schema\.json|[0-9]{1,24}\.npy")
_MOST_TO_ONE: Final = 200
_SMALL: Final = 16 * 2**20
"""How much smaller a deflated entry of more than this may be than what it holds; zeros alone reach 1,000 to 1."""

Node = dict[str, Any]


def checked(data: bytes) -> tuple[bytes, Node]:
    """A fresh archive of the same entries, and its schema. Raises `ModelFileRejected`, `CodeInModelFile`."""
    entries = read_entries(data)
    if SCHEMA not in entries:
        raise ModelFileRejected("The archive is no skops file: it has no schema.json")
    schema = _schema(entries[SCHEMA])
    arrays = {name: content for name, content in entries.items() if name != SCHEMA}
    for node in walk(schema):
        _check_node(node, arrays)
    for name, content in arrays.items():
        _array(name, content)
    trees = [node for node in walk(schema) if _name_of(node) == TREE]
    if len(trees) > MAX_TREES:
        raise ModelFileRejected(f"{len(trees):,} trees; at most {MAX_TREES:,}")
    for number, tree in enumerate(trees):
        _check_tree(number, tree, arrays)
    return _rewritten(entries), schema


def read_entries(data: bytes) -> dict[str, bytes]:
    """Every entry of a zip that holds nothing odd: flat names, each once, plain files, honest sizes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_directory(infos, len(data))
            return {info.filename: _content(archive, info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, OSError, ValueError) as error:
        raise ModelFileRejected(f"The archive is damaged: {str(error)[:100]}") from error


def _check_directory(infos: list[zipfile.ZipInfo], size: int) -> None:
    if not 0 < len(infos) <= MAX_ENTRIES:
        raise ModelFileRejected(f"The archive holds {len(infos):,} entries; 1 to {MAX_ENTRIES:,} may be")
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise ModelFileRejected("The archive holds a name twice")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = info.orig_filename
        if not _NAME.fullmatch(name) or info.filename != name:
            raise ModelFileRejected(f"The archive holds the name {name[:80]!r}, which skops does not write")
        mode = info.external_attr >> 16
        if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            raise ModelFileRejected(f"{name!r} is a link, a folder or a device, not a file")
        if info.flag_bits & ~0x0808 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelFileRejected(f"{name!r} is encrypted, or compressed in an unusual way")
        if info.header_offset < end:
            raise ModelFileRejected("Entries of the archive overlap")
        end = info.header_offset + 30 + len(name) + info.compress_size
        if end > size or info.file_size > max(_SMALL, _MOST_TO_ONE * info.compress_size):
            raise ModelFileRejected(f"{name!r} claims a size that it cannot have")
    if infos and min(info.header_offset for info in infos) != 0:
        raise ModelFileRejected("There are bytes before the archive")
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise ModelFileRejected(f"The archive unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MiB")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """No more than the directory promised is ever read; the CRC is checked at the end of it."""
    with archive.open(info) as file:
        content = file.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise ModelFileRejected(f"{info.filename!r} is not as long as the archive says")
    return content


def _schema(content: bytes) -> Node:
    if len(content) > MAX_SCHEMA_BYTES:
        raise ModelFileRejected("The skops schema is too large")
    try:
        schema: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelFileRejected("The skops schema is not JSON") from error
    if not isinstance(schema, dict):
        raise ModelFileRejected("The skops schema is not an object")
    return cast("Node", schema)


def walk(schema: Node) -> Iterator[Node]:
    """Every object of the schema that names a type or a loader, wherever it stands."""
    waiting: list[object] = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            node = cast("Node", item)
            if not node.keys().isdisjoint(("__loader__", "__class__", "__module__", "__reduce__")):
                yield node
            waiting.extend(node.values())
        elif isinstance(item, list):
            waiting.extend(cast("list[object]", item))


def _name_of(node: Mapping[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _check_node(node: Node, arrays: Mapping[str, bytes]) -> None:
    name, loader = _name_of(node), node.get("__loader__")
    if name not in TYPES:
        raise ModelFileRejected(f"The file holds the type {name[:120]!r}, which is not on the list of accepted types")
    if loader not in LOADERS:
        raise ModelFileRejected(f"The file uses the loader {str(loader)[:60]!r}, which is not accepted")
    built = {"TreeNode": name == TREE, "LossNode": name.startswith(LOSSES)}
    if built != {known: loader == known for known in built} or ("__reduce__" in node) != (loader in built):
        raise ModelFileRejected(f"The type {name[:80]!r} and its loader {str(loader)[:60]!r} do not belong together")
    if loader == "NdArrayNode" and node.get("type") == "numpy":
        if node.get("file") not in arrays:
            raise ModelFileRejected("An array of the file is missing")
    elif loader == "NdArrayNode" and node.get("type") != "json":
        raise CodeInModelFile(HOW_TO_CONVERT)


def _array(name: str, content: bytes) -> NDArray[Any]:
    """The array of a `.npy` entry; never an array of objects, which numpy would unpickle."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError("its version is unusual")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        count = int(np.prod(shape, dtype=object))
        if dtype.hasobject:
            raise CodeInModelFile(HOW_TO_CONVERT)
        if len(shape) > 4 or min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - stream.tell():
            raise ValueError("its shape does not fit its bytes")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, EOFError, OverflowError, MemoryError, RecursionError) as error:
        raise ModelFileRejected(f"The array {name!r} cannot be read: {str(error)[:80]}") from error


def _check_tree(number: int, tree: Node, arrays: Mapping[str, bytes]) -> None:
    """The state of one `sklearn.tree._tree.Tree`, whose own code trusts every index and count in it."""
    try:
        state = tree["content"]["content"]
        count = json.loads(state["node_count"]["content"])
        features = json.loads(tree["__reduce__"]["args"]["content"][0]["content"])
        nodes = _array("nodes", arrays[state["nodes"]["file"]])
        values = _array("values", arrays[state["values"]["file"]])
        left, right, feature = nodes["left_child"], nodes["right_child"], nodes["feature"]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ModelFileRejected(f"The state of tree {number} is incomplete") from error
    if type(count) is not int or nodes.ndim != 1 or len(nodes) != count or not count:
        raise ModelFileRejected(f"Tree {number} does not have as many nodes as it says")
    if values.ndim != 3 or len(values) != count or values.dtype != np.float64 or not np.isfinite(values).all():
        raise ModelFileRejected(f"The values of tree {number} do not fit its nodes, or are not finite")
    split = left != -1
    inside = (left > 0) & (left < count) & (right > 0) & (right < count)
    if not np.array_equal(split, right != -1) or not inside[split].all():
        raise ModelFileRejected(f"Tree {number} has a child out of range")
    children = np.concatenate([left[split], right[split]])
    if len(np.unique(children)) != len(children) or len(children) != count - 1:
        raise ModelFileRejected(f"Tree {number} has a node without exactly one parent")
    if type(features) is not int or ((feature < 0) | (feature >= features))[split].any():
        raise ModelFileRejected(f"Tree {number} splits on a feature that does not exist")


def _rewritten(entries: Mapping[str, bytes]) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return result.getvalue()
