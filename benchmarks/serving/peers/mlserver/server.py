"""MLServer: a runtime of ours, no worker processes beside the server. `python server.py PORT`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import asyncio
import logging
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceResponse, ResponseOutput
from peer_model import MIXED, Model


class Runtime(MLModel):
    async def load(self):
        self._model = Model()
        return True

    async def predict(self, payload):
        first = NumpyCodec.decode_input(payload.inputs[0])
        if MIXED:
            import numpy as np

            texts = np.array(StringCodec.decode_input(payload.inputs[1]), dtype=object)
            classes, probabilities = self._model.of_parts(first, texts.reshape(len(first), -1))
        else:
            classes, probabilities = self._model.predict(first)
        outputs = [
            ResponseOutput(name="classes", shape=list(classes.shape), datatype="INT64", data=classes.tolist()),
            ResponseOutput(
                name="probabilities",
                shape=list(probabilities.shape),
                datatype="FP64",
                data=probabilities.ravel().tolist(),
            ),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


async def main(port, grpc_port, metrics_port):
    settings = Settings(
        debug=False,
        parallel_workers=0,
        host="127.0.0.1",
        http_port=port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        metrics_endpoint=None,
        gzip_enabled=False,
        load_models_at_startup=False,
    )
    server = MLServer(settings)
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("mlserver").setLevel(logging.WARNING)
    options = {"max_batch_size": 64, "max_batch_time": 0.001} if MIXED else {}
    model = ModelSettings(name="model", implementation=Runtime, parameters=ModelParameters(version="1"), **options)
    await server.start([model])


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    asyncio.run(main(*map(int, sys.argv[1:4])))
