"""What is measured of one forgotten model: test accuracy, the audit's verdict, and whether it relapses.

A_R is the accuracy on test images of the remaining classes, E_F the error on those of the forgotten ones; no
method and no choice reads the test split. Relapse is E_F after plain training on retained images alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from benchmarks import peers
from benchmarks.forgetting import Way
from benchmarks.setting import NUM_CLASSES, Setting
from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.numerics import metrics
from workers.numerics.params import Params

RELAPSE_RATES = (1e-3, 1e-2)
RELAPSE_EPOCHS = 2
NUM_AUDITED = 2000  # retained training images that the audit reads


@dataclass(frozen=True)
class Row:
    """One method's outcome for one request of one seed.

    Attributes:
        method: its name.
        version: of the method; empty for what is none.
        seed: of the model.
        classes: that were forgotten.
        retained: A_R, as a share.
        error: E_F over all forgotten classes, as a share.
        worst_error: E_F of the forgotten class with the lowest.
        verdict: of the audit.
        failed: the audit's gates that refused, joined by commas.
        seconds: to forget, after the model was prepared.
        relapses: "rate x epochs" -> E_F after fine-tuning.
    """

    method: str
    version: str
    seed: int
    classes: tuple[int, ...]
    retained: float
    error: float
    worst_error: float
    verdict: str
    failed: str
    seconds: float
    relapses: Mapping[str, float]


def measure(
    setting: Setting,
    way: Way,
    seed: int,
    classes: Sequence[int],
    base: Params,
    params: Params,
    seconds: float,
    num_relapse: int,
) -> Row:
    """Measure one forgotten model.

    Args:
        setting: of the model.
        way: that made it.
        seed: of the model.
        classes: that were forgotten.
        base: the weights that still knew.
        params: the weights to measure.
        seconds: that forgetting took.
        num_relapse: retained images of an epoch of fine-tuning; 0 leaves relapse out.
    """
    right, labels = answers(setting, params)
    is_gone = np.isin(labels, classes)
    verdict, failed = audited(setting, seed, classes, base, params, way.guarantee)
    return Row(
        method=way.name,
        version=way.version,
        seed=seed,
        classes=tuple(classes),
        retained=float(right[~is_gone].mean()),
        error=1 - float(right[is_gone].mean()),
        worst_error=1 - max(float(right[labels == label].mean()) for label in classes),
        verdict=verdict,
        failed=failed,
        seconds=seconds,
        relapses=relapses_of(setting, seed, classes, params, num_relapse) if num_relapse else {},
    )


def relapses_of(
    setting: Setting, seed: int, classes: Sequence[int], params: Params, num_images: int
) -> dict[str, float]:
    """Return E_F after each epoch of fine-tuning on some retained images, "rate x epochs" -> E_F."""
    images = peers.some(setting.without(classes), num_images, seed)
    relapses = {}
    for rate in RELAPSE_RATES:
        later = peers.fine_tune(setting, params, images, learning_rate=rate, epochs=RELAPSE_EPOCHS, seed=seed)
        for epochs, tuned in enumerate(later, start=1):
            knows, _ = answers(setting, tuned, classes)
            relapses[f"{rate:g}x{epochs}"] = 1 - float(knows.mean())
    return relapses


def answers(
    setting: Setting, params: Params, classes: Sequence[int] | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return, for each test image of some classes or of all, whether the model is right, and its label."""
    samples = setting.samples("test", None if classes is None else tuple(classes))
    logits, labels = metrics.logits_of(setting.build(), params, samples)
    return (logits.argmax(1) == labels).numpy(), labels.numpy()


def audited(
    setting: Setting, seed: int, classes: Sequence[int], base: Params, params: Params, guarantee: str
) -> tuple[str, str]:
    """Return the audit's verdict and which of its gates refused."""
    report = suite.audit(
        AuditInput(
            build=setting.build,
            num_classes=NUM_CLASSES,
            base_params=base,
            params=params,
            groups=(ForgetGroup("class", tuple(classes), setting.samples("train", tuple(classes))),),
            retain=peers.some(setting.without(classes), NUM_AUDITED, seed),
            unseen=setting.unseen,
            seed=seed,
            guarantee=guarantee,
        )
    ).to_json()
    failed = [each["name"] for each in report["checks"] if each["is_gate"] and not each["passed"]]
    return report["verdict"], ",".join(failed)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by Student's t; the mean thrice if one value is all there is."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half
