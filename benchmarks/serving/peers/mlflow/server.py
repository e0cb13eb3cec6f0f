"""MLflow: saves a Python model that MODEL_FOLDER feeds; `mlflow models serve` then serves it. `python server.py FOLDER`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import shutil
import sys
from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel


class Bench(PythonModel):
    def load_context(self, context):  # noqa: ARG002
        from peer_model import Model

        self.model = Model()

    def predict(self, context, model_input, params=None):  # noqa: ARG002
        from peer_model import MIXED, document

        if MIXED:
            return document(self.model.of_parts(model_input["numbers"], model_input["texts"]))
        return document(self.model.predict(model_input))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.pyfunc.save_model(folder, python_model=Bench(), pip_requirements=["mlflow"])
