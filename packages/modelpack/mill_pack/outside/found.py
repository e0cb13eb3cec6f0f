"""What was found in a model file: our own arrays and what they mean. It leaves the sandbox as this document and one file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mill_contracts.adoption import ModelFileFormat
from mill_contracts.base import Contract
from mill_contracts.training import EngineCheck
from pydantic import Field

from mill_pack.engines.base import EnginePayload
from mill_pack.outside.bounds import MAX_CLASSES, MAX_FEATURES, MAX_LABEL

Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]


class InputStep(Contract):
    """What is done to one column before the model sees it: `(value, or fill where missing) - shift) / scale`."""

    fill: float | None = None
    shift: float = 0.0
    scale: float = Field(default=1.0, gt=0.0)


class FoundModel(Contract):
    """`names` and `classes` as the file has them, empty where it has none; `steps` empty where columns go in as they are.

    `probes` are rows made up to cross the model's own thresholds, as the client would send numbers; null is missing.
    """

    format: ModelFileFormat
    algorithm: str = Field(min_length=1, max_length=64)
    engine: Literal["forest", "linear", "mlp"]
    width: int = Field(ge=1, le=MAX_FEATURES)
    outputs: int = Field(ge=1, le=MAX_CLASSES)
    is_classifier: bool
    nullable: bool
    names: tuple[Label, ...] = ()
    classes: tuple[Label, ...] = ()
    steps: tuple[InputStep, ...] = ()
    probes: tuple[tuple[float | None, ...], ...] = ()
    check: EngineCheck | None = None


@dataclass(frozen=True)
class Found:
    """The document and the payload it describes."""

    model: FoundModel
    payload: EnginePayload
