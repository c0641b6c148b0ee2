"""Break, then rebuild: what the entries of the NeurIPS 2023 unlearning competition have in common.

Every entry first damages the network (the *forgetting* stage) and then trains it on retained data (the
*rebuilding* stage). Source: Pedregosa, "Machine unlearning: definitions, methods, and auditing for
trustworthy AI" (2024), whose slides describe the entries; Triantafillou and others, "Are we making progress
in unlearning?" (2024). The slides leave most settings open. What they state is each entry's default; what
they do not is named in the entry's file as our choice.

Settings that are ours in all entries. The cost is a tenth of the recorded training (the competition's own
bound), where entries trained 3 to 8 epochs. The learning rate is 0.05, falling along a half cosine, and a
batch has 32 samples: their 0.001 fits one network, and these were the best of a few on held-out digits. The
network trains in training mode, so that batch norm's statistics follow weights that were broken on purpose;
`adapts_statistics` off keeps them, and costs accuracy. Stages that read the forget set run in evaluation
mode, so that no statistics are gathered from it.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names
from workers.unlearning.base import ForgetProblem, Json, Progress, no_progress
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, descent
from workers.unlearning.training.descent import Loss

WHY_EXPERIMENTAL = (
    "Entry of a competition whose score rewards outputs that vary from run to run, of which one published "
    "model gains nothing; breaks the network on purpose and needs retained data to mend it."
)
NEEDS_RETAINED = "Reads retained data, for a tenth of a training by default."
NO_GUARD = "Nothing in it looks at whether the rest was kept: look at the audit."

MOMENTUM = 0.9

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class RebuildingParameters:
    """What all entries let a request choose.

    Attributes:
        learning_rate: at the first step of the rebuilding.
        weight_decay: of the rebuilding.
        adapts_statistics: whether batch norm's statistics follow the retained data.
        budget: share of a training's cost.
        batch_size: samples in a batch.
    """

    learning_rate: float = parameter(
        0.05, "First learning rate on retained data.", minimum=1e-9, maximum=10.0
    )
    weight_decay: float = parameter(5e-4, "Weight decay on retained data.", minimum=0.0, maximum=1.0)
    adapts_statistics: bool = parameter(True, "Whether batch norm's statistics follow the retained data.")
    budget: float = parameter(
        0.1, "Cost as a share of training, all stages together.", minimum=1e-6, maximum=1.0
    )
    batch_size: int = parameter(32, "Samples in a batch.", minimum=1, maximum=65_536)

    def num_steps(self, problem: ForgetProblem, *, passes: float = 1.0, spent: float = 0.0) -> int:
        """Return how many steps the budget allows.

        Args:
            problem: whose recipe says what training costs.
            passes: what a step costs in forward and backward passes of one batch.
            spent: samples passed before.
        """
        return budget.num_steps(problem, self.budget, max(1, round(passes * self.batch_size)), spent=spent)

    def course(self, num_steps: int, *, warmup_share: float = 0.0) -> descent.Course:
        """Return the course of a rebuilding."""
        return descent.Course(
            num_steps=num_steps,
            learning_rate=self.learning_rate,
            momentum=MOMENTUM,
            weight_decay=self.weight_decay,
            adapts_statistics=self.adapts_statistics,
            warmup_share=warmup_share,
        )

    def record(self, problem: ForgetProblem, num_steps: int, **more: Json) -> dict[str, Json]:
        """Return what changed the output."""
        return {**asdict(self), "momentum": MOMENTUM, "num_steps": num_steps, "seed": problem.seed, **more}


def rebuild(
    problem: ForgetProblem,
    params: Params,
    samples: SampleSet,
    loss: Loss,
    course: descent.Course,
    *,
    batch_size: int,
    name: str = "retain",
    shape_gradient: Callable[[str, Tensor], Tensor] | None = None,
    progress: Progress = no_progress,
) -> Params:
    """Return the weights after a stage on one set of samples.

    Args:
        problem: gives the architecture and the seed.
        params: to start from, a full state.
        samples: at least one.
        loss: of the network and one batch.
        course: how far to go.
        batch_size: samples in a batch.
        name: of the stage; stages of other names read their samples in other orders.
        shape_gradient: as `descent.descend` takes it.
        progress: told the fraction of the stage done; may raise to cancel.

    Raises:
        DivergedError: the loss or a weight is not finite.
        DatasetRowError: a row cannot be read.
    """
    return descent.descend(
        problem.build(),
        params,
        [descent.stream(samples, batch_size, params, problem.seed, name)],
        loss,
        course,
        shape_gradient=shape_gradient,
        seed=seeding.derive(problem.seed, name),
        progress=progress,
    )


def noisy(problem: ForgetProblem, params: Params, names: Collection[str], scale: float, use: str) -> Params:
    """Return `params` with normal noise on some tensors, `scale` times a tensor's root mean square.

    Nothing is changed in place; noise on a tensor of zeros is zero.

    Args:
        problem: gives the seed.
        params: a full state.
        names: of the tensors.
        scale: of the noise; relative, because an absolute one fits one network only.
        use: of chance; other uses draw other noise.
    """
    found = dict(params)
    for name in names:
        tensor = params[name]
        drawn = torch.randn(tensor.shape, generator=seeding.generator(problem.seed, use, name))
        wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        spread = scale * wide.square().mean().sqrt()
        found[name] = (wide + spread * drawn.to(wide)).to(tensor.dtype)
    return found


def filters(model: nn.Module) -> tuple[str, ...]:
    """Return the trainable weights of convolutions; of a network without any, all its matrices.

    The entries were made for a ResNet-18. What to do without convolutions is our choice.
    """
    trainable = trainable_names(model)
    of_convolutions = {
        f"{prefix}.weight" if prefix else "weight"
        for prefix, module in model.named_modules()
        if isinstance(module, _CONVOLUTIONS)
    }
    found = tuple(name for name in trainable if name in of_convolutions)
    return found or matrices(model)


def matrices(model: nn.Module) -> tuple[str, ...]:
    """Return the trainable parameters of two axes and more: weights, but neither biases nor norms' scales."""
    return tuple(name for name in trainable_names(model) if model.get_parameter(name).ndim > 1)


def smallest(scores: Params, share: float) -> Params:
    """Return masks of a share of all values by rank, the smallest; ties go to the value that comes first.

    Args:
        scores: name -> values, any shapes.
        share: in [0, 1]; the number of values is rounded down.
    """
    flat = torch.cat([each.flatten() for each in scores.values()])
    order = torch.argsort(flat, stable=True)[: int(share * len(flat))]
    chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    chosen[order] = True
    parts = torch.split(chosen, [each.numel() for each in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
