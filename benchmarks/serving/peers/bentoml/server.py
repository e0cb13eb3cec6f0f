"""BentoML: one service, one worker, adaptive batching. `bentoml serve server:Bench --port PORT` in this folder."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import bentoml
from peer_model import Model, document


@bentoml.service(
    workers=1,
    traffic={"timeout": 120, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Bench:
    def __init__(self):
        self.model = Model()

    @bentoml.api
    async def predict(self, rows: list) -> dict:
        return document(self.model.of_rows(rows))
