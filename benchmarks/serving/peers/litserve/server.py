"""LitServe: one worker, batches of what waits, ZeroMQ queue ("fast_queue"). `python server.py PORT`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import sys

import litserve
from peer_model import Model, document


class Api(litserve.LitAPI):
    def setup(self, device):  # noqa: ARG002
        self.model = Model()

    def decode_request(self, request):
        return request["rows"]

    def batch(self, inputs):
        return inputs

    def predict(self, batch):
        classes, probabilities = self.model.of_rows([row for rows in batch for row in rows])
        answers, at = [], 0
        for rows in batch:
            answers.append((classes[at : at + len(rows)], probabilities[at : at + len(rows)]))
            at += len(rows)
        return answers

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return document(output)


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=64, batch_timeout=0.0), accelerator="cpu", workers_per_device=1, fast_queue=True, timeout=120
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
