"""Uploaded models over HTTP: a file from outside becomes a model, or the next version of one, once it is validated."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from mill_api.access.dependencies import ProjectEditor, UploadClaim, UploadWork
from mill_api.models.schemas import Model
from mill_api.models.upload_form import NEW_MODEL_BODY, UPLOAD_BODY, body
from mill_api.models.uploads import ModelUploads
from mill_api.once.route import OnceRoute

router = APIRouter(prefix="/api/v1/models", tags=["models"], route_class=OnceRoute)


def model_uploads(request: Request) -> ModelUploads:
    return request.app.state.parts.model_uploads


Uploads = Annotated[ModelUploads, Depends(model_uploads)]
_NEW = body({**UPLOAD_BODY, **NEW_MODEL_BODY}, "file", "framework", "name", "project_id", "model_type")
_NEXT = body(UPLOAD_BODY, "file", "framework")


@router.post("/upload", status_code=201, openapi_extra=_NEW)
async def upload(request: Request, me: ProjectEditor, work: UploadWork, claim: UploadClaim, uploads: Uploads) -> Model:
    """Upload a trained model; a known name makes its next version. It is quarantined, validated, then `ready` or `rejected`."""
    return Model.of(*await uploads.new(request, me, work, claim), deployed=False)


@router.post("/{model_id}/upload", status_code=201, openapi_extra=_NEXT)
async def upload_version(
    model_id: UUID, request: Request, me: ProjectEditor, work: UploadWork, claim: UploadClaim, uploads: Uploads
) -> Model:
    """Upload the next version of a model; it is quarantined, validated, then `ready` or `rejected`."""
    return Model.of(*await uploads.next(request, me, work, claim, model_id), deployed=False)
