"""Holds forgotten samples against controls that look alike to the models that never saw the sample.

For sample i, O_i are the members that it is out of. Of a candidate's score s(i),

    z_i = (s(i) - mean_Oi) / (sd_Oi + FLOOR)

says how far it is from what models without the sample say. It is not 0 on average even where nothing is
remembered: a candidate learned from nearly all data and a member from half of them, so the candidate is the
surer about what is easy and about what is wrong. *Controls* show by how much. They are scored by the same
candidate and the same members O_i, and the NUM_MATCHED whose own mean under O_i is nearest to mean_Oi are the
sample's *matches*; whether a label is right or wrong follows from that mean. The *excess* of a sample is its
z less the mean z of its matches.

A sample is *judged* if at least MIN_OUT members never saw it; a mean and a deviation of fewer say little.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.audit.reference.bank import ReferenceBank

FLOOR = 0.3  # log odds; keeps a z finite where all members agree
NUM_MATCHED = 64
MIN_OUT = 4
MIN_CONTROLS = 80
"""With fewer there is hardly a choice of matches."""

BLOCK = 2_000_000  # samples times controls at a time, to bound memory

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matched:
    """n samples of a bank, each with its w matches out of m controls; nothing here knows a candidate.

    Attributes:
        is_in: bool [n, k], whether a member learned from the sample.
        mean: [n], of the scores of the members that did not.
        deviation: [n], theirs.
        controls: int64 [n, w], indices of the matches among the controls asked about.
        rows: int64 [n, w], which held-out row a match is, numbered from 0: one row may stand for several
            controls.
        control_mean: [n, w], of the match's scores under the sample's members.
        control_deviation: [n, w].
        member_z: [n, k], z of every member's own score.
        member_excess: [n, k], the same less the mean z that the member gives the matches.
    """

    is_in: NDArray[np.bool_]
    mean: Floats
    deviation: Floats
    controls: Indices
    rows: Indices
    control_mean: Floats
    control_deviation: Floats
    member_z: Floats
    member_excess: Floats

    def __len__(self) -> int:
        return len(self.mean)

    def z(self, scores: Floats) -> Floats:
        """Return z of a candidate's scores of the samples; [n] -> [n]."""
        return (scores - self.mean) / (self.deviation + FLOOR)

    def control_z(self, scores: Floats) -> Floats:
        """Return z of the matches, out of a candidate's scores of all controls; [m] -> [n, w]."""
        return (scores[self.controls] - self.control_mean) / (self.control_deviation + FLOOR)


def match(bank: ReferenceBank, samples: Indices, controls: Indices) -> Matched:
    """Find the matches of samples.

    Args:
        bank: with the scores.
        samples: int64 [n], indices into the bank's samples, each out of at least two members.
        controls: int64 [m], indices into its controls; at least one.
    """
    scores = bank.control_scores[controls].astype(np.float64)  # [m, k]
    rows = np.unique(bank.control_positions[controls], return_inverse=True)[1].astype(np.int64)
    size = max(1, BLOCK // max(1, len(controls)))
    parts = [
        _match(bank, samples[start : start + size], scores, rows)
        for start in range(0, max(1, len(samples)), size)
    ]
    names = Matched.__dataclass_fields__
    return Matched(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _match(bank: ReferenceBank, samples: Indices, controls: Floats, rows: Indices) -> Matched:
    scores = bank.scores[samples].astype(np.float64)  # [n, k]
    is_in = bank.is_in[samples]
    out = (~is_in).astype(np.float64)
    num_out = out.sum(axis=1, keepdims=True)  # [n, 1]
    mean = (scores * out).sum(axis=1) / num_out[:, 0]
    deviation = np.sqrt((((scores - mean[:, None]) ** 2) * out).sum(axis=1) / (num_out[:, 0] - 1))
    # 1. Every control under every sample's members.
    control_mean = out @ controls.T / num_out  # [n, m]
    # 2. The nearest.
    order = _nearest(control_mean, mean, min(NUM_MATCHED, controls.shape[0] // 2 or 1))  # [n, w]
    control_mean = np.take_along_axis(control_mean, order, axis=1)
    # 3. Deviations, and what each member says, of the nearest alone.
    apart = controls[order] - control_mean[:, :, None]  # [n, w, k]
    control_deviation = np.sqrt(np.einsum("nwk,nk->nw", apart**2, out) / (num_out - 1))
    usual = (apart / (control_deviation[:, :, None] + FLOOR)).mean(axis=1)  # [n, k]
    member_z = (scores - mean[:, None]) / (deviation[:, None] + FLOOR)
    return Matched(
        is_in=is_in,
        mean=mean,
        deviation=deviation,
        controls=order,
        rows=rows[order],
        control_mean=control_mean,
        control_deviation=control_deviation,
        member_z=member_z,
        member_excess=member_z - usual,
    )


def _nearest(control_mean: Floats, mean: Floats, width: int) -> Indices:
    """Return the controls whose mean is nearest, [n, width]; a stable order makes equals the same again."""
    order: Indices = np.argsort(np.abs(control_mean - mean[:, None]), axis=1, kind="stable")[:, :width]
    return order
