"""Post-training: objectives against numbers worked out by hand, runs on a model of two layers."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from llamachat.checkpoints import Checkpoint, open_checkpoint
from llamachat.errors import CheckpointError, ConfigError, EngineError
from llamachat.model import ModelConfig, Transformer
from llamachat.paths import bundled_model
from llamachat.training import train
from llamachat.training.post.average import linear, ties
from llamachat.training.post.dpo import DPO, dpo_loss
from llamachat.training.post.likelihood import by_reply, log_probs
from llamachat.training.post.lora import add_lora, merge_lora
from llamachat.training.post.reward import Reward
from llamachat.training.post.rows import Reply, Row, collate, micro_batches
from llamachat.training.post.run import learn
from llamachat.training.post.saving import save_checkpoint
from llamachat.training.post.sft import SFT
from llamachat.training.post.start import begin, check_room
from llamachat.training.post.trainer import Objective, Recipe, Trainer

TINY = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48, vocab_size=64, context=64)
END = 63


@pytest.fixture
def model() -> Transformer:
    return tiny()


def tiny(seed: int = 0) -> Transformer:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return Transformer(TINY)


def said(*ids: int, heard: tuple[int, ...] = ()) -> Reply:
    return Reply(ids, tuple(token not in heard for token in ids))


PAIRS = [
    Row((1, 2, 3, 4 + i), (said(10 + i, 11, END), said(20, 21 + i, 22, END)), ((0, 1),), (-9.0, -16.0))
    for i in range(12)
]


def alone(model: Transformer, prompt: tuple[int, ...], reply: Reply) -> list[float]:
    """log p of the learned ids of one reply, by a plain pass."""
    ids = torch.tensor([[*prompt, *reply.ids]])
    logs = model(ids)[0].log_softmax(-1).detach()
    at = range(len(prompt), ids.shape[1])
    return [float(logs[i - 1, ids[0, i]]) for i, learn in zip(at, reply.learn, strict=True) if learn]


# ---- rows


def test_replies_in_one_row_do_not_see_each_other(model: Transformer) -> None:
    row = Row((1, 2, 3), (said(4, 5, 6), said(7), said(8, 9, 10, 11, heard=(9,))))
    other = Row((5,), (said(6, 7),))
    values = log_probs(model, collate([row, other]))
    expected = [x for r in (row, other) for reply in r.replies for x in alone(model, r.prompt, reply)]
    assert values.tolist() == pytest.approx(expected, abs=1e-5)


def test_batches_keep_all_rows_within_their_budget() -> None:
    rows = [Row((1,) * n, (said(2, 3),)) for n in (3, 9, 1, 40, 5, 5)]
    groups = list(micro_batches(rows, 24))
    assert sorted(row.size for group in groups for row in group) == sorted(row.size for row in rows)
    assert all(len(group) * max(row.size for row in group) <= 24 or len(group) == 1 for group in groups)


# ---- objectives


def test_sft_is_cross_entropy_with_the_prompt_masked(model: Transformer) -> None:
    ids, learn = (1, 2, 3, 10, 11, 5, 12), (False, False, False, True, True, False, True)
    row = Row((), (Reply(ids, learn),))
    logits = model(torch.tensor([ids]))[0]
    wanted = F.cross_entropy(logits[[2, 3, 5]], torch.tensor([10, 11, 12]))
    loss = value(SFT(), model, row) / SFT().count([row])
    assert loss == pytest.approx(wanted.item(), rel=1e-5)


def value(objective: Objective, model: Transformer, *rows: Row) -> float:
    """The summed loss."""
    return objective.loss(model, collate(rows)).loss.item()


def uniform() -> Transformer:
    """log p of everything is - log 64."""
    model = tiny()
    torch.nn.init.zeros_(model.output.weight)
    return model


def test_dpo_in_closed_form() -> None:
    """Chosen: 2 ids and the end; rejected: 3 and the end. With beta = 0.1 and nll = 0.2, ends masked:
    d = (-2 log 64 + 9) - (-3 log 64 + 16) = log 64 - 7;  L = -log sigma(0.1 d) + 0.2 log 64."""
    log = math.log(64)
    d = log - 7
    wanted = math.log(1 + math.exp(-0.1 * d)) + 0.2 * log
    assert value(DPO(frozenset({END})), uniform(), PAIRS[0]) == pytest.approx(wanted, rel=1e-5)
    assert value(DPO(frozenset()), uniform(), PAIRS[0]) == pytest.approx(wanted, rel=1e-5)  # both have an end
    assert value(DPO(frozenset({END}), nll=0.0), uniform(), PAIRS[0]) == pytest.approx(wanted - 0.2 * log, rel=1e-5)
    sums = DPO(frozenset()).loss(uniform(), collate(PAIRS[:1])).sums
    assert sums == {"right": 0, "margin": pytest.approx(0.1 * d, rel=1e-4)}


def test_dpo_gradient_is_the_papers() -> None:
    """d L / d margin = - sigma(-margin); nothing else depends on it."""
    margins = torch.tensor([-1.0, 0.0, 2.5], requires_grad=True)
    dpo_loss(margins, torch.zeros(3), 0.2).sum().backward()
    assert margins.grad is not None
    assert margins.grad.tolist() == pytest.approx([-1 / (1 + math.exp(m)) for m in (-1.0, 0.0, 2.5)])


def test_end_tokens_do_not_move_the_comparison(model: Transformer) -> None:
    batch = collate(PAIRS)
    masked, whole = DPO(frozenset({END})), DPO(frozenset())
    assert int((~masked.kept(batch)).sum()) == 2 * len(PAIRS)
    assert bool(whole.kept(batch).all())
    rows = masked.referred(model, PAIRS, budget=32)
    expected = [sum(alone(model, row.prompt, reply)[:-1]) for row in rows for reply in row.replies]
    assert [x for row in rows for x in row.reference] == pytest.approx(expected, abs=1e-4)
    first = masked.loss(model, collate(rows))  # before the first step pi is pi_ref
    assert first.sums["margin"] == pytest.approx(0.0, abs=1e-4)


def test_reward_loss_is_pairwise_without_margin(model: Transformer) -> None:
    row = Row((1, 2), (said(3), said(4, 5), said(6)), ((0, 1), (0, 2), (1, 2)))
    reward = Reward(TINY.dim)
    assert value(reward, model, row) == pytest.approx(3 * math.log(2))
    torch.nn.init.normal_(reward.head)
    states = [model.hidden(torch.tensor([[1, 2, *reply.ids]]))[0, -1] for reply in row.replies]
    r = [(state @ reward.head[0]).item() for state in states]
    wanted = sum(math.log(1 + math.exp(-(r[a] - r[b]))) for a, b in row.better)
    assert value(reward, model, row) == pytest.approx(wanted, rel=1e-4)
    assert reward.judge(model, [row])[0] == pytest.approx(r, rel=1e-4)


# ---- averaging


def test_linear_average() -> None:
    states = [{"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 6.0])}]
    assert linear(states)["a"].tolist() == [2.0, 4.0]
    assert linear(states, [3, 1])["a"].tolist() == [1.5, 3.0]
    with pytest.raises(ConfigError, match="different shapes"):
        linear([*states, {"a": torch.zeros(3)}])
    with pytest.raises(ConfigError, match="2 models"):
        linear(states, [1.0])


def test_ties_trims_elects_and_averages_what_agrees() -> None:
    base = {"a": torch.tensor([1.0, 1.0, 1.0, 1.0])}
    changes = ([4.0, -3.0, 0.1, 2.0], [2.0, 5.0, 0.2, -1.0])
    states = [{"a": base["a"] + torch.tensor(change)} for change in changes]
    # keep 3 of 4: the third is trimmed in both. Signs: +, + (5 > 3), 0, + (2 > 1). Means: (4 + 2) / 2, 5, 0, 2.
    assert ties(base, states, keep=0.75)["a"].tolist() == pytest.approx([4.0, 6.0, 1.0, 3.0])
    assert ties(base, states, keep=0.75, scale=0.5)["a"].tolist() == pytest.approx([2.5, 3.5, 1.0, 2.0])
    with pytest.raises(ConfigError, match="share to keep"):
        ties(base, states, keep=0.0)


# ---- adapters


def test_adapters_change_nothing_at_first_and_merge_to_the_same(model: Transformer) -> None:
    ids = torch.tensor([[1, 2, 3, 4]])
    before = model(ids)
    assert add_lora(model, 4, 8.0) == sum(4 * (a + b) for a, b in SHAPES) * TINY.n_layers
    assert torch.equal(model(ids), before)
    Trainer(model, SFT(), PAIRS, Recipe(lr=1e-2, step_ids=32)).run()
    trained = model(ids)
    assert not torch.allclose(trained, before, atol=1e-3)
    merge_lora(model)
    assert torch.allclose(model(ids), trained, atol=1e-5)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in tiny().named_parameters()}


SHAPES = [(32, 32), (32, 16), (32, 16), (32, 32), (32, 48), (48, 32), (32, 48)]


# ---- the trainer


def weights(model: Transformer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("objective", [SFT, lambda: DPO(frozenset({END})), lambda: Reward(TINY.dim)])
def test_every_objective_is_learned(objective: Callable[[], Any]) -> None:
    trainer = Trainer(tiny(), objective(), PAIRS, Recipe(lr=1e-2, epochs=8, step_ids=48))
    assert trainer.run()
    assert trainer.log[-1]["loss"] < 0.7 * trainer.log[0]["loss"]


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipe = Recipe(lr=1e-2, epochs=2, step_ids=48)
    whole = Trainer(tiny(), DPO(frozenset({END})), PAIRS, recipe)
    whole.run()
    killed = Trainer(tiny(), DPO(frozenset({END})), PAIRS, recipe, tmp_path)
    for _ in range(3):
        killed.step()
    killed.save()
    killed.step()  # lost with the kill
    other = Trainer(tiny(1), DPO(frozenset({END})), PAIRS, recipe, tmp_path)
    assert other.resume()
    other.run()
    assert other.log == whole.log
    assert torch.equal(weights(other.model), weights(whole.model))
    with pytest.raises(ConfigError, match="another run"):
        Trainer(tiny(), SFT(), PAIRS, replace(recipe, lr=1e-3), tmp_path).resume()


def test_nothing_to_learn_from_and_numbers_that_explode() -> None:
    with pytest.raises(ConfigError, match="nothing to learn"):
        Trainer(tiny(), SFT(), [], Recipe())
    broken = tiny()
    torch.nn.init.constant_(broken.output.weight, float("inf"))
    with pytest.raises(EngineError, match="not finite"):
        Trainer(broken, SFT(), PAIRS, Recipe()).step()


TWO = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from llamachat.training.team import processes
from test_post_training import afterwards, at_first
with processes():
    learned = json.dumps([at_first(), afterwards()])
Path(sys.argv[1], os.environ["RANK"] + ".json").write_text(learned)  # what both print may stand in one line
"""


def at_first() -> list[float]:
    """Pre-training, three steps: losses, and what the weights are then."""
    shape = replace(TINY, vocab_size=4352, context=1024)
    trainer = train.Trainer(
        shape, train.Recipe(seed=3, budget=512, micro=4), open_checkpoint(bundled_model()).load_tokenizer()
    )
    losses = [trainer.step()[0] for _ in range(3)]
    return [*losses, sum(float(weight.detach().double().abs().sum()) for weight in trainer.masters.values())]


def afterwards() -> list[float]:
    """The same of a run of SFT."""
    trainer = Trainer(tiny(), SFT(), PAIRS, Recipe(lr=1e-2, step_ids=48))
    trainer.run()
    return [*(entry["loss"] for entry in trainer.log), float(weights(trainer.model).double().sum())]


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """torchrun gives each its half of a step's batches; the sums of gradients are added in another order."""
    script = tmp_path / "two.py"
    script.write_text(TWO.format(tests=str(Path(__file__).parent)))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        str(tmp_path),
    ]
    own = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}  # gloo may abort if a stranger knocks at its door
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first[0] == pytest.approx(at_first(), rel=1e-3)  # in bfloat16
    assert first[1] == pytest.approx(afterwards(), rel=1e-4)


# ---- checkpoints


@pytest.fixture
def source() -> Checkpoint:
    """The embedded tokenizer and dialect with a tiny shape."""
    nano = open_checkpoint(bundled_model())
    return replace(nano, config=replace(TINY, vocab_size=nano.config.vocab_size))


@pytest.mark.parametrize("shard", [1 << 30, 100_000])
def test_what_is_saved_opens_here_and_in_transformers(source: Checkpoint, tmp_path: Path, shard: int) -> None:
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    model = Transformer(source.config)
    save_checkpoint(tmp_path / "it", model.state_dict(), source, dtype=torch.float32, shard=shard)
    opened = open_checkpoint(tmp_path / "it")
    assert (opened.dialect, opened.variant, opened.name) == (source.dialect, source.variant, "it")
    ids = torch.tensor([[7, 8, 9, 10]])
    with torch.no_grad():
        wanted = model(ids)
        assert torch.equal(opened.load_model()(ids), wanted)
        theirs = LlamaForCausalLM.from_pretrained(tmp_path / "it", dtype=torch.float32)(ids).logits
    assert torch.allclose(theirs, wanted, atol=1e-4)
    assert opened.load_tokenizer().encode("What is 17?") == source.load_tokenizer().encode("What is 17?")


def test_a_run_leaves_a_checkpoint_a_log_and_a_picture(source: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "base", Transformer(source.config).state_dict(), source)
    start = begin(tmp_path / "base", device="cpu")
    learn(start, SFT(), PAIRS, Recipe(lr=1e-3, step_ids=48), tmp_path / "new")
    assert {file.name for file in (tmp_path / "new").iterdir()} == {
        "config.json", "generation_config.json", "log.jsonl", "loss.png", "model.safetensors", "tokenizer.model",
    }  # fmt: skip
    assert open_checkpoint(tmp_path / "new").parameters == start.checkpoint.parameters
    with pytest.raises(ConfigError, match="there already"):
        learn(start, SFT(), PAIRS, Recipe(), tmp_path / "new")


def test_a_reward_head_is_kept_beside_its_model(tmp_path: Path) -> None:
    reward = Reward(4)
    with torch.no_grad():
        reward.head.copy_(torch.tensor([[0.1, -2.0, 3e-9, 7.0]]))
    reward.save(tmp_path)
    assert torch.equal(Reward.load(tmp_path, 4).head, reward.head)
    with pytest.raises(CheckpointError, match="not the 5"):
        Reward.load(tmp_path, 5)
    with pytest.raises(CheckpointError, match="no reward model"):
        Reward.load(tmp_path / "no", 4)
    (tmp_path / "reward_head.json").write_text("[1, {}]")
    with pytest.raises(CheckpointError, match="no list of numbers"):
        Reward.load(tmp_path, 4)


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(source: Checkpoint) -> None:
    huge = replace(source, weights=Huge())
    with pytest.raises(EngineError, match=r"takes at least .* GiB") as caught:
        check_room(huge, 0, torch.float32, torch.device("cpu"))
    assert "--lora" in caught.value.hint


class Huge:
    shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({"tok_embeddings.weight": (10**12, 1000)})
    files: Sequence[Path] = ()

    def read(self, device: object, dtype: object) -> Any:
        raise AssertionError


def test_sums_by_reply() -> None:
    batch = collate([Row((1,), (said(2, 3), said(4))), Row((1,), (said(5),))])
    assert by_reply(torch.tensor([1.0, 2.0, 4.0, 8.0]), batch).tolist() == [3.0, 4.0, 8.0]
