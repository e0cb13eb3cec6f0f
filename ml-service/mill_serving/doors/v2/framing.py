"""The body of a REST inference: JSON, and behind it the tensors that are sent as bytes (Inference-Header-Content-Length)."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from mill_pack import Predictions

from mill_serving.doors.v2.skimming import Numbers, skim
from mill_serving.doors.v2.tensors import BYTES, Tensor, from_bytes, from_list, from_numbers, to_bytes, to_list
from mill_serving.errors import MalformedTensor
from mill_serving.targets import Target

Parameters = dict[str, Any]


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | int | None = None
    parameters: Parameters | None = None


class _Wanted(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    outputs: list[_Wanted] | None = None
    id: str | None = None
    parameters: Parameters | None = None


class Asked(msgspec.Struct, frozen=True):
    """`binary`: the outputs to be sent as bytes; None, all of them."""

    inputs: list[Tensor]
    wanted: list[str]
    binary: frozenset[str] | None
    id: str | None


_SMALL_HEAD = 1 << 11
_TEXTS = BYTES.encode()

_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes, header_length: bytes) -> Asked:
    """Raises `MalformedTensor`."""
    head, tail = _split(body, header_length)
    skimmed = skim(head)
    asked = _asked(skimmed.text, tail, skimmed.arrays) if skimmed is not None else None
    return asked if asked is not None else _surely(head, tail)


def read_numbers(body: bytes, header_length: bytes) -> Asked | None:
    """What `read_request` finds where all tensors are numbers that need not become objects. Raises `MalformedTensor`."""
    head, tail = _split(body, header_length)
    skimmed = skim(head)
    if skimmed is None and len(head) > _SMALL_HEAD:
        return None
    text = bytes(head) if skimmed is None else skimmed.text
    if _TEXTS in text or b"\\" in text:
        return None
    return _asked(text, tail, () if skimmed is None else skimmed.arrays)


def _surely(head: memoryview, tail: memoryview) -> Asked:
    """Without what was skimmed: says what is wrong, and where."""
    asked = _read(_parsed(head), tail, ())
    if asked is None:
        raise MalformedTensor("the data of a tensor is no array")
    return asked


def _asked(text: bytes, tail: memoryview, arrays: Sequence[Numbers]) -> Asked | None:
    try:
        request = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _read(request, tail, arrays)


def _read(request: _Request, tail: memoryview, arrays: Sequence[Numbers]) -> Asked | None:
    """None where numbers do not fit their tensor. Raises `MalformedTensor`."""
    inputs: list[Tensor] = []
    position = 0
    for given in request.inputs:
        size = (given.parameters or {}).get("binary_data_size")
        if size is None:
            tensor = _from_json(given, arrays)
            if tensor is None:
                return None
            inputs.append(tensor)
            continue
        if type(size) is not int or not 0 <= size <= len(tail) - position or given.data is not None:
            raise MalformedTensor(f"{given.name!r}: binary_data_size {str(size)[:40]} does not fit the body")
        inputs.append(from_bytes(given.name, given.datatype, given.shape, tail[position : position + size]))
        position += size
    if position != len(tail):
        raise MalformedTensor(f"{len(tail) - position} bytes of the body belong to no input")
    return Asked(inputs, [one.name for one in request.outputs or []], _binary(request), request.id)


def render(asked: Asked, target: Target, found: Predictions, outputs: Sequence[Tensor]) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON part where bytes follow."""
    described: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for output in outputs:
        about: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        if asked.binary is None or output.name in asked.binary:
            tail.append(to_bytes(output))
            about["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            about["data"] = to_list(output)
        described.append(about)
    document: dict[str, Any] = {"model_name": target.name, "model_version": str(target.version)}
    if asked.id is not None:
        document["id"] = asked.id
    if found.warnings:
        document["parameters"] = {"warnings": "; ".join(found.warnings[:20])}
    document["outputs"] = described
    head = _encode(document)
    return (b"".join([head, *tail]), len(head)) if tail else (head, None)


def _split(body: bytes, header_length: bytes) -> tuple[memoryview, memoryview]:
    view = memoryview(body)
    if not header_length:
        return view, view[len(view) :]
    if not header_length.isdigit() or len(header_length) > 18 or int(header_length) > len(body):
        given = header_length[:40].decode("latin-1")
        raise MalformedTensor(
            f"Inference-Header-Content-Length {given!r} is no length within the {len(body)} bytes sent"
        )
    return view[: int(header_length)], view[int(header_length) :]


def _parsed(head: memoryview) -> _Request:
    """tritonclient writes a missing number as `NaN`, which is no JSON: only then the slow reader, for which it is null."""
    try:
        try:
            return _decode(head)
        except msgspec.DecodeError:
            text = bytes(head)
            if b"NaN" not in text:
                raise
            return msgspec.convert(json.loads(text, parse_constant=_constant), _Request)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedTensor(f"the request is no inference request: {error}") from None


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no number; a missing one is null or NaN")


def _from_json(given: _Input, arrays: Sequence[Numbers]) -> Tensor | None:
    if given.data is None:
        raise MalformedTensor(f"{given.name!r} has neither data nor binary_data_size; shared memory is not taken here")
    if isinstance(given.data, int):
        if not 0 <= given.data < len(arrays):
            return None
        numbers = arrays[given.data]
        return from_numbers(given.name, given.datatype, given.shape, numbers.values, width=numbers.width)
    return from_list(given.name, given.datatype, given.shape, given.data)


def _binary(request: _Request) -> frozenset[str] | None:
    everything = (request.parameters or {}).get("binary_data_output") is True
    if everything and not request.outputs:
        return None
    return frozenset(
        one.name for one in request.outputs or [] if (one.parameters or {}).get("binary_data", everything) is True
    )
