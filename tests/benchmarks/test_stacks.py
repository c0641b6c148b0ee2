"""A member of a stack learns what a model learns by itself."""

import torch
from torch import nn

from benchmarks import stacks
from benchmarks.stacks import Data
from workers.numerics import seeding
from workers.numerics.params import load_params, state_of
from workers.preparation.recipe import TrainingRecipe

RECIPE = TrainingRecipe(epochs=3, batch_size=8, learning_rate=0.1, weight_decay=1e-2)


def data(size=20):
    random = seeding.generator(0, "data")
    labels = torch.randint(stacks.NUM_CLASSES, (size,), generator=random)
    return Data(torch.rand(size, stacks.NUM_INPUTS, generator=random), labels)


def trained_alone(given, recipe, seed, initial):
    """Train one model in float64 by torch's own optimizer and schedule."""
    model = stacks.network()
    load_params(model, initial)
    model.double()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    steps = recipe.epochs * -(-len(given.labels) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(given.labels), generator=seeding.generator(seed, "order", epoch))
        for rows in order.split(recipe.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(given.images[rows].double()), given.labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return state_of(model)


def test_every_member_is_trained_as_by_itself():
    given, seeds = data(), (3, 5)
    initial = stacks.drawn(seeds)

    found = stacks.train(given, RECIPE, seeds)

    for number, seed in enumerate(seeds):
        expected = trained_alone(given, RECIPE, seed, stacks.member(initial, number))
        for name, tensor in stacks.member(found, number).items():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-5)


def test_a_stack_answers_as_its_members_do():
    stack, images = stacks.drawn((1, 2)), data().images
    model = stacks.network()

    answers = stacks.logits(stack, images)

    for number in range(2):
        load_params(model, stacks.member(stack, number))
        torch.testing.assert_close(answers[number], model(images).detach())


def test_training_leaves_what_it_started_from():
    initial = stacks.drawn((1,))
    copy = stacks.member(initial, 0)

    stacks.train(data(), RECIPE, (1,), initial)

    assert all(torch.equal(initial[name][0], tensor) for name, tensor in copy.items())


def test_members_put_together_are_the_stack_again():
    stack = stacks.drawn((1, 2, 3))

    again = stacks.stacked([stacks.member(stack, number) for number in range(3)])

    assert all(torch.equal(stack[name], again[name]) for name in stack)
