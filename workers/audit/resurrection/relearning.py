"""Relearning: a fresh last layer learns the class from five samples, on features as they are.

If the layers below the last still hold the class, a handful of samples teaches it again; how soon a class is
relearned is asked by Golatkar et al. ("Eternal sunshine of the spotless net", CVPR 2020) and Goel et al.
("Towards adversarial evaluations for inexact machine unlearning", 2022). A softmax regression is solved on as
many samples of the class as of every kept class, so that no class is favoured, and the accuracy on the
class's other samples is taken under the plain argmax; the mean over several draws of the samples is the
answer. Learning starts from nothing: what the model's own last layer says of the class, masked or not, plays
no part, and neither do a step size or a number of steps, for the problem is convex and solved to its minimum.

Features are divided by their root mean square norm, so that one penalty suits every network. Where there are
many kept classes, some of them are drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.audit.resurrection.evidence import Evidence
from workers.numerics import linear_head, seeding
from workers.numerics.linear_head import HeadError
from workers.numerics.params import Params
from workers.numerics.softmax_regression import NotMinimisedError, Objective, minimise

SHOTS = (1, 2, 5)
NUM_DRAWS = 10
MOST_CLASSES = 50
L2 = 1e-4
SOLVED = 1e-2  # distance to the minimum; weights are of the order of 10

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Relearned:
    """How well the class is relearned.

    Attributes:
        curve: accuracy on the class after each of SHOTS.
    """

    curve: tuple[float, ...]

    @property
    def last(self) -> float:
        """After the most samples."""
        return self.curve[-1]


def relearn(
    build: Callable[[], nn.Module], params: Params, evidence: Evidence, seed: int
) -> Relearned | None:
    """Learn the class anew on the model's features; nothing is changed.

    Args:
        build: makes the architecture.
        params: of the model.
        evidence: about the class.
        seed: draws what is learned from.

    Returns:
        How well; None where the network has no linear head of its own, its features are not finite or all
        zero, or the class has no sample beyond those to learn.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    of_class, kept = evidence.of_class, evidence.kept
    classes = _classes(kept.labels.numpy(), seed)
    if len(of_class) <= SHOTS[-1] or not len(classes):
        return None
    model = build()
    try:
        head = linear_head.find(model, kept.source.input_shape)
        own = linear_head.features(model, params, of_class, head).double().cpu()  # [m, k]
        others = linear_head.features(model, params, kept, head).double().cpu()  # [n, k]
        scale = others.square().sum(1).mean().sqrt()
        if not (torch.isfinite(own).all() and 0 < float(scale) < np.inf):
            return None
        rows = [np.flatnonzero(kept.labels.numpy() == label) for label in classes]
        own, others = _design(own / scale), _design(others / scale)
        curve = [_recall(own, others, rows, shots, seed) for shots in SHOTS]
    except (HeadError, NotMinimisedError):
        return None
    return Relearned(tuple(curve))


def _recall(own: Tensor, others: Tensor, rows: list[Rows], shots: int, seed: int) -> float:
    """Return the accuracy on the class's other samples, mean over the draws; the class is number 0."""
    found = []
    for draw in range(NUM_DRAWS):
        order = torch.randperm(len(own), generator=seeding.generator(seed, "relearning", draw))
        learned = [own[order[:shots]]]
        for number, of_label in enumerate(rows, start=1):
            generator = seeding.generator(seed, "relearning", draw, number)
            learned.append(
                others[of_label[torch.randperm(len(of_label), generator=generator)[:shots].numpy()]]
            )
        labels = torch.cat([torch.full((len(each),), number) for number, each in enumerate(learned)])
        rest = own[order[SHOTS[-1] :]]  # the same for every number of shots
        rows_learned, rest = _in_their_span(torch.cat(learned), rest)
        objective = Objective(rows_learned, labels, len(learned), L2)
        weight, _ = minimise(objective, own.new_zeros(len(learned), rest.shape[1]), SOLVED)
        found.append(float(((rest @ weight.T).argmax(1) == 0).double().mean()))
    return float(np.mean(found))


def _in_their_span(learned: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in coordinates of the learned rows' span, where there are fewer of them than features.

    A minimum with a squared penalty lies in that span, so nothing changes but the size of the problem: fifty
    in place of as many as a layer is wide.
    """
    if len(learned) >= learned.shape[1]:
        return learned, others
    basis = torch.linalg.qr(learned.T).Q
    return learned @ basis, others @ basis


def _design(features: Tensor) -> Tensor:
    """Put a 1 behind every row; [n, k] -> [n, k + 1]."""
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


def _classes(labels: Rows, seed: int) -> list[int]:
    """Return the kept classes to learn beside, some of them where there are many."""
    present = np.unique(labels)
    order = torch.randperm(len(present), generator=seeding.generator(seed, "relearning", "classes"))
    return sorted(int(label) for label in present[order[:MOST_CLASSES].numpy()])
