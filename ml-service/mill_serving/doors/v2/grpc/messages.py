# pyright: reportUnknownMemberType=false
# protobuf's maps and repeated fields are partly untyped.
"""Between gRPC's messages and the tensors of the protocol."""

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from mill_pack import Predictions

from mill_serving.doors.v2.grpc import inference_pb2 as pb
from mill_serving.doors.v2.tensors import BOOL, BYTES, Tensor, count_of, decoded, from_bytes, from_list, to_bytes
from mill_serving.errors import MalformedTensor
from mill_serving.targets import Target

_FIELDS = {
    BOOL: "bool_contents",
    BYTES: "bytes_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}

Kind = TypeVar("Kind", bound=Message)


def message(kind: type[Kind], document: dict[str, Any]) -> Kind:
    """Members the message has no field for are left out."""
    return json_format.ParseDict(document, kind(), ignore_unknown_fields=True)


def tensors(request: pb.ModelInferRequest) -> list[Tensor]:
    """From raw contents, where there are any, else from typed ones. Raises `MalformedTensor`."""
    raw = list(request.raw_input_contents)
    if raw:
        if len(raw) != len(request.inputs):
            raise MalformedTensor(f"{len(raw)} raw contents for {len(request.inputs)} inputs")
        pairs = zip(request.inputs, raw, strict=True)
        return [from_bytes(given.name, given.datatype, list(given.shape), content) for given, content in pairs]
    return [_typed(given) for given in request.inputs]


def response(
    request: pb.ModelInferRequest, target: Target, found: Predictions, outputs: Sequence[Tensor]
) -> pb.ModelInferResponse:
    answer = pb.ModelInferResponse(model_name=target.name, model_version=str(target.version), id=request.id)
    for output in outputs:
        answer.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        answer.raw_output_contents.append(to_bytes(output))
    if found.warnings:
        answer.parameters["warnings"].string_param = "; ".join(found.warnings[:20])
    return answer


def _typed(given: pb.ModelInferRequest.InferInputTensor) -> Tensor:
    name, shape = given.name, list(given.shape)
    count_of(name, given.datatype, shape)
    field = _FIELDS.get(given.datatype)
    if field is None:
        raise MalformedTensor(f"{name!r}: {given.datatype} is sent as raw contents")
    values: list[Any] = list(getattr(given.contents, field))
    if given.datatype == BYTES:
        values = [decoded(name, text) for text in values]
    return from_list(name, given.datatype, shape, values)
