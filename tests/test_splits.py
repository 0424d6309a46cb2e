import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

import pytest
from oracle import Gambler, oracle

from llamachat.agent import Runtime
from llamachat.evaluation.run import Outcome, Settings, evaluate
from llamachat.evaluation.scoring import problem
from llamachat.evaluation.tasks import Task
from llamachat.training.data import draw_sample
from llamachat.training.draw import Draw
from llamachat.training.examine import CATEGORIES, leaves
from llamachat.training.splits import SPLITS, Made, make, split_tasks
from llamachat.training.strict import StrictDraw, names_of, spoken
from llamachat.training.words import CLOSED, held_out, kinds

COUNT = 130
TRAINED = 1500


@cache
def made(split: str) -> tuple[Made, ...]:
    return tuple(make(split, 0, index) for index in range(COUNT))


@cache
def trained() -> tuple[frozenset[str], frozenset[str], int, int]:
    """Of many training dialogs: the words in them, the phrasings drawn, and the largest offer and schema."""
    phrasings: set[str] = set()
    phrase = Draw.phrase

    def listening(draw: Draw, options: Sequence[str], **slots: object) -> str:
        template = phrase(draw, options)
        phrasings.add(template)
        return template.format(**slots) if slots else template

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draw, "phrase", listening)
        samples = [draw_sample(11, index, "train") for index in range(TRAINED)]
    text = "\n".join(message.text for sample in samples for message in sample.opened()).lower()
    offers = [sample.offer.functions for sample in samples]
    widest = max(len(spec.parameters["properties"]) for offer in offers for spec in offer)
    return frozenset(re.findall(r"[a-z]+", text)), frozenset(phrasings), max(map(len, offers)), widest


@pytest.mark.parametrize("split", ["unseen-names", "unseen-both"])
def test_unseen_names_are_in_no_training_dialog(split: str) -> None:
    names = {name.lower() for one in made(split) for name in one.names}
    assert len(names) > 200
    assert all(held_out(name) for name in names)  # by this, no training draw gives them
    assert [name for name in sorted(names & trained()[0]) if len(name) > 3] == []  # three letters may come in a code


@pytest.mark.parametrize("split", ["unseen-templates", "unseen-both"])
def test_unseen_templates_are_drawn_by_no_training_dialog(split: str) -> None:
    phrasings = {phrasing for one in made(split) for phrasing in one.phrasings}
    assert len(phrasings) > 150
    assert all(held_out(phrasing) for phrasing in phrasings)
    assert phrasings & trained()[1] == set()


def test_more_names_than_a_split_has_spoil_the_draw() -> None:
    draw = StrictDraw("x", "val", "val")
    few = len(names_of("thing", "val"))
    assert len(set(draw.words("thing", few))) == few
    assert not draw.spoiled
    assert len(draw.words("thing", few + 1)) == few + 1
    assert draw.spoiled


@pytest.mark.parametrize("split", ["unseen-names", "larger-schemas"])
def test_the_other_splits_speak_as_training_does(split: str) -> None:
    assert not any(held_out(phrasing) for one in made(split) for phrasing in one.phrasings)


@pytest.mark.parametrize("split", ["unseen-templates", "larger-schemas"])
def test_the_other_splits_name_what_training_names(split: str) -> None:
    assert not any(held_out(name) for one in made(split) for name in one.names)


def test_every_task_of_unseen_names_shows_one() -> None:
    for one in made("unseen-names"):
        text = " ".join(
            [turn.user for turn in one.task.turns] + [f"{f.name} {f.parameters}" for f in one.task.functions]
        )
        assert any(name in text for name in one.names)


def test_larger_schemas_are_larger_than_any_of_training() -> None:
    _, _, most, widest = trained()
    tasks = [one.task for one in made("larger-schemas")]
    assert min(len(task.functions) for task in tasks) > most
    sizes = [max(len(function.parameters["properties"]) for function in task.functions) for task in tasks]
    assert min(sizes) > widest


@pytest.mark.parametrize("kind", sorted(set(kinds()) - CLOSED))
def test_every_list_has_names_that_are_surely_unseen(kind: str) -> None:
    names = names_of(kind, "val")
    assert names
    assert not {name.lower() for name in names} & spoken()


def test_a_chooser_without_a_choice_says_so() -> None:
    for templates in ("train", "val"):
        draw = StrictDraw("x", "val", templates)
        draw.phrase(("one way to say it",))
        assert draw.spoiled is (templates == "val" or held_out("one way to say it"))


def test_splits_are_frozen_by_their_seed() -> None:
    """In another process too, whatever its hashes, and however many are asked for."""
    names = ("unseen-both", "larger-schemas")
    code = f"from llamachat.training.splits import split_tasks as s; print([s(name, 13, 5) for name in {names}])"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert fresh == str([split_tasks(name, 20, 5)[:13] for name in names])
    assert split_tasks("unseen-both", 5, 5) != split_tasks("unseen-both", 5, 6)


def solved(tasks: Sequence[Task], runtime: Runtime) -> float:
    outcomes: list[Outcome] = []
    asyncio.run(evaluate(tasks, runtime, Settings(), outcomes.append))
    return sum(outcome.passed for outcome in outcomes) / len(tasks)


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_an_oracle_solves_all_and_who_calls_at_random_nearly_nothing(split: str) -> None:
    tasks = [one.task for one in made(split)[:39]]
    assert solved(tasks, oracle(tasks)) == 1.0
    assert solved(tasks, Gambler(2)) < 0.06


def test_splits_have_all_categories() -> None:
    assert {one.task.category for one in made("unseen-both")} == set(CATEGORIES)


def test_nothing_is_solved_by_words_alone() -> None:
    """But for refusals, which read as "I can't" wherever they are right, and for rules of style."""
    free = {"irrelevance", "smalltalk_knowledge", "persona", "multi_turn"}
    for one in made("unseen-both"):
        if one.task.category not in free:
            turn = one.task.turns[0]
            reasons = [
                problem(one.task, turn, words, ()) for words in ("I can't do that.", "Done.", turn.user + " So.")
            ]
            assert all(reasons), one.task


def test_an_answer_may_tell_any_leaf_but_a_status() -> None:
    assert list(leaves({"status": "ok", "a": [1, {"b": 2.5}], "c": True, "error": "x", "d": ""})) == ["1", "2.5"]


def test_rules_of_style_ask_for_what_every_answer_shows() -> None:
    """An opening with a comma was once looked for with the words behind it."""
    rules = {turn.expect.regex for split in SPLITS for one in made(split) for turn in one.task.turns} - {None}
    assert len(rules) > 5
    assert [rule for rule in rules if rule and "xx" in rule.lower()] == []
