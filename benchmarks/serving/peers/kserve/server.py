"""KServe's Python server with a custom predictor: V1 JSON, V2 binary tensors. `python server.py PORT`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import logging
import sys

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from peer_model import MIXED, document
from peer_model import Model as Library


class Predictor(Model):
    def __init__(self):
        super().__init__("model")
        self.library = Library()
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002
        if not isinstance(payload, InferRequest):
            return {"predictions": document(self.library.of_rows(payload["instances"]))}
        first = payload.inputs[0].as_numpy()
        if MIXED:
            texts = payload.inputs[1].as_numpy()
            if isinstance(texts.flat[0], bytes):
                texts = np.array([text.decode() for text in texts.flat], dtype=object).reshape(texts.shape)
            classes, probabilities = self.library.of_parts(first, texts)
        else:
            classes, probabilities = self.library.predict(first)
        outputs = []
        for name, kind, values in (("classes", "INT64", classes), ("probabilities", "FP64", probabilities)):
            output = InferOutput(name, list(values.shape), kind)
            output.set_data_from_numpy(values, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(payload.id, "model", outputs, use_binary_outputs=payload.use_binary_outputs)


if __name__ == "__main__":
    server = ModelServer(
        http_port=int(sys.argv[1]), enable_grpc=False, workers=1, enable_latency_logging=False, event_loop="uvloop"
    )
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("kserve").setLevel(logging.WARNING)
    server.start([Predictor()])
