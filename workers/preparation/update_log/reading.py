"""Reads an update log for those who subtract it: the sum of what some samples' records hold, in a stream.

The log belongs to the weights that its training ended at. Subtraction is right for these, and for those that
subtraction made of them; of any others the log knows nothing. Whoever opens it says which positions were
subtracted since: a batch that one of them was in has left the weights already, with all its members, and is
not taken out again. A record that should be there and whose key is gone is no such batch: then the log is not
whole for these weights, and is refused.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.numerics import sample_gradients
from workers.preparation.errors import RecordError
from workers.preparation.update_log import record_files
from workers.preparation.update_log.record_files import COMPLETE, Header, Records
from workers.preparation.update_log.record_keys import Keys
from workers.preparation.update_log.recording import Granularity
from workers.unlearning.base import Json, Recorded
from workers.unlearning.errors import MissingNeedError

Positions = NDArray[np.int64]


class FileLog:
    """A complete update log in a folder; `workers.unlearning.base.UpdateLog`.

    Args:
        folder: of the log.
        header: of it.
        subtracted: positions whose records left the weights since the training.
    """

    def __init__(self, folder: Path, header: Header, subtracted: Positions) -> None:
        self._folder, self._header, self._subtracted = folder, header, subtracted

    @property
    def granularity(self) -> str:
        """What a record is of: `batch` or `sample`."""
        return self._header.layout.recording.granularity.value

    @property
    def description(self) -> Mapping[str, Json]:
        """What identifies the log in a record of its use."""
        recording: dict[str, Json] = {**self._header.layout.recording.to_json()}
        return {"log": self._header.log_id, "weights": self._header.weights, **recording}

    def without(self, positions: Positions) -> "FileLog":
        """Return the log as it is once these positions were subtracted too."""
        return FileLog(self._folder, self._header, np.union1d(self._subtracted, positions))

    def sum_of(self, positions: Positions, granularity: str) -> Recorded:
        """Add up all records that these positions had a part in; holds one record at a time.

        Args:
            positions: rows of the manifest, in any order.
            granularity: what the records must be of.

        Raises:
            MissingNeedError: the records are of something else, a key of these positions was destroyed, a
                file is not there, or a record is torn.
        """
        if granularity != self.granularity:
            raise MissingNeedError(
                f"expected an update log by {granularity}, the model's is by {self.granularity}: name the "
                "other amnesiac method"
            )
        try:
            keys = Keys(self._folder)
            places = keys.index_of(np.unique(positions))
            num_absent = int((places < 0).sum())
            places = places[places >= 0]
            num_destroyed = int(keys.is_destroyed(places).sum())
            if num_destroyed:
                raise MissingNeedError(
                    f"expected records of {len(places)} samples, the keys of {num_destroyed} were destroyed: "
                    "they were forgotten before, and cannot be subtracted twice"
                )
            records = Records(self._folder, self._header)
            try:
                add_up = self._batches if granularity == Granularity.BATCH else self._samples
                values, num_records, num_earlier = add_up(records, keys, places)
            finally:
                records.close()
        except (RecordError, OSError) as error:
            raise MissingNeedError(f"the update log cannot be read: {error}") from error
        sums = sample_gradients.unflatten(values.float(), self._header.layout.tensors)
        return Recorded(sums, num_records, num_earlier, num_absent)

    def _samples(self, records: Records, keys: Keys, places: Positions) -> tuple[Tensor, int, int]:
        layout = self._header.layout
        values, num_records = torch.zeros(layout.num_entries, dtype=torch.float64), 0
        for place in places.tolist():
            found = records.read(place, keys.key(place))
            if found is not None:
                values.index_add_(0, layout.subset(int(keys.positions[place])), found[1].double())
                num_records += 1
        return values, num_records, 0

    def _batches(self, records: Records, keys: Keys, places: Positions) -> tuple[Tensor, int, int]:
        layout = self._header.layout
        members = records.members()
        gone = keys.index_of(self._subtracted)
        is_left = ~np.isin(members, gone[gone >= 0]).any(axis=1)
        is_touched = np.isin(members, places).any(axis=1)
        values, num_records = torch.zeros(layout.num_entries, dtype=torch.float64), 0
        for step in np.flatnonzero(is_touched & is_left).tolist():
            row = np.asarray(members[step])
            row = row[row >= 0].astype(np.int64)
            if keys.is_destroyed(row).any():
                raise MissingNeedError(
                    "expected every batch that is still in these weights, a key that one needs was "
                    "destroyed: the log is not whole for them; choose another method"
                )
            key = record_files.batch_key(self._header.log_id, step, (keys.key(int(one)) for one in row))
            found = records.read(step, key)
            if found is not None:
                values.index_add_(0, layout.subset(step), found[1].double())
                num_records += 1
        return values, num_records, int(is_touched.sum()) - num_records


def open_log(folder: Path, weights: str, subtracted: Positions) -> FileLog | None:
    """Return the log in a folder if it is complete and belongs to these weights, else None.

    Args:
        folder: of the log.
        weights: SHA-256 of the weights that the training ended at.
        subtracted: positions whose records have left the weights since.
    """
    try:
        header = record_files.read_header(folder)
    except RecordError:
        return None
    if header is None or header.state != COMPLETE or header.weights != weights:
        return None
    return FileLog(folder, header, subtracted)
