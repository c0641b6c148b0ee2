"""Finds which states of a training in shards learned from what is forgotten by now.

Such a state has a name that the training without the forgotten never asks for. Whatever else lies in the
training's folder goes too: nothing would read it again.
"""

from workers.engine.messages import Sweep, SweepReply
from workers.engine.operations.target import positions_array
from workers.engine.workbench import Workbench
from workers.preparation import sharded

DEVICES = ("cpu", "cuda")
"""Kinds of device that states may come from: `lethe train` may have run on another than the worker's."""


def sweep(bench: Workbench, call: Sweep) -> SweepReply:
    """Return the files to delete, as paths below the folder of slices."""
    gone = positions_array(call.forgotten_positions)
    kept = {
        name
        for device in DEVICES
        for own in sharded.names(
            bench.build_constituent, bench.source, bench.recipe, excluded=gone, device=device
        )
        for name in own
    }
    training = sharded.identity(bench.build_constituent, bench.source, bench.recipe)
    others = bench.slices.others(training, kept)
    return SweepReply(files=tuple(str(file.relative_to(bench.slices_dir)) for file in others))
