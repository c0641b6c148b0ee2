"""What one-shot forgetting costs, from the known class to the new weights, for ten to a thousand classes.

    python -m benchmarks.oneshot [--small] [--strict] [--device cpu]

The network is ResNet-18 for images of 32 x 32 with a head of C outputs; its body is untrained and its head
tells the codes apart by their nearest mean, so that forgetting has something to do without a training. The
forgotten code's Fisher is computed on demand, as for models whose Fishers are too many to keep; of the other
codes only the sum of Fishers is held. The networks take turns in one process, on one thread; next to each
forgetting the weights are copied and written as safetensors. Times are of the processor on a CPU.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor, nn
from torchvision import models

from workers.numerics import calling, codes, fisher, output_layer
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params, state_of, write_file
from workers.unlearning import run
from workers.unlearning.amplitude import amplitudes_of, others_of
from workers.unlearning.base import ForgetProblem, Kind
from workers.unlearning.methods.one_shot import METHOD

FORGOTTEN = 3
NUM_SUMMED = 4  # codes whose Fishers make up the sum; how many does not change what using it costs
SHARPNESS = 12.0  # about how far a code's own logit is above the others
MAX_GROWTH = 1.2

Result = TypeVar("Result")


@dataclass(eq=False)
class Contest:
    """One network with its codes, ready to forget, and what forgetting was seen to do.

    Attributes:
        num_classes: C.
        size: pixels of an image's side.
        device: to run on.
        num_images: that the network was run on.
        num_fishers: that were computed on demand, a backward pass each.
        seconds: per piece of work, one entry a round.
    """

    num_classes: int
    size: int
    device: str
    num_images: int = 0
    num_fishers: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        shape = (3, self.size, self.size)
        self.codes = codes.draw_codes(self.num_classes, shape, normalised=True, seed=0).to(self.device)
        self.model = self.build()
        place_head(self.model, self.codes)
        self.params = state_of(self.model)
        summed = [self.fisher_of(label) for label in range(NUM_SUMMED)]
        scale = self.num_classes / NUM_SUMMED
        self.whole = {
            name: torch.stack([each[name].double() for each in summed]).sum(0).mul_(scale)
            for name in summed[0]
        }
        self.num_images = self.num_fishers = 0

    def build(self) -> nn.Module:
        """Return a network that counts the images it is run on."""
        model: nn.Module = models.resnet18(num_classes=self.num_classes)
        model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        model.maxpool = nn.Identity()
        model.register_forward_pre_hook(self._count)
        return model.eval().to(self.device)

    def fisher_of(self, label: int) -> Params:
        """Return the Fisher of one code."""
        self.num_fishers += 1
        return fisher.diagonal_fisher(self.model, self.params, [(self.codes[[label]], torch.tensor([label]))])

    def problem(self) -> ForgetProblem:
        """Ask for one class, with codes alone."""
        nothing = SampleSet(
            ReaderSource("nothing", Manifest.of([0]), (3, self.size, self.size), self.codes.__getitem__),
            np.empty(0, dtype=np.int64),
        )
        counts = dict.fromkeys(range(self.num_classes), 1)
        return ForgetProblem(
            build=self.build,
            params=self.params,
            num_classes=self.num_classes,
            kind=Kind.CLASS,
            classes=(FORGOTTEN,),
            forget=nothing,
            retain=nothing,
            tuning=nothing,
            codes=self.codes,
            code_information=ClassInformation(counts, self.fisher_of, lambda: self.whole),
            device=self.device,
        )

    def round(self, folder: Path) -> None:
        """Forget once, do its pieces once more one by one, then copy and write the weights."""
        problem = self.problem()
        information = problem.code_information
        assert information is not None
        self.num_images = self.num_fishers = 0
        self._timed("forget", lambda: run.forget(METHOD, problem))
        self.seen = self.num_images, self.num_fishers
        own = self._timed("fisher", lambda: self.fisher_of(FORGOTTEN))
        others = others_of(information, (FORGOTTEN,))
        self._timed("amplitude", lambda: amplitudes_of(own, others))
        self._timed(
            "last layer",
            lambda: output_layer.row_gradients(
                self.model, self.params, self.codes[FORGOTTEN], FORGOTTEN, self.num_classes
            ),
        )
        self._timed("one code", lambda: self._ask(self.codes[[FORGOTTEN]]))
        self._timed("copy", lambda: {name: tensor.clone() for name, tensor in self.params.items()})
        self._timed("write", lambda: write_file(folder / "weights.safetensors", self.params))

    def median(self, work: str) -> float:
        """Return the median seconds of a piece of work."""
        return float(np.median(self.seconds[work]))

    def _ask(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return calling.logits(self.model, self.params, images)

    def _timed(self, work: str, do: Callable[[], Result]) -> Result:
        started = _now(self.device)
        result = do()
        self.seconds.setdefault(work, []).append(_now(self.device) - started)
        return result

    def _count(self, model: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.num_images += len(given[0])


def place_head(model: nn.Module, drawn: Tensor) -> None:
    """Set the last layer so that a code goes to its class: a logit is a product of mean-free features."""
    head = model.fc
    assert isinstance(head, nn.Linear)
    model.fc = nn.Identity()
    with torch.no_grad():
        features = torch.cat([model(part) for part in torch.split(drawn, 50)])
        mean = features.mean(0)
        free = features - mean
        head.weight.copy_(free * (SHARPNESS / free.square().sum(1).mean()))
        head.bias.copy_(-head.weight @ mean)
    model.fc = head


def _now(device: str) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of ratios within rounds and its 95 % interval from their order."""
    ratios = np.sort(np.asarray(above) / np.asarray(below))
    rank = max(int(binom.ppf(0.025, len(ratios), 0.5)) - 1, 0)
    return float(np.median(ratios)), float(ratios[rank]), float(ratios[-1 - rank])


def main() -> None:
    """Measure, print the table and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="images of 8 x 8, three rounds")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    contests = [Contest(count, 8 if asked.small else 32, asked.device) for count in (10, 100, 1000)]

    with tempfile.TemporaryDirectory() as folder:
        for contest in contests:
            contest.round(Path(folder))
            contest.seconds.clear()  # the first round pays for what is set up once
        for _ in range(3 if asked.small else 7):
            for contest in contests:
                contest.round(Path(folder))

    print("milliseconds; 'one code' is one image through the network, the search is most of the rest")
    work = [*contests[0].seconds]
    print(f"{'C':>5} {'weights':>9} {'images':>7} {'fishers':>8} " + " ".join(f"{each:>11}" for each in work))
    for contest in contests:
        num_weights = sum(tensor.numel() for tensor in contest.params.values()) / 1e6
        print(
            f"{contest.num_classes:>5} {num_weights:>8.2f}M {contest.seen[0]:>7} {contest.seen[1]:>8} "
            + " ".join(f"{1000 * contest.median(each):>11.1f}" for each in work)
        )

    few, _, many = contests
    growth = ratio_interval(many.seconds["forget"], few.seconds["forget"])
    print_figure("forget_seconds_1000_classes_of_10", growth, "ratio", f"<= {MAX_GROWTH}")
    for name in ("copy", "write"):
        ratio = ratio_interval(many.seconds["forget"], many.seconds[name])
        print_figure(f"forget_seconds_of_{name}", ratio, "ratio", "none")
    print_figure("forget_fishers_a_class", (many.seen[1],) * 3, "backward_passes", "<= 1")
    is_missed = growth[0] > MAX_GROWTH or many.seen[1] > 1
    sys.exit(1 if asked.strict and is_missed else 0)


def print_figure(name: str, values: tuple[float, float, float], unit: str, goal: str) -> None:
    """Print one figure with its interval."""
    value, low, high = values
    print(f"figure {name} value={value:.4g} low={low:.4g} high={high:.4g} unit={unit} goal={goal}")


if __name__ == "__main__":
    main()
