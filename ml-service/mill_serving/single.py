"""One row from bytes to bytes: a decoder, the engine and an answer, all made for one package when it is loaded.

`PredictDoor.serve` is the caller. It takes less than the general way and never something else: whatever is unusual gives None, and
the door goes the general way, which also says what is wrong. Compiled at load; immutable, used on the event loop.
"""

import time
from typing import Any

import msgspec
from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, Package, unseen_warnings

from mill_serving.envelopes import Envelope

_WIDEST = 2000
_MOST_LABELS = 100
_REQUIRED: dict[ColumnKind, Any] = {
    ColumnKind.NUMBER: float,
    ColumnKind.INTEGER: int,
    ColumnKind.BOOLEAN: bool,
    ColumnKind.STRING: str,
}
_ENVELOPE = Envelope.around(b"input_data")
_encode = msgspec.json.Encoder().encode
_astuple = msgspec.structs.astuple


Found = tuple[list[float], bool, bytes]
"""Outputs, whether probabilities are asked for, the warnings as JSON."""


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
    """`of` returns None for a model whose rows or answers are too long for it.

    Rows of plain numbers and known categories go through a typed decoder; dates, derived features, whole numbers written as
    `1.0` and unseen categories, with their warnings, through the package's native reader.
    """

    @classmethod
    def of(cls, package: Package) -> "SingleRow | None":
        features = package.signature.features
        return None if len(features) > _WIDEST or len(package.labels) > _MOST_LABELS else cls(package)

    def __init__(self, package: Package) -> None:
        self._decode = _decoder(package.signature.features) if package.is_quick else None
        self._outputs = package.quick_outputs
        self._read = package.read_object
        self._outputs_one = package.outputs_one
        self._decide = package.decide
        self._labels = package.labels
        self._clock = Clock()
        self._heads = [b',"prediction":%b,"confidence_score":' % _encode(label) for label in package.labels]
        shown = b",".join(b"%b:%%b" % _encode(label).replace(b"%", b"%%") for label in package.labels)
        self._probabilities = b',"probabilities":{%b}' % shown

    def answer(self, body: bytes, begun: float, identity: "Identity", request_id: bytes) -> bytes | None:
        """The whole body of a 200, or None."""
        found = self._quickly(body) or self._natively(body, takes_unseen=identity.takes_unseen)
        if found is None:
            return None
        outputs, is_shown, warnings = found
        winner, is_low = self._decide(outputs)
        milliseconds = round((time.perf_counter() - begun) * 1e3, 4)
        if not self._labels:
            texts = _encode([outputs[0], milliseconds])[1:-1].split(b",")
            said = b',"prediction":%b,"confidence_score":null,"probabilities":null' % texts[0]
        else:
            texts = _encode([*outputs, milliseconds])[1:-1].split(b",")
            shown = self._probabilities % tuple(texts[:-1]) if is_shown else b',"probabilities":null'
            said = self._heads[winner] + texts[winner] + shown
        return b'%b%b,"processing_time":%b,"timestamp":"%b"%b%b,"warnings":%b,"cached":false,"request_id":"%b"}}' % (
            identity.begin,
            said,
            texts[-1],
            self._clock.now(),
            identity.middle,
            b"true" if is_low else b"false",
            warnings,
            request_id,
        )

    def _quickly(self, body: bytes) -> Found | None:
        if self._decode is None:
            return None
        try:
            request = self._decode(body)
            outputs = self._outputs(_astuple(request.input_data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return None if outputs is None else (outputs, request.return_probabilities, b"[]")

    def _natively(self, body: bytes, *, takes_unseen: bool) -> Found | None:
        begin = _ENVELOPE.begin(body)
        found = self._read(body, begin) if begin is not None else None
        if begin is None or found is None:
            return None
        end, vector, unseen = found
        is_shown = _ENVELOPE.asks_probabilities(body, begin, end)
        if is_shown is None or (unseen and not takes_unseen):
            return None
        return self._outputs_one(vector), is_shown, _encode(unseen_warnings(unseen))


class Identity:
    """The parts of an answer that say which model gave it, as JSON, and whether its deployment takes unseen categories."""

    __slots__ = ("begin", "middle", "takes_unseen")

    def __init__(self, model_id: str, name: str, version: int, version_id: str, *, takes_unseen: bool = True) -> None:
        self.takes_unseen = takes_unseen
        self.begin = b'{"model_id":%b' % _encode(model_id)
        self.middle = b',"metadata":{"model_name":%b,"version":%d,"model_version_id":%b,"low_confidence":' % (
            _encode(name),
            version,
            _encode(version_id),
        )


def _decoder(features: tuple[FeatureSpec, ...]) -> Any:
    """None for a name with quotes or control characters."""
    fields = [(f"f{number}", _type(feature), _field(feature)) for number, feature in enumerate(features)]
    try:
        row = msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    except ValueError:
        return None
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
