"""One row from bytes to bytes: a decoder, the engine and an answer, all made for one package when it is loaded.

`PredictDoor.serve` is the caller. It takes less than the general way and never something else: whatever is unusual gives None, and
the door goes the general way, which also says what is wrong. Compiled at load; immutable, used on the event loop.
"""

import time
from typing import Any

import msgspec
from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, Package

_WIDEST = 2000
_MOST_LABELS = 100
_REQUIRED: dict[ColumnKind, Any] = {
    ColumnKind.NUMBER: float,
    ColumnKind.INTEGER: int,
    ColumnKind.BOOLEAN: bool,
    ColumnKind.STRING: str,
}
_encode = msgspec.json.Encoder().encode
_astuple = msgspec.structs.astuple


class Clock:
    """The moment as `2026-11-20T19:24:29.123456Z`, its text made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def now(self) -> bytes:
        moment = time.time()
        second = int(moment)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
            self._second = second
        return b"%b%06dZ" % (self._text, (moment - second) * 1e6)


class SingleRow:
    """`of` returns None for a model whose rows or answers need the general way: dates, derived features, many classes."""

    @classmethod
    def of(cls, package: Package) -> "SingleRow | None":
        features = package.signature.features
        if not package.is_quick or len(features) > _WIDEST or len(package.labels) > _MOST_LABELS:
            return None
        try:
            return cls(package)
        except ValueError:  # a name with quotes or control characters
            return None

    def __init__(self, package: Package) -> None:
        self._decode = _decoder(package.signature.features)
        self._outputs = package.quick_outputs
        self._decide = package.decide
        self._labels = package.labels
        self._clock = Clock()
        self._heads = [b',"prediction":%b,"confidence_score":' % _encode(label) for label in package.labels]
        shown = b",".join(b"%b:%%b" % _encode(label).replace(b"%", b"%%") for label in package.labels)
        self._probabilities = b',"probabilities":{%b}' % shown

    def answer(self, body: bytes, begun: float, identity: "Identity", request_id: bytes) -> bytes | None:
        """The whole body of a 200, or None."""
        try:
            request = self._decode(body)
            outputs = self._outputs(_astuple(request.input_data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if outputs is None:
            return None
        winner, is_low = self._decide(outputs)
        milliseconds = round((time.perf_counter() - begun) * 1e3, 4)
        if not self._labels:
            texts = _encode([outputs[0], milliseconds])[1:-1].split(b",")
            said = b',"prediction":%b,"confidence_score":null,"probabilities":null' % texts[0]
        else:
            texts = _encode([*outputs, milliseconds])[1:-1].split(b",")
            shown = (
                self._probabilities % tuple(texts[:-1]) if request.return_probabilities else b',"probabilities":null'
            )
            said = self._heads[winner] + texts[winner] + shown
        return b'%b%b,"processing_time":%b,"timestamp":"%b"%b%b,"warnings":[],"cached":false,"request_id":"%b"}}' % (
            identity.begin,
            said,
            texts[-1],
            self._clock.now(),
            identity.middle,
            b"true" if is_low else b"false",
            request_id,
        )


class Identity:
    """The parts of an answer that say which model gave it, as JSON."""

    __slots__ = ("begin", "middle")

    def __init__(self, model_id: str, name: str, version: int, version_id: str) -> None:
        self.begin = b'{"model_id":%b' % _encode(model_id)
        self.middle = b',"metadata":{"model_name":%b,"version":%d,"model_version_id":%b,"low_confidence":' % (
            _encode(name),
            version,
            _encode(version_id),
        )


def _decoder(features: tuple[FeatureSpec, ...]) -> Any:
    fields = [(f"f{number}", _type(feature), _field(feature)) for number, feature in enumerate(features)]
    row = msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    request = msgspec.defstruct(
        "Request",
        [("input_data", row), ("return_probabilities", bool, True), ("use_cache", bool, True)],
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(request).decode


def _type(feature: FeatureSpec) -> Any:
    exact = _REQUIRED[feature.kind]
    return exact | None if feature.nullable else exact


def _field(feature: FeatureSpec) -> Any:
    """A feature that may be absent is missing then."""
    return msgspec.field(name=feature.name) if feature.required else msgspec.field(default=None, name=feature.name)
