"""What single methods do with their descents: where ascent ends, what presses, who teaches, what is noise."""

import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.methods import bad_teacher, l1_sparse, lwsf, neg_grad, neg_grad_plus, unsir
from workers.unlearning.training import courses

GENEROUS = {"epochs": 60, "batch_size": 8}


def losses_of(problem, params, samples):
    return metrics.cross_entropy(*metrics.logits_of(problem.build(), params, samples))


def test_ascent_ends_where_the_model_only_guesses():
    problem = forget_problems.problem(Kind.CLASS, recipe=GENEROUS)
    half, whole = (neg_grad.NegGradParameters(budget=share, learning_rate=0.02) for share in (0.5, 1.0))

    early, late = (run.forget(neg_grad.METHOD, problem, each).params for each in (half, whole))

    assert losses_of(problem, late, problem.forget).min() >= 1.38  # ln 4, in float32
    assert all(torch.equal(early[name], late[name]) for name in early)


def test_a_set_beyond_a_guess_is_driven_further_all_the_same():
    problem = forget_problems.problem(Kind.CLASS)
    params = {**problem.params, "head.bias": torch.tensor([-20.0, 0.0, 0.0, 0.0])}
    problem = forget_problems.problem(Kind.CLASS, params=params)

    result = run.forget(neg_grad.METHOD, problem)

    assert (
        losses_of(problem, result.params, problem.forget).mean()
        > losses_of(problem, params, problem.forget).mean()
    )


def test_all_weight_on_retained_data_is_fine_tuning():
    problem = forget_problems.problem(Kind.SAMPLES)
    kept = neg_grad_plus.NegGradPlusParameters(retain_weight=1.0)

    result = run.forget(neg_grad_plus.METHOD, problem, kept)

    assert (
        losses_of(problem, result.params, problem.retain).mean()
        < losses_of(problem, problem.params, problem.retain).mean()
    )


def test_more_pressure_makes_smaller_weights():
    problem = forget_problems.problem(Kind.CLASS, recipe=GENEROUS)

    light, heavy = (
        run.forget(l1_sparse.METHOD, problem, l1_sparse.L1SparseParameters(penalty=each)).params
        for each in (0.0, 0.1)
    )

    assert sum(t.abs().sum() for t in heavy.values()) < 0.95 * sum(t.abs().sum() for t in light.values())


def test_a_bad_teacher_leaves_forgotten_samples_less_sure_than_retained_ones():
    problem = forget_problems.problem(Kind.CLASS, recipe=GENEROUS)

    result = run.forget(
        bad_teacher.METHOD, problem, bad_teacher.BadTeacherParameters(budget=1.0, learning_rate=0.1)
    )

    entropy = [
        -(p * p.log()).sum(1).mean()
        for p in (
            metrics.logits_of(problem.build(), result.params, samples)[0].softmax(1)
            for samples in (problem.forget, problem.retain)
        )
    ]
    assert entropy[0] > 1.1 > 0.7 > entropy[1]  # nats; an even answer has 1.39


def test_the_bad_teacher_reads_a_share_of_the_retained_data():
    problem = forget_problems.problem(Kind.CLASS, recipe=GENEROUS)

    result = run.forget(bad_teacher.METHOD, problem)

    assert result.diagnostics["num_taught"] == 11 + 12  # 0.3 of 36, and the class
    assert len(problem.retain.source.rows_read) == 23


def test_noise_is_what_the_model_is_most_wrong_about():
    problem = forget_problems.problem(Kind.CLASS, classes=(2, 0), recipe=GENEROUS)

    noise = unsir._noise(problem, unsir.UnsirParameters(), num_steps=20)

    logits = torch.func.functional_call(problem.build(), problem.params, (noise.images,))
    assert noise.labels.tolist() == [2, 0] * 4
    assert metrics.cross_entropy(logits, noise.labels).mean() > 3 * 1.39  # thrice that of a guess


def test_a_penalty_keeps_noise_small():
    problem = forget_problems.problem(Kind.CLASS)

    loose, tight = (
        unsir._noise(problem, unsir.UnsirParameters(noise_penalty=each), num_steps=20).images.square().mean()
        for each in (0.0, 100.0)
    )

    assert tight < 0.5 * loose


def test_lwsf_keeps_the_codes_of_the_classes_to_keep():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), recipe=GENEROUS)

    result = run.forget(lwsf.METHOD, problem)

    logits = torch.func.functional_call(problem.build(), result.params, (problem.codes,))
    assert [label for label in (0, 2, 3) if logits[label].argmax() == label] == [0, 2, 3]


def test_a_stage_is_told_of_as_a_part():
    heard = []
    listener = courses.stage(heard.append, 0.5, 1.0)

    listener(0.5)
    listener(1.0)

    assert heard == [0.75, 1.0]
