"""Probes every class that a candidate claims to have forgotten, in it and in the base model behind a mask."""

from workers.audit.base import CLASS_KIND, AuditInput
from workers.audit.resurrection.evidence import gather
from workers.audit.resurrection.probing import probe
from workers.audit.resurrection.references import Judged
from workers.numerics.batches import SampleSet


def judged(given: AuditInput) -> tuple[Judged, ...]:
    """Return what the probes found, one a forgotten class, in rising order; none for samples.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    forget = {label: g.forget for g in given.groups if g.kind == CLASS_KIND for label in g.classes}
    return tuple(_judged(given, label, forget[label], {*forget}) for label in sorted(forget))


def _judged(given: AuditInput, label: int, forget: SampleSet, asked: set[int]) -> Judged:
    evidence = gather(
        label,
        hidden=tuple(({*given.forgotten_classes} | asked) - {label}),
        of_class=forget,
        retain=given.retain,
        tuning=given.tuning,
        unseen=given.unseen,
        seed=given.seed,
    )
    references = given.class_references
    return Judged(
        label=label,
        candidate=probe(given.build, given.params, evidence, given.seed),
        masked=probe(given.build, given.base_params, evidence, given.seed, is_masked=True),
        references=() if references is None else references.references,
    )
