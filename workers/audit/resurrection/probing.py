"""Makes all three probes on one model about one class."""

from collections.abc import Callable

from torch import nn

from workers.audit.resurrection.evidence import Evidence
from workers.audit.resurrection.references import Resurrection
from workers.audit.resurrection.relapse import MASKED, relapse
from workers.audit.resurrection.relearning import relearn
from workers.audit.resurrection.rescue import rescue
from workers.numerics.params import Params


def probe(
    build: Callable[[], nn.Module], params: Params, evidence: Evidence, seed: int, *, is_masked: bool = False
) -> Resurrection:
    """Probe a model; the same for a seed, and nothing is changed.

    Args:
        build: makes the architecture.
        params: of the model.
        evidence: about the class.
        seed: of what is drawn.
        is_masked: whether to take the model with the class's output masked. That is no other work: a constant
            makes no difference to a rescue, the last layer none to relearning, and a mask does not relapse.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    rescued = rescue(build, params, evidence)
    relearned = relearn(build, params, evidence, seed)
    return Resurrection(
        rescue=None if rescued is None else rescued.balanced,
        relearning=None if relearned is None else relearned.last,
        relapse=MASKED if is_masked else relapse(build, params, evidence, seed),
        num_samples=len(evidence.of_class),
        rescue_curve=() if rescued is None else rescued.curve,
        relearning_curve=() if relearned is None else relearned.curve,
    )
