"""A class that was only outweighed comes back with training on the rest; one behind a mask does not."""

import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.audit.resurrection.evidence import gather
from workers.audit.resurrection.relapse import MASKED, NUM_EPOCHS, relapse
from workers.unlearning.base import Kind

PROBLEM = forget_problems.problem(Kind.CLASS, classes=(1,), train_counts=(40, 40, 40, 40))


def evidence(problem=PROBLEM, hidden=()):
    return gather(
        1,
        hidden=hidden,
        of_class=problem.forget,
        retain=problem.retain,
        tuning=None,
        unseen=problem.tuning,
        seed=0,
    )


def with_bias(amount, label=1):
    bias = PROBLEM.params["head.bias"] + amount * torch.eye(4)[label]
    return {**PROBLEM.params, "head.bias": bias}


class Counterweight(nn.Module):
    """Answers class 1 unless a gain that training on other classes lowers at once is large."""

    def __init__(self):
        super().__init__()
        self.inner = PROBLEM.build()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        return self.inner(images) + 400 * self.gain.clamp(min=0) * torch.tensor([0.0, -0.02, 0.03, 0.0])


def test_an_accuracy_before_and_after_each_epoch():
    found = relapse(PROBLEM.build, PROBLEM.params, evidence(), seed=0)

    assert len(found) == 1 + NUM_EPOCHS == len(MASKED)
    assert found[0] > 0.9


def test_a_mask_does_not_relapse():
    assert relapse(PROBLEM.build, with_bias(-1e4), evidence(), seed=0) == MASKED


def test_a_class_that_was_only_outweighed_comes_back():
    params = {f"inner.{name}": tensor for name, tensor in PROBLEM.params.items()}

    found = relapse(Counterweight, {"gain": torch.tensor(1.0), **params}, evidence(), seed=0)

    assert found[0] < 0.1
    assert max(found[1:]) > 0.5


def test_the_same_seed_goes_the_same_way_and_nothing_is_changed():
    before = {name: tensor.clone() for name, tensor in PROBLEM.params.items()}

    once, again = (relapse(PROBLEM.build, PROBLEM.params, evidence(), seed=4) for _ in range(2))

    assert once == again
    assert all(torch.equal(tensor, PROBLEM.params[name]) for name, tensor in before.items())


def test_the_output_of_a_hidden_class_is_in_nobodys_way():
    loud = with_bias(1e3, label=3)

    assert relapse(PROBLEM.build, loud, evidence(hidden=(3,)), seed=0)[0] > 0.9
    assert relapse(PROBLEM.build, loud, evidence(), seed=0)[0] == 0.0


def test_batch_norm_keeps_its_statistics_and_takes_a_batch_of_one():
    problem = forget_problems.problem(
        Kind.CLASS, classes=(1,), train_counts=(22, 22, 21, 22), build=forget_problems.cnn
    )
    assert len(problem.retain) % 64 == 1

    found = relapse(problem.build, problem.params, evidence(problem), seed=0)

    assert len(found) == 1 + NUM_EPOCHS


def test_a_network_with_nothing_to_train_is_left_alone():
    def frozen():
        return PROBLEM.build().requires_grad_(False)

    assert relapse(frozen, PROBLEM.params, evidence(), seed=0) == ()


def test_a_training_that_diverges_gives_no_right_answer():
    broken = {name: tensor * 1e30 for name, tensor in PROBLEM.params.items()}

    found = relapse(PROBLEM.build, broken, evidence(), seed=0)

    assert all(share == 0.0 for share in found[1:])
