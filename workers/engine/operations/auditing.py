"""Holds a candidate against its base, on data that chose nothing in it."""

import numpy as np

from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.engine.messages import Audit, AuditReply
from workers.engine.operations.target import At, all_rows, training_rows_of
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics.batches import SampleSet

NUM_RETAIN = 2000
"""Bound on the retained samples that an audit scores."""


def audit(bench: Workbench, call: Audit, at: At) -> AuditReply:
    """Run the audit suite.

    Raises:
        DatasetRowError: A row cannot be read.
    """
    manifest = bench.source.manifest
    gone = all_rows(manifest, call.groups, call.forgotten_positions)
    params = bench.weights(call.weights_sha256)
    retained = bench.samples("train", gone)
    sampler = np.random.default_rng(call.seed)
    report = suite.audit(
        AuditInput(
            build=bench.build,
            num_classes=bench.num_outputs(params),
            base_params=bench.weights(next(file.sha256 for file in call.base if file.name == WEIGHTS)),
            params=params,
            groups=tuple(
                ForgetGroup(
                    kind=group.kind,
                    classes=group.classes,
                    forget=SampleSet(bench.source, training_rows_of(manifest, group)),
                )
                for group in call.groups
            ),
            retain=retained.take(np.sort(sampler.permutation(len(retained))[:NUM_RETAIN]).astype(np.int64)),
            unseen=bench.unseen(gone),
            forgotten_classes=call.forgotten_classes,
            limits=call.limits,
            seed=call.seed,
            guarantee=call.guarantee,
            tuning=bench.tuning(gone),
            bank=bench.bank(call.base),
            class_references=bench.class_references(call.base),
            base_answers=bench.answers(call.base),
        ),
        at("auditing"),
    )
    return AuditReply(report=report.to_json())
