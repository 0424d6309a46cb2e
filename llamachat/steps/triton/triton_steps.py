"""What stands in for the model on a GPU: one to eight new positions by our kernels, everything else by the model.

As a ``Decoder`` it also chooses ids on the device and goes on from them, so that the host may look one step later.
"""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

import torch
import triton
from torch import Tensor

from llamachat.model import Branches, KVCache, ModelConfig, Transformer
from llamachat.sampling import SamplingParams
from llamachat.steps import Head
from llamachat.steps.triton.kernels import ROWS, Kernels
from llamachat.steps.triton.matrices import Matrix, fits, head_of, layers_of, tune
from llamachat.steps.triton.recording import Ring, Ticket, record

OFF = 0.25  # of the length of what the model computes; rounding stays below 0.06 in the tests
WRONG = "our kernels compute something else here than torch does"


class Unsuited(Exception):
    """The kernels can't run this model here, and why."""


def triton_steps(model: Transformer) -> "TritonSteps":
    """The kernels for ``model``, tried out. Raises Unsuited: for a shape that they can't be cut to, for a GPU before
    Ampere (before Ada with fp8), where Triton finds no C compiler, and where the kernels compute something else than
    the model does."""
    weight = model.tok_embeddings.weight
    needed = (8, 9) if any(tensor.dtype == torch.float8_e4m3fn for tensor in model.buffers()) else (8, 0)
    if not fits(model):
        raise Unsuited("our kernels don't fit the model's shape")
    if torch.cuda.get_device_capability(weight.device) < needed:
        raise Unsuited("our kernels need a newer GPU")
    try:
        steps = TritonSteps(model)
        with torch.no_grad():
            steps.try_out()
    except (OSError, subprocess.CalledProcessError, triton.CompilationError) as error:
        raise Unsuited("our kernels could not be compiled") from error
    except RuntimeError as error:
        if "compiler" not in str(error):
            raise
        raise Unsuited("Triton finds no C compiler") from error
    return steps


class TritonSteps:
    """Steps and Decoder of ``model``, whose linear layers become views of joined matrices."""

    ready = True

    def __init__(self, model: Transformer) -> None:
        self._model = model
        self._device = model.tok_embeddings.weight.device
        overlap = self._device.type == "cuda" and torch.cuda.get_device_capability(self._device) >= (9, 0)
        with torch.no_grad():
            self._kernels = Kernels(model, layers_of(model), head_of(model), overlap)
        self._ring = Ring(self._device)
        self._cache: KVCache | None = None
        self._recorded: dict[tuple[int, str], Callable[[], None]] = {}

    @property
    def config(self) -> ModelConfig:
        """The model's shape."""
        return self._model.config

    @property
    def output(self) -> Head:
        """The model's output layer."""
        head: Head = self._model.output
        return head

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: Branches | None = None) -> Tensor:
        """As Transformer.hidden."""
        new = tokens.shape[1]
        rows = rows_for(new)
        if cache is None or branches or not cache.length or rows is None or cache.length + rows > cache.size:
            return self._model.hidden(tokens, cache, branches)
        state = self._kernels.state
        step = self._step(rows, "read", cache)
        state.ids[:new] = tokens[0]
        state.position.fill_(cache.length)
        step()
        cache.length += new
        normed: Tensor = self._model.norm(state.residual[None, :new])
        return normed.to(self._model.tok_embeddings.weight.dtype)

    def try_out(self) -> None:
        """Compile all kernels and read a few ids as the model does. Raises Unsuited if it computes something else, and
        what Triton and the compiler raise."""
        table, state = self._model.tok_embeddings.weight, self._kernels.state
        ours, theirs = (KVCache(self.config, 32, device=self._device, dtype=table.dtype) for _ in range(2))
        ids = torch.arange(1, 21, device=self._device)[None] % self.config.vocab_size
        for cache in (ours, theirs):
            self._model.hidden(ids[:, :17], cache)
        self.begin(ours, SamplingParams(temperature=0.0), Random())
        self.place(int(ids[0, 17]), 17)
        chosen = [self.read(self.launch())]
        agree(state.logits[:1], self.output(self._model.hidden(ids[:, 17:18], theirs)[0]))
        ours.length = 18
        chosen += self.verify(ids[0, 18:].tolist(), 18)
        agree(state.logits[:2], self.output(self._model.hidden(ids[:, 18:], theirs)[0]))
        if chosen[1:] != state.logits[:2].argmax(1).tolist():
            raise Unsuited(WRONG)
        self._recorded.clear()
        self._cache = None

    def most(self, room: int) -> int:
        """Ids that ``verify`` takes: it writes ROWS positions in any case."""
        return ROWS if room >= ROWS else 0

    def begin(self, cache: KVCache, sampling: SamplingParams, random: Random) -> None:
        """A generation that chooses by ``sampling`` and ``random`` and reads and writes ``cache``."""
        state = self._kernels.state
        self._step(1, "chain", cache)  # now, since recording it later would lose what is under way
        wanted = (sampling.temperature, sampling.top_p, sampling.min_p, float(sampling.top_k))
        state.settings.copy_(torch.tensor(wanted))
        state.seed.fill_(random.randrange(2**31 - 1))

    def place(self, token_id: int, position: int) -> None:
        """The next ``launch`` reads ``token_id`` behind ``position`` positions."""
        self._kernels.state.ids[:1].fill_(token_id)
        self._kernels.state.position.fill_(position)

    def launch(self) -> Ticket:
        """Start a step, which reads what the one before has chosen (or what was placed) and chooses."""
        assert self._cache
        self._step(1, "chain", self._cache)()
        return self._ring.send(self._kernels.state.found[:1])

    def read(self, ticket: Ticket) -> int:
        """What that step has chosen; -1 if its logits are not finite."""
        return self._ring.read(ticket)

    def verify(self, ids: Sequence[int], position: int) -> list[int]:
        """Read ``ids`` behind ``position`` positions; what is chosen behind each."""
        assert self._cache
        rows = rows_for(len(ids))
        assert rows
        state = self._kernels.state
        step = self._step(rows, "verify", self._cache)
        state.ids[: len(ids)] = torch.tensor(ids)
        state.position.fill_(position)
        step()
        return state.found[: len(ids)].tolist()

    def tune(self) -> None:
        """Try how the weights are best cut into tiles on this device; takes a minute the first time."""
        kernels, state = self._kernels, self._kernels.state
        first, gain = kernels.layers[0], self._model.norm.weight
        runs: dict[str, Callable[[Matrix], None]] = {
            "qkv": lambda matrix: kernels.norm_product(matrix, gain, state.qkv, 1),
            "out": lambda matrix: kernels.add_product(matrix, state.attended, 1),
            "gate_up": lambda matrix: kernels.gated_product(matrix, gain, 1),
            "down": lambda matrix: kernels.add_product(matrix, state.gated, 1),
        }
        for name, run in runs.items():
            others = [getattr(layer, name) for layer in kernels.layers]
            best = tune(getattr(first, name), lambda matrix: self._seconds(run, matrix, others)).one  # noqa: B023
            tuned = [replace(matrix, one=best) for matrix in others]
            kernels.layers = [
                replace(layer, **{name: matrix}) for layer, matrix in zip(kernels.layers, tuned, strict=True)
            ]
        kernels.head = tune(
            kernels.head,
            lambda matrix: self._seconds(
                lambda head: kernels.norm_product(head, gain, state.logits, 1), matrix, [kernels.head] * 8
            ),
        )
        self._recorded.clear()

    def _seconds(self, run: Callable[[Matrix], None], matrix: Matrix, others: list[Matrix]) -> float:
        """Of one product with tiles of ``matrix``; all layers in turn, as in a step, since one alone lies in L2."""
        turns = [replace(other, one=matrix.one) for other in others]

        def all_layers() -> None:
            for turn in turns:
                run(turn)

        replay = record(all_layers, self._device, lambda: None)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        replay()
        begin.record()
        for _ in range(5):
            replay()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))

    def _step(self, rows: int, what: str, cache: KVCache) -> Callable[[], None]:
        """The recording of one step. It is tried out on the cache's next positions, which hold nothing yet."""
        if cache is not self._cache:  # other addresses
            self._recorded.clear()
            self._cache = cache
        if (rows, what) not in self._recorded:
            kernels = self._kernels

            def work() -> None:
                kernels.read(rows, cache)
                if what != "read":
                    kernels.choose(rows, what == "chain")

            prepare = partial(kernels.state.position.fill_, cache.length)
            self._recorded[rows, what] = record(work, self._device, prepare)
        return self._recorded[rows, what]


def rows_for(new: int) -> int | None:
    """The recorded size that ``new`` ids fit into: two to eight cost the tensor cores the same."""
    return 1 if new == 1 else ROWS if new <= ROWS else None


def agree(ours: Tensor, models: Tensor) -> None:
    """Raises Unsuited if ``ours`` is not what the model computes, but for rounding."""
    exact = models.float()
    if not (ours.float() - exact).norm() <= OFF * exact.norm():  # so written, NaN is not agreement
        raise Unsuited(WRONG)
