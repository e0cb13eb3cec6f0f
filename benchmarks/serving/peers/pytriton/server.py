"""PyTriton: Triton's C++ front with dynamic batching, one Python model behind it. `python server.py PORT`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import sys

import numpy as np
from peer_model import MIXED, Model
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

model = Model()


@batch
def infer_numbers(numbers):
    classes, probabilities = model.predict(numbers)
    return {"classes": classes.reshape(-1, 1), "probabilities": probabilities}


@batch
def infer_mixed(numbers, texts):
    words = np.array([text.decode() for text in texts.flat], dtype=object).reshape(texts.shape)
    classes, probabilities = model.of_parts(numbers, words)
    return {"classes": classes.reshape(-1, 1), "probabilities": probabilities}


def main(port, metrics_port):
    inputs = [Tensor(name="numbers", dtype=np.float64, shape=(-1,))]
    inputs += [Tensor(name="texts", dtype=np.bytes_, shape=(-1,))] if MIXED else []
    outputs = [
        Tensor(name="classes", dtype=np.int64, shape=(1,)),
        Tensor(name="probabilities", dtype=np.float64, shape=(-1,)),
    ]
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=port,
        allow_grpc=False,
        metrics_port=metrics_port,
        log_verbose=0,
        exit_timeout_secs=2,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="model",
            infer_func=infer_mixed if MIXED else infer_numbers,
            inputs=inputs,
            outputs=outputs,
            config=ModelConfig(max_batch_size=4096, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
            strict=False,
        )
        triton.serve()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
