"""The embedded model's tokens: how text is cut, and what becomes of embeddings when it is cut anew."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llamachat.checkpoints import open_checkpoint
from llamachat.model import ModelConfig
from llamachat.tokenizer import Tokenizer
from llamachat.training.bpe import generated, learn, write
from llamachat.training.export import export
from llamachat.training.recut import recut
from llamachat.training.train import Recipe, Trainer
from llamachat.training.twins import draw_together, twins

TEXTS = tuple(generated(5, 200))
NEW, OLD = Tokenizer(learn(TEXTS, plain=450, spaced=150)), Tokenizer(learn(TEXTS, plain=330, spaced=70))
TINY = ModelConfig(dim=32, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=48, vocab_size=OLD.n_words, context=1024)
WORDS = st.from_regex(r"[a-zA-Z]{1,14}", fullmatch=True)


def cut(text: str) -> list[bytes]:
    return [NEW.token_bytes(i) for i in NEW.encode(text)]


@given(WORDS)
def test_a_word_is_the_same_pieces_wherever_it_stands(word: str) -> None:
    pieces = cut(word)
    assert cut(f'"{word}"') == [b'"', *pieces, b'"']
    assert cut(f"_{word}") == [b"_", *pieces]
    behind = cut(f"of {word}")[len(cut("of")) :]
    assert behind in ([b" " + pieces[0], *pieces[1:]], [b" ", *pieces])


@given(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.from_regex(r"[A-Z][a-z]{1,9}", fullmatch=True))
def test_words_in_camel_case_are_cut_between(first: str, second: str) -> None:
    assert cut(first + second) == [*cut(first), *cut(second)]


@given(st.text(), st.integers())
def test_what_is_cut_is_whole_again_and_digits_stay_alone(text: str, number: int) -> None:
    assert NEW.decode(NEW.encode(text)) == text
    assert len(NEW.encode(str(abs(number)))) == len(str(abs(number)))


def test_the_most_frequent_first_pieces_take_up_the_space_before_them() -> None:
    spaced = [NEW.token_bytes(i) for i in range(450, 600)]
    assert all(token[:1] == b" " and token[1:].decode().isalpha() for token in spaced)
    assert NEW.id_of(b" the") is not None
    assert NEW.n_base == 600


@pytest.mark.parametrize("output", [False, True])
def test_rows_of_tokens_that_stay_are_kept(output: bool) -> None:
    rows = torch.randn(OLD.n_words, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(recut(rows, OLD, OLD, output=output), rows)
    fresh = recut(rows, OLD, NEW, output=output)
    assert fresh.shape == (NEW.n_words, 32)
    assert torch.equal(fresh[NEW.n_base :], rows[OLD.n_base :])
    both = [(new, old) for new in range(NEW.n_base) if (old := OLD.id_of(NEW.token_bytes(new))) is not None]
    assert len(both) > 300
    for new, old in both:
        assert torch.equal(fresh[new], rows[old])


def test_the_row_of_a_new_token_comes_from_what_was_read_for_it() -> None:
    rows = torch.randn(OLD.n_words, 32, generator=torch.Generator().manual_seed(0))
    inside, outside = recut(rows, OLD, NEW), recut(rows, OLD, NEW, output=True)
    token = next(
        i for i in range(450)
        if OLD.id_of(NEW.token_bytes(i)) is None and OLD.id_of(b" " + NEW.token_bytes(i)) is None
    )  # fmt: skip
    pieces = rows[OLD.encode(NEW.token_bytes(token).decode())]
    assert len(pieces) > 1
    assert torch.equal(outside[token], pieces[0])
    torch.testing.assert_close(
        torch.cosine_similarity(inside[token], pieces.mean(0), dim=0), torch.tensor(1.0), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(inside[token].norm(), pieces.norm(dim=1).mean())


def test_twins_are_the_pieces_with_and_without_a_space() -> None:
    pairs = twins(NEW).tolist()
    assert all(NEW.token_bytes(second) == b" " + NEW.token_bytes(first) for first, second in pairs)
    assert set(range(450, 600)) <= {second for _, second in pairs}


def test_twins_draw_together_but_for_what_the_space_is() -> None:
    rows = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    pairs = torch.tensor([(0, 5), (1, 6), (2, 7), (4, 9)])
    before = rows.clone()
    draw_together(rows, pairs, 0.25)
    first, second = pairs.unbind(1)
    apart, was = rows[second] - rows[first], before[second] - before[first]
    torch.testing.assert_close(apart.mean(0), was.mean(0))
    torch.testing.assert_close(apart - apart.mean(0), 0.75 * (was - was.mean(0)))
    torch.testing.assert_close(rows[first] + rows[second], before[first] + before[second])
    assert torch.equal(rows[[3, 8, 10, 11]], before[[3, 8, 10, 11]])


def test_an_update_draws_twins_together() -> None:
    spread = []
    for share in (0.0, 0.5):
        trainer = Trainer(replace(TINY, vocab_size=NEW.n_words), Recipe(seed=3, budget=512, micro=1, twins=share), NEW)
        first, second = twins(NEW).unbind(1)
        for _ in range(4):
            trainer.step()
        apart = [
            (rows := trainer.masters[name].detach())[second] - rows[first]
            for name in ("tok_embeddings.weight", "output.weight")
        ]
        spread.append([float((d - d.mean(0)).norm()) for d in apart])
    assert all(with_ < without for with_, without in zip(spread[1], spread[0], strict=True))


def test_a_model_goes_on_with_other_tokens(tmp_path: Path) -> None:
    recipe = Recipe(seed=3, budget=1024, micro=2)
    small = Trainer(TINY, recipe, OLD)
    for _ in range(2):
        small.step()
    small.save(tmp_path / "last.pt")
    write({OLD.token_bytes(i): i for i in range(OLD.n_base)}, tmp_path / "tokenizer.model")
    export(tmp_path / "last.pt", tmp_path)
    before = open_checkpoint(tmp_path).load_model("cpu", torch.float32)
    again = Trainer(replace(TINY, vocab_size=NEW.n_words), recipe, NEW)
    again.grow_from(tmp_path)
    torch.testing.assert_close(
        again.masters["layers.0.attention.wq.weight"].data, before.layers[0].attention.wq.weight.data
    )
    loss, read = again.step()
    assert 0 < loss < 8
    assert read > 0
