"""Abridged retraining: new weights, a tenth of the recipe's steps at a higher rate, and no forgotten sample.

Of our own making; no paper's. Methods that start from the trained weights must find what the samples left
there and how a model without them would answer, and on memorised samples they miss by far. Here nothing is
searched: neither the forgotten samples nor the old weights are read, so nothing of the samples is in the new
weights, at their own images or at images near them. What is given up is training.

Much of a long recipe goes into samples that a network can only learn by heart; what it recognises of unseen
ones may stand after a tenth of the steps, if the rate is larger. Whether it does is the audit's to say. All
else (batch size, momentum, weight decay) is the recipe's; the rate falls along a half cosine.

It is not `retrain`: the recipe's model has seen ten times as many steps and is surer of itself, and an attack
that compares the two tells which is which. So whoever knows that only one request can have come knows that it
came. What the weights do not tell is which samples were forgotten. To scale the last layer until the model is
as sure as the old one was tried: it hides little, and through that one number the old model tells of them.
"""

from dataclasses import dataclass

from torch import nn

from workers.numerics.params import Params, trainable_names
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, descent, fresh, losses

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4  # of a recipe that does not say


@dataclass(frozen=True)
class AbridgedParameters:
    """What a request may fix.

    Attributes:
        budget: what it may cost.
        rate_factor: on the recipe's learning rate.
    """

    budget: float = parameter(
        0.09,
        "Share of the recorded training's cost; with what is not a step it stays below a tenth.",
        minimum=1e-4,
        maximum=1.0,
    )
    rate_factor: float = parameter(
        2.0,
        "First learning rate, in units of the recipe's; less if it diverges.",
        minimum=1e-3,
        maximum=100.0,
    )


class Abridged:
    """The method as the registry finds it."""

    name = "abridged"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.SAMPLES})
    needs = frozenset({Need.RECIPE, Need.RETAIN_SET})
    experimental = (
        "It leaves nothing of the samples, but is told from a model retrained by the whole recipe, and only "
        "a long recipe can spare nine tenths: on the digits 100 epochs could, 30 lost 1.4 points, 20 three."
    )
    summary = "Trains anew on what remains, for a tenth of the recipe's steps, and never reads the samples."
    caveats = (
        "Loses accuracy where the recipe's length is needed, as that of most short ones is; the audit says "
        "how much.",
        "Less sure of itself than the model it replaces, and no longer knows by heart what that one did.",
        "Ordinary samples end farther from a retrained model than if nothing were done.",
        "Mnemonic codes are not taught again: one_shot cannot serve the new version.",
    )
    Parameters: type[AbridgedParameters] = AbridgedParameters

    def forget(self, problem: ForgetProblem, parameters: AbridgedParameters) -> UnlearnResult:
        """Train on the retain set from new weights.

        Raises:
            MissingNeedError: there is no recipe, nothing remains to train on, or the recipe starts from given
                weights.
            DivergedError: the rate is too large.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RECIPE, Need.RETAIN_SET)
        recipe = problem.recipe
        if recipe.get("initial") is not None:
            raise MissingNeedError(
                "expected a recipe that draws its initial weights, got one that starts from given ones, "
                "and a short training cannot make up for those: use retrain"
            )
        batch_size = int(recipe.get("batch_size", budget.DEFAULT_BATCH_SIZE))
        course = descent.Course(
            num_steps=budget.num_steps(problem, parameters.budget, batch_size),
            learning_rate=parameters.rate_factor * float(recipe.get("learning_rate", LEARNING_RATE)),
            momentum=float(recipe.get("momentum", MOMENTUM)),
            weight_decay=float(recipe.get("weight_decay", WEIGHT_DECAY)),
            adapts_statistics=True,
        )
        model = problem.build()
        params = descent.descend(
            model,
            _untrained(problem, model),
            [descent.stream(problem.retain, batch_size, problem.params, problem.seed, "abridged")],
            losses.of_one_set,
            course,
            seed=problem.seed,
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters={
                "budget": parameters.budget,
                "rate_factor": parameters.rate_factor,
                "batch_size": batch_size,
                **course.to_json(),
                "seed": problem.seed,
            },
            diagnostics={"num_retained": len(problem.retain)},
        )


METHOD = Abridged()


def _untrained(problem: ForgetProblem, model: nn.Module) -> Params:
    """Return new values for all that training moves; what it leaves alone never saw a sample, and stays."""
    frozen = {name for name, _ in model.named_parameters()} - {*trainable_names(model)}
    return {
        name: problem.params[name] if name in frozen else tensor
        for name, tensor in fresh.initial(problem).items()
    }
