"""Predictions in real time: straight from an ml-service when the client knows one, else through the api-server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from modelmill._errors import NotFound
from modelmill._pages import walk
from modelmill._transport import Transport, path
from modelmill._types import Prediction, Predictions, View

Row = Mapping[str, Any]


POLL_SECONDS = 0.2


class Predict:
    def __init__(self, transport: Transport, serving: Transport | None) -> None:
        self._transport = transport
        self._serving = serving

    def one(self, model: str, row: Row, *, probabilities: bool = True, use_cache: bool = True) -> Prediction:
        """Predict one row. `model` is an id, a name or name@version; a missing value is None.

        Raises `InvalidRequest` naming unknown, missing or wrong-typed features.
        """
        body = {"input_data": dict(row), "return_probabilities": probabilities, "use_cache": use_cache}
        if self._serving is not None:
            return Prediction.of(self._serving.post(_predict(model), body, idempotent=True))
        kept: dict[str, Any] = self._transport.post(path("predictions"), {"model": model, **body})
        return Prediction.of(kept["output"])

    def many(self, model: str, rows: Sequence[Row], *, probabilities: bool = True) -> Predictions:
        """Predict a few thousand rows at most; whole files are `client.batch`'s. Without an ml-service, one call per row."""
        body = {"inputs": [dict(row) for row in rows], "return_probabilities": probabilities}
        if self._serving is not None:
            return Predictions.of(self._serving.post(f"{_predict(model)}/batch", body, idempotent=True))
        answers = [dict(self.one(model, row, probabilities=probabilities).raw) for row in rows]
        return Predictions.of({"predictions": answers})

    def profile(self, model: str, row: Row, *, timeout: float = 10.0) -> View:
        """What one prediction costs, with the functions its time went to, asked of an ml-service that may tell.

        Raises `PermissionDenied` where profiles are switched off or not for you, `NotFound` when its record does not come in time.
        """
        if self._serving is None:
            raise ValueError("a profile is asked of ml-service itself: give the client its serving_url")
        answer: dict[str, Any] = self._serving.json(
            "POST", _predict(model), idempotent=True, json={"input_data": dict(row)}, headers={"X-Profile": "1"}
        )
        record = f"/performance/{quote(answer['metadata']['request_id'], safe='')}"
        deadline = time.monotonic() + timeout
        while True:
            try:
                return View.of(self._serving.get(record))
            except NotFound:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def history(self, **filters: Any) -> Iterator[View]:
        """Predictions made through the api-server, newest first."""
        return walk(self._transport, path("predictions"), View, **filters)


def _predict(model: str) -> str:
    return f"/predict/{quote(model, safe='@')}"
