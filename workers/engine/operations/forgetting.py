"""Makes a version forget: the steps of one rung, each starting from what the one before left."""

import time
from collections.abc import Mapping

import numpy as np

from workers.engine.messages import Step, StepReport, Unlearn, UnlearnReply
from workers.engine.operations.target import At, Positions, positions_array, rows_of, training_rows_of
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics.batches import SampleSet
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.preparation import training
from workers.unlearning import parameters, registry, run
from workers.unlearning.base import ForgetProblem, Kind, Method, Progress


def unlearn(bench: Workbench, call: Unlearn, methods: Mapping[str, Method], at: At) -> UnlearnReply:
    """Run the steps and store the candidate.

    Raises:
        UnlearningError: A method cannot serve this problem.
        DatasetRowError: A row cannot be read.
    """
    weights = next(file for file in call.base if file.name == WEIGHTS)
    params = bench.weights(weights.sha256)
    classes, gone = call.forgotten_classes, positions_array(call.forgotten_positions)
    reports = []
    for step in call.steps:
        method = registry.find(methods, step.method)
        problem = _problem(bench, call, step, params, classes, gone, at(f"forgetting by {method.name}"))
        started_at = time.perf_counter()
        result = run.forget(method, problem, parameters.read(method.Parameters, step.parameters))
        reports.append(
            StepReport(
                kind=step.kind,
                method=method.name,
                method_version=method.version,
                parameters={**result.parameters},
                guarantee=method.guarantee,
                caveats=method.caveats,
                seconds=time.perf_counter() - started_at,
                diagnostics={**result.diagnostics},
            )
        )
        params = result.params
        classes = (*classes, *step.classes)
        gone = np.union1d(gone, rows_of(bench.source.manifest, step))
    return UnlearnReply(weights=bench.keep(WEIGHTS, params, is_public=True), steps=tuple(reports))


def _problem(
    bench: Workbench,
    call: Unlearn,
    step: Step,
    params: Params,
    forgotten_classes: tuple[int, ...],
    forgotten: Positions,
    progress: Progress,
) -> ForgetProblem:
    manifest = bench.source.manifest
    everything = np.union1d(forgotten, rows_of(manifest, step))

    def retrain(excluded: Positions) -> Params:
        trained = training.train(
            bench.build, bench.source, bench.recipe, excluded=excluded, device=bench.device, progress=progress
        )
        return bench.placed(trained.params)

    by_code = bench.fishers(call.base, "code_fisher")
    return ForgetProblem(
        build=bench.build,
        params=params,
        num_classes=bench.num_outputs(params),
        kind=Kind(step.kind),
        forget=SampleSet(bench.source, np.setdiff1d(training_rows_of(manifest, step), forgotten)),
        retain=bench.samples("train", everything),
        tuning=bench.tuning(everything),
        classes=step.classes,
        forgotten_classes=forgotten_classes,
        forgotten=forgotten,
        codes=bench.codes(call.base),
        code_information=_information(by_code, dict.fromkeys(by_code, 1)),
        class_information=_information(
            bench.fishers(call.base, "class_fisher"), bench.class_counts(call.base)
        ),
        retrain=retrain,
        recipe=bench.recipe.to_json(),
        seed=call.seed,
        device=bench.device,
        progress=progress,
    )


def _information(means: Mapping[int, Params], counts: Mapping[int, int]) -> ClassInformation | None:
    return ClassInformation.of_means(means, counts) if means else None
