"""Writes an update log while a model is trained, step by step, and never changes the training.

Records go to disk as they come; in memory are one batch's. A record by sample is read, added to and sealed
again at each step that the sample is in, so that it stays one record however many epochs there are.

A killed training leaves a log in the state `recording`, which nobody can forget with. The same command goes
on: the checkpoint says from which step, and steps that a record includes already are not added again, for
they are the same. A record that the kill tore is found by its seal and refused.
"""

import math
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import sample_gradients
from workers.numerics.accounting import gradient_coefficients
from workers.preparation.errors import RecordError
from workers.preparation.update_log import record_files, record_keys
from workers.preparation.update_log.record_files import COMPLETE, RECORDING, Header, Records
from workers.preparation.update_log.record_keys import Keys
from workers.preparation.update_log.recording import (
    Account,
    Granularity,
    Layout,
    Recording,
    check_room,
    layout_of,
)

MEAN_TOLERANCE = 1e-3
"""How far the mean of a batch's own gradients may be from the batch's gradient, as a share of its norm."""


@dataclass(frozen=True)
class Course:
    """What the optimizer is going to do.

    Attributes:
        rates: learning rate of each step.
        momentum: of SGD.
        weight_decay: of SGD.
        batch_width: most samples in a batch.
        seed: of the training.
    """

    rates: tuple[float, ...]
    momentum: float
    weight_decay: float
    batch_width: int
    seed: int


@dataclass(frozen=True)
class Seen:
    """One batch that the gradient was just taken of.

    Attributes:
        step: its number.
        positions: int64 [b], rows of the manifest.
        is_own: bool [b], whether the sample itself was in the batch, and not a code in its place.
        images: [b, C, H, W] as the model was given them.
        labels: int64 [b] on the same device.
    """

    step: int
    positions: NDArray[np.int64]
    is_own: NDArray[np.bool_]
    images: Tensor
    labels: Tensor


class Recorder:
    """Writes one log.

    Args:
        folder: of the log; made if it is not there.
        recording: what to record.
        on_size: told the layout before training starts.
    """

    def __init__(
        self, folder: Path, recording: Recording, on_size: Callable[[Layout], None] = lambda layout: None
    ) -> None:
        self.folder = folder
        self._recording = recording
        self._on_size = on_size
        self._is_checked = False

    def begin(
        self,
        model: nn.Module,
        positions: NDArray[np.int64],
        course: Course,
        identity: Mapping[str, str],
        num_done: int,
    ) -> None:
        """Make the log's files, or go on with those of a training that was killed.

        Args:
            model: about to be trained; gives names and shapes, and the gradients later.
            positions: that it is trained on.
            course: what the optimizer is going to do.
            identity: of the training.
            num_done: steps that a checkpoint has done already.

        Raises:
            RecordError: the disk is too small, the network has no gradients by sample, or the folder holds
                another log, or none of the steps that are done.
        """
        _check_network(model, self._recording)
        self._model = model
        layout = layout_of(
            model,
            self._recording,
            num_samples=len(positions),
            num_steps=len(course.rates),
            batch_width=course.batch_width,
            seed=course.seed,
        )
        self._names = [name for name, _ in layout.tensors]
        self._coefficients, _ = gradient_coefficients(course.rates, course.momentum, course.weight_decay)
        self._on_size(layout)
        self._header = self._open(layout, np.unique(positions), identity, num_done)
        self._keys = Keys(self.folder)
        self._records = Records(self.folder, self._header, is_writing=True)

    def before(self, seen: Seen) -> None:
        """Take note of a batch; its gradient is in the model, the step is not yet done."""
        if self._recording.granularity is Granularity.SAMPLE:
            self._add_samples(seen)
        elif self._recording.account is Account.TAIL:
            self._put_batch(seen, self._coefficients[seen.step] * self._gradient())
        else:
            self._weights_before = self._weights()

    def after(self, seen: Seen) -> None:
        """Take note of what the step did."""
        if self._recording.account is Account.STEP:
            self._put_batch(seen, self._weights() - self._weights_before)

    def flush(self, num_done: int) -> None:
        """Have the disk hold all records of the steps done, before a checkpoint says that they are."""
        self._records.sync()
        self._header = replace(self._header, num_done=num_done)
        record_files.write_header(self.folder, self._header)

    def complete(self, weights: str) -> None:
        """Say that the training ended, and at which weights; from now on the log can be used.

        Args:
            weights: SHA-256 of their safetensors form.
        """
        self.flush(self._header.layout.num_steps)
        self._header = replace(self._header, state=COMPLETE, weights=weights)
        record_files.write_header(self.folder, self._header)
        self._records.close()

    def _open(
        self, layout: Layout, positions: NDArray[np.int64], identity: Mapping[str, str], num_done: int
    ) -> Header:
        """Return the header of the log to write."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = record_files.read_header(self.folder)
        if found is None:
            if num_done:
                raise RecordError(
                    f"expected a log of the {num_done} steps that the checkpoint has done in {self.folder}, "
                    "got none; remove the checkpoint to record from the beginning, or train without a record"
                )
            if any(self.folder.iterdir()):
                raise RecordError(f"expected an empty folder for the log at {self.folder}; name another")
            check_room(layout, shutil.disk_usage(self.folder).free)
            record_keys.create(self.folder, positions)
            header = Header(secrets.token_hex(16), layout, dict(identity))
            record_files.reserve(self.folder, layout)
            record_files.write_header(self.folder, header)
            return header
        # A training that ended may have lost its weights to a full disk: its checkpoint has all steps done.
        is_open = found.state == RECORDING or (found.state == COMPLETE and num_done == layout.num_steps)
        if (found.layout, dict(found.identity)) != (layout, dict(identity)) or not is_open:
            raise RecordError(
                f"expected the log of this training, cut short, in {self.folder}, got that of another one, "
                "or of one that ended; name another folder"
            )
        if found.num_done < num_done:
            raise RecordError(
                f"expected a log of the {num_done} steps that the checkpoint has done in {self.folder}, got "
                f"one of {found.num_done}; remove checkpoint and log to start anew"
            )
        there = sum(file.stat().st_blocks * 512 for file in self.folder.glob("*.bin"))
        check_room(layout, shutil.disk_usage(self.folder).free + there)
        return found

    def _add_samples(self, seen: Seen) -> None:
        """Add each sample's part of the batch's gradient to its record."""
        layout = self._header.layout
        factor = self._coefficients[seen.step] / len(seen.positions)
        places = self._keys.index_of(seen.positions)
        total: Tensor | None = None
        try:
            for start, gradients in sample_gradients.rows(self._model, self._names, seen.images, seen.labels):
                part = gradients.sum(0)
                total = part if total is None else total + part
                for row, gradient in enumerate(gradients.float().cpu(), start=start):
                    if seen.is_own[row]:
                        kept = gradient[layout.subset(int(seen.positions[row]))]
                        self._add(int(places[row]), seen.step, factor * kept)
        except (torch.OutOfMemoryError, RecordError):
            raise
        except RuntimeError as error:
            raise RecordError(
                f"expected a network whose gradients torch can take sample by sample, it cannot ({error}); "
                "record by batch"
            ) from error
        if not self._is_checked and total is not None:
            self._check_mean(total / len(seen.positions))
            self._is_checked = True

    def _add(self, place: int, step: int, values: Tensor) -> None:
        key = self._keys.key(place)
        found = self._records.read(place, key)
        if found is not None:
            last, before = found
            if last >= step:
                return
            values = values + before
        self._records.write(place, key, step, values)

    def _put_batch(self, seen: Seen, moved: Tensor) -> None:
        """Write how a batch has moved the recorded entries, [num_entries], and who was in it."""
        places = np.sort(self._keys.index_of(seen.positions[seen.is_own]))
        if not len(places):
            return  # codes only: there is nobody to forget
        layout = self._header.layout
        self._records.write_members(seen.step, places)
        keys = (self._keys.key(int(place)) for place in places)
        key = record_files.batch_key(self._header.log_id, seen.step, keys)
        kept = moved.float().cpu()[layout.subset(seen.step)]
        self._records.write(seen.step, key, seen.step, kept)

    def _gradient(self) -> Tensor:
        """Return the batch's gradient of the recorded entries, [num_entries]."""
        own = {name: self._model.get_parameter(name) for name in self._names}
        return sample_gradients.flat({name: one.grad for name, one in own.items()}, own)

    def _weights(self) -> Tensor:
        own = {name: self._model.get_parameter(name) for name in self._names}
        return sample_gradients.flat(own, own)

    def _check_mean(self, mean: Tensor) -> None:
        """Refuse a network whose samples see each other in a way that no list of layers knows."""
        batch = self._gradient()
        apart, size = float((mean - batch).norm()), float(batch.norm())
        if not math.isfinite(apart) or apart > MEAN_TOLERANCE * size + 1e-6:
            raise RecordError(
                "expected a network whose batch gradient is the mean of its samples' own, got one that is "
                f"off by {apart:.3g} of {size:.3g}: its samples see each other; record by batch"
            )


def _check_network(model: nn.Module, recording: Recording) -> None:
    if recording.granularity is not Granularity.SAMPLE:
        return
    layers = sample_gradients.obstacles(model)
    if layers:
        raise RecordError(
            f"expected a network whose samples do not see each other, got batch norm or dropout in "
            f"{', '.join(layers[:5])}; use group norm in its place, as the paper does, or record by batch"
        )
