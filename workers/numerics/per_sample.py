"""Adds up the squared gradients of single samples, batch after batch, on a private copy of a network.

The copy is made and looked over once, then serves every batch; whoever gave the network sees no trace. Half
precision is computed in float32, since the square of a small gradient is zero in it. Products of the two
passes may be taken in bfloat16 (`Precision`), which has float32's range; squares and sums are float32 all the
same.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workers.numerics import calling, copies, coverage, graphs
from workers.numerics.coverage import Coverage, Place
from workers.numerics.losses import FisherError, SummedLoss
from workers.numerics.params import Params, trainable_names
from workers.numerics.precision import Precision
from workers.numerics.recording import Recorder, Spread


class SquaredGradients:
    """The squared per-sample gradients of one network at one point of parameter space.

    Args:
        model: gives the structure and says what is trainable (requires_grad); not changed.
        params: a full state, copied; computation is on its device, in its floating type or float32 if that
            is wider.
        loss: sums the losses of a batch's samples.
        precision: of the products in both passes.

    Raises:
        WeightsError: `params` is no state of `model`.
    """

    def __init__(
        self,
        model: nn.Module,
        params: Params,
        loss: SummedLoss,
        precision: Precision = Precision.FLOAT32,
    ) -> None:
        self._loss = loss
        self._precision = precision
        network = copies.private(model, params)
        self._network = network
        self._values = {name: network.get_parameter(name) for name in trainable_names(network)}
        self._plan: Coverage | None = None

    @property
    def loose(self) -> tuple[str, ...]:
        """The parameters that cost a backward pass a sample; empty before the first batch."""
        return self._plan.loose if self._plan else ()

    def zeros(self) -> Params:
        """Return an empty sum: zeros for each trainable parameter, under its name."""
        return {
            name: torch.zeros(value.shape, dtype=value.dtype, device=value.device)
            for name, value in self._values.items()
        }

    def add_to(self, sums: Params, images: Tensor, labels: Tensor) -> None:
        """Add each sample's squared gradients to `sums`, in place; images [n, C, H, W], labels [n].

        Raises:
            FisherError: a label has no output, the loss is not finite or no sum over samples, or there are no
                per-sample gradients.
            CallError: the network's output is not one row of logits a sample.
        """
        images = calling.like(images, dict(self._network.named_parameters()))
        labels = labels.to(images.device)
        if len(images) != len(labels):
            raise FisherError(
                f"expected one label an image, got {len(images)} images and {len(labels)} labels"
            )
        with torch.enable_grad():
            if self._plan is None:
                self._check_loss(images[:2], labels[:2])
                self._plan = coverage.survey(self._network, images[:1])
            if self._plan.ruled or self._plan.spread:
                self._add_by_batch(sums, self._plan, images, labels)
            if self._plan.loose:
                self._add_by_sample(sums, self._plan.loose, images, labels)

    def _add_by_batch(self, sums: Params, plan: Coverage, images: Tensor, labels: Tensor) -> None:
        """One forward pass; one backward pass to where parameters do their work, rules applied on the way."""
        num_samples = len(images)
        spreads: list[tuple[Tensor, Tensor]] = []

        def listen(position: int, gradient: Tensor) -> None:
            place = plan.places[position]
            # Let go of, together with its inputs: nobody asks for it again.
            record = waiting.pop(position, None)
            if record is None or place.axis is None:
                return
            with torch.no_grad():
                by_sample = coverage.split(_wide(gradient), place.axis, num_samples)
                if isinstance(record, Spread):
                    spreads.append((record.source, by_sample.sum(1)))
                    return
                operation = record.operation
                operation.rule(
                    coverage.split(_wide(operation.inputs.detach()), place.axis, num_samples),
                    by_sample,
                    self._total(sums, plan, place, operation.weight),
                    self._total(sums, plan, place, operation.bias),
                )

        recorder = Recorder(self._network, listen)
        with recorder:
            logits = self._logits(images)
        loss = self._loss_of(logits, labels)
        if len(recorder.records) != len(plan.places):
            # The network took another path than it showed; what is known about its places does not hold.
            self._add_by_sample(sums, (*plan.ruled, *plan.spread), images, labels)
            return
        waiting = dict(enumerate(recorder.records))
        edges = {
            record.edge.node: record.edge
            for record, place in zip(recorder.records, plan.places, strict=True)
            if place.axis is not None
        }
        recorder.records.clear()
        ends = [edges[node] for node in graphs.furthest(edges)]
        del edges, logits
        torch.autograd.grad(loss, ends, allow_unused=True)
        # Records hold their graph, and it holds the listener: without this, only the collector would free it.
        waiting.clear()
        if spreads:
            self._add_spreads(sums, plan.spread, spreads, num_samples)

    def _total(self, sums: Params, plan: Coverage, place: Place, parameter: Tensor | None) -> Tensor | None:
        """Return the sum that belongs to this parameter of a place, None if a rule may not add to it."""
        for name in place.names:
            if self._values[name] is parameter and name in plan.ruled:
                return sums[name]
        return None

    def _add_spreads(
        self, sums: Params, names: Sequence[str], spreads: list[tuple[Tensor, Tensor]], num_samples: int
    ) -> None:
        """Carry each sample's gradients, [n, ...], from the spread sources back to the parameters."""
        sources = [source for source, _ in spreads]
        parameters = [self._values[name] for name in names]
        for sample in range(num_samples):
            own = torch.autograd.grad(
                sources,
                parameters,
                [gradient[sample].reshape(source.shape) for source, gradient in spreads],
                retain_graph=True,
                allow_unused=True,
            )
            for name, gradient in zip(names, own, strict=True):
                if gradient is not None:
                    sums[name].addcmul_(gradient, gradient)

    def _add_by_sample(self, sums: Params, names: Sequence[str], images: Tensor, labels: Tensor) -> None:
        """One forward and one backward pass for each sample, for these parameters."""
        parameters = [self._values[name] for name in names]
        for index in range(len(labels)):
            one = slice(index, index + 1)
            loss = self._loss_of(self._logits(images[one]), labels[one])
            gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
            for name, gradient in zip(names, gradients, strict=True):
                sums[name] += gradient.square()

    def _logits(self, images: Tensor) -> Tensor:
        try:
            with self._precision.autocast(images.device):
                output = self._network(images)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise FisherError(
                f"expected images that the network takes, got some of shape {list(images.shape[1:])}: "
                f"{error}; give it those of its own size"
            ) from error
        return _wide(calling.check_logits(output, len(images)))

    def _loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = self._loss(logits, labels)
        if not math.isfinite(loss.item()):
            raise FisherError(
                f"expected a finite loss, got {loss.item()}; images or activations overflow: check the "
                "data's scale and the weights"
            )
        return loss

    def _check_loss(self, images: Tensor, labels: Tensor) -> None:
        """Refuse a loss that is no sum over samples: every square would be off by a factor."""
        with torch.no_grad():
            logits = self._logits(images)
            whole = self._loss(logits, labels)
            parts = [self._loss(logits[[row]], labels[[row]]) for row in range(len(logits))]
        if bool(whole.isfinite()) and not torch.allclose(
            whole, torch.stack(parts).sum(), rtol=1e-3, atol=1e-6
        ):
            raise FisherError(
                f"expected a loss that adds up the samples' own, {sum(map(float, parts)):.6g} for the first "
                f"ones, got {float(whole):.6g}; take the sum over the batch, not the mean"
            )


def _wide(values: Tensor) -> Tensor:
    """Return bfloat16 values in float32, all others as they are."""
    return values.float() if values.dtype == torch.bfloat16 else values
