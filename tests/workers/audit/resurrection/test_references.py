"""Class references: kept as numbers, read back as they were, and retired with whatever they learned from."""

import json

from workers.audit.resurrection.references import ClassReference, ClassReferences, Resurrection

FOUND = Resurrection(0.8, None, (0.0, 0.1, 0.2), 40, (0.1, 0.5), ())
MASKED = Resurrection(0.99, 0.9, (0.0, 0.0, 0.0), 40)


def references(*labels):
    return ClassReferences(tuple(ClassReference(label, FOUND, MASKED) for label in labels))


def test_what_is_written_is_read_again():
    written = json.loads(json.dumps(references(2, 5).to_json()))

    assert ClassReferences.of_json(written) == references(2, 5)


def test_a_reference_without_its_mask_is_read_too():
    bare = ClassReferences((ClassReference(1, FOUND),))

    assert ClassReferences.of_json(json.loads(json.dumps(bare.to_json()))) == bare


def test_only_the_reference_that_never_saw_the_forgotten_class_stays():
    assert references(2, 5).without([5]) == references(5)
    assert references(2, 5).without([2, 5]) == references()
    assert references(2, 5).without([]) == references()


def test_a_class_has_one_reference():
    again = references(2, 5).with_one(ClassReference(2, MASKED, MASKED))

    assert [each.label for each in again.references] == [2, 5]
    assert again.references[0].found == MASKED
