"""A class is drawn where it was measured both times, with the way between its two dots."""

from typing import Any

from service.dashboard.charts.dumbbell import dumbbells


def measured(label: int, accuracy: float | None) -> dict[str, Any]:
    return {"class": label, "num_samples": 9, "accuracy": accuracy, "is_forgotten": label == 1}


def test_forgotten_class_leads_from_right_to_left() -> None:
    (drawn,) = dumbbells([measured(1, 0.9)], [measured(1, 0.1)])

    assert (drawn.before_at, drawn.after_at, drawn.start, drawn.length) == (90.0, 10.0, 10.0, 80.0)
    assert drawn.is_forgotten


def test_class_that_was_not_measured_is_left_out() -> None:
    before = [measured(0, 0.9), measured(1, None), measured(2, 0.5)]
    after = [measured(0, 0.9), measured(1, 0.9), measured(2, None), measured(3, 1.0)]

    assert [each.label for each in dumbbells(before, after)] == [0]
