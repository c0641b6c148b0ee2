"""Hears what a module of a network reads, such as the features before the last layer, in every copy too."""

from typing import TypeAlias

from torch import Tensor, nn

from workers.unlearning.training.descent import Network

Asked: TypeAlias = Network | nn.Module


class Listener:
    """Listens at one module of a model.

    A hook belongs to its module and is copied with it, while what it writes to is shared by all copies: so
    the private copy that a descent makes is heard as well. Only the latest call is held.

    Args:
        model: is given the hook, and then is `self.model`; copy it after that.
        module: name of the module whose first input is heard.
    """

    def __init__(self, model: nn.Module, module: str) -> None:
        self.model = model
        self._heard: list[Tensor] = []
        heard = self._heard

        def hear(listened: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            del listened
            heard[:] = inputs[:1]

        # A plain function is shared by copies of the module; a bound method would be copied with its list.
        model.get_submodule(module).register_forward_pre_hook(hear)

    def features(self, network: Asked, images: Tensor) -> Tensor:
        """Return what the module of `network`, the model or a copy of it, reads of images; [n, ...].

        With gradients, unless the caller turned them off.
        """
        network(images)
        (features,) = self._heard
        self._heard.clear()
        return features
