"""Puts the bench's outcome where people look: the matrix into docs/results.md, all details beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.quality import tables
from benchmarks.quality.asks import KINDS
from benchmarks.quality.tables import Line

DOCS = Path("docs")
LEGEND = """A cell reads *distance · told*. *Distance*: total variation between the candidate's answers on
the forget set and those of a model retrained from another seed, over the same of a model retrained from
this seed; at 1.0 it is as far as one retraining is from another. *Told*: AUC of a per-example attack that
tells forgotten samples from what retrained models say of them; 0.50 is not at all. **Bold** passed the
audit in every seed; ° is experimental; nothing stands where a method does not serve the request."""
COLUMNS = """*Kept*, *forgotten*, *test*: accuracy in percent on retained training samples, on the forget
set (by the label the model learned) and on test samples of what remains, mean ± half a 95 % interval over
seeds. *Gap to gold*: forgotten less that of `retrain`, in points. *Distance*, *told*: as in results.md.
*Membership*: AUC of an attack by the loss, forgotten against unseen samples of the same classes. *Changed*:
percent of the weights. *Cost*: percent of the time that retraining takes, timed by some of its steps in the
same run. *Audit*: how many candidates passed, and what refused the others."""


def command_of(dataset: str, epochs: int, seeds: Sequence[int], kinds: Sequence[str]) -> str:
    """Return the command that makes the page again."""
    data = "" if dataset == "digits" else " --data DIR"
    chosen = "" if [*kinds] == [*KINDS] else "".join(f" --kind {kind!r}" for kind in kinds)
    size = f"--epochs {epochs} --seeds {len(seeds)}{chosen}"
    return f"python -m benchmarks.quality --dataset {dataset}{data} {size} --write"


def picture(dataset: str) -> Path:
    """Return where the plot of a data set lies."""
    return DOCS / "images" / f"quality-{dataset}.png"


def write(dataset: str, command: str, num_seeds: int, found: Mapping[str, Sequence[Line]]) -> None:
    """Write the matrix between its marks in docs/results.md, and the details into a file of their own.

    Raises:
        ValueError: docs/results.md has no marks for this data set.
    """
    results = DOCS / "results.md"
    head, foot = (f"<!-- quality {dataset} {edge} -->" for edge in ("begins", "ends"))
    text = results.read_text()
    if head not in text or foot not in text:
        raise ValueError(f"expected the lines {head} and {foot} in {results}: add them where the table goes")
    made = f"`{command}` ({num_seeds} seed{'s' if num_seeds > 1 else ''})"
    matrix = "\n".join(tables.matrix(found))
    pictured = f"![Distance from retraining](images/{picture(dataset).name})"
    more = f"All that was measured: [quality-{dataset}](quality-{dataset}.md)."
    body = "\n\n".join([f"{head}\n{made}", LEGEND, matrix, pictured, more])
    results.write_text(f"{text[: text.index(head)]}{body}\n{text[text.index(foot) :]}")
    parts = [f"# Every method on {dataset}\n\n{made}\n\n{COLUMNS}\n"]
    parts += [
        f"## {ask.capitalize()}\n\n" + "\n".join(tables.details(own)) + "\n" for ask, own in found.items()
    ]
    (DOCS / f"quality-{dataset}.md").write_text("\n".join(parts))
