"""A model and the data it learned from, as its owner registers them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from service.api.schemas.architecture import Architecture, permitted_factory
from service.api.schemas.dataset import Dataset, name_of, spec_of
from service.api.schemas.training import Training
from service.api.schemas.values import Body, ModelName, plain_json
from service.core.registry.policy import Policy
from service.core.registry.service import Registration
from service.settings import ServiceSettings


def _storable(policy: Policy) -> Policy:
    plain_json(policy.model_dump(mode="python"))
    return policy


class RegisterModel(Body):
    """The body of `POST /v1/models`."""

    name: ModelName
    architecture: Architecture
    dataset: Dataset
    training: Training = Field(default_factory=Training, description="How it can be trained again.")
    policy: Annotated[Policy, AfterValidator(_storable)] = Field(
        default_factory=Policy, description="What its owner decides about forgetting."
    )

    def registration(self, settings: ServiceSettings) -> Registration:
        """Return what the registry takes.

        Raises:
            errors.Invalid: The factory or the dataset's path is not allowed here.
        """
        return Registration(
            name=self.name,
            factory=permitted_factory(self.architecture, settings.allowed_factories),
            arguments=self.architecture.arguments,
            dataset_name=name_of(self.dataset),
            dataset=spec_of(self.dataset, settings.data_roots),
            training=self.training.model_dump(mode="json", exclude_none=True),
            policy=self.policy,
        )
