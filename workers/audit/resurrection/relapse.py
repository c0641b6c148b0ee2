"""Relapse: the class comes back while the model is trained on with no sample of it.

An owner goes on working with a model. If two short epochs on kept data undo what a method did, it had only
tilted the model, and nobody has to attack it. Stochastic gradient descent with momentum at one constant,
stated rate, on a copy in evaluation mode: batch norm keeps its statistics and dropout is off, so that the
same seed gives the same course. The rate is that of an ordinary fine-tuning; at a tenth of it less came back
wherever anything did.
"""

from collections.abc import Callable

import torch
from torch import nn

from workers.audit.resurrection.evidence import Evidence
from workers.numerics import calling, copies, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names

NUM_EPOCHS = 2
LEARNING_RATE = 1e-2
MOMENTUM = 0.9
BATCH_SIZE = 64
SCORED = 256  # samples a forward pass

MASKED = (0.0,) * (1 + NUM_EPOCHS)
"""What a masked model shows: no training in reach moves an output that was set to -10,000."""


def relapse(
    build: Callable[[], nn.Module], params: Params, evidence: Evidence, seed: int
) -> tuple[float, ...]:
    """Train a copy on kept data.

    Args:
        build: makes the architecture.
        params: of the model; not changed.
        evidence: about the class.
        seed: of the order.

    Returns:
        Accuracy on the class before, and after each epoch, under the plain argmax; empty where there is
        nothing to train, or to train or measure on.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    model = build()
    of_class = evidence.of_class
    if not trainable_names(model) or not len(evidence.kept) or not len(of_class):
        return ()
    network = copies.private(model, params)
    trained = [each for each in network.parameters() if each.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=LEARNING_RATE, momentum=MOMENTUM)
    found = [_recall(network, of_class, evidence)]
    with seeding.isolated(calling.device_of(params), seed, "relapse"):
        for epoch in range(NUM_EPOCHS):
            order = seeding.generator(seed, "relapse", epoch)
            for images, labels in evidence.kept.batches(BATCH_SIZE, order):
                logits = network(calling.like(images, dict(network.named_parameters())))
                optimiser.zero_grad()
                torch.autograd.backward(nn.functional.cross_entropy(logits, labels.to(logits.device)))
                optimiser.step()
            found.append(_recall(network, of_class, evidence))
    return tuple(found)


def _recall(network: nn.Module, of_class: SampleSet, evidence: Evidence) -> float:
    """Return the share of the class's samples answered right; no right answer is made of NaN."""
    num_right = 0
    with torch.no_grad():
        for images, _ in of_class.batches(SCORED):
            logits = network(calling.like(images, dict(network.named_parameters()))).float()
            logits[:, list(evidence.hidden)] = -torch.inf
            is_number = ~logits.isnan().any(1)
            num_right += int(((logits.argmax(1) == evidence.label) & is_number).sum())
    return num_right / len(of_class)
