"""Reference banks of small networks on digits, and what many models at once say before them.

The halves, the controls and the judgement are those of the product; only the training is that of `stacks`,
which makes thirty-two members in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import stacks
from benchmarks.memorised_sets import Rows, Setup, confidences
from benchmarks.memorised_ways import RECIPE
from benchmarks.stacks import Data
from benchmarks.ulira import Scores
from workers.audit.outputs import SATURATION
from workers.audit.reference.bank import ReferenceBank
from workers.audit.reference.judging import Asked, Judgement, Question, judge
from workers.numerics import seeding
from workers.numerics.params import Params
from workers.preparation.bank import controls, halves

NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Said:
    """What a stack of models says: log odds of training rows [models, n] and of controls [models, m]."""

    samples: Scores
    controls: Scores

    def of(self, number: int, rows: Rows) -> Asked:
        """Return what one model says of some rows."""
        return Asked(self.samples[number, rows], self.controls[number])


def grown(setup: Setup, num_members: int) -> ReferenceBank:
    """Return a bank whose positions are rows of the training split."""
    numbers = range(num_members)
    is_in = np.stack(
        [halves.learned(setup.source.manifest, member, setup.draw) for member in numbers], axis=1
    )
    members = stacks.train(
        setup.train,
        RECIPE,
        [seeding.derive(setup.draw, "member", member) for member in numbers],
        rows=[np.flatnonzero(own) for own in is_in.T],
    )
    drawn = controls.draw(setup.source.manifest, NOTHING, setup.draw)
    said = says(setup, members, drawn.positions, drawn.labels)
    return ReferenceBank(
        positions=setup.source.manifest.positions("train").copy(),
        scores=said.samples.T.astype(np.float32),
        is_in=is_in,
        members=np.arange(num_members),
        control_positions=drawn.positions,
        control_labels=drawn.labels,
        control_scores=said.controls.T.astype(np.float32),
    )


def says(setup: Setup, stack: Params, positions: Rows, labels: Rows) -> Said:
    """Return what models say of all training rows, and of controls at these positions for these labels."""
    images = setup.source.images(positions).flatten(1)
    held_out = Data(images, torch.from_numpy(labels))
    found = [confidences(stack, data) for data in (setup.train, held_out)]
    return Said(*(np.clip(each, -SATURATION, SATURATION) for each in found))


def first(bank: ReferenceBank, num_members: int) -> ReferenceBank:
    """Return the bank as it was when it had this many members."""
    return ReferenceBank(
        bank.positions,
        bank.scores[:, :num_members],
        bank.is_in[:, :num_members],
        bank.members[:num_members],
        bank.control_positions,
        bank.control_labels,
        bank.control_scores[:, :num_members],
    )


def judged(setup: Setup, bank: ReferenceBank, sets: Sequence[Rows], new: Said, base: Said) -> list[Judgement]:
    """Return what the bank says of each model about its own set.

    Args:
        setup: the data.
        bank: the reference.
        sets: rows of the training split, those that each model of `new` was asked to forget.
        new: the candidates.
        base: the models that they came from; they are taken in turn.
    """
    own = setup.source.manifest.labels[bank.control_positions] == bank.control_labels
    found = []
    for number, rows in enumerate(sets):
        judgement = judge(
            Question(
                bank=bank,
                samples=rows,
                controls=np.arange(len(own)),
                is_own=own,
                new=new.of(number, rows),
                base=base.of(number % len(base.samples), rows),
                seed=number,
            )
        )
        assert judgement is not None
        found.append(judgement)
    return found
