"""What the audit of a request, and a rehearsal of forgetting, cost beside what cannot be done without.

(a) The audit of a request for 1 % of the samples, with a reference bank, over one forward pass of the new
model over every sample that it scores, as it is once the version was studied: what the base model answers is
kept. Both run in turn in this process, A B A B, medians. The goal is held on a ResNet-18; how much the
statistics weigh beside a network of no size is shown too, and what an audit costs whose base model must be
asked.

(b) A rehearsal held to one epoch, over the epoch: in samples processed, one a forward pass and three with the
backward pass, and in seconds. What a model needs for its requests anyway (class Fishers) is made before. On
the digits the floor of twenty seconds, which is for models as small as these, is what ends it.

The images are generated, noise around a few patterns a class, in the size of MNIST; `--small` takes fewer.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import resnet18

from service.core.storage.filesystem import FilesystemStore
from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.audit.kept_answers import KeptAnswers
from workers.audit.reference.bank import ReferenceBank
from workers.audit.resurrection.references import ClassReferences
from workers.engine.fisher_files import Family
from workers.engine.messages import ModelSpec, StoredFile, Study
from workers.engine.operations import fisher_pass, rehearsing
from workers.engine.operations.reference_files import References
from workers.engine.shelf import Shelf
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics import architectures, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource, Manifest, ReaderSource
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import Params, state_of
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.rehearsal import promise
from workers.preparation.rehearsal.meter import Cost
from workers.preparation.rehearsal.record import Rehearsal
from workers.preparation.rehearsal.rehearse import allowance
from workers.preparation.training import train
from workers.unlearning import registry

AUDIT_GOAL, REHEARSAL_GOAL = 1.5, 1.0
NUM_CLASSES, NUM_PATTERNS, SIDE = 10, 8, 28
NUM_MEMBERS = 16
MLP = "workers.numerics.architectures:mlp"


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained model on the bench, its version's files, and what one epoch of its recipe took."""

    name: str
    bench: Workbench
    params: Params
    files: tuple[StoredFile, ...]
    epoch_seconds: float


def main() -> int:
    """Measure, print, and return 1 if a goal is missed and that was to be told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a tenth of the samples, fewer rounds")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    num, rounds = (6_000, 3) if options.small else (60_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        mnist = prepared("mnist-sized", generated(num), 784, 256, 1, Path(folder) / "mnist")
        few = generated(3_000)
        is_missed = audited("resnet18", grey_resnet18, few, rounds, is_goal=True)
        audited("small_cnn", architectures.small_cnn, mnist.bench.source, rounds, is_goal=False)
        audited("mlp", mnist.bench.build, mnist.bench.source, rounds, is_goal=False)
        is_missed |= rehearsed(
            mnist,
            allowance(len(train_set(mnist)), epoch_seconds=mnist.epoch_seconds, floor_seconds=0.0),
            is_goal=True,
        )
        digits = prepared("digits", open_source({"source": "digits"}), 64, 128, 20, Path(folder) / "digits")
        rehearsed(digits, allowance(len(train_set(digits))), is_goal=False)
    return int(is_missed and options.strict)


def audited(
    name: str, build: Callable[[], nn.Module], source: DatasetSource, rounds: int, *, is_goal: bool
) -> bool:
    """Print what an audit of samples costs a network, untrained; return whether the goal is missed."""
    params = state_of(build())
    manifest = source.manifest
    rows, holdout = manifest.positions("train"), manifest.positions("holdout")
    random = np.random.default_rng(0)
    forget = np.sort(random.choice(rows, max(len(rows) // 100, 1), replace=False))
    retain = np.sort(random.choice(np.setdiff1d(rows, forget), min(2000, len(rows) // 2), replace=False))
    sets = [SampleSet(source, each) for each in (forget, retain, holdout[1::2])]
    noise = torch.Generator().manual_seed(0)
    new = {name: value + 0.01 * torch.randn(value.shape, generator=noise) for name, value in params.items()}
    given = AuditInput(
        build=build,
        num_classes=NUM_CLASSES,
        base_params=params,
        params=new,
        groups=(ForgetGroup("samples", (), sets[0]),),
        retain=sets[1],
        unseen=sets[2],
        tuning=SampleSet(source, holdout[0::2]),
        bank=random_bank(source, random),
    )

    def one_pass() -> None:
        for samples in sets:
            metrics.logits_of(build(), new, samples)

    everything = np.sort(np.concatenate([each.positions for each in sets]))
    known, _ = metrics.logits_of(build(), params, SampleSet(source, everything))
    studied = replace(given, base_answers=KeptAnswers(everything, known.float().numpy()))
    suite.audit(studied)  # what is imported and allocated once
    audits, unstudied, passes = [], [], []
    for _ in range(rounds):
        audits.append(timed(lambda: suite.audit(studied)))
        passes.append(timed(one_pass))
        unstudied.append(timed(lambda: suite.audit(given)))
    ratios = [audit / floor for audit, floor in zip(audits, passes, strict=True)]
    asked = [audit / floor for audit, floor in zip(unstudied, passes, strict=True)]
    num = sum(map(len, sets))
    print(f"\n{name}: audit of {len(forget)} samples, bank of {NUM_MEMBERS}, {num} samples scored, 1 thread")
    print(f"  audit {statistics.median(audits):.3f} s, one forward pass {statistics.median(passes):.3f} s")
    is_missed = figure(f"audit_over_forward_pass_{name}", ratios, AUDIT_GOAL if is_goal else None)
    figure(f"audit_that_asks_the_base_model_over_forward_pass_{name}", asked, None)
    return is_missed


def grey_resnet18() -> nn.Module:
    """Return torchvision's ResNet-18 for one channel."""
    model = resnet18(num_classes=NUM_CLASSES)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model  # type: ignore[no-any-return]


def rehearsed(subject: Subject, allowed: Cost, *, is_goal: bool) -> bool:
    """Print what a rehearsal costs and what it finds; return whether the goal is missed."""
    num = len(train_set(subject))
    call = Study(
        model=subject.bench.spec,
        base=subject.files,
        forgotten_classes=(),
        forgotten_positions=(),
        reference_models=0,
        class_references=0,
        training_seconds=None,
        seconds_left=1e9,
        turn_seconds=1e9,
        give_way_path="",
        ladders={"class": ("ssd", "one_shot"), "samples": ("ssd", "neg_grad_plus")},
        method_parameters={},
        limits={},
        given_up={},
    )
    found: list[Rehearsal] = []

    def rehearse() -> None:
        nothing = References(None, ClassReferences(), ())
        record, _ = rehearsing.rehearse(
            subject.bench, call, nothing, None, registry.discover(), lambda: False, quiet, allowed=allowed
        )
        found.append(record)

    seconds = timed(rehearse)
    record = found[0]
    cases = {one.case for one in record.tries}
    print(f"\nrehearsal on {subject.name}, {num} training samples: {len(cases)} cases")
    print(f"  {record.samples} samples processed, {round(allowed.samples)} an epoch")
    print(f"  {seconds:.1f} s, {subject.epoch_seconds:.1f} s an epoch")
    for each in promise.promises(record, None, can_retrain=True):
        print(f"  {each.text}")
    for reason in record.left_out:
        print(f"  left out: {reason}")
    goal = REHEARSAL_GOAL if is_goal else None
    is_missed = figure(f"rehearsal_over_epoch_samples_{subject.name}", [record.samples / (3 * num)], goal)
    figure(f"rehearsal_over_epoch_seconds_{subject.name}", [seconds / subject.epoch_seconds], goal)
    return is_missed


def prepared(
    name: str, source: DatasetSource, in_features: int, hidden: int, epochs: int, folder: Path
) -> Subject:
    """Train a model and take what a version has before it is studied."""
    recipe = TrainingRecipe(epochs=epochs, batch_size=128, learning_rate=0.05)
    arguments = {"in_features": in_features, "hidden": hidden}
    spec = ModelSpec(
        space="bench",
        factory=MLP,
        arguments=arguments,
        dataset_name=name,
        dataset={},
        training=recipe.to_json(),
    )
    bench = Workbench(
        spec=spec,
        source=source,
        recipe=recipe,
        allowed=frozenset(),
        store=FilesystemStore(folder / "store"),
        shelf=Shelf(1 << 30),
        device=torch.device("cpu"),
        initial_dir=folder,
        slices_dir=folder,
        records_dir=folder,
        fisher_bytes=1 << 32,
    )
    started_at = time.perf_counter()
    params = train(bench.build_constituent, source, recipe).params
    seconds = (time.perf_counter() - started_at) / epochs
    weights = bench.keep(WEIGHTS, params, is_public=True)
    samples = bench.samples("train", np.empty(0, dtype=np.int64))
    fishers = fisher_pass.take(
        bench, Family.CLASS, params, weights.sha256, samples, range(NUM_CLASSES), quiet("")
    )
    return Subject(name, bench, bench.weights(weights.sha256), (weights, *fishers), seconds)


def generated(num: int) -> ReaderSource:
    """Return images in the size of MNIST: noise around a few patterns a class, a tenth held out."""
    labels = np.random.default_rng(0).permutation(num).astype(np.int64) % NUM_CLASSES
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(NUM_CLASSES, NUM_PATTERNS, 1, SIDE, SIDE, generator=generator)
    splits = np.where(np.arange(num) % 100 < 90, "train", "holdout")

    def read(positions: NDArray[np.int64]) -> Tensor:
        which = torch.from_numpy(positions // NUM_CLASSES % NUM_PATTERNS)
        noise = torch.Generator().manual_seed(int(positions[0]) if len(positions) else 0)
        images = patterns[torch.from_numpy(labels[positions]), which]
        return (0.3 * images + 0.7 * torch.rand(images.shape, generator=noise)).clamp(0, 1)

    return ReaderSource("mnist-sized", Manifest.of(labels, splits.tolist()), (1, SIDE, SIDE), read)


def random_bank(source: DatasetSource, random: np.random.Generator) -> ReferenceBank:
    """Return a bank of random scores: its cost is that of a real one."""
    rows, controls = source.manifest.positions("train"), source.manifest.positions("holdout")[1::2]
    is_in = np.zeros((len(rows), NUM_MEMBERS), dtype=bool)
    is_in[:, ::2] = random.random((len(rows), NUM_MEMBERS // 2)) < 0.5
    is_in[:, 1::2] = ~is_in[:, ::2]
    return ReferenceBank(
        positions=rows,
        scores=random.normal(3, 2, is_in.shape).astype(np.float32),
        is_in=is_in,
        members=np.arange(NUM_MEMBERS),
        control_positions=controls,
        control_labels=source.manifest.labels[controls],
        control_scores=random.normal(3, 2, (len(controls), NUM_MEMBERS)).astype(np.float32),
    )


def train_set(subject: Subject) -> NDArray[np.int64]:
    """Return the training rows."""
    return subject.bench.source.manifest.positions("train")


def figure(name: str, values: list[float], goal: float | None) -> bool:
    """Print one figure, median and range; return whether its goal is missed."""
    value = statistics.median(values)
    told = f" goal=<= {goal:g}" if goal is not None else ""
    print(f"figure {name} value={value:.3f} low={min(values):.3f} high={max(values):.3f} unit=ratio{told}")
    return goal is not None and value > goal


def timed(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started_at = time.perf_counter()
    work()
    return time.perf_counter() - started_at


def quiet(_stage: str) -> Callable[[float], None]:
    """Listen to no progress."""
    return lambda _fraction: None


if __name__ == "__main__":
    sys.exit(main())
