"""UNSIR (FastMU): noise that the model is most wrong about is taught as the class, then the rest is repaired.

Tarun, Chundawat, Mandal, Kankanhalli, "Fast yet effective machine unlearning" (TNNLS 2023). Three stages:

1. Error-maximising noise N, equation 2: minimise -CE(f(N), class) + lambda mean N^2 over images N, the
   network held fixed; with Adam, as the authors do.
2. Impair: train on N under the class's label together with retained samples. What the class meant is
   overwritten by noise that looks like nothing in it.
3. Repair: train on retained samples.

Half of the budget goes to repairing, the rest to the noise and to impairing. Retained samples come from all
of the retained data, where the paper takes a small subset of it; BatchNorm statistics stay. Class requests
only, as in the paper.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from workers.numerics import calling, copies, seeding
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.errors import DivergedError
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, courses, descent, losses
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network

NOISE_RATE = 0.1  # of Adam; the authors'
NOISE_SHARE = 0.25  # of the budget, at most


@dataclass(frozen=True)
class UnsirParameters(CourseParameters):
    """The noise, beside budget and learning rate.

    Attributes:
        learning_rate: of impairing and of repairing.
        noise_steps: of the noise's training, fewer if they would cost more than a quarter of the budget.
        noise_penalty: the paper's lambda.
    """

    learning_rate: float = parameter(
        0.1, "First learning rate of either stage; falls along a half cosine.", minimum=1e-9, maximum=10.0
    )
    noise_steps: int = parameter(20, "Steps that the noise is trained for.", minimum=1, maximum=100_000)
    noise_penalty: float = parameter(
        0.1, "lambda: weight of the noise's mean square.", minimum=0.0, maximum=1e6
    )


class Unsir:
    """The method as the registry finds it."""

    name = "unsir"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset({Need.RETAIN_SET})
    experimental = (
        "It overwrites what the class's label means and leaves what the network knows of the class; its "
        "strength is fixed, and a repair may bring the class back."
    )
    summary = (
        "Overwrites a class with noise the model is most wrong about, then repairs; reads no sample of it."
    )
    caveats = (
        "Class requests only.",
        "The forgotten class's output comes to mean noise; it is still an output.",
    )
    Parameters: type[UnsirParameters] = UnsirParameters

    def forget(self, problem: ForgetProblem, parameters: UnsirParameters) -> UnlearnResult:
        """Make noise, impair, repair.

        Raises:
            MissingNeedError: nothing remains.
            DivergedError: a stage does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        model = problem.build()
        affordable = NOISE_SHARE * parameters.budget * budget.training_samples(problem)
        noise_steps = max(1, min(parameters.noise_steps, int(affordable // courses.batch_size(problem))))
        noise = _noise(problem, parameters, noise_steps)
        spent = float(noise_steps * len(noise.labels))
        num_repairing = parameters.num_steps(problem, [problem.retain], share=0.5)
        num_impairing = parameters.num_steps(
            problem, [problem.retain], extra=len(noise.labels), share=0.5, spent=spent
        )
        impairing = parameters.course(num_impairing)
        repairing = replace(impairing, num_steps=num_repairing)

        impaired = descent.descend(
            model,
            problem.params,
            [itertools.repeat(noise), courses.stream(problem, problem.retain, "impair")],
            _on_both,
            impairing,
            progress=courses.stage(problem.progress, 0.0, 0.5),
        )
        repaired = descent.descend(
            model,
            impaired,
            [courses.stream(problem, problem.retain, "repair")],
            losses.of_one_set,
            repairing,
            progress=courses.stage(problem.progress, 0.5, 1.0),
        )
        record = parameters.to_json(problem, impairing=impairing.to_json(), repairing=repairing.to_json())
        return UnlearnResult(params=repaired, parameters={**record, "noise_steps": noise_steps})


METHOD = Unsir()


def _on_both(network: Network, batches: Sequence[Batch]) -> Tensor:
    """Return the mean cross entropy over noise and retained samples together."""
    images = torch.cat([batch.images for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    return functional.cross_entropy(network(images), labels)


def _noise(problem: ForgetProblem, parameters: UnsirParameters, num_steps: int) -> Batch:
    """Return error-maximising noise under the labels of the classes to forget, a batch of it.

    Raises:
        DivergedError: the noise grows without end.
    """
    network = copies.private(problem.build(), problem.params)
    device = calling.device_of(problem.params)
    size = courses.batch_size(problem)
    labels = torch.tensor([*problem.classes], device=device).repeat(-(-size // len(problem.classes)))[:size]
    shape = (size, *problem.retain.source.input_shape)
    drawn = torch.randn(shape, generator=seeding.generator(problem.seed, "noise"))
    images = calling.like(drawn, dict(network.named_parameters())).requires_grad_()
    optimizer = torch.optim.Adam([images], lr=NOISE_RATE)
    for _ in range(num_steps):
        with torch.enable_grad():
            logits = calling.check_logits(network(images), size)
            loss = parameters.noise_penalty * images.square().mean() - functional.cross_entropy(
                logits, labels
            )
        (images.grad,) = torch.autograd.grad(loss, [images])
        optimizer.step()
    if not bool(torch.isfinite(images).all()):
        raise DivergedError("expected noise that stays finite, it does not: state a larger noise_penalty")
    return Batch(images.detach(), labels, torch.full((size,), -1))
