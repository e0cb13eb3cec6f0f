"""The graph of an ONNX file, read without ONNX's own code and refused unless it is small, self-contained and of known operators.

No tensor may lie outside the file, no node may hold a graph or be of a foreign domain, nothing may define operators of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mill_forest import InvalidForest, Message

from mill_pack.outside.bounds import MAX_FEATURES, MAX_GRAPH_NODES
from mill_pack.outside.errors import ModelFileRejected

DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")
OPERATORS: Final = frozenset(
    {
        ("ai.onnx.ml", "Imputer"),
        ("ai.onnx.ml", "LinearClassifier"),
        ("ai.onnx.ml", "LinearRegressor"),
        ("ai.onnx.ml", "Normalizer"),
        ("ai.onnx.ml", "Scaler"),
        ("ai.onnx.ml", "TreeEnsembleClassifier"),
        ("ai.onnx.ml", "TreeEnsembleRegressor"),
        ("ai.onnx.ml", "ZipMap"),
        ("", "Cast"),
        ("", "Identity"),
    }
)
_MODEL_FIELDS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 26})
_GRAPH_FIELDS: Final = frozenset({1, 2, 5, 10, 11, 12, 13, 16})
_NODE_FIELDS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 9})
_FLOAT, _DOUBLE, _INT64 = 1, 11, 7
_F, _I, _S, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 6, 7, 8


@dataclass(frozen=True)
class Node:
    """One operator with its attributes: numbers, bytes, arrays of numbers, lists of bytes."""

    domain: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """Nodes in order, the one input of rows and columns, the names of what comes out."""

    nodes: tuple[Node, ...]
    source: str
    width: int
    outputs: tuple[str, ...]


def read_graph(data: bytes) -> Graph:
    """Raises `ModelFileRejected`."""
    try:
        return _graph(Message(data))
    except InvalidForest as error:
        raise ModelFileRejected(f"The ONNX file is damaged: {error}") from error


def _graph(model: Message) -> Graph:
    _only(model, _MODEL_FIELDS, "The model")
    for opset in model.messages(8):
        if opset.text(1) not in DOMAINS:
            raise ModelFileRejected(f"Operators of the domain {opset.text(1)[:60]!r} are not accepted")
    graph = model.message(7)
    _only(graph, _GRAPH_FIELDS, "The graph")
    initializers = {_initializer(tensor) for tensor in graph.messages(5)}
    nodes = graph.strings(1)
    if not 0 < len(nodes) <= MAX_GRAPH_NODES:
        raise ModelFileRejected(f"The graph has {len(nodes):,} nodes; 1 to {MAX_GRAPH_NODES} may be")
    inputs = [entry for entry in graph.messages(11) if entry.text(1) not in initializers]
    if len(inputs) != 1:
        raise ModelFileRejected(f"The graph has {len(inputs)} inputs; one tensor of rows and columns is accepted")
    return Graph(
        nodes=tuple(_node(Message(node)) for node in nodes),
        source=inputs[0].text(1),
        width=_width(inputs[0]),
        outputs=tuple(entry.text(1) for entry in graph.messages(12)),
    )


def _only(message: Message, known: frozenset[int], what: str) -> None:
    odd = message.numbers - known
    if odd:
        raise ModelFileRejected(
            f"{what} holds what is not accepted (field {min(odd)}: functions, training, sparse or unknown parts)"
        )


def _initializer(tensor: Message) -> str:
    _refuse_external(tensor)
    return tensor.text(8)


def _refuse_external(tensor: Message) -> None:
    """External data name files of the reader's machine: their reader has been tricked into any path, again and again."""
    if tensor.strings(13) or tensor.whole(14):
        raise ModelFileRejected("A tensor lies outside the file (external data); save the model as one file")


def _width(entry: Message) -> int:
    tensor = entry.message(2).message(1)
    if tensor.whole(1) not in (_FLOAT, _DOUBLE, _INT64):
        raise ModelFileRejected("The input is no tensor of numbers")
    dims = tensor.message(2).messages(1)
    width = dims[1].whole(1) if len(dims) == 2 else 0
    if not 1 <= width <= MAX_FEATURES:
        raise ModelFileRejected(f"The input needs the shape (rows, columns) with 1 to {MAX_FEATURES:,} columns")
    return width


def _node(node: Message) -> Node:
    _only(node, _NODE_FIELDS, "A node")
    domain, operator = node.text(7), node.text(4)
    if domain == "ai.onnx":
        domain = ""
    if (domain, operator) not in OPERATORS:
        known = ", ".join(sorted(name for _, name in OPERATORS))
        raise ModelFileRejected(
            f"The operator {operator[:60]!r} of domain {domain[:60]!r} is not accepted; known: {known}"
        )
    attributes: dict[str, Any] = {}
    for attribute in node.messages(5):
        name = attribute.text(1)
        if name in attributes:
            raise ModelFileRejected(f"The attribute {name[:60]!r} stands twice")
        attributes[name] = _attribute(name, attribute)
    inputs = tuple(name.decode("utf-8", "replace") for name in node.strings(1))
    outputs = tuple(name.decode("utf-8", "replace") for name in node.strings(2))
    return Node(domain, operator, inputs, outputs, attributes)


def _attribute(name: str, attribute: Message) -> Any:
    """By the type it declares; tensors, graphs and references are not accepted."""
    kind = attribute.whole(20)
    if kind == _F:
        floats = attribute.floats(2)
        return float(floats[-1]) if len(floats) else 0.0
    if kind == _I:
        return attribute.whole(3)
    if kind == _S:
        return (attribute.strings(4) or [b""])[-1]
    if kind == _FLOATS:
        return attribute.floats(7)
    if kind == _INTS:
        return attribute.wholes(8)
    if kind == _STRINGS:
        return attribute.strings(9)
    for tensor in attribute.messages(5):
        _refuse_external(tensor)
    raise ModelFileRejected(f"The attribute {name[:60]!r} is of a kind that is not accepted (type {kind})")
