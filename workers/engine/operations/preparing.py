"""Checks freshly uploaded weights and makes everything that must exist before a request comes."""

from collections.abc import Iterator
from pathlib import Path

from service.core.ledger.pseudonyms import Pseudonymiser
from workers.engine import lineage_rows
from workers.engine.fisher_files import Family
from workers.engine.messages import Prepare, PrepareReply
from workers.engine.operations import fisher_pass, heads, preparation_files, replaying
from workers.engine.operations.target import At, positions_array
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics.datasets.base import Manifest
from workers.numerics.params import WeightsError
from workers.preparation import prepared, training


def prepare(bench: Workbench, call: Prepare, pseudonymiser: Pseudonymiser, at: At) -> PrepareReply:
    """Prepare version 1 and write the manifest's rows, under pseudonym, for the database.

    Raises:
        WeightsError: The upload is not safetensors of this architecture, or the head is too small.
        TrainingError: The recipe trains a head, and not this one.
        DatasetRowError: A row cannot be read.
    """
    params = bench.weights(call.weights_sha256)
    num_classes = bench.num_outputs(params)
    manifest = bench.source.manifest
    if num_classes < manifest.num_classes:
        raise WeightsError(
            f"expected outputs for labels up to {manifest.num_classes - 1}, got a model with {num_classes} "
            "outputs; register the architecture or the data that fit"
        )
    rows = under_pseudonym(manifest, call.model.dataset_name, pseudonymiser)
    digest = lineage_rows.write(Path(call.lineage_path), rows)
    excluded = positions_array(call.excluded)
    known = prepared.known(bench.source, training.draw_recipe_codes(bench.source, bench.recipe), excluded)
    head = heads.found(bench, params, known.learned, at("preparing the head"))
    fishers = []
    for family, samples in ((Family.CODE, known.code_set), (Family.CLASS, known.learned)):
        if samples is not None:
            fishers += fisher_pass.take(
                bench, family, params, call.weights_sha256, samples, known.classes, at(f"preparing {family}")
            )
    return PrepareReply(
        num_classes=num_classes,
        training_seconds=training.estimate_seconds(
            bench.build_constituent, bench.source, bench.recipe, excluded=excluded, device=bench.device
        ),
        manifest_digest=digest,
        facts=preparation_files.facts_of(prepared.baseline(bench.build(), params, known)),
        files=(
            bench.stored(WEIGHTS, call.weights_sha256, is_public=True),
            preparation_files.keep_config(bench, num_classes, guarantee=None),
            *preparation_files.keep_codes(bench, known.codes),
            *replaying.keep_states(bench, positions_array(())),
            *heads.keep(bench, head),
            *fishers,
        ),
    )


def under_pseudonym(
    manifest: Manifest, dataset_name: str, pseudonymiser: Pseudonymiser
) -> Iterator[lineage_rows.Row]:
    """Yield the manifest's rows with keyed pseudonyms in the place of ids."""
    samples = pseudonymiser.samples(dataset_name, manifest.sample_ids.tolist())
    subjects = manifest.subject_ids.tolist() if manifest.subject_ids is not None else [""] * len(manifest)
    hidden = pseudonymiser.subjects(dataset_name, subjects)
    labels, splits = manifest.labels.tolist(), manifest.splits.tolist()
    for row, subject in enumerate(subjects):
        person = bytes.fromhex(hidden[row]) if subject else None
        yield row, bytes.fromhex(samples[row]), person, labels[row], splits[row]
