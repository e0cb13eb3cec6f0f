"""BentoML: one service and worker; adaptive batching for B only. `bentoml serve server:Bench --port PORT` in this folder."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import bentoml
from peer_model import MIXED, Model


@bentoml.service(
    workers=1,
    traffic={"timeout": 120, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Bench:
    def __init__(self):
        self.model = Model()

    def _answers(self, rows: list) -> list:
        classes, probabilities = self.model.of_rows(rows)
        pairs = zip(classes.tolist(), probabilities.tolist(), strict=True)
        return [{"class": place, "probabilities": row} for place, row in pairs]

    if MIXED:

        @bentoml.api(batchable=True, max_batch_size=4096, max_latency_ms=5000)
        async def predict(self, rows: list) -> list:
            return self._answers(rows)

    else:

        @bentoml.api
        async def predict(self, rows: list) -> list:
            return self._answers(rows)
