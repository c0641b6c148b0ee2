"""Register models, and look at them."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from service.api.access import ModelsReader, ModelsWriter
from service.api.cursors import After, Limit, next_link, page
from service.api.kernel import KernelOf
from service.api.names import ModelName
from service.api.repository import datasets_by_id
from service.api.schemas.model import ModelPage, ModelView, model_url, model_view
from service.api.schemas.problem import problems
from service.api.schemas.registration import RegisterModel
from service.core.lineage.models import Dataset
from service.core.registry import repository, service

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.post("", status_code=201, responses=problems(409))
def register(
    body: Annotated[RegisterModel, Body()], caller: ModelsWriter, kernel: KernelOf, response: Response
) -> ModelView:
    """Register a model and the data it learned from; its weights are uploaded next."""
    with kernel.transaction() as session:
        model = service.register(session, body.registration(kernel.settings))
        dataset = session.get_one(Dataset, model.dataset_id)
    response.headers["Location"] = model_url(model.name)
    return model_view(model, dataset, None)


@router.get("")
def list_models(caller: ModelsReader, kernel: KernelOf, after: After, limit: Limit = 50) -> ModelPage:
    """List models in the order they were registered."""
    with kernel.transaction() as session:
        found = repository.models_after(session, after, limit + 1)
        shown, has_more = page(found, limit)
        datasets = datasets_by_id(session, {model.dataset_id for model in shown})
        served = repository.served_versions(session, {model.id for model in shown})
    return ModelPage(
        items=[model_view(model, datasets[model.dataset_id], served.get(model.id)) for model in shown],
        next=next_link("/v1/models", shown[-1].id, {"limit": limit}) if has_more else None,
    )


@router.get("/{model}", responses=problems(404))
def get_model(name: ModelName, caller: ModelsReader, kernel: KernelOf) -> ModelView:
    """Show a model."""
    with kernel.transaction() as session:
        model = repository.model_named(session, name)
        served = repository.served_versions(session, {model.id})
        return model_view(model, session.get_one(Dataset, model.dataset_id), served.get(model.id))
