"""Deploying over HTTP, batch predictions and single ones."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from mill_kit.http.problems import MEDIA_TYPE

from mill_api.access.dependencies import (
    Paging,
    PredictingUploadWork,
    PredictingWork,
    Predictor,
    ProjectEditor,
    Reading,
    UploadClaim,
    Work,
)
from mill_api.db import ReadSession, WriteSession
from mill_api.db.pages import Page
from mill_api.deployments import repository
from mill_api.deployments.batches import BatchService
from mill_api.deployments.predictions import PredictionService
from mill_api.deployments.schemas import (
    BatchPrediction,
    BatchWish,
    Deployment,
    DeployWish,
    Prediction,
    PredictionWish,
    Undeployed,
)
from mill_api.deployments.service import DeploymentService
from mill_api.deployments.tables import DeploymentRow
from mill_api.models import repository as models
from mill_api.once.route import OnceRoute
from mill_api.storage.downloads import download

deploying = APIRouter(prefix="/api/v1", tags=["deployments"], route_class=OnceRoute)
batches = APIRouter(prefix="/api/v1", tags=["batch predictions"], route_class=OnceRoute)
predictions = APIRouter(prefix="/api/v1/predictions", tags=["predictions"])
routers = (deploying, batches, predictions)


def deployment_service(request: Request) -> DeploymentService:
    return request.app.state.parts.deployments


def batch_service(request: Request) -> BatchService:
    return request.app.state.parts.batches


def prediction_service(request: Request) -> PredictionService:
    return request.app.state.parts.predictions


Deployments = Annotated[DeploymentService, Depends(deployment_service)]
Batches = Annotated[BatchService, Depends(batch_service)]
Predictions = Annotated[PredictionService, Depends(prediction_service)]

_FILE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "CSV, JSON, NDJSON or Parquet"},
                        "version": {"type": "integer"},
                        "output_format": {"type": "string", "enum": ["parquet", "csv"]},
                        "return_probabilities": {"type": "boolean"},
                    },
                }
            }
        },
    }
}


@deploying.post("/models/{model_id}/deploy")
async def deploy(
    model_id: UUID, me: ProjectEditor, work: Work, service: Deployments, wish: DeployWish | None = None
) -> Deployment:
    """Put a version live. Asked for while it trains, it happens when it is trained; the version before serves until then."""
    row = await service.deploy(work, model_id, wish or DeployWish(), me)
    return await _deployment(work.session, service, row)


@deploying.post("/models/{model_id}/undeploy")
async def undeploy(model_id: UUID, me: ProjectEditor, work: Work, service: Deployments) -> Undeployed:
    """Take the model off; its versions stay."""
    await service.undeploy(work, model_id, me)
    return Undeployed(model_id=model_id)


@deploying.post("/models/{model_id}/rollback")
async def rollback(model_id: UUID, me: ProjectEditor, work: Work, service: Deployments) -> Deployment:
    """Put the version live again that was live before. The version left behind is none to roll back to."""
    return await _deployment(work.session, service, await service.rollback(work, model_id, me))


@deploying.get("/models/{model_id}/deployment")
async def deployment_of_model(model_id: UUID, session: Reading, service: Deployments) -> Deployment:
    """How far the model's deployment has come, replica by replica."""
    await models.model(session, model_id)
    return await _deployment(session, service, await repository.deployment_for_reading(session, model_id))


@deploying.get("/deployments")
async def list_deployments(session: Reading, paging: Paging, service: Deployments) -> Page[Deployment]:
    """What is live in the workspace, newest first."""
    found = await repository.deployments(session, paging)
    versions = await repository.versions_of(session, found.rows)
    names = await models.models_by_id(session, [row.model_id for row in found.rows])
    rollouts = await service.rollouts(found.rows)
    return found.page(lambda row: Deployment.of(row, names[row.model_id], versions, rollouts[row.id]))


@deploying.get("/deployments/{deployment_id}")
async def show_deployment(deployment_id: UUID, session: Reading, service: Deployments) -> Deployment:
    """One deployment."""
    return await _deployment(session, service, await repository.deployment(session, deployment_id))


@batches.post("/models/{model_id}/batch-predictions", status_code=202)
async def score_dataset(
    model_id: UUID, wish: BatchWish, me: Predictor, work: PredictingWork, service: Batches
) -> BatchPrediction:
    """Score a dataset as a job; follow `job_id`, then download the result."""
    return BatchPrediction.of(await service.score_dataset(work, model_id, wish, me))


@batches.post("/models/{model_id}/batch-predictions/upload", status_code=202, openapi_extra=_FILE_BODY)
async def score_file(
    model_id: UUID, request: Request, me: Predictor, work: PredictingUploadWork, claim: UploadClaim, service: Batches
) -> BatchPrediction:
    """Score a file as a job. It is streamed to the store like a dataset, but none is made of it."""
    return BatchPrediction.of(await service.score_file(request, model_id, me, work, claim))


@batches.get("/batch-predictions")
async def list_batches(session: Reading, paging: Paging, model_id: UUID | None = None) -> Page[BatchPrediction]:
    """Batch predictions of the workspace, newest first."""
    return (await repository.batches(session, model_id, paging)).page(BatchPrediction.of)


@batches.get("/batch-predictions/{batch_id}")
async def show_batch(batch_id: UUID, session: Reading) -> BatchPrediction:
    """One batch prediction."""
    return BatchPrediction.of(await repository.batch(session, batch_id))


@batches.get("/batch-predictions/{batch_id}/download", response_class=StreamingResponse)
async def download_batch(batch_id: UUID, session: Reading, service: Batches) -> StreamingResponse:
    """The table with predictions, streamed."""
    row = await repository.batch(session, batch_id)
    media_type = "text/csv; charset=utf-8" if row.output_format == "csv" else "application/vnd.apache.parquet"
    name = f"{row.file_name}.predictions.{row.output_format}"
    return download(service.objects, service.result(row), name, media_type)


@batches.delete("/batch-predictions/{batch_id}", status_code=204)
async def delete_batch(batch_id: UUID, me: ProjectEditor, work: Work, service: Batches) -> None:
    """Delete a batch prediction whose job has ended, with its file and its result."""
    await service.delete(work, batch_id, me)


@predictions.post("", response_model=Prediction)
async def predict(request: Request, wish: PredictionWish, me: Predictor, service: Predictions) -> Response | Prediction:
    """Predict one row through the api-server and keep it in the history; what ml-service refuses comes back as it is."""
    row = await service.predict(request, wish, me)
    if row.status != 200:
        return JSONResponse(row.output, row.status, media_type=MEDIA_TYPE)
    return Prediction.of(row)


@predictions.get("")
async def list_predictions(
    session: Reading,
    paging: Paging,
    model_id: UUID | None = None,
    status: Annotated[int | None, Query(ge=100, le=599)] = None,
) -> Page[Prediction]:
    """The history, newest first."""
    return (await repository.predictions(session, model_id, status, paging)).page(Prediction.of)


@predictions.get("/{prediction_id}")
async def show_prediction(prediction_id: UUID, session: Reading) -> Prediction:
    """One prediction of the history."""
    return Prediction.of(await repository.prediction(session, prediction_id))


async def _deployment(
    session: ReadSession | WriteSession, service: DeploymentService, row: DeploymentRow
) -> Deployment:
    model, _ = await models.model(session, row.model_id)
    versions = await repository.versions_of(session, [row])
    return Deployment.of(row, model, versions, await service.rollout(row))
