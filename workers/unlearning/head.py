"""Which tensors are the last layer, found on the problem's own weights and samples."""

from workers.numerics import copies, output_layer
from workers.numerics.layers import layers
from workers.numerics.params import state_of
from workers.unlearning.base import ForgetProblem


def names(problem: ForgetProblem) -> tuple[str, ...]:
    """Return the trainable parameters of the layer that holds one row a class.

    Where the network mixes classes after its last weights, as one that returns log-probabilities does, it is
    the last layer in order of registration.

    Raises:
        DatasetRowError: the first sample to forget cannot be read.
    """
    network = copies.private(problem.build(), problem.params)
    image, label = next(problem.forget.batches(1))
    rows = output_layer.row_gradients(network, state_of(network), image[0], int(label), problem.num_classes)
    found = layers(network)
    last = [layer for layer in found if rows.keys() & {*layer.parameters}] or [found[-1]]
    return tuple(name for layer in last for name in layer.parameters)
