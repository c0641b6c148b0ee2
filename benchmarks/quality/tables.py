"""The bench's outcome as text: one matrix to choose by, one table a request with all that was measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from benchmarks.quality.asks import KINDS
from benchmarks.quality.measures import Outcome
from benchmarks.quality.told import Told, told

MAX_TOLD = 0.60
PASS = "pass"
MEASURED = (
    "kept",
    "forgotten",
    "test",
    "gap to gold",
    "distance",
    "told",
    "membership",
    "changed",
    "cost",
)


@dataclass(frozen=True, eq=False)
class Line:
    """One method on one kind of request, over the seeds."""

    method: str
    outcomes: tuple[Outcome, ...]
    told: Told | None

    @property
    def measured(self) -> list[Outcome]:
        """Outcomes with a candidate."""
        return [each for each in self.outcomes if not each.refusal]

    @property
    def num_passed(self) -> int:
        """How many candidates passed the audit."""
        return sum(each.verdict == PASS for each in self.measured)

    @property
    def distance(self) -> float:
        """Distance to the reference over gold's, on the forget set; mean over seeds, NaN without one."""
        return mean_ratio((each.distance, each.gold_distance) for each in self.measured)

    @property
    def cost(self) -> float:
        """Seconds over retraining's, mean over seeds."""
        return mean_ratio((each.seconds, each.gold_seconds) for each in self.measured)


References = Mapping[tuple[str, int], np.ndarray[tuple[int], np.dtype[np.float64]]]


def lines(found: Sequence[Outcome], references: References) -> dict[str, list[Line]]:
    """Return the lines of each kind of request, nearest to retraining first, refusals last.

    Args:
        found: every outcome.
        references: (request, seed) -> the reference's log odds on the forgotten samples.
    """
    by_ask: dict[str, list[Line]] = {}
    for ask in (name for name in KINDS if any(each.ask == name for each in found)):
        own = [each for each in found if each.ask == ask]
        golds = [each.scores for each in own if each.method == "retrain"]
        against = [scores for (name, _), scores in references.items() if name == ask]
        made = []
        for method in dict.fromkeys(each.method for each in own):
            mine = tuple(each for each in own if each.method == method)
            scores = [each.scores for each in mine if not each.refusal]
            made.append(Line(method, mine, told(scores, golds, against) if scores and golds else None))
        by_ask[ask] = sorted(made, key=lambda line: (not line.measured, line.distance))
    return by_ask


def matrix(found: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """Yield the lines of one table in Markdown: a row a method, a column a kind of request."""
    methods = dict.fromkeys(line.method for own in found.values() for line in own)
    by_name = {(ask, line.method): line for ask, own in found.items() for line in own}
    order = sorted(methods, key=lambda name: _place(name, found))
    yield "| method | " + " | ".join(found) + " |"
    yield "|---|" + "---|" * len(found)
    for name in order:
        cells = (_cell(by_name.get((ask, name))) for ask in found)
        yield f"| {_named(name, by_name.values())} | " + " | ".join(cells) + " |"


def details(own: Sequence[Line]) -> Iterator[str]:
    """Yield the lines of a table in Markdown with all that was measured of one kind of request."""
    yield "| method | " + " | ".join(MEASURED) + " | audit |"
    yield "|---|" + "---:|" * len(MEASURED) + "---|"
    gold = next((line for line in own if line.method == "retrain"), None)
    for line in own:
        if not line.measured:
            reasons = ", ".join(dict.fromkeys(each.refusal for each in line.outcomes))
            yield f"| {_named(line.method, own)} | " + "| " * len(MEASURED) + f"refused: {reasons} |"
            continue
        gap = _mean(line, "forgotten") - (_mean(gold, "forgotten") if gold else np.nan)
        shown = [
            _percent(line, "retained"),
            _percent(line, "forgotten"),
            _percent(line, "test"),
            f"{100 * gap:+.1f}",
            f"{line.distance:.2f}",
            _told(line.told),
            f"{_mean(line, 'membership'):.2f}",
            f"{100 * _mean(line, 'changed'):.1f}",
            f"{100 * line.cost:.1f}",
            _verdicts(line),
        ]
        yield f"| {_named(line.method, own)} | " + " | ".join(shown) + " |"


def figures(dataset: str, found: Mapping[str, Sequence[Line]]) -> Iterator[tuple[str, bool]]:
    """Yield one line a figure, and whether its goal is met: what passes the audit should not be told."""
    for ask, own in found.items():
        for line in own:
            if line.told is None or line.num_passed == 0 or line.method.startswith("("):
                continue
            is_met = line.told.value <= MAX_TOLD
            name = f"{dataset}_{ask}_{line.method}_told".replace(" ", "_")
            span = f"low={line.told.low:.3f} high={line.told.high:.3f}"
            yield f"figure {name} value={line.told.value:.3f} {span} unit=auc goal=<= {MAX_TOLD}", is_met


def mean_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """Return the mean of first over second, NaN for none."""
    ratios = [first / second for first, second in pairs if second > 0]
    return float(np.mean(ratios)) if ratios else float("nan")


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and half the width of its 95 % interval by Student's t; no width for one value."""
    if len(values) < 2:
        return float(np.mean(values)), 0.0
    spread = float(np.std(values, ddof=1)) / float(np.sqrt(len(values)))
    return float(np.mean(values)), float(student.ppf(0.975, len(values) - 1)) * spread


def _cell(line: Line | None) -> str:
    if line is None:
        return ""
    if not line.measured:
        return "refused"
    text = f"{line.distance:.1f} · {line.told.value:.2f}" if line.told else f"{line.distance:.1f}"
    return f"**{text}**" if line.num_passed == len(line.outcomes) else text


def _place(name: str, found: Mapping[str, Sequence[Line]]) -> tuple[int, float]:
    """Order methods by their mean place among those that served a request."""
    places = [
        place
        for own in found.values()
        for place, line in enumerate(own)
        if line.method == name and line.measured
    ]
    return (0, float(np.mean(places))) if places else (1, 0.0)


def _named(name: str, among: Iterable[Line]) -> str:
    if name.startswith("("):
        return name
    own = next(each for line in among if line.method == name for each in line.outcomes)
    return f"`{name}`" + (" °" if own.is_experimental else "")


def _verdicts(line: Line) -> str:
    if line.num_passed == len(line.outcomes):
        return f"passes {line.num_passed} of {len(line.outcomes)}"
    gates = ", ".join(
        dict.fromkeys(gate for each in line.measured for gate in each.failed.split(",") if gate)
    )
    return f"passes {line.num_passed} of {len(line.outcomes)}" + (f": {gates}" if gates else "")


def _told(found: Told | None) -> str:
    return "" if found is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _mean(line: Line, key: str) -> float:
    return float(np.mean([getattr(each, key) for each in line.measured]))


def _percent(line: Line, key: str) -> str:
    mean, half = interval([getattr(each, key) for each in line.measured])
    return f"{100 * mean:.1f} ± {100 * half:.1f}" if half else f"{100 * mean:.1f}"
