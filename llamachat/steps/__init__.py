"""What the runtime computes with: the model itself, or what does the same faster on its device. Knows no dialog."""

from collections.abc import Sequence
from importlib.util import find_spec
from random import Random
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, dtype

from llamachat.model import Branches, KVCache, ModelConfig, Transformer
from llamachat.sampling import SamplingParams

UNCOMPILED = "Replies come slower than this processor could give them: there is no C++ compiler. Install g++ or clang."
SLOW = "Replies come slower than this GPU could give them, by plain torch: {}."


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


@runtime_checkable
class Decoder(Protocol):
    """Steps that choose the next id too, all in one call; on a device the next step need not wait for the host."""

    ready: bool
    """Whether it can be used by now."""

    def most(self, room: int) -> int:
        """How many ids ``verify`` takes where there is room for so many positions; less than 2 for none."""
        ...

    def tune(self) -> None:
        """Try what is fastest on this device."""

    def begin(self, cache: KVCache, sampling: SamplingParams, random: Random) -> None:
        """A generation by ``sampling`` and ``random`` that goes on from what ``cache`` holds."""

    def place(self, token_id: int, position: int) -> None:
        """The next ``launch`` reads ``token_id`` behind ``position`` positions."""

    def launch(self) -> Any:
        """Start a step: it reads what the one before chose, or what was placed, and chooses. Returns a ticket; None if
        it is taken only when it is read, and then reads what was placed."""

    def read(self, ticket: Any) -> int:
        """What that step chose, once it is there; -1 if its logits are not finite."""
        ...

    def verify(self, ids: Sequence[int], position: int) -> list[int]:
        """Read ``ids`` behind ``position`` positions; what is chosen behind each."""
        ...


class Head(Protocol):
    """As the model's output layer."""

    def __call__(self, hidden: Tensor, /) -> Tensor: ...


def fast(model: Transformer, threads: int | None = None, kv: dtype | None = None) -> tuple[Steps, str]:
    """The fastest way to take the steps of ``model`` where its weights are, with keys and values in ``kv``; on the CPU
    with so many ``threads``, or as many as turn out best. And a sentence for the user where that is slower than it
    should be."""
    if type(model) is not Transformer:  # a share of one: its layers talk to other processes
        return model, ""
    if model.norm.weight.device.type == "cpu":
        from llamachat.steps.compiler import native
        from llamachat.steps.native import LONG, NativeSteps, supports
        from llamachat.steps.torch_steps import TorchSteps

        if not native().possible:
            return TorchSteps(model), UNCOMPILED
        if supports(model) and (kv is None or kv in LONG):
            return NativeSteps(model, threads), ""
    return on_gpu(model) if model.norm.weight.is_cuda else (model, "")


def on_gpu(model: Transformer) -> tuple[Steps, str]:
    """Our kernels, where there is Triton with a compiler and the model's shape suits them; else the model itself, and
    why."""
    if find_spec("triton") is None:
        return model, SLOW.format("Triton is not installed")
    from llamachat.steps.triton.triton_steps import Unsuited, triton_steps

    try:
        return triton_steps(model), ""
    except Unsuited as error:
        return model, SLOW.format(error)
