"""Abridged retraining: a tenth of the recipe's steps from new weights, then as sure as the old model was.

Of our own making; no paper's. Methods that start from the trained weights must find what the samples left
there and how a model without them would answer, and on memorised samples they miss by far. Here nothing is
searched: the samples are never read, so nothing of them is in the new weights, at their own images or at
images near them. What is given up is training. Two things make that bearable:

- **A higher rate.** A recipe is as long as it is for the last few memorised samples; a network recognises
  nearly all that it ever will after a tenth of it, if the rate is larger. All else (batch size, momentum,
  weight decay) is the recipe's; the rate falls along a half cosine.
- **The old model's confidence.** A model trained so shortly is less sure, and an attack sees that at once.
  Its last layer is multiplied by one number c, so that on held-out samples the mean size of a logit is the
  old model's:

      c = mean |z_old| / mean |z_new|     z = logits - their mean over classes

  No answer changes. This number is all that the new model takes from the old one.

It is not `retrain`: the recipe's model has seen ten times as many steps, and an attack that compares the two
tells which is which. What such an attack cannot find is whether a sample was among the forgotten ones.
"""

from dataclasses import dataclass

import torch
from torch import nn

from workers.numerics import metrics, output_layer
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names
from workers.unlearning import budget, descent, fresh, losses
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.parameters import parameter

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4  # of a recipe that does not say
MAX_ASKED = 1024  # held-out samples that the confidence is taken from
TOLERANCE = 0.02  # of the logits: half precision rounds the scaled layer


@dataclass(frozen=True)
class AbridgedParameters:
    """What a request may fix.

    Attributes:
        budget: what it may cost.
        rate_factor: on the recipe's learning rate.
        scales_confidence: whether the last layer is scaled.
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
    scales_confidence: bool = parameter(
        True, "Scale the last layer until the model is as sure as the old one on held-out samples."
    )


class Abridged:
    """The method as the registry finds it."""

    name = "abridged"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.SAMPLES})
    needs = frozenset({Need.RECIPE, Need.RETAIN_SET})
    experimental = (
        "It leaves nothing of the samples, but is told from a model retrained by the whole recipe, and what "
        "the short training costs in accuracy was measured on one small network alone."
    )
    summary = "Trains anew on what remains, for a tenth of the recipe's steps, and never reads the samples."
    caveats = (
        "Loses accuracy where the recipe's length is needed; the audit says how much.",
        "Retained samples that the model had learned by heart are no longer known by heart.",
        "Ordinary samples end farther from a retrained model than if nothing were done.",
        "Mnemonic codes are not taught again: one_shot cannot serve the new version.",
        "One number is taken from the old model, the size of its logits on held-out samples.",
    )
    Parameters: type[AbridgedParameters] = AbridgedParameters

    def forget(self, problem: ForgetProblem, parameters: AbridgedParameters) -> UnlearnResult:
        """Train on the retain set from new weights, then scale the last layer.

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
        asked = _asked(problem) if parameters.scales_confidence else None
        batch_size = int(recipe.get("batch_size", budget.DEFAULT_BATCH_SIZE))
        spent = 0.0 if asked is None else 2 * budget.FORWARD_SHARE * len(asked)
        course = descent.Course(
            num_steps=budget.num_steps(problem, parameters.budget, batch_size, spent=spent),
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
            lambda network, batches: losses.cross_entropy(network, batches[0]),
            course,
            seed=problem.seed,
            progress=lambda done: problem.progress(0.99 * done),
        )
        scale = 1.0
        if asked is not None:
            params, scale = _scaled(problem, model, params, asked)
        problem.progress(1.0)
        return UnlearnResult(
            params=params,
            parameters={
                "budget": parameters.budget,
                "rate_factor": parameters.rate_factor,
                "scales_confidence": parameters.scales_confidence,
                "batch_size": batch_size,
                **course.to_json(),
                "scale": scale,
                "seed": problem.seed,
            },
            diagnostics={
                "num_retained": len(problem.retain),
                "num_asked": 0 if asked is None else len(asked),
            },
        )


METHOD = Abridged()


def _untrained(problem: ForgetProblem, model: nn.Module) -> Params:
    """Return new values for all that training moves; what it leaves alone never saw a sample, and stays."""
    frozen = {name for name, _ in model.named_parameters()} - {*trainable_names(model)}
    return {
        name: problem.params[name] if name in frozen else tensor
        for name, tensor in fresh.initial(problem).items()
    }


def _asked(problem: ForgetProblem) -> SampleSet | None:
    """Return the held-out samples whose logits are compared, of remaining classes; None for none."""
    is_known = torch.isin(problem.tuning.labels, torch.tensor(problem.remaining_classes)).numpy()
    known = problem.tuning.take(is_known.nonzero()[0][:MAX_ASKED])
    return known if len(known) else None


def _scaled(
    problem: ForgetProblem, model: nn.Module, params: Params, asked: SampleSet
) -> tuple[Params, float]:
    """Multiply the last layer; return the weights and the factor, 1 where there is no layer that obeys.

    A network obeys if its logits grow by just this factor: its last weights are a linear layer's.
    """
    wanted, _ = metrics.logits_of(model, problem.params, asked)  # [n, num_classes]
    found, labels = metrics.logits_of(model, params, asked)
    scale = _size(wanted) / max(_size(found), torch.finfo(found.dtype).tiny)
    first = asked.source.images(asked.positions[:1])[0]
    head = output_layer.row_gradients(model, params, first, int(labels[0]), problem.num_classes)
    scaled = {**params, **{name: (params[name].float() * scale).to(params[name]) for name in head}}
    if not head or not all(bool(torch.isfinite(scaled[name]).all()) for name in head):
        return params, 1.0
    grown, _ = metrics.logits_of(model, scaled, asked)
    if not torch.allclose(grown, scale * found, rtol=TOLERANCE, atol=TOLERANCE * _size(wanted)):
        return params, 1.0
    return scaled, scale


def _size(logits: torch.Tensor) -> float:
    """Return the mean absolute value of logits [n, num_classes] that are centred over classes."""
    return float((logits - logits.mean(1, keepdim=True)).abs().mean())
