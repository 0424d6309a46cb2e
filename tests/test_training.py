import random
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.checkpoints import open_checkpoint
from llamachat.model import ModelConfig, Transformer
from llamachat.protocol import CODE_INTERPRETER, encode_dialog
from llamachat.tokenizer import Tokenizer
from llamachat.training import gen_plans, phrases
from llamachat.training.bpe import generated, learn, write
from llamachat.training.data import DIRECT, MESSAGE, MIXTURE, NAME, Stream, collate, counted, draw_sample
from llamachat.training.draw import Draw, expand
from llamachat.training.export import export
from llamachat.training.gen_arith import FACTORS, small_sum, units
from llamachat.training.gen_files import file_questions, on_notes, on_table
from llamachat.training.gen_search import search
from llamachat.training.gen_talk import paired
from llamachat.training.held_out import exact, spoken
from llamachat.training.helper import TRAINER, Board
from llamachat.training.layout import foreign_name, halved
from llamachat.training.losses import summed_loss
from llamachat.training.muon import orthogonalise
from llamachat.training.sample import NANO, execute
from llamachat.training.strict import StrictDraw
from llamachat.training.task import Task
from llamachat.training.train import Recipe, Trainer, backward
from llamachat.training.words import CLOSED, held_out, kinds, split_of

TINY = ModelConfig(dim=32, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=48, vocab_size=856, context=1024)
FAMILIES = sorted(MIXTURE)


@pytest.fixture(scope="module")
def learned() -> dict[bytes, int]:
    """600 ranks, learned from 200 dialogs."""
    return learn(list(generated(5, 200)), plain=450, spaced=150)


@pytest.fixture(scope="module")
def tokenizer(learned: dict[bytes, int]) -> Tokenizer:
    return Tokenizer(learned)


@pytest.fixture
def trainer(tokenizer: Tokenizer) -> Trainer:
    torch.set_num_threads(1)
    return Trainer(TINY, Recipe(seed=3, budget=1024, micro=2), tokenizer)


# ---- generators


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_gives_the_same_dialogs(family: str) -> None:
    once = [draw_sample(1, i, "train", {family: 1.0}) for i in range(40)]
    assert once == [draw_sample(1, i, "train", {family: 1.0}) for i in range(40)]
    assert once != [draw_sample(2, i, "train", {family: 1.0}) for i in range(40)]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_assistant_learns_exactly_what_it_says(family: str, tokenizer: Tokenizer) -> None:
    for i in range(30):
        sample = draw_sample(1, i, "train", {family: 1.0})
        encoded = sample.encode(tokenizer)
        said = [message for message in sample.opened() if message.role == "assistant"]
        said = [message for i, message in enumerate(said) if i not in sample.slips]
        spans = list(spoken(torch.tensor(encoded.learn)))
        assert len(spans) == len(said)
        for (start, end), message in zip(spans, said, strict=True):
            alone = encode_dialog(tokenizer, [message], NANO, add_generation_prompt=False)
            assert encoded.ids[start:end] == [i for i, learn in zip(alone.ids, alone.learn, strict=True) if learn]


def test_small_sums_are_computed() -> None:
    for i in range(100):
        turn = small_sum(Draw(i, "train"))
        left, sign, right = turn.steps[0].tool_calls[0].arguments["code"].removeprefix("round(").split()[:3]
        assert sign in "+-*/"
        assert max(int(left), int(right.rstrip(","))) <= 12


def test_pairs_make_whole_sentences() -> None:
    for i in range(600):
        block = paired(Draw(i, "train"))
        assert not set("{}[]|") & set(block.asks[0] + block.full + block.short)
        assert block.full[0].isupper() or not block.full[0].isalpha()


@pytest.mark.parametrize("maker", [gen_plans.injected, on_notes, on_table, search])
def test_hidden_orders_are_not_told(maker: Callable[[Draw], Task]) -> None:
    heard = 0
    for i in range(150):
        draw = StrictDraw(f"orders-{i}", "train", "train")
        answers = " ".join(turn.answer.full for turn in maker(draw).turns)
        heard += len(draw.orders)
        assert not any(order in answers for order, _ in draw.orders)
    assert heard > 3


@pytest.mark.parametrize("family", ["arithmetic", "text"])
def test_results_of_code_are_true(family: str) -> None:
    for i in range(200):
        sample = draw_sample(1, i, "train", {family: 1.0})
        for call, told in zip(sample.messages, sample.messages[1:], strict=False):
            if call.tool_calls:
                assert execute(call.tool_calls[0].arguments["code"]).stdout in told.text


def test_numbers_in_code_were_given() -> None:
    """A factor that the user was never told would teach the model to invent numbers."""
    for i in range(400):
        turn = units(Draw(i, "train"))
        code = turn.steps[0].tool_calls[0].arguments["code"]
        factor = code.partition(" * ")[2].split(",")[0].rstrip(")")
        assert factor in FACTORS or factor in turn.question or " 9" in code or " 5 " in code  # the last two: degrees


def test_held_out_words_are_never_trained_on() -> None:
    text = " ".join(m.text for i in range(3000) for m in draw_sample(7, i, "train").opened()).lower()
    words = set("".join(c if c.isalpha() else " " for c in text).split())
    plain = _words_of_the_tables() | {f"{noun}s" for noun in phrases.mapping("words")["noun"].split()}
    for kind in set(kinds()) - CLOSED:
        secret = {word.lower() for word in split_of(kind, "val")} - plain
        assert secret
        assert not words & secret, kind


def _words_of_the_tables() -> set[str]:
    """Words that sentences are made of: some stand in a list of names too."""
    names = ("words", "pieces", "english")
    tables = (path.read_text() for path in phrases.FOLDER.glob("*.txt") if path.stem not in names)
    closed = (phrases.mapping("words")[kind] for kind in CLOSED)
    text = " ".join((*tables, *closed, "brave_search Echo")).lower()
    return set("".join(c if c.isalpha() else " " for c in text).split())


@pytest.mark.parametrize("kind", sorted(set(kinds()) - CLOSED))
def test_both_splits_have_words_and_share_none(kind: str) -> None:
    train, val = set(split_of(kind, "train")), set(split_of(kind, "val"))
    assert train
    assert val
    assert not train & val


def test_phrasings_are_split_too() -> None:
    asks = phrases.blocks("distances")[0].asks
    train = {Draw(i, "train").phrase(asks) for i in range(300)}
    val = {Draw(i, "val").phrase(asks) for i in range(300)}
    assert not train & val
    assert all(held_out(ask) for ask in val)


@given(st.integers())
@settings(max_examples=50, deadline=None)
def test_alternatives_are_expanded(seed: int) -> None:
    assert expand(random.Random(seed), "[a|b[c|d]] e") in {"a e", "bc e", "bd e"}


def test_code_reads_the_files_of_its_task() -> None:
    asked = [turn for i in range(50) for turn in file_questions(Draw(i, "train")).turns]
    assert (
        sum("error" in turn.steps[-1].text[:6] for turn in asked) < 10
    )  # the few where the file is missing on purpose


# ---- tokenizer


def test_digits_never_merge(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert [tokenizer.decode([i]) for i in tokenizer.encode("1234567")] == list("1234567")
    write({tokenizer.token_bytes(i): i for i in range(tokenizer.n_base)}, tmp_path / "t.model")
    assert Tokenizer.from_file(tmp_path / "t.model").encode("What is 17?") == tokenizer.encode("What is 17?")


def test_every_byte_can_be_said(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("naïve 🦙 \x00\t")) == "naïve 🦙 \x00\t"


# ---- training


def test_steps_lower_the_loss(trainer: Trainer) -> None:
    batches = next(Stream(trainer.tokenizer, 9, 1024, 2).steps())

    def loss() -> float:
        with torch.no_grad():
            return sum(float(summed_loss(trainer.model, batch)) for batch in batches)

    before = loss()
    for _ in range(12):
        trainer.step()
    assert loss() < before


def test_a_resumed_run_has_the_same_next_loss(trainer: Trainer, tokenizer: Tokenizer, tmp_path: Path) -> None:
    trainer.step()
    trainer.save(tmp_path / "last.pt")
    expected = trainer.step()
    other = Trainer(trainer.config, trainer.recipe, tokenizer)
    other.load(tmp_path / "last.pt")
    assert other.step() == expected
    assert (other.steps_done, other.tokens) == (trainer.steps_done, trainer.tokens)


def test_workers_that_make_dialogs_ahead_change_nothing(tokenizer: Tokenizer) -> None:
    alone, crew = (Stream(tokenizer, 9, 1024, 2, size=20, workers=workers, pool=3, at=2) for workers in (0, 2))
    for own, other in islice(zip(alone.steps(), crew.steps(), strict=False), 18):
        assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(own, other, strict=True))
        assert all(torch.equal(a.learn, b.learn) for a, b in zip(own, other, strict=True))
    assert (alone.pool, alone.at) == (crew.pool, crew.at)
    assert alone.pool > 4


def test_the_learning_rate_warms_up_and_ends_at_zero(trainer: Trainer) -> None:
    assert trainer.factor() < 0.1
    trainer.steps_done = 1000
    assert trainer.factor() == 1.0
    trainer.tokens = trainer.recipe.ids
    assert trainer.factor() == 0.0


def test_padding_changes_no_loss(trainer: Trainer, tokenizer: Tokenizer) -> None:
    rows = [draw_sample(1, i, "train").encode(tokenizer) for i in range(3)]
    pairs = [(row.ids, counted(tokenizer, row.ids, row.learn)) for row in rows]
    model = Transformer(TINY).double()
    with torch.no_grad():
        together = float(summed_loss(model, collate(pairs, 0)))
        apart = sum(float(summed_loss(model, collate([pair], 0))) for pair in pairs)
    assert together == pytest.approx(apart, rel=1e-4)


def test_what_is_decided_counts_more(tokenizer: Tokenizer) -> None:
    names = direct = 0
    for i in range(40):
        row = draw_sample(1, i, "train", {"functions": 0.7, "memory": 0.3})
        encoded = row.encode(tokenizer)
        counts = counted(tokenizer, encoded.ids, encoded.learn)
        assert [count > 0 for count in counts] == encoded.learn
        first = [start for start, _ in spoken(torch.tensor(encoded.learn))]
        said = [at for at, message in enumerate(row.messages) if message.role == "assistant"]
        said = [at for ordinal, at in enumerate(said) if ordinal not in row.slips]
        answers = [row.messages[at - 1].role == "user" and not row.messages[at].tool_calls for at in said]
        assert [counts[at] for at in first] == [DIRECT if answer else MESSAGE for answer in answers]
        direct += sum(answers)
        called = [call.name for message in row.messages for call in message.tool_calls if call.name != CODE_INTERPRETER]
        names += len(called)
        starts = [at for at, count in enumerate(counts) if count == NAME and at not in first]
        assert [tokenizer.decode(encoded.ids[at : at + 30]).split('"')[0] for at in starts] == called
    assert names > 20
    assert direct > 20


def test_an_id_that_counts_twice_weighs_twice(trainer: Trainer, tokenizer: Tokenizer) -> None:
    encoded = draw_sample(1, 0, "train", {"talk": 1.0}).encode(tokenizer)
    model = Transformer(TINY).double()
    with torch.no_grad():
        once, twice = (
            float(summed_loss(model, collate([(encoded.ids, [n * c for c in encoded.learn])], 0))) for n in (1, 2)
        )
    assert twice == pytest.approx(2 * once)


def test_work_from_the_board_gives_the_same_gradients(trainer: Trainer) -> None:
    batches = next(Stream(trainer.tokenizer, 4, 1024, 2).steps())
    weights = list(trainer.model.parameters())
    board = Board(sum(w.numel() for w in weights), 2, 1024, torch.bfloat16)
    board.post(batches, weights)
    backward(trainer.model, batches)
    expected = [w.grad.clone() for w in weights if w.grad is not None]
    trainer.model.zero_grad()
    units = [board.take(TRAINER), board.take(TRAINER)]
    assert units == [0, 1]
    assert board.take(TRAINER) is None
    backward(trainer.model, [board.batch(unit) for unit in (0, 1)])
    for weight, right in zip(weights, expected, strict=True):
        assert weight.grad is not None
        assert torch.equal(weight.grad, right)


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (48, 48)])
def test_muon_orthogonalises(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(1, *shape))[0].float())
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3


def test_exact_match_is_what_greedy_decoding_would_say(trainer: Trainer, tokenizer: Tokenizer) -> None:
    encoded = draw_sample(1, 0, "train", {"talk": 1.0}).encode(tokenizer)
    rates, failures = exact(
        trainer.model, tokenizer, [collate([(encoded.ids, counted(tokenizer, encoded.ids, encoded.learn))], 0)]
    )
    assert rates == {"answers": 0.0}
    assert failures[0][1].endswith("<|eot_id|>")


# ---- growing, export


def test_a_grown_model_begins_as_the_smaller_one(
    trainer: Trainer, learned: dict[bytes, int], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    for _ in range(2):
        trainer.step()
    trainer.save(tmp_path / "last.pt")
    write(learned, tmp_path / "tokenizer.model")
    export(tmp_path / "last.pt", tmp_path)
    small = open_checkpoint(tmp_path).load_model("cpu", torch.float32)
    grown = Trainer(replace(TINY, n_layers=TINY.n_layers + 2), trainer.recipe, tokenizer)
    grown.grow_from(tmp_path)
    tokens = torch.arange(40)[None]
    torch.testing.assert_close(grown.model.float()(tokens), small(tokens), rtol=1e-4, atol=1e-4)


def test_rows_of_heads_are_stored_in_halves() -> None:
    rows = torch.arange(8.0)[:, None]
    assert halved(rows, 4)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_every_tensor_has_a_foreign_name() -> None:
    names = [name for name, _ in Transformer(TINY).named_parameters()]
    assert len({foreign_name(name) for name in names}) == len(names)
    with pytest.raises(KeyError):
        foreign_name("layers.x")
