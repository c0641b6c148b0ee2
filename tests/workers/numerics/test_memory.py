"""An error that means a want of memory is told from others, whatever it is wrapped in."""

import pytest
import torch

from workers.numerics import memory


def caught(work):
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("expected an error")


def test_an_allocation_that_no_machine_has_is_a_shortage():
    assert memory.is_shortage(caught(lambda: torch.empty(1 << 50)))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), MemoryError()])
def test_the_named_errors_are_shortages(error):
    assert memory.is_shortage(error)


def test_a_shortage_is_found_below_the_error_that_translated_it():
    def work():
        try:
            torch.empty(1 << 50)
        except RuntimeError as error:
            raise ValueError("expected images that the network takes") from error

    assert memory.is_shortage(caught(work))


def test_other_errors_are_none():
    def work():
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("something else") from None

    assert not memory.is_shortage(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not memory.is_shortage(caught(work))


def test_free_memory_is_some_and_no_more_than_the_machine_has():
    assert 0 < memory.free_bytes(torch.device("cpu")) < 1 << 50
