"""Plain FastAPI and the library's predict_proba: what most people write. `python server.py PORT`"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import sys

import joblib
import numpy as np
import uvicorn
import xgboost
from fastapi import FastAPI
from peer_model import FOLDER, MIXED, NAME
from pydantic import BaseModel


class Rows(BaseModel):
    rows: list[list[float | str]] if MIXED else list[list[float]]


class Answer(BaseModel):
    classes: list[int]
    probabilities: list[list[float]]


def load():
    if NAME != "A":
        model = joblib.load(FOLDER / "model.joblib")
        if NAME == "C":
            model.set_params(n_jobs=1)
        return model
    model = xgboost.XGBClassifier(n_jobs=1)
    model.load_model(FOLDER / "model.ubj")
    model.set_params(n_jobs=1)
    return model


app = FastAPI()
model = load()


@app.post("/predict")
async def predict(body: Rows) -> Answer:
    found = model.predict_proba(np.array(body.rows, dtype=object if MIXED else np.float64))
    return Answer(classes=found.argmax(axis=1).tolist(), probabilities=found.tolist())


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
