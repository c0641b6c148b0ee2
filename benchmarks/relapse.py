"""Whether a forgotten class of scikit-learn's digits comes back, by fine-tuning or by a few labelled samples.

    python -m benchmarks.relapse [--small] [--strict] [--device cpu]

A model that forgot one class is trained on for one or two epochs at a small and a large rate, on retained
training samples alone, as an owner would who goes on working with it; then the error on the forgotten class
is measured again (E_F, on the test split). The last column is another attack: the last layer alone is trained
on five samples of each class, the forgotten one among them, and what is recognised of it is counted.

Beside the method as it is stand its two halves alone, the method with a larger budget for the hidden layers
("deep"), the paper's rule with one strength for all tensors and
all choices made on held-out images, a mask of one output, and the model retrained without the class, which
is what every attack should be measured by.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t as student
from torch import nn

from benchmarks import paper_rule
from benchmarks.setting import Setting
from workers.numerics import architectures, metrics, seeding
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import Params, load_params, state_of
from workers.preparation.prepared import Prepared, prepare
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train
from workers.unlearning import registry, run
from workers.unlearning.base import ForgetProblem, Kind
from workers.unlearning.errors import UnlearningError
from workers.unlearning.methods.one_shot import OneShotParameters

NUM_CLASSES = 10
COURSES = ((1, 1e-3), (2, 1e-3), (1, 1e-2), (2, 1e-2))  # epochs, learning rate
MOMENTUM = 0.9
BATCH_SIZE = 64
NUM_SHOTS = 5
NUM_SHOT_STEPS = 60
SHOT_RATE = 0.02
MASKED = 1e4
DEEP_BUDGET = 0.05  # of the remaining classes' probability, in place of 0.01
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "small_cnn": (architectures.small_cnn, 20),
    "mlp": (lambda: architectures.mlp(64), 30),
}


@dataclass(frozen=True)
class Row:
    """One variant's outcome for one class of one model.

    Attributes:
        variant: how the class was forgotten.
        retained: accuracy on remaining classes, at once.
        errors: on the forgotten class, at once and after each of COURSES.
        relearned: accuracy on it after a few samples of it.
    """

    variant: str
    retained: float
    errors: tuple[float, ...]
    relearned: float


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model and the attacks on its copies."""

    setting: Setting
    params: Params
    made: Prepared
    seed: int

    def rows(self, label: int, gold: Params) -> Iterator[Row]:
        """Yield the outcome of every variant for one class."""
        for variant, params in self._variants(label, gold):
            retained, error = self.scores(params, label)
            after = [self.scores(self.tuned(params, label, *course), label)[1] for course in COURSES]
            shot = self.scores(self.shown(params), label)[1]
            yield Row(variant, retained, (error, *after), 1 - shot)

    def scores(self, params: Params, label: int) -> tuple[float, float]:
        """Return A_R and E_F on the test split."""
        samples = self.setting.samples("test")
        logits, labels = metrics.logits_of(self.setting.build(), params, samples)
        is_gone = labels == label
        gone = metrics.accuracy(logits[is_gone], labels[is_gone])
        return metrics.accuracy(logits[~is_gone], labels[~is_gone]), 1 - gone

    def tuned(self, params: Params, label: int, epochs: int, learning_rate: float) -> Params:
        """Train on on retained samples, batch norm and all."""
        model = self._network(params).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=MOMENTUM)
        samples = self.setting.without([label])
        for epoch in range(epochs):
            generator = seeding.generator(self.seed, "relapse", epoch)
            for images, labels in samples.batches(BATCH_SIZE, generator, merge_single=True):
                _step(model, optimiser, images.to(self.setting.device), labels.to(self.setting.device))
        return state_of(model)

    def shown(self, params: Params) -> Params:
        """Train the last layer on a few samples of every class."""
        model = self._network(params).eval()
        optimiser = torch.optim.Adam(model.get_submodule("head").parameters(), lr=SHOT_RATE)
        samples = self.setting.samples("train")
        order = torch.randperm(len(samples), generator=seeding.generator(self.seed, "shots"))
        labels = samples.labels[order]
        shots = torch.cat([order[labels == label][:NUM_SHOTS] for label in range(NUM_CLASSES)])
        ((images, shown),) = samples.take(shots.numpy()).batches(len(shots))
        for _ in range(NUM_SHOT_STEPS):
            _step(model, optimiser, images.to(self.setting.device), shown.to(self.setting.device))
        return state_of(model)

    def _variants(self, label: int, gold: Params) -> Iterator[tuple[str, Params]]:
        yield "original", self.params
        yield "retrained", gold
        bias = self.params["head.bias"].clone()
        bias[label] -= MASKED
        yield "mask", {**self.params, "head.bias": bias}
        assert self.made.code_information is not None
        fishers = {each: self.made.code_information.fetch(each) for each in range(NUM_CLASSES)}
        yield "paper_rule", paper_rule.forget(self.setting, self.params, fishers, [label], self.seed)[0]
        problem = self._problem(label)
        methods = registry.discover()
        for variant, parameters in {
            "one_shot_hidden_only": OneShotParameters(output_lambda_2=0.0),
            "one_shot_last_only": OneShotParameters(lambda_2=0.0),
            "one_shot": OneShotParameters(),
            "one_shot_deep": OneShotParameters(hidden_budget=DEEP_BUDGET),
        }.items():
            yield variant, run.forget(registry.find(methods, "one_shot"), problem, parameters).params
        try:
            yield "ssd", run.forget(registry.find(methods, "ssd"), problem).params
        except UnlearningError as error:
            print(f"ssd, class {label}: {error.code}, counted as the original")
            yield "ssd", self.params

    def _problem(self, label: int) -> ForgetProblem:
        return ForgetProblem(
            build=self.setting.build,
            params=self.params,
            num_classes=NUM_CLASSES,
            kind=Kind.CLASS,
            classes=(label,),
            forget=self.setting.samples("train", (label,)),
            retain=self.setting.without([label]),
            tuning=self.setting.tuning,
            codes=self.made.codes,
            code_information=self.made.code_information,
            class_information=self.made.class_information,
            seed=self.seed,
            device=self.setting.device,
        )

    def _network(self, params: Params) -> nn.Module:
        model = self.setting.build().to(self.setting.device)
        load_params(model, params)
        return model


def _step(
    model: nn.Module, optimiser: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> None:
    optimiser.zero_grad()
    torch.autograd.backward(nn.functional.cross_entropy(model(images), labels))
    optimiser.step()


def rows_of(network: str, seeds: Sequence[int], labels: Sequence[int], device: str) -> Iterator[Row]:
    """Train the models of one network and yield every outcome."""
    source = open_source({"source": "digits"})
    build, epochs = NETWORKS[network]
    for seed in seeds:
        recipe = TrainingRecipe(
            epochs=epochs, batch_size=32, learning_rate=0.1, code_mix=0.1, seed=seed, code_seed=seed
        )
        setting = Setting(network, source, build, recipe, torch.device(device))
        params = _on(device, train(build, source, recipe, device=device).params)
        model = Model(setting, params, prepare(build, params, source, recipe), seed)
        for label in labels:
            positions = setting.samples("train", (label,)).positions
            gold = train(build, source, recipe, excluded=positions, device=device).params
            yield from model.rows(label, _on(device, gold))


def _on(device: str, params: Params) -> Params:
    return {name: tensor.to(device) for name, tensor in params.items()}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and 95 % interval of the mean by Student's t."""
    mean = float(np.mean(values))
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def print_table(network: str, found: Sequence[Row]) -> None:
    """Print percentages, means over models and classes; the worst in brackets."""
    courses = [f"{epochs} ep {rate:g}" for epochs, rate in COURSES]
    heads = ["A_R", "E_F", *(f"E_F {course}" for course in courses)]
    print(f"\n{network}, {len([row for row in found if row.variant == 'original'])} classes of models")
    print(f"{'variant':<21}" + "".join(f"{head:>17}" for head in heads) + f"{'A_F, 5 shots':>15}")
    for variant in dict.fromkeys(row.variant for row in found):
        own = [row for row in found if row.variant == variant]
        columns = [[row.retained for row in own], *zip(*(row.errors for row in own), strict=True)]
        cells = [f"{100 * np.mean(each):>9.1f} ({100 * min(each):>5.1f})" for each in columns]
        shots = 100 * np.mean([row.relearned for row in own])
        print(f"{variant:<21}" + "".join(cells) + f"{shots:>15.1f}")


def main() -> None:
    """Measure, print a table a network and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one seed, three classes")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    is_missed = False
    for network in NETWORKS:
        labels = range(3 if asked.small else NUM_CLASSES)
        found = [*rows_of(network, range(1 if asked.small else 3), labels, asked.device)]
        print_table(network, found)
        for variant in ("paper_rule", "one_shot", "ssd"):
            worst = [min(row.errors) for row in found if row.variant == variant]
            mean, low, high = interval(worst)
            goal = ">= 0.98" if variant == "one_shot" else "none"
            print(
                f"figure {network}_{variant}_error_after_fine_tuning value={mean:.4f} low={low:.4f} "
                f"high={high:.4f} unit=share goal={goal}"
            )
            is_missed |= variant == "one_shot" and mean < 0.98
    sys.exit(1 if asked.strict and is_missed else 0)


if __name__ == "__main__":
    main()
