"""Parameters as values: what is read back is what was written, and no other state is accepted."""

import hashlib
import io

import pytest
import safetensors.torch
import torch
from torch import nn

from workers.numerics import params
from workers.numerics.architectures import small_cnn
from workers.numerics.params import WeightsError


class TiedHead(nn.Module):
    """Two layers that share one weight."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.second(self.first(images.flatten(1)).relu())


def test_state_holds_parameters_and_buffers_and_shares_no_memory_with_the_model():
    model = small_cnn(width=2)

    state = params.state_of(model)
    before = state["features.0.weight"].clone()
    nn.init.zeros_(model.features[0].weight)

    assert state.keys() == model.state_dict().keys()
    assert torch.equal(state["features.0.weight"], before)


def test_what_is_written_is_read_back_bit_by_bit():
    state = params.state_of(small_cnn(width=2))

    read = params.from_bytes(params.to_bytes(state))

    assert read.keys() == state.keys()
    assert all(
        torch.equal(read[name], state[name]) and read[name].dtype == state[name].dtype for name in state
    )
    assert params.to_bytes(read) == params.to_bytes(state)


def test_a_file_is_written_whole_and_leaves_no_other_file(tmp_path):
    state = params.state_of(small_cnn(width=2))

    params.write_file(tmp_path / "weights.safetensors", state)

    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]
    assert params.num_changed(state, params.read_file(tmp_path / "weights.safetensors")) == 0


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_without_being_opened(zipped):
    file = io.BytesIO()
    torch.save(small_cnn(width=2).state_dict(), file, _use_new_zipfile_serialization=zipped)

    with pytest.raises(WeightsError, match=r"got a pickle .* safetensors.torch.save_file"):
        params.from_bytes(file.getvalue())


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_truncated_file_is_refused(kept):
    content = params.to_bytes(params.state_of(small_cnn(width=2)))

    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        params.from_bytes(content[:kept])


def test_bytes_of_another_format_are_refused():
    with pytest.raises(WeightsError, match="another format"):
        params.from_bytes(b"\x89PNG" + bytes(1000))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_the_reader(value):
    state = params.state_of(small_cnn(width=2))
    state["features.0.weight"].view(-1)[3] = value

    with pytest.raises(WeightsError, match=r"features\.0\.weight \(1 of 18\)"):
        params.from_bytes(params.to_bytes(state))


def test_missing_and_unexpected_names_are_named():
    state = params.state_of(small_cnn(width=2))
    state["fc.weight"] = state.pop("head.weight")

    with pytest.raises(WeightsError, match=r"missing head\.weight, unexpected fc\.weight"):
        params.load_params(small_cnn(width=2), state)


def test_a_wrong_shape_is_refused_and_the_model_stays_as_it_was():
    model = small_cnn(width=2, num_classes=10)
    before = params.state_of(model)
    other = params.state_of(small_cnn(width=2, num_classes=7))

    with pytest.raises(WeightsError, match=r"'head\.weight' of shape \[10, 4\], got \[7, 4\]"):
        params.load_params(model, other)
    assert params.num_changed(before, params.state_of(model)) == 0


def test_a_wrong_dtype_is_refused():
    state = params.state_of(small_cnn(width=2))
    state["head.bias"] = state["head.bias"].half()

    with pytest.raises(WeightsError, match=r"'head\.bias' of type torch\.float32, got torch\.float16"):
        params.load_params(small_cnn(width=2), state)


def test_loading_gives_the_model_the_values():
    state = params.state_of(small_cnn(width=2))
    model = small_cnn(width=2)

    params.load_params(model, state)

    assert params.num_changed(state, params.state_of(model)) == 0


def test_a_tied_parameter_stands_once_in_a_state_and_reaches_all_its_names():
    state = {"first.weight": torch.eye(4)}
    model = TiedHead()

    params.load_params(model, state)

    assert list(params.state_of(model)) == ["first.weight"] == list(params.trainable_names(model))
    assert torch.equal(model.second.weight, torch.eye(4))


def test_a_tied_parameter_may_come_under_each_name_if_equal():
    both = {"first.weight": torch.eye(4), "second.weight": torch.eye(4)}

    assert list(params.conform(TiedHead(), both)) == ["first.weight"]
    both["second.weight"] = torch.zeros(4, 4)
    with pytest.raises(WeightsError, match=r"one value for the tied parameter 'first\.weight'"):
        params.conform(TiedHead(), both)


def test_frozen_parameters_are_state_but_not_trainable():
    model = small_cnn(width=2)
    model.features[0].weight.requires_grad_(False)

    assert "features.0.weight" in params.state_of(model)
    assert "features.0.weight" not in params.trainable_names(model)


def test_changed_values_are_counted_one_by_one():
    before = {"weight": torch.zeros(2, 3)}
    after = {"weight": torch.tensor([[0.0, 1.0, 0.0], [float("nan"), 0.0, 0.0]])}

    assert params.num_changed(before, after) == 2


def test_the_pieces_are_what_the_formats_own_writer_gives():
    generator = torch.Generator().manual_seed(0)
    state = {
        "b.half": torch.rand(3, generator=generator).half(),
        "a.brain": torch.rand(2, 5, generator=generator).bfloat16(),
        "ä.count": torch.tensor(7),
        "a.turned": torch.rand(4, 3, generator=generator).t(),
        "flags": torch.tensor([True, False, True]),
        "whole": torch.rand(2, generator=generator, dtype=torch.float64),
        "nothing": torch.empty(0, 3),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "small": torch.arange(5, dtype=torch.int8),
        "short": torch.arange(5, dtype=torch.int16),
        "int": torch.arange(5, dtype=torch.int32),
    }

    content = params.to_bytes(state)

    assert content == safetensors.torch.save({name: each.contiguous() for name, each in state.items()})
    assert params.sha256_of(state) == hashlib.sha256(content).hexdigest()


def test_a_file_that_was_read_may_go(tmp_path):
    state = params.state_of(small_cnn(width=2))
    file = tmp_path / "weights.safetensors"
    params.write_file(file, state)

    read = params.read_file(file)
    file.write_bytes(b"\0" * file.stat().st_size)
    file.unlink()

    assert params.num_changed(state, read) == 0


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(params.to_bytes(params.state_of(small_cnn(width=2)))[:-8])

    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        params.read_file(file)


def test_a_pickled_file_is_refused_without_being_opened(tmp_path):
    file = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(2)}, file)

    with pytest.raises(WeightsError, match="got a pickle"):
        params.read_file(file)
