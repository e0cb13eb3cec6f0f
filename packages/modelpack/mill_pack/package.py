"""The package in memory: what ml-service serves from and what batch scoring runs through."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mill_pack.arrays import Columns, FloatArray
from mill_pack.encoding import Encoded, Encoder
from mill_pack.encoding.blocks import Body
from mill_pack.encoding.encoder import INPUT_DATA, INPUTS
from mill_pack.encoding.quick import Value
from mill_pack.engines.base import Engine, Explaining, Threaded
from mill_pack.engines.registry import largest_difference
from mill_pack.errors import ExplainUnsupported, GoldenRowsDiffer, InvalidInput
from mill_pack.explanation import Explanations, input_shares, margin_names
from mill_pack.manifest import Manifest
from mill_pack.outcome import Decider, Prediction, Predictions
from mill_pack.signature import Signature

BLOCK_ROWS = 1 << 16
ROWS_A_THREAD = 1 << 11
"""A thread costs some 30 µs to start, which fewer rows of a quick forest do not save."""


def unseen_warnings(names: tuple[str, ...]) -> tuple[str, ...]:
    """What is said of a row whose values of these features training never saw."""
    return tuple(f"{name}: category unknown to the model" for name in names) if names else ()


class Package:
    """An opened model. Immutable, shared by threads."""

    def __init__(self, manifest: Manifest, engine: Engine, manifest_bytes: int = 0) -> None:
        self.manifest = manifest
        self.encoder = Encoder(manifest.encoder)
        self._engine = engine
        self._outputs_one = engine.outputs_one
        self._decider = Decider(manifest)
        self.decide = self._decider.decide
        self._quick = self.encoder.quick
        self.nbytes: int = engine.nbytes + self.encoder.nbytes + 4 * manifest_bytes + (1 << 14)

    @property
    def signature(self) -> Signature:
        return self.manifest.signature

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes as the answers name them, in the order of probabilities."""
        return self._decider.labels

    def predict_one(self, row: Mapping[str, object], pointer: str = INPUT_DATA) -> Prediction:
        """Raises `InvalidInput`, its pointers under `pointer`."""
        vector, unseen = self.encoder.encode_row(row, pointer)
        return self._decider.one(self._outputs_one(vector), unseen_warnings(unseen))

    @property
    def is_quick(self) -> bool:
        """Whether `quick_outputs` can ever answer."""
        return self._quick is not None

    def quick_outputs(self, values: Sequence[Value]) -> list[float] | None:
        """The outputs of `predict_one`, for finite values in the order of the signature whose types were checked on the way in.

        None where `predict_one` must look: an unseen category, a number beyond float64, an encoder with dates or derived features.
        """
        vector = self._quick.vector(values) if self._quick is not None else None
        return None if vector is None else self._outputs_one(np.frombuffer(vector))

    def predict_rows(self, rows: Sequence[Mapping[str, object]], pointer: str = INPUTS) -> Predictions:
        """Raises `InvalidInput`, its pointers under `pointer`/row."""
        return self._predict([self.encoder.read_rows(rows, pointer)])

    def predict_columns(self, columns: Columns) -> Predictions:
        """All rows of a table, in blocks. Columns that are no features are ignored. Raises `InvalidInput` naming columns."""
        return self._predict(self.encoder.encode_blocks(columns, BLOCK_ROWS))

    def read_object(self, body: Body, start: int) -> tuple[int, FloatArray, tuple[str, ...]] | None:
        """One JSON object, at its brace: where it ends, its vector for `outputs_one`, features whose category training never saw.

        None where `predict_one` must look: something is wrong, or merely unusual.
        """
        blocks = self.encoder.blocks
        return None if blocks is None else blocks.object(body, start)

    def outputs_one(self, vector: FloatArray) -> list[float]:
        """For `decide`."""
        return self._outputs_one(vector)

    def read_objects(self, body: Body, start: int, most_rows: int) -> tuple[int, Encoded] | None:
        """The rows of a JSON array of objects, read from behind its bracket, and where the array ends; for `predict_encoded`.

        None where `predict_rows` must look: something is wrong, or merely unusual, or there are more rows than that.
        """
        blocks = self.encoder.blocks
        return None if blocks is None else blocks.objects(body, start, most_rows)

    def read_lists(self, body: Body, start: int, most_rows: int, names: Sequence[str]) -> tuple[int, Encoded] | None:
        """Like `read_objects`, from an array of arrays whose values stand in the order of `names`."""
        blocks = self.encoder.blocks
        return None if blocks is None else blocks.lists(body, start, most_rows, names)

    def read_columns(self, columns: Sequence[NDArray[Any]]) -> Encoded | None:
        """Like `read_objects`, from an array for each feature in the order of the signature, of one length."""
        blocks = self.encoder.blocks
        return None if blocks is None else blocks.columns(columns)

    def read_matrix(self, matrix: NDArray[Any]) -> Encoded | None:
        """Like `read_columns`, from (n, features)."""
        blocks = self.encoder.blocks
        return None if blocks is None else blocks.matrix(matrix)

    def predict_encoded(self, encoded: Encoded, threads: int = 1) -> Predictions:
        """`threads` at most, where the block is worth them. Raises `InvalidInput` where a prediction is not finite."""
        return self._predict([encoded], threads)

    def _outputs(self, matrix: FloatArray, threads: int) -> FloatArray:
        engine = self._engine
        worth = min(threads, len(matrix) // ROWS_A_THREAD)
        if worth > 1 and isinstance(engine, Threaded):
            return engine.outputs_by(matrix, worth)
        return engine.outputs(matrix)

    def explain_rows(self, rows: Sequence[Mapping[str, object]], pointer: str = INPUTS) -> Explanations:
        """What each input adds to the margins of each row. Raises `InvalidInput`, or `ExplainUnsupported`."""
        engine = self._engine
        if not isinstance(engine, Explaining):
            kind = self.manifest.engine.kind
            raise ExplainUnsupported(f"The engine {kind!r} gives no contributions; forests and linear models do.")
        encoded = self.encoder.read_rows(rows, pointer)
        found = engine.contributions(encoded.matrix)
        shares = input_shares(self.manifest.encoder)
        return Explanations(
            predictions=self._predict([encoded]),
            features=tuple(feature.name for feature in self.signature.features),
            outputs=margin_names(self.labels, self.signature.target, found.shape[1]),
            contributions=found[:, :, :-1] @ shares,
            base=found[:, :, -1],
        )

    def replay_golden(self) -> None:
        """Raises `GoldenRowsDiffer` unless rows and single rows repeat what was recorded."""
        golden = self.manifest.golden
        if not golden.rows:
            return
        expected = np.array(golden.outputs, dtype=np.float64)
        try:
            matrix = self.encoder.encode_rows(golden.rows)
        except InvalidInput as error:
            raise GoldenRowsDiffer(f"The golden rows do not fit the signature: {error.detail}") from error
        many = self._engine.outputs(matrix)
        singles = np.array([self._outputs_one(self.encoder.encode_row(row)[0]) for row in golden.rows])
        difference = max(largest_difference(expected, many), largest_difference(expected, singles))
        if difference > golden.tolerance:
            raise GoldenRowsDiffer(
                f"The model answers its golden rows differently here: by {difference:g}, allowed is {golden.tolerance:g}."
            )

    def _predict(self, blocks: Iterable[Encoded], threads: int = 1) -> Predictions:
        outputs: list[FloatArray] = []
        unseen: Counter[str] = Counter()
        missing = 0
        for block in blocks:
            outputs.append(self._outputs(block.matrix, threads))
            unseen.update(block.unseen)
            missing += block.rows_with_missing
        together = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        warnings = tuple(
            f"{name}: {count} of {len(together)} rows hold a category unknown to the model"
            for name, count in unseen.items()
        )
        return replace(self._decider.many(together, warnings, missing), unseen=dict(unseen))
