"""Ray Serve: one proxy, one replica, its throughput-optimised mode, batches of what waits. `python server.py PORT`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import signal
import sys

import ray
from peer_model import Model, document
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
class Bench:
    def __init__(self):
        self.model = Model()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.0)
    async def together(self, several):
        classes, probabilities = self.model.of_rows([row for rows in several for row in rows])
        answers, at = [], 0
        for rows in several:
            answers.append(document((classes[at : at + len(rows)], probabilities[at : at + len(rows)])))
            at += len(rows)
        return answers

    async def __call__(self, request: Request):
        return await self.together((await request.json())["rows"])


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(
        Bench.bind(), route_prefix="/predict", logging_config={"enable_access_log": False, "log_level": "WARNING"}
    )
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
