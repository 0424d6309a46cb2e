"""What the runtime computes with: the model itself, or what does the same faster on its device. Knows no sampling."""

from typing import Protocol

from torch import Tensor

from llamachat.model import Branches, KVCache, ModelConfig, Transformer


class Steps(Protocol):
    """Ids to hidden states to logits, and keys and values into the cache: a Transformer, or what stands in for it.

    A stand-in reads and writes the same KVCache, so it may leave to the model whatever it does not do faster. The
    model stays what it is measured by: relative error of the logits ≤ 1e-4 in float32, ≤ 0.01 in bfloat16.
    """

    @property
    def config(self) -> ModelConfig:
        """The model's shape."""
        ...

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: Branches | None = None) -> Tensor:
        """As Transformer.hidden: (B, T) to (B, T, D)."""
        ...

    @property
    def output(self) -> "Head":
        """Hidden states (…, D) to logits (…, V)."""
        ...


class Head(Protocol):
    """As the model's output layer."""

    def __call__(self, hidden: Tensor, /) -> Tensor: ...


def fast(model: Transformer, threads: int | None = None) -> Steps:
    """The fastest way to take the steps of ``model`` where its weights are; on the CPU with so many ``threads``, or as
    many as turn out best."""
    if type(model) is not Transformer:  # a share of one: its layers talk to other processes
        return model
    if model.norm.weight.device.type == "cpu":
        from llamachat.steps.native import NativeSteps, supports

        if supports(model):
            return NativeSteps(model, threads)
    return model
