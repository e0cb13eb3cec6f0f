"""Models over HTTP: creating one trains it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from mill_contracts.adoption import ModelFramework
from mill_contracts.algorithms import Catalogue, catalogue
from mill_contracts.recipe import Task

from mill_api.access.dependencies import Me, ModelQuota, Paging, ProjectEditor, Reading, Work
from mill_api.db.pages import Page
from mill_api.models import repository, service
from mill_api.models.repository import ModelFilter
from mill_api.models.schemas import Model, ModelChange, ModelSummary, ModelVersion, ModelVersionSummary, ModelWish
from mill_api.models.service import ModelService
from mill_api.models.tables import ModelStatus
from mill_api.once.route import OnceRoute
from mill_api.storage.downloads import download as stream
from mill_api.texts import VersionNumber

router = APIRouter(prefix="/api/v1/models", tags=["models"], route_class=OnceRoute)


def model_service(request: Request) -> ModelService:
    return request.app.state.parts.models


Models = Annotated[ModelService, Depends(model_service)]
Version = Annotated[VersionNumber | None, Query(description="A version's number; the latest when left out")]


@router.post("", status_code=201, dependencies=[ModelQuota])
async def train(wish: ModelWish, me: ProjectEditor, work: Work, models: Models) -> Model:
    """Train a model; follow `job_id`. On a dataset that is still being profiled the training starts when that is done."""
    return Model.of(*await models.train(work, wish, me), deployed=False)


@router.get("")
async def list_models(
    session: Reading,
    paging: Paging,
    models: Models,
    project_id: UUID | None = None,
    dataset_id: UUID | None = None,
    framework: ModelFramework | None = None,
    model_type: Task | None = None,
    tag: str | None = None,
    search: Annotated[str | None, Query(description="Part of the name")] = None,
    status: Annotated[ModelStatus | None, Query(description="Of the latest version")] = None,
) -> Page[ModelSummary]:
    """The workspace's models with their latest versions, newest first."""
    wish = ModelFilter(project_id, dataset_id, framework, model_type, tag, search, status)
    found = await repository.models(session, wish, paging, live=models.deployments.live_versions())
    latest = await repository.latest_versions(session, found.rows)
    live = await models.deployed(session, list(latest.values()))
    return found.page(lambda row: ModelSummary.of(row, latest[row.id], deployed=latest[row.id].id in live))


@router.get("/algorithms")
async def algorithms(_: Me) -> Catalogue:
    """Every algorithm with a JSON Schema of each of its parameters, generated from the libraries."""
    return catalogue()


@router.get("/leaderboard")
async def leaderboard(
    session: Reading,
    models: Models,
    project_id: UUID,
    dataset_id: UUID | None = None,
    metric: Annotated[str | None, Query(description="ROC AUC, else accuracy, else RMSE when left out")] = None,
) -> list[ModelVersionSummary]:
    """The trained versions of a project, best first."""
    ranked = await service.leaderboard(session, project_id, dataset_id, metric)
    live = await models.deployed(session, [version for _, version in ranked])
    return [ModelVersionSummary.of(model, version, deployed=version.id in live) for model, version in ranked]


@router.get("/{model_id}")
async def show(model_id: UUID, session: Reading, models: Models) -> Model:
    """A model and, whole, its latest version: metrics, curves, importance, lineage."""
    model, latest = await repository.model(session, model_id)
    return Model.of(model, latest, deployed=bool(await models.deployed(session, [latest])))


@router.patch("/{model_id}")
async def change(model_id: UUID, wish: ModelChange, me: ProjectEditor, work: Work, models: Models) -> Model:
    """Describe or tag a model."""
    model, latest = await service.change(work, model_id, wish, me)
    return Model.of(model, latest, deployed=bool(await models.deployed(work.session, [latest])))


@router.delete("/{model_id}", status_code=204)
async def delete(model_id: UUID, me: ProjectEditor, work: Work, models: Models) -> None:
    """Delete a model with all its versions and packages."""
    await models.delete(work, model_id, me)


@router.get("/{model_id}/versions")
async def versions(model_id: UUID, session: Reading, paging: Paging, models: Models) -> Page[ModelVersionSummary]:
    """All versions, newest first."""
    model, _ = await repository.model(session, model_id)
    found = await repository.versions(session, model_id, paging)
    live = await models.deployed(session, found.rows)
    return found.page(lambda row: ModelVersionSummary.of(model, row, deployed=row.id in live))


@router.get("/{model_id}/versions/{version}")
async def show_version(model_id: UUID, version: VersionNumber, session: Reading, models: Models) -> ModelVersion:
    """One version whole."""
    model, row = await repository.version(session, model_id, version)
    return ModelVersion.of(model, row, deployed=bool(await models.deployed(session, [row])))


@router.post("/{model_id}/deprecate")
async def deprecate(
    model_id: UUID, me: ProjectEditor, work: Work, models: Models, version: Version = None
) -> ModelVersion:
    """Mark a version as one not to be used any more."""
    return ModelVersion.of(*await models.deprecate(work, model_id, version, me, deprecated=True), deployed=False)


@router.post("/{model_id}/restore")
async def restore(
    model_id: UUID, me: ProjectEditor, work: Work, models: Models, version: Version = None
) -> ModelVersion:
    """Take the deprecation of a version back."""
    return ModelVersion.of(*await models.deprecate(work, model_id, version, me, deprecated=False), deployed=False)


@router.get("/{model_id}/package", response_class=StreamingResponse)
async def package(model_id: UUID, session: Reading, models: Models, version: Version = None) -> StreamingResponse:
    """The model package itself: one file that any Modelmill can open."""
    model, row = await repository.version(session, model_id, version)
    name = f"{model.name}@{row.version}.mill"
    return stream(models.objects, service.package_of(row), name)
