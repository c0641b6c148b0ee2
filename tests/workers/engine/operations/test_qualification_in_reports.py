"""What a step's report says of a method that did not show itself fit for the model."""

from tests.fixtures.benches import bench, quiet, weights
from workers.engine.messages import Step, Unlearn
from workers.engine.operations.forgetting import unlearn
from workers.engine.workbench import WEIGHTS
from workers.unlearning import registry

METHODS = registry.discover()


def caveats(folder, method):
    """Forget a class of the bench's convolutional network; return the caveats of the report."""
    table = bench(folder)
    base = (table.keep(WEIGHTS, weights()),)
    step = Step(kind="class", classes=(1,), method=method)
    call = Unlearn(
        model=table.spec,
        base=base,
        steps=(step,),
        forgotten_classes=(),
        forgotten_positions=(),
        seed=0,
    )
    (report,) = unlearn(table, call, METHODS, quiet).steps
    return report.caveats


def test_a_method_that_was_not_measured_on_such_models_is_called_experimental(tmp_path):
    said = caveats(tmp_path, "fine_tune")

    expected = (
        "Experimental: fine_tune has no qualification record for convolutional models and class requests."
    )
    assert expected in said
    assert METHODS["fine_tune"].caveats == said[-len(METHODS["fine_tune"].caveats) :]


def test_retraining_needs_no_record(tmp_path):
    assert not any(each.startswith("Experimental") for each in caveats(tmp_path, "retrain"))
