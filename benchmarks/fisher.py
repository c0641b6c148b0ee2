"""What the exact per-sample diagonal Fisher costs beside a plain training step, and beside its rivals.

    python -m benchmarks.fisher [--small] [--strict] [--device cpu]

The network is torchvision's ResNet-18 for images of 32 x 32 (a stem of 3 x 3, no max pool). In turn, in one
process and on one thread, each round runs on the same batch: one forward and backward pass to all weights in
evaluation mode (the unit), the Fisher, the loop of single samples, and vmap of grad. A ratio is the median
over rounds of the ratio within a round, with its 95 % interval from the rounds' order. On a CPU time is that
of the processor, so that whatever else the machine does counts little.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor, nn
from torchvision import models

from benchmarks.memory import peak_bytes
from workers.numerics.fisher import FisherSum
from workers.numerics.losses import cross_entropy_sum
from workers.numerics.params import state_of

Interval = tuple[float, float, float]


def small_resnet() -> nn.Module:
    """Return ResNet-18 for images of 32 x 32."""
    model: nn.Module = models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return model


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": small_resnet,
    "VGG-11 with BN": lambda: models.vgg11_bn(num_classes=10),
    "DenseNet-121": lambda: models.densenet121(num_classes=10),
    "MobileNet V3 small": lambda: models.mobilenet_v3_small(num_classes=10),
    "ConvNeXt tiny": lambda: models.convnext_tiny(num_classes=10),
    "ViT, 6 x 192, 65 tokens": lambda: models.VisionTransformer(32, 4, 6, 3, 192, 768, num_classes=10),
    "Swin tiny": lambda: models.swin_t(num_classes=10),
}


class Contest:
    """One network and batch, and the ways to go over it."""

    def __init__(self, build: Callable[[], nn.Module], batch_size: int, device: str) -> None:
        torch.manual_seed(0)
        self.model = build().eval().to(device)
        self.images = torch.randn(batch_size, 3, 32, 32, device=device)
        self.labels = torch.arange(batch_size, device=device) % 10
        self.parameters = dict(self.model.named_parameters())
        self.fisher = FisherSum(self.model, state_of(self.model))
        self.sums = {name: torch.zeros_like(value) for name, value in self.parameters.items()}

    def plain(self) -> None:
        """One forward and backward pass to all weights."""
        loss = cross_entropy_sum(self.model(self.images), self.labels)
        torch.autograd.grad(loss, list(self.parameters.values()))

    def ours(self) -> None:
        """The Fisher of one more batch."""
        self.fisher.add(self.images, self.labels)

    def loop(self) -> None:
        """One forward and backward pass a sample."""
        for row in range(len(self.images)):
            loss = cross_entropy_sum(self.model(self.images[[row]]), self.labels[[row]])
            gradients = torch.autograd.grad(loss, list(self.parameters.values()))
            for total, gradient in zip(self.sums.values(), gradients, strict=True):
                total.addcmul_(gradient, gradient)

    def vmapped(self) -> None:
        """All samples' gradients at once, then their squares."""

        def loss(values: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            logits = torch.func.functional_call(self.model, values, (image[None],))
            return nn.functional.cross_entropy(logits, label[None])

        values = {name: value.detach() for name, value in self.parameters.items()}
        gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(values, self.images, self.labels)
        for name, gradient in gradients.items():
            self.sums[name] += gradient.square_().sum(0)


def seconds(work: Callable[[], None], device: str) -> float:
    """Return how long the work takes, on a CPU in time of the processor."""
    if torch.device(device).type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_turn(ways: Sequence[Callable[[], None]], num_rounds: int, device: str) -> np.ndarray:
    """Return seconds [rounds, ways], after one round to warm up."""
    for way in ways:
        way()
    return np.array([[seconds(way, device) for way in ways] for _ in range(num_rounds)])


def median(values: np.ndarray) -> Interval:
    """Return the median and its 95 % interval, from the order of the values alone."""
    ordered = np.sort(values)
    outside = int(binom.ppf(0.025, len(values), 0.5)) - 1
    low = max(outside, 0)
    return float(np.median(values)), float(ordered[low]), float(ordered[len(values) - 1 - low])


def report(name: str, found: Interval, unit: str, goal: tuple[str, float]) -> bool:
    """Print a figure; return whether its goal is missed."""
    value, low, high = found
    sign, bound = goal
    print(f"figure {name} value={value:.3f} low={low:.3f} high={high:.3f} unit={unit} goal={sign} {bound:g}")
    return value > bound if sign == "<=" else value < bound


def compare(batch_size: int, num_rounds: int, device: str) -> list[bool]:
    """Measure all ways on ResNet-18; return which goals are missed."""
    contest = Contest(small_resnet, batch_size, device)
    ways = {
        "forward and backward": contest.plain,
        "this Fisher": contest.ours,
        "loop of single samples": contest.loop,
        "vmap of grad": contest.vmapped,
    }
    times = in_turn(list(ways.values()), num_rounds, device)
    print(f"\nResNet-18, batch {batch_size}, {num_rounds} rounds: median seconds, and ratio to the first")
    for name, own in zip(ways, times.T, strict=True):
        value, low, high = median(own / times[:, 0])
        print(f"{name:<24}{np.median(own):>10.4f}{value:>8.2f} [{low:.2f}, {high:.2f}]")
    _, ours, loop, vmapped = times.T
    on_gpu = torch.device(device).type != "cpu"
    return [
        report(
            f"fisher_ratio_batch_{batch_size}",
            median(ours / times[:, 0]),
            "forward_backward",
            ("<=", 2 if on_gpu else 1.3),
        ),
        report(f"fisher_over_loop_batch_{batch_size}", median(loop / ours), "times_faster", (">=", 1.5)),
        report(
            f"fisher_over_vmap_batch_{batch_size}",
            median(vmapped / ours),
            "times_faster",
            (">=", 5 if on_gpu else 2),
        ),
    ]


def measure_memory(batch_size: int, device: str) -> bool:
    """Measure what the Fisher holds beside the activations; return whether the goal is missed."""
    contest = Contest(small_resnet, batch_size, device)
    model, images, labels = contest.model, contest.images, contest.labels
    params = state_of(model)
    num_bytes = sum(value.nbytes for value in contest.parameters.values())

    def activations() -> None:
        given = images.clone().requires_grad_()
        torch.autograd.grad(cross_entropy_sum(model(given), labels), given)

    def fisher() -> None:
        total = FisherSum(model, params)
        total.add(images, labels)
        total.add(images, labels)

    extra = (peak_bytes(fisher, device) - peak_bytes(activations, device)) / num_bytes
    return report(
        f"fisher_extra_memory_batch_{batch_size}", (extra, extra, extra), "parameter_sets", ("<=", 2.1)
    )


def survey_networks(num_rounds: int, device: str) -> None:
    """Print the ratio for other families of networks."""
    print(f"\nother networks, 32 x 32, batch 16, {num_rounds} rounds: ratio to one forward and backward pass")
    for name, build in NETWORKS.items():
        contest = Contest(build, 16, device)
        times = in_turn([contest.plain, contest.ours, contest.loop], num_rounds, device)
        value, low, high = median(times[:, 1] / times[:, 0])
        loop = np.median(times[:, 2] / times[:, 0])
        loose = len(contest.fisher.loose)
        print(f"{name:<26}{value:>6.2f} [{low:.2f}, {high:.2f}]   loop {loop:.2f}   without a rule: {loose}")


def main() -> None:
    """Measure, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="batch 16 alone, seven rounds")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    missed = []
    for batch_size in (16,) if asked.small else (16, 32):
        missed += compare(batch_size, 7 if asked.small else 11, asked.device)
        missed.append(measure_memory(batch_size, asked.device))
    if not asked.small:
        survey_networks(7, asked.device)
    sys.exit(1 if asked.strict and any(missed) else 0)


if __name__ == "__main__":
    main()
