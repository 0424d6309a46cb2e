"""The training loop of the embedded model: float32 masters, bfloat16 where it is fast, exact checkpoints.

``python -m llamachat.training.train --ids 24_000_000 --seed 1 --out runs/nano``; the same command again continues.
Learning rate: warm-up, flat, then linear to zero over the second half of the ids (``--decay``), so that a slow machine
gives what a fast one does. ``--grow LAST --rate 0.4 --decay 1`` polishes what is there.
"""

import argparse
import json
import math
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llamachat.checkpoints import open_checkpoint
from llamachat.model import ModelConfig, Transformer, rope_table
from llamachat.paths import bundled_model
from llamachat.products import product_dtype
from llamachat.tokenizer import Tokenizer
from llamachat.training.data import MIXTURE, Batch, Stream, val_batches
from llamachat.training.held_out import exact
from llamachat.training.helper import Helper
from llamachat.training.losses import summed_loss
from llamachat.training.muon import Optimisers
from llamachat.training.post.run import CURVE
from llamachat.training.post.trainer import LOG
from llamachat.training.post.watch import save_curve
from llamachat.training.recut import recut
from llamachat.training.team import own_device, place, processes, summed
from llamachat.training.twins import draw_together, twins

NANO = ModelConfig(
    dim=256,
    n_layers=10,
    n_heads=8,
    n_kv_heads=4,
    ffn_dim=768,
    vocab_size=4352,
    context=2048,
    rope_theta=10_000.0,
    norm_eps=1e-5,
)


def shaped(layers: int, dim: int, words: int) -> ModelConfig:
    """The embedded model's shape with other layers, another width and vocabulary; heads stay 32 wide."""
    heads, kv_heads = dim // 32, dim // 64
    return replace(
        NANO, n_layers=layers, dim=dim, n_heads=heads, n_kv_heads=kv_heads, ffn_dim=3 * dim, vocab_size=words
    )


WARM_STEPS = 60


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made with."""

    seed: int = 1
    ids: int = 24_000_000
    """How many are read, padding not counted."""
    muon_lr: float = 0.005
    adam_lr: float = 0.0015
    decay: float = 0.5
    """The share of the ids, at the end, over which the learning rates fall to zero."""
    budget: int = 2048
    micro: int = 4
    warm_pools: int = 24
    roughness: float = 1.0
    """How much of the noise that makes requests hard and that nobody is tested with: less of it to end with."""
    twins: float = 0.0
    """The share of what parts ids of the same letters that an update takes away at full learning rates (twins.py)."""


class Trainer:
    """A model, its float32 masters, the optimisers and the stream; ``step()`` trains on the next batches."""

    def __init__(  # what is trained, then where
        self,
        config: ModelConfig,
        recipe: Recipe,
        tokenizer: Tokenizer,
        *,
        device: torch.device = torch.device("cpu"),
        helped: bool = False,
        workers: int = 0,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.config, self.recipe, self.tokenizer, self.device = config, recipe, tokenizer, device
        self.model = Transformer(config)
        initialise(self.model)
        self.model.to(device)
        self.masters = {name: nn.Parameter(p.detach().clone().float()) for name, p in self.model.named_parameters()}
        dtype = product_dtype(device)
        self.model.to(dtype)
        self.model.rope = rope_table(config).to(device)  # .to() would leave it with 3 digits
        if device.type == "cuda":
            for layer in self.model.layers:
                layer.compile(dynamic=True)
        self.optimisers = Optimisers(self.masters, muon_lr=recipe.muon_lr, adam_lr=recipe.adam_lr)
        size = sum(p.numel() for p in self.model.parameters())
        self._twins = twins(tokenizer).to(device)
        self._helper = Helper(config, size, recipe.micro, recipe.budget, dtype) if helped else None
        size = 640 * max(1, recipe.budget * recipe.micro // 8192)  # dialogs of 175 ids on average: a dozen steps
        self.stream = Stream(
            tokenizer,
            recipe.seed,
            recipe.budget,
            recipe.micro,
            recipe.warm_pools,
            size=size,
            workers=workers,
            roughness=recipe.roughness,
        )
        self._steps = self.stream.steps()
        self.steps_done = self.tokens = 0
        self.seconds = 0.0

    def grow_from(self, path: Path) -> None:
        """Begin with the weights of a checkpoint of fewer layers, new ones between them: those do nothing at first.
        Embeddings are made to fit if it cuts text in other tokens."""
        checkpoint = open_checkpoint(path)
        old, layers = checkpoint.load_model("cpu", torch.float32), self.config.n_layers
        places, tokenizer = spread(checkpoint.config.n_layers, layers), checkpoint.load_tokenizer()
        with torch.no_grad():
            for name, value in old.state_dict().items():
                if name in ("tok_embeddings.weight", "output.weight"):
                    value = recut(value, tokenizer, self.tokenizer, output=name == "output.weight")
                parts = name.split(".")
                if parts[0] == "layers":
                    parts[1] = str(places[int(parts[1])])
                self.masters[".".join(parts)].copy_(value)
            for name, weight in self.model.named_parameters():
                weight.copy_(self.masters[name])

    def step(self) -> tuple[float, int]:
        """One update. Returns the loss in nats per learned token, and the tokens read (padding not counted)."""
        started = time.monotonic()
        batches = next(self._steps)
        learned = sum(int(batch.learn[:, 1:].sum()) for batch in batches)
        rank, world = place()
        own = batches[rank::world]
        total = self._helper.backward(self.model, own) if self._helper else backward(self.model, own)
        total = float(summed([torch.tensor([total], device=self.device)])[0])
        self._update(learned)
        tokens = sum(int((batch.tokens != (self.tokenizer.pad_id or 0)).sum()) for batch in batches)
        self.steps_done, self.tokens = self.steps_done + 1, self.tokens + tokens
        self.seconds += time.monotonic() - started
        return total / learned, tokens

    def factor(self) -> float:
        """The learning-rate factor now."""
        warm = min(1.0, (self.steps_done + 1) / WARM_STEPS)
        left = 1.0 - self.tokens / self.recipe.ids
        return warm * min(1.0, max(0.0, left / self.recipe.decay))

    def _update(self, learned: int) -> None:
        weights = dict(self.model.named_parameters())
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad.float() for w in weights.values()]
        for master, gradient in zip(self.masters.values(), summed(gradients), strict=True):
            master.grad = gradient / learned
        nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        self.optimisers.step(self.factor())
        if self.recipe.twins:
            for name in ("tok_embeddings.weight", "output.weight"):
                draw_together(self.masters[name], self._twins, self.recipe.twins * self.factor())
        with torch.no_grad():
            for name, master in self.masters.items():
                weights[name].copy_(master)
                weights[name].grad = None

    @torch.no_grad()
    def validate(self, count: int = 30) -> dict[str, dict[str, float]]:
        """On held-out names and phrasings, by family: nats per learned token, and shares said exactly."""
        report = {}
        for family in MIXTURE:
            batches = [batch.to(self.device) for batch in val_batches(self.tokenizer, 0, family, count)]
            learned = sum(int(batch.learn[:, 1:].sum()) for batch in batches)
            loss = sum(float(summed_loss(self.model, batch)) for batch in batches) / learned
            rates, _ = exact(self.model, self.tokenizer, batches)
            report[family] = {key: round(value, 3) for key, value in {"loss": loss, **rates}.items()}
        return report

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all; of several processes the first does."""
        if place()[0]:
            return
        state: dict[str, Any] = {
            "config": asdict(self.config),
            "masters": {name: p.detach() for name, p in self.masters.items()},
            "optimisers": self.optimisers.state_dict(),
            "stream": (self.stream.pool, self.stream.at),
            "steps": self.steps_done,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        weights = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in state["masters"].items():
                self.masters[name].copy_(value)
                weights[name].copy_(value)
        self.optimisers.load_state_dict(state["optimisers"])
        self.stream.pool, self.stream.at = state["stream"]
        self._steps = self.stream.steps()
        self.steps_done, self.tokens, self.seconds = state["steps"], state["tokens"], state["seconds"]


def spread(old: int, new: int) -> list[int]:
    """Where ``old`` layers stand among ``new``: evenly, the first and the last at the ends.

    >>> spread(5, 7)
    [0, 2, 3, 4, 6]
    """
    return [round(i * (new - 1) / max(1, old - 1)) for i in range(old)]


def initialise(model: Transformer) -> None:
    """Embeddings of standard deviation 1, blocks that begin as the identity (wo and w2 zero), a small head.

    Measured on a 4.2M model: with embeddings of 0.02 and non-zero outputs the blocks swamp the token's identity.
    """
    nn.init.normal_(model.tok_embeddings.weight, std=1.0)
    nn.init.normal_(model.output.weight, std=0.5 / math.sqrt(model.config.dim))
    for name, parameter in model.named_parameters():
        if name.endswith(("wo.weight", "w2.weight")):
            nn.init.zeros_(parameter)


def backward(model: Transformer, batches: list[Batch]) -> float:
    """Leave the gradients of the summed loss of ``batches`` in ``model``; return that loss."""
    total = 0.0
    for batch in batches:
        loss = summed_loss(model, batch.to(model.output.weight.device))
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total


def run(trainer: Trainer, out: Path, every_seconds: float = 600.0) -> None:
    """Train until all ids are read or SIGTERM comes; log to ``out``/log.jsonl, save to ``out``/last.pt."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    saved = reported = trainer.seconds
    losses: list[float] = []
    tokens = 0
    while trainer.tokens < trainer.recipe.ids and not stop:
        loss, read = trainer.step()
        losses.append(loss)
        tokens += read
        if len(losses) == 20:
            speed = tokens / (trainer.seconds - reported)
            _log(
                out,
                step=trainer.steps_done,
                tokens=trainer.tokens,
                minutes=trainer.seconds / 60,
                loss=sum(losses) / 20,
                tokens_per_second=speed,
                factor=trainer.factor(),
            )
            losses, tokens, reported = [], 0, trainer.seconds
        if trainer.seconds - saved > every_seconds:
            trainer.save(out / "last.pt")
            _log(out, step=trainer.steps_done, val=trainer.validate())
            saved = trainer.seconds
    trainer.save(out / "last.pt")
    if not stop:
        _log(out, step=trainer.steps_done, tokens=trainer.tokens, val=trainer.validate(60))
    if not place()[0]:
        draw(out)


def draw(out: Path) -> None:
    """The losses in ``out``/log.jsonl as loss.png."""
    entries = [json.loads(line) for line in (out / LOG).read_text(encoding="utf-8").splitlines()]
    save_curve([{"step": e["step"], "loss": e["loss"]} for e in entries if "loss" in e], out / CURVE, out.name)


def _log(out: Path, **entry: Any) -> None:
    if place()[0]:
        return
    line = json.dumps(entry, default=str)
    print(line, flush=True)
    with (out / LOG).open("a") as file:
        file.write(line + "\n")


def main() -> None:
    """Start, or continue if ``--out`` holds a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=Recipe().ids, help="how many to read, restarts included")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, default=bundled_model() / "tokenizer.model")
    parser.add_argument(
        "--grow", type=Path, help="begin with the weights of this checkpoint, with more layers or other tokens"
    )
    parser.add_argument("--layers", type=int, default=NANO.n_layers)
    parser.add_argument("--dim", type=int, default=NANO.dim, help="a multiple of 64; heads and gates grow with it")
    parser.add_argument("--budget", type=int, default=Recipe().budget, help="ids of a batch, padding included")
    parser.add_argument("--micro", type=int, default=Recipe().micro, help="batches of a step, over all processes")
    parser.add_argument("--rate", type=float, default=1.0, help="times the learning rates: less polishes what is grown")
    parser.add_argument("--decay", type=float, default=Recipe().decay, help="share of the ids over which they fall")
    parser.add_argument("--roughness", type=float, default=1.0, help="times the noise of requests: less to end with")
    parser.add_argument("--twins", type=float, default=0.0, help="draw ids of the same letters together (0.003)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that make dialogs ahead, for a GPU")
    parser.add_argument("--helper", action="store_true", help="use an idle second core, at low priority")
    parser.add_argument("--device", help="cpu or cuda; by default cuda if there is one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        seed=options.seed,
        ids=options.ids,
        muon_lr=options.rate * Recipe().muon_lr,
        adam_lr=options.rate * Recipe().adam_lr,
        decay=options.decay,
        budget=options.budget,
        micro=options.micro,
        warm_pools=0 if options.grow else Recipe().warm_pools,
        roughness=options.roughness,
        twins=options.twins,
    )
    tokenizer = Tokenizer.from_file(options.tokenizer)
    with processes():
        trainer = Trainer(
            shaped(options.layers, options.dim, tokenizer.n_words),
            recipe,
            tokenizer,
            device=own_device(options.device),
            helped=options.helper,
            workers=options.workers,
        )
        if (options.out / "last.pt").exists():
            trainer.load(options.out / "last.pt")
        elif options.grow:
            trainer.grow_from(options.grow)
        _log(options.out, recipe=vars(options), parameters=sum(p.numel() for p in trainer.masters.values()))
        run(trainer, options.out)


if __name__ == "__main__":
    main()
