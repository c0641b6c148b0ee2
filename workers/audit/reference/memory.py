"""What it looks like when samples are remembered: by the members of the bank that did learn from them.

Most samples of a large class are told by a model whether it learned from them or not; memory shows in the
few that are hard without it. By how much learning raises z is averaged over the samples of the bank whose
mean without learning is alike. Averaging keeps the weights apart from the accident of one sample's few
members, which would otherwise weigh it heavily just when it also looks remembered.
"""

import numpy as np

from workers.audit.reference.bank import ReferenceBank
from workers.audit.reference.matching import FLOOR, MIN_OUT, Floats, Matched
from workers.numerics import seeding

NUM_ALIKE = 64
LEAST_GAIN = 0.02  # in units of z; no sample is left out of a weighted mean
NUM_SETS = 200


def gains(bank: ReferenceBank, matched: Matched) -> Floats:
    """Return by how much z rises with learning, for samples like each of these; [n], above 0."""
    is_known = (bank.num_out >= MIN_OUT) & bank.is_in.any(axis=1)
    scores, is_in = bank.scores[is_known].astype(np.float64), bank.is_in[is_known]
    if not len(scores):
        return np.ones(len(matched))
    num_out = (~is_in).sum(axis=1)
    mean = np.where(is_in, 0.0, scores).sum(axis=1) / num_out
    apart = np.where(is_in, 0.0, scores - mean[:, None])
    deviation = np.sqrt((apart**2).sum(axis=1) / (num_out - 1))
    learned = np.where(is_in, scores, 0.0).sum(axis=1) / is_in.sum(axis=1)
    gain = (learned - mean) / (deviation + FLOOR)
    order = np.argsort(mean, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(gain[order])])
    width = min(NUM_ALIKE, len(order))
    first = np.searchsorted(mean[order], matched.mean) - width // 2
    first = np.clip(first, 0, len(order) - width)
    mean_gain = (sums[first + width] - sums[first]) / width
    return np.asarray(np.maximum(mean_gain, LEAST_GAIN))


def remembered(matched: Matched, otherwise: Floats, seed: int) -> Floats:
    """Return the excess of sets of which every sample is remembered, [NUM_SETS, n].

    Each takes, sample by sample, what a member says that learned from it.

    Args:
        matched: the samples.
        otherwise: [draws, n], chance sets, which stand in for a sample that no member learned from.
        seed: of the draws.
    """
    random = np.random.default_rng(seeding.derive(seed, "remembered"))
    columns = []
    for sample, is_in in enumerate(matched.is_in):
        known = matched.member_excess[sample, is_in]
        columns.append(random.choice(known if len(known) else otherwise[:, sample], size=NUM_SETS))
    return np.stack(columns, axis=1)
