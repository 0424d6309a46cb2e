"""A checkpoint once its layout is understood: what it is, how its tensors make a Transformer. Knows no file format."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from llamachat.checkpoints.part import WHOLE, Part
from llamachat.checkpoints.settings import FETCH_AGAIN, shown
from llamachat.errors import CheckpointError
from llamachat.model import ModelConfig, Transformer
from llamachat.paths import use_huge_pages
from llamachat.protocol import Dialect
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import Tokenizer, Variant

Shape = tuple[int, ...]
MAX_CONTEXT = 2**22  # positions, those of the longest published Llama 3; their RoPE table takes 2 GiB
MAX_LAYERS = 1000  # the 405B has 126


class Weights(Protocol):
    """Tensors on disk as the Transformer wants them: Meta's names, adjacent rotary pairs, shards merged, scales
    applied."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape by name; known without reading the weights."""

    @property
    def files(self) -> Sequence[Path]:
        """Where they are, in an order that stays."""

    def read(self, device: torch.device | str, dtype: torch.dtype, part: Part = WHOLE) -> Iterator[tuple[str, Tensor]]:
        """All tensors, or the ``part`` of each, one after the other; those that are as wanted on the disk stay mapped.
        Raises CheckpointError, and what torch raises when memory is short."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything about a model but its weights in memory.

    ``name`` is for display. ``vocabulary`` reads the BPE ranks out of ``tokenizer_path``. ``stop_ids`` and
    ``sampling`` are what its makers recommend, empty and our defaults if they don't say.
    """

    path: Path
    name: str
    config: ModelConfig
    variant: Variant
    dialect: Dialect
    tokenizer_path: Path
    vocabulary: Callable[[], dict[bytes, int]] = field(repr=False)
    weights: Weights = field(repr=False)
    stop_ids: frozenset[int] = frozenset()
    sampling: SamplingParams = SamplingParams()

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape in self.weights.shapes.values())

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer, checked against the weights; the control tokens at which the makers stop end a message, too.

        Raises TokenizerError, CheckpointError."""
        tokenizer = Tokenizer(self.vocabulary(), self.variant)
        if tokenizer.n_words != self.config.vocab_size:
            raise CheckpointError(
                f"The tokenizer {self.tokenizer_path} has {tokenizer.n_words:,} words, but the weights have rows for "
                f"{self.config.vocab_size:,}.",
                "Put the tokenizer that came with these weights beside them.",
            )
        tokenizer.stop_ids |= {token_id for token_id in self.stop_ids if tokenizer.is_special(token_id)}
        return tokenizer

    def load_model(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        progress: Callable[[float], None] | None = None,
        part: Part = WHOLE,
        build: Callable[[ModelConfig], Transformer] = Transformer,
    ) -> Transformer:
        """The Transformer on ``device``, ready for inference; ``progress`` gets the share done, up to 1.0.

        Where file and ``dtype`` agree and the device is the CPU, weights stay mapped from the file (no second copy).
        Else memory peaks at one tensor above the model. ``build`` makes a model for one ``part`` of the weights.
        Raises CheckpointError; torch.OutOfMemoryError or RuntimeError when memory is short.
        """
        use_huge_pages()
        model = hollow(self.config, build)
        state, done, shapes = dict[str, Tensor](), 0, self.weights.shapes
        for name, tensor in self.weights.read(device, dtype, part):
            state[name] = tensor
            done += math.prod(shapes[name])
            if progress:
                progress(done / self.parameters)
        if self.config.tied:
            state["output.weight"] = part.cut("output.weight", state["tok_embeddings.weight"])
        model.load_state_dict(state, assign=True)
        if self.config.tied and part == WHOLE:
            model.output.weight = model.tok_embeddings.weight
        model.rope = model.rope.to(device)
        return model.eval().requires_grad_(False)


def check_weights(path: Path, config: ModelConfig, found: Mapping[str, Shape]) -> None:
    """Compare the tensors of a file with what ``config`` asks for. Raises CheckpointError with the first difference."""
    _check_plausible(path, config, found)
    try:
        wanted = expected_shapes(config)
    except (RuntimeError, TypeError) as error:  # sizes beyond 64 bits
        raise CheckpointError(f"{path}: the config asks for impossibly large weights.", FETCH_AGAIN) from error
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if extra and extra[0].endswith(".bias"):
        raise CheckpointError(f"{path} has biases ({shown(extra[0])}), and Llama 3 has none.", "Choose another model.")
    if missing:
        raise CheckpointError(f"{path} lacks {_count(missing)}.", FETCH_AGAIN)
    if extra:
        reason = f"{path} has {_count(extra)} that Llama 3 has no place for."
        raise CheckpointError(reason, "Choose a plain Llama 3 checkpoint.")
    for name, shape in wanted.items():
        _check_shape(path, name, found[name], shape)


def _check_plausible(path: Path, config: ModelConfig, found: Mapping[str, Shape]) -> None:
    """What must be right before a model is built: a damaged config could ask for a billion layers."""
    uneven = config.dim % config.n_heads if not config.head_dim else 0
    if uneven or config.n_heads % config.n_kv_heads or config.width % 2 or config.width > config.dim:
        heads = f"{config.n_heads} query heads, {config.n_kv_heads} key/value heads and head width {config.width}"
        raise CheckpointError(f"{path}: {heads} don't make a Llama model.", FETCH_AGAIN)
    if config.context > MAX_CONTEXT:
        raise CheckpointError(f"{path}: a context of {config.context:,} tokens is too long.", FETCH_AGAIN)
    layers = len({m[1] for name in found if (m := re.match(r"layers\.(\d{1,9})\.", name))})
    if layers != config.n_layers or layers > MAX_LAYERS:
        reason = f"{path} has weights for {layers} layers, but the config says {config.n_layers}."
        raise CheckpointError(reason, FETCH_AGAIN)
    table = (config.vocab_size, config.dim)
    _check_shape(path, "tok_embeddings.weight", found.get("tok_embeddings.weight", table), table)


def _check_shape(path: Path, name: str, found: Shape, wanted: Shape) -> None:
    if found != wanted:
        reason = f"{path}: {name} has shape {list(found)}, but the config says {list(wanted)}."
        raise CheckpointError(reason, FETCH_AGAIN)


def expected_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Shapes by name of the weights that ``config`` asks for; a tied output layer is not stored."""
    state = hollow(replace(config, context=1)).state_dict()
    return {
        name: tuple(tensor.shape) for name, tensor in state.items() if not (config.tied and name == "output.weight")
    }


def hollow(config: ModelConfig, build: Callable[[ModelConfig], Transformer] = Transformer) -> Transformer:
    """A Transformer whose weights are shapes only; its RoPE table is real."""
    with _Hollow():
        return build(config)


class _Hollow(TorchFunctionMode):
    """Puts new weights on the meta device and leaves them uninitialised.

    ``torch.device("meta")`` would do too, but computing there (initialisation, RoPE) imports torch._refs and dynamo,
    which cost 1.4 s of the start; nothing else of ours needs them.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"]
        if func in (torch.empty, torch.ones):
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def _count(names: list[str]) -> str:
    return shown(names[0]) if len(names) == 1 else f"{len(names)} tensors ({shown(names[0])}, …)"


def find_tokenizer(folder: Path) -> Path:
    """tokenizer.model beside the weights or in original/, else tokenizer.json. Raises CheckpointError."""
    for name in ("tokenizer.model", "original/tokenizer.model", "tokenizer.json"):
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{folder} has weights but no tokenizer.", "Put the checkpoint's tokenizer.model beside the weights."
    )


def dialect_of(variant: Variant, config: ModelConfig) -> Dialect:
    """How Meta's models of this kind speak: 3.0 knows no tools and no dates, 3.2 1B/3B (tied, or rope factor 32) call
    functions in a Python list, and 3.1 and 3.3 (the same on disk) in JSON (prompt_format.md of each generation)."""
    if variant == "3.0":
        return Dialect(dates=False)
    if config.tied or (config.rope_scaling and config.rope_scaling.factor == 32):
        return Dialect(calls="python_list", dates=False)
    return Dialect(calls="json", python_tag="all_calls", dates=True)
