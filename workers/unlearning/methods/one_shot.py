"""One-shot class forgetting with mnemonic codes: needs no training data, only the codes the model learned.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamada, Shibata; ACML 2024), Equations 5 to 7
and Algorithm 2. Every weight moves by its amplitude eta, how much more the forgotten class's code depends on
it than the remaining codes do, times a strength alpha that the tensor's largest change bounds (`amplitude`):

    w_i = w_i +- alpha_l eta_i     alpha_l = min(lambda_1, lambda_2 / max_l eta)          (5, 7)

The paper has one lambda_2 for all tensors and picks it, lambda_1 and the sign by accuracy on data. On
networks with convolutions and batch norm that leaves the forgetting to the hidden layers: these break for
the remaining classes as well, and a later fine-tuning on retained data alone repairs them and so brings the
class back. Here the two parts go their own way:

- **Hidden layers** move with the sign -, each class against the remaining ones, with the largest lambda_2
  that costs the remaining codes, and held-out samples if there are any, no more than a hundredth of the
  probability of their class.
- **The last layer** moves only in the forgotten class's row, against the gradient of its logit, so that no
  other class pays. lambda_2 takes the log odds of the forgotten code as far below the mean of the remaining
  codes as they stood above it. It does so both for the hidden layers as they are left and *as they were
  given*: then no repair of the hidden layers brings the class back. If held-out samples of the class are
  still recognised, lambda_2 is doubled.

Several classes share the budget of the hidden layers, and are taken one after the other, as a mean over them
lets one class eat the budget of the others. The squared gradients are those of the registered model. Classes
forgotten earlier are protected no more. BatchNorm's running statistics stay as they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from workers.numerics import calling, memory, output_layer
from workers.numerics.params import Params
from workers.unlearning.amplitude import Amplitude, amplitudes_of, fetching_once, others_of
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.code_guard import Guard, code_panel, largest, log_odds
from workers.unlearning.errors import IneffectiveError, MissingNeedError
from workers.unlearning.output_row import OutputRow
from workers.unlearning.parameters import Rehearsed, parameter
from workers.unlearning.rehearsal import Panel

REACH = 2.0  # 1 takes the forgotten code to the remaining codes' mean log odds, 2 as far beyond
MAX_DOUBLINGS = 4
MAX_CODES = 8  # that strengths are tried on: so many classes cost no more than few
MAX_KEPT_SAMPLES = 128
MAX_GONE_SAMPLES = 64


@dataclass(frozen=True)
class OneShotParameters:
    """What a request may fix; what it leaves open is chosen on the codes and on held-out samples.

    Attributes:
        lambda_1: the amplitude's largest factor.
        lambda_2: the largest change of a weight outside the last layer.
        output_lambda_2: the same inside it.
        hidden_budget: what the search for lambda_2 may cost.
    """

    REHEARSED: ClassVar[Rehearsed] = {Kind.CLASS: ({}, {"hidden_budget": 0.03}, {"hidden_budget": 0.003})}

    lambda_1: float | None = parameter(
        None, "Largest factor on the amplitude (Eq. 7); null sets no bound.", minimum=1e-12, maximum=1e12
    )
    lambda_2: float | None = parameter(
        None,
        "Largest change of a weight outside the last layer (Eq. 7), 0 for none; null searches.",
        minimum=0.0,
        maximum=1e12,
    )
    output_lambda_2: float | None = parameter(
        None,
        "Largest change of a weight of the last layer (Eq. 7); null computes it.",
        minimum=0.0,
        maximum=1e12,
    )
    hidden_budget: float = parameter(
        0.01,
        "Mean probability that remaining classes may lose to the hidden layers' change, all classes of the "
        "request together; more forgets deeper and costs accuracy.",
        minimum=0.0,
        maximum=1.0,
    )

    @property
    def bound_1(self) -> float:
        """lambda_1 as a number."""
        return math.inf if self.lambda_1 is None else self.lambda_1


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything that stays the same while the classes of a request are forgotten.

    Attributes:
        model: the architecture.
        params: the weights as given.
        codes: [num_classes, C, H, W].
        remaining: the classes to keep.
        kept: some of their codes.
        guard: over the remaining classes.
        unseen: held-out samples of each class to forget that has any.
        parameters: of the request.
    """

    model: nn.Module
    params: Params
    codes: Tensor
    remaining: Sequence[int]
    kept: Panel
    guard: Guard
    unseen: Mapping[int, Panel]
    parameters: OneShotParameters

    @classmethod
    def of(cls, problem: ForgetProblem, codes: Tensor, parameters: OneShotParameters) -> "Setting":
        """Read the samples and ask the model as it was given."""
        model = problem.build()
        remaining, seed = problem.remaining_classes, problem.seed
        kept = code_panel(codes, remaining, MAX_CODES, seed)
        earlier = code_panel(codes, problem.forgotten_classes, MAX_CODES, seed)
        samples = Panel.read(problem.tuning, remaining, MAX_KEPT_SAMPLES, seed)
        unseen = {
            label: Panel.read(problem.tuning, (label,), MAX_GONE_SAMPLES, seed) for label in problem.classes
        }
        return cls(
            model=model,
            params=problem.params,
            codes=codes,
            remaining=remaining,
            kept=kept,
            guard=Guard.of(model, problem.params, (kept, samples), earlier),
            unseen={label: panel for label, panel in unseen.items() if len(panel)},
            parameters=parameters,
        )

    def own_log_odds(self, params: Params, label: int) -> float:
        """Return the log odds of a class on its code, against the remaining classes."""
        return float(log_odds(self.model, params, self.codes[[label]], label, self.remaining))

    def row_gradients(self, params: Params, label: int) -> Params:
        """Return the gradients of a class's logit on its code in the last layer."""
        return output_layer.row_gradients(self.model, params, self.codes[label], label, len(self.codes))

    def is_recognised(self, params: Params, label: int) -> bool:
        """Tell whether any held-out sample of the class is still given to it."""
        return label in self.unseen and self.unseen[label].ask(self.model, params).accuracy > 0


class OneShot:
    """The method as the registry finds it."""

    name = "one_shot"
    version = "2"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset({Need.CODES})
    experimental = None
    summary = "Forgets a class within a second from its mnemonic code; touches no training data."
    caveats = (
        "Class requests only.",
        "The model must have been trained with mnemonic codes.",
        "Relapses when the class is shown again: the last layer does most of the forgetting, and what hidden "
        "layers know of the class is left in them, so that five labelled samples of it are enough.",
        "Close to masking an output. Fine-tuning on retained data alone brought nothing back in our "
        "measurements on three small networks; audit again after any fine-tuning.",
        "The authors' own code is licensed for evaluation only and mentions patents; this one is written "
        "from the paper's equations. Take legal advice before commercial use.",
    )
    Parameters: type[OneShotParameters] = OneShotParameters

    def forget(self, problem: ForgetProblem, parameters: OneShotParameters) -> UnlearnResult:
        """Forget the classes: in the hidden layers one after the other, then in the last layer.

        Raises:
            MissingNeedError: the model has no codes, or a class lacks its Fisher, or a code or Fisher is not
                finite.
            IneffectiveError: the network has no last layer with a row a class, or nothing would change.
            DatasetRowError: a held-out row cannot be read.
        """
        problem.require(Need.CODES)
        assert problem.codes is not None and problem.code_information is not None
        if not bool(torch.isfinite(problem.codes).all()):
            raise MissingNeedError("expected finite codes, got NaN or infinity: train with codes again")
        setting = Setting.of(problem, problem.codes.to(calling.device_of(problem.params)), parameters)
        information = fetching_once(problem.code_information, memory.free_bytes(torch.device(problem.device)))
        others = others_of(information, problem.classes)
        classes = sorted(problem.classes)

        params, rows, strengths = problem.params, {}, {}
        for done, label in enumerate(classes, start=1):
            amplitudes = amplitudes_of(information.fetch(label), others)
            rows[label] = _row(setting, amplitudes, label)
            hidden = {name: each for name, each in amplitudes.items() if name not in rows[label].names}
            budget = parameters.hidden_budget * done / len(classes)
            params, strengths[label] = _hidden_moved(setting, params, hidden, budget)
            problem.progress(done / (len(classes) + 1))

        record: list[Json] = []
        diagnostics: dict[str, float | int | str] = {}
        for label in classes:
            params, output_strength = _output_moved(setting, params, rows[label])
            record.append({"class": label, "lambda_2": strengths[label], "output_lambda_2": output_strength})
            diagnostics[f"class_{label}_code_log_odds"] = setting.own_log_odds(params, label)
        if all(
            tensor is problem.params[name] or torch.equal(tensor, problem.params[name])
            for name, tensor in params.items()
        ):
            raise IneffectiveError(
                "expected codes that the model recognises or a strength that changes a weight, got neither: "
                "train with codes again, or state larger lambdas"
            )
        problem.progress(1.0)
        return UnlearnResult(
            params={**params},
            parameters={
                "lambda_1": parameters.lambda_1,
                "lambda_2": parameters.lambda_2,
                "output_lambda_2": parameters.output_lambda_2,
                "hidden_budget": parameters.hidden_budget,
                "strengths": record,
                "seed": problem.seed,
            },
            diagnostics=diagnostics,
        )


METHOD = OneShot()


def _row(setting: Setting, amplitudes: Mapping[str, Amplitude], label: int) -> OutputRow:
    """Return the class's row in the last layer.

    Raises:
        IneffectiveError: there is none, or its code does not reach it.
    """
    gradients = setting.row_gradients(setting.params, label)
    row = OutputRow.of(label, gradients, amplitudes)
    if not gradients or not row.slope(gradients) > 0:
        raise IneffectiveError(
            f"expected a last layer with one row a class that the code of class {label} depends on, "
            "got none: choose another method"
        )
    return row


def _hidden_moved(
    setting: Setting, params: Params, amplitudes: Mapping[str, Amplitude], budget: float
) -> tuple[Params, float]:
    """Move everything outside the last layer, as far as the remaining classes allow; return lambda_2 too."""
    bound_1, stated = setting.parameters.bound_1, setting.parameters.lambda_2

    def moved(strength: float) -> Params:
        steps = {n: each.moved(params[n], -1, bound_1, strength) for n, each in amplitudes.items()}
        return {**params, **steps}

    strength = stated
    if strength is None:
        strength = largest(lambda each: setting.guard.allows(moved(each), budget)) if amplitudes else 0.0
    return (moved(strength) if strength else params), strength


def _output_moved(setting: Setting, params: Params, row: OutputRow) -> tuple[Params, float]:
    """Lower the class's logit until neither code nor held-out samples are recognised; return lambda_2 too."""
    bound_1, stated = setting.parameters.bound_1, setting.parameters.output_lambda_2
    if stated is not None:
        return row.lowered(params, bound_1, stated), stated

    own = setting.own_log_odds(setting.params, row.label)
    codes = setting.kept.images
    mean = float(log_odds(setting.model, setting.params, codes, row.label, setting.remaining).mean())
    target = own - REACH * max(own - mean, 0.0)
    strength = 0.0
    for state, height in ((setting.params, own), (params, setting.own_log_odds(params, row.label))):
        slope = row.slope(setting.row_gradients(state, row.label))
        if slope > 0 and height > target:
            strength = max(strength, (height - target) / slope)

    for _ in range(MAX_DOUBLINGS):
        lowered = row.lowered(params, bound_1, strength)
        if not setting.is_recognised(lowered, row.label):
            break
        strength *= 2
    return row.lowered(params, bound_1, strength), strength
