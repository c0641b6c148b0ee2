"""Makes a version forget: the steps of one rung, each starting from what the one before left."""

import time
from collections.abc import Mapping

import numpy as np

from workers.engine.fisher_files import Family
from workers.engine.messages import Step, StepReport, StoredFile, Unlearn, UnlearnReply
from workers.engine.operations import heads, replaying
from workers.engine.operations.informing import Informant
from workers.engine.operations.target import At, Positions, positions_array, rows_of, training_rows_of
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics import families
from workers.numerics.batches import SampleSet
from workers.numerics.head_state import HeadState
from workers.numerics.params import Params
from workers.preparation import prepared, training
from workers.unlearning import parameters, qualification, registry, run
from workers.unlearning.base import ForgetProblem, Kind, Method, Need, Progress, UpdateLog


def unlearn(bench: Workbench, call: Unlearn, methods: Mapping[str, Method], at: At) -> UnlearnReply:
    """Run the steps and store the candidate.

    Raises:
        UnlearningError: A method cannot serve this problem.
        DatasetRowError: A row cannot be read.
    """
    params = bench.weights(_weights(call.base).sha256)
    classes, gone = call.forgotten_classes, positions_array(call.forgotten_positions)
    log = bench.update_log(call.update_log)
    head = heads.read(bench, call.base)
    family = families.family_of(bench.build())
    reports: list[StepReport] = []
    for step in call.steps:
        method = registry.find(methods, step.method)
        problem = problem_of(
            bench,
            call,
            step,
            params,
            classes,
            gone,
            log,
            head=head,
            is_changed=bool(reports),
            progress=at(f"forgetting by {method.name}"),
        )
        started_at = time.perf_counter()
        result = run.forget(method, problem, parameters.read(method.Parameters, step.parameters))
        reports.append(
            StepReport(
                kind=step.kind,
                method=method.name,
                method_version=method.version,
                parameters={**result.parameters},
                guarantee=method.guarantee,
                caveats=_caveats(method, family, step.kind),
                seconds=time.perf_counter() - started_at,
                diagnostics={**result.diagnostics},
            )
        )
        params, head = result.params, result.head
        classes = (*classes, *step.classes)
        rows = rows_of(bench.source.manifest, step)
        gone = np.union1d(gone, rows)
        # After any other method the weights no longer descend from the log's by subtraction alone.
        is_subtracted = Need.UPDATE_LOG in method.needs
        log = log.without(rows) if log is not None and is_subtracted else None
    return UnlearnReply(
        weights=bench.keep(WEIGHTS, params, is_public=True),
        steps=tuple(reports),
        left=tuple(heads.keep(bench, head)),
    )


def problem_of(
    bench: Workbench,
    call: Unlearn,
    step: Step,
    params: Params,
    forgotten_classes: tuple[int, ...],
    forgotten: Positions,
    log: UpdateLog | None,
    *,
    head: HeadState | None,
    is_changed: bool,
    progress: Progress,
) -> ForgetProblem:
    """Return what a step asks of its method, from what the version kept and the steps before left."""
    manifest, kind = bench.source.manifest, Kind(step.kind)
    num_classes = bench.num_outputs(params)
    living = [label for label in range(num_classes) if label not in forgotten_classes]
    known = prepared.known(bench.source, bench.codes(call.base), forgotten, living)
    informant = Informant(
        bench=bench,
        params=params,
        weights_sha256=None if is_changed else _weights(call.base).sha256,
        base=call.base,
        progress=progress,
    )
    everything = np.union1d(forgotten, rows_of(manifest, step))
    initial = bench.initial_weights()

    def retrain(excluded: Positions) -> Params:
        trained = training.train(
            bench.build_constituent,
            bench.source,
            bench.recipe,
            initial=initial,
            excluded=excluded,
            device=bench.device,
            key=bench.noise_key or None,
            progress=progress,
        )
        return bench.placed(trained.params)

    can_train = initial is not None or bench.recipe.initial is None
    return ForgetProblem(
        build=bench.build,
        params=params,
        num_classes=num_classes,
        kind=kind,
        forget=SampleSet(bench.source, np.setdiff1d(training_rows_of(manifest, step), forgotten)),
        retain=bench.samples("train", everything),
        tuning=bench.tuning(everything),
        classes=step.classes,
        forgotten_classes=forgotten_classes,
        forgotten=forgotten,
        codes=known.codes,
        code_information=informant.inform(Family.CODE, known.code_set, known.classes),
        class_information=informant.inform(
            Family.CLASS, known.learned, known.classes, must_be_fresh=kind is Kind.SAMPLES
        ),
        retrain=retrain if can_train else None,
        replay=replaying.replay_of(bench, () if is_changed else call.base, params, initial, progress)
        if can_train and bench.recipe.is_sharded
        else None,
        recipe=bench.recipe.to_json(),
        update_log=log,
        head=head,
        key=bench.noise_key,
        seed=call.seed,
        device=bench.device,
        progress=progress,
    )


def _caveats(method: Method, family: str, kind: str) -> tuple[str, ...]:
    """Return what a reader of the certificate must know of the method, on such a model."""
    experimental = [] if method.experimental is None else [f"Experimental: {method.experimental}"]
    reservation = qualification.reservation(method, family, kind)
    return (*experimental, *([reservation] if reservation else []), *method.caveats)


def _weights(files: tuple[StoredFile, ...]) -> StoredFile:
    return next(file for file in files if file.name == WEIGHTS)
