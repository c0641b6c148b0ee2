"""The sum over samples of the squared gradients of a convolution's weights and bias.

A weight's gradient for one sample is the product of the gradients D at its outputs, [out, places], and the
patches A of its inputs around each place, [places, in x kernel], group by group. Two ways lead to it, and the
shape decides which is the cheaper: the convolution library's own gradient, called once a sample, never writes
the patches, but gives a weight back in a layout that costs a copy, so it suits much work on few weights, the
early layers; patches and products suit the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional
from torch.nn import grad as library

from workers.numerics.products import add_squared_products

# Multiplications in one sample's gradient from which a call a sample costs little of itself, and weights up
# to which the library's layout costs little; both measured on CPUs. On a GPU one call a sample is too many.
MUCH_WORK = 2**23
FEW_WEIGHTS = 2**18

# Numbers in the patches that are held at a time.
PATCH_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}


@dataclass(frozen=True)
class Geometry:
    """How a convolution's kernel moves over its inputs.

    Attributes:
        kernel: pixels along each dimension; so are the next two.
        stride: between places.
        dilation: between the kernel's pixels.
        padding: pixels added before and after, the last dimension first, as `functional.pad` takes them.
        groups: of channels that do not mix.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int

    @classmethod
    def of(
        cls,
        weight: Tensor,
        stride: int | Sequence[int],
        padding: str | int | Sequence[int],
        dilation: int | Sequence[int],
        groups: int,
    ) -> "Geometry":
        """Return the geometry of a call of `functional.conv1d` to `conv3d`."""
        kernel = tuple(weight.shape[2:])
        dilations = _each(dilation, len(kernel))
        return cls(
            kernel,
            _each(stride, len(kernel)),
            dilations,
            _padding(padding, kernel, dilations),
            groups,
        )

    @property
    def is_pointwise(self) -> bool:
        """Whether each patch is one pixel, and each pixel one patch."""
        return math.prod(self.kernel) == math.prod(self.stride) == 1 and not any(self.padding)

    def pad(self, inputs: Tensor) -> Tensor:
        """Return [..., *pixels] with zeros around the pixels."""
        return functional.pad(inputs, self.padding) if any(self.padding) else inputs


def add_squares(
    inputs: Tensor, gradients: Tensor, weight: Tensor | None, bias: Tensor | None, *, geometry: Geometry
) -> None:
    """Add the squares to `weight` and `bias`, in place.

    Args:
        inputs: [n, items, in, *pixels].
        gradients: [n, items, out, *places].
        weight: [out, in / groups, *kernel], contiguous; None if not wanted.
        bias: [out]; None if not wanted.
        geometry: of the convolution.
    """
    if weight is not None:
        work = weight.numel() * gradients[0, 0, 0].numel()
        is_cheap_by_library = (
            inputs.device.type == "cpu" and work > MUCH_WORK and weight.numel() <= FEW_WEIGHTS
        )
        if is_cheap_by_library or inputs.shape[1] > 1 or len(geometry.kernel) > 2:
            _add_by_library(inputs, gradients, weight, geometry)
        else:
            _add_by_patches(inputs[:, 0], gradients[:, 0], weight, geometry)
    if bias is not None:
        bias += gradients.flatten(3).sum((1, 3)).square_().sum(0)


def _add_by_library(inputs: Tensor, gradients: Tensor, weight: Tensor, geometry: Geometry) -> None:
    gradient_of = (library.conv1d_weight, library.conv2d_weight, library.conv3d_weight)[
        len(geometry.kernel) - 1
    ]
    befores, afters = geometry.padding[-2::-2], geometry.padding[::-2]
    is_even = befores == afters
    for sample, gradient in zip(inputs.unbind(), gradients.unbind(), strict=True):
        own = gradient_of(  # type: ignore[no-untyped-call]
            sample if is_even else geometry.pad(sample),
            weight.shape,
            gradient,
            geometry.stride,
            befores if is_even else 0,
            geometry.dilation,
            geometry.groups,
        )
        weight.addcmul_(own, own)


def _add_by_patches(inputs: Tensor, gradients: Tensor, weight: Tensor, geometry: Geometry) -> None:
    """Inputs [n, in, *pixels], gradients [n, out, *places]."""
    num_samples, groups = len(inputs), geometry.groups
    # [n, groups, out / groups, places]
    left = gradients.reshape(num_samples, groups, len(weight) // groups, -1)
    total = weight.view(groups, len(weight) // groups, -1)
    size, room = num_samples, None
    if not geometry.is_pointwise:
        shape = (inputs.shape[1], *geometry.kernel, *gradients.shape[2:])
        held = PATCH_ELEMENTS.get(inputs.device.type, PATCH_ELEMENTS["cuda"])
        size = min(num_samples, max(1, held // math.prod(shape)))
        room = inputs.new_empty(size, *shape)
    for start in range(0, num_samples, size):
        some = inputs[start : start + size]
        patches = some if room is None else room[: len(some)].copy_(_windows(some, room, geometry))
        # [n, groups, in / groups x kernel, places]
        right = patches.reshape(len(some), groups, total.shape[-1], -1)
        add_squared_products(total, left[start : start + size], right.mT)


def _windows(inputs: Tensor, like: Tensor, geometry: Geometry) -> Tensor:
    """Return the patches as a view of the padded inputs; [n, in, *kernel, *places] as `like` but for n."""
    padded = geometry.pad(inputs)
    by_sample, by_channel, *by_pixel = padded.stride()
    in_kernel = [step * space for step, space in zip(by_pixel, geometry.dilation, strict=True)]
    in_places = [step * jump for step, jump in zip(by_pixel, geometry.stride, strict=True)]
    return padded.as_strided(
        (len(inputs), *like.shape[1:]),
        (by_sample, by_channel, *in_kernel, *in_places),
        padded.storage_offset(),
    )


def _each(value: int | Sequence[int], dimensions: int) -> tuple[int, ...]:
    """Return one number a dimension."""
    if isinstance(value, int):
        return (value,) * dimensions
    return tuple(value) * dimensions if len(value) == 1 else tuple(value)


def _padding(
    padding: str | int | Sequence[int], kernel: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """Return the pixels a convolution adds before and after, the last dimension first."""
    if padding == "valid":
        return (0,) * 2 * len(kernel)
    if isinstance(padding, str):  # "same"
        totals = [space * (size - 1) for space, size in zip(dilation, kernel, strict=True)]
        return tuple(side for total in reversed(totals) for side in (total // 2, total - total // 2))
    return tuple(side for size in reversed(_each(padding, len(kernel))) for side in (size, size))
