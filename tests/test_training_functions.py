import json
import random
import re
from collections.abc import Iterable

import pytest

from llamachat.protocol import CODE_INTERPRETER
from llamachat.tools.schemas import problems
from llamachat.training import phrases
from llamachat.training.data import MIXTURE, draw_sample
from llamachat.training.draw import Draw, expand
from llamachat.training.gen_again import same_thing, undone
from llamachat.training.gen_chained import chained
from llamachat.training.gen_functions import several, which_tool
from llamachat.training.gen_unmet import chore
from llamachat.training.intents import Intent, Slot, intents, taught
from llamachat.training.naming import pointed
from llamachat.training.offering import draw_everyday, draw_intent, everyday, offered_with, request
from llamachat.training.schema import Offered, offer_function
from llamachat.training.strict import StrictDraw
from llamachat.training.terse import terse
from llamachat.training.values import draw_value, known
from llamachat.training.wear import otherwise, worn

FAMILIES = sorted(MIXTURE)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_called_was_offered(family: str) -> None:
    for i in range(60):
        sample = draw_sample(1, i, "train", {family: 1.0})
        names = {f.name for f in sample.offer.functions} | set(sample.offer.builtin)
        names |= {CODE_INTERPRETER} if sample.offer.code else set()
        said = [message for message in sample.messages if message.role == "assistant"]
        assert {call.name for i, m in enumerate(said) if i not in sample.slips for call in m.tool_calls} <= names


def test_arguments_are_in_the_dialog_and_fit_the_schema() -> None:
    for i in range(300):
        sample = draw_sample(1, i, "train", {"functions": 1.0})
        specs = {f.name: f.parameters for f in sample.offer.functions}
        for message in sample.messages:
            for call in (call for call in message.tool_calls if call.name != CODE_INTERPRETER):
                assert set(specs[call.name]["required"]) <= set(call.arguments) <= set(specs[call.name]["properties"])


@pytest.mark.parametrize("family", ["functions", "plans"])
def test_arguments_are_valid(family: str) -> None:
    """By the validator that the product asks before it calls."""
    for i in range(300):
        sample = draw_sample(3, i, "train", {family: 1.0})
        specs = {f.name: f.parameters for f in sample.offer.functions}
        said = [message for message in sample.messages if message.role == "assistant"]
        for call in (call for i, m in enumerate(said) if i not in sample.slips for call in m.tool_calls):
            assert call.name not in specs or problems(specs[call.name], dict(call.arguments), call.name) == []


def test_offers_tell_functions_apart() -> None:
    for i in range(300):
        _, offer = offered_with(Draw(i, "train"), draw_intent(Draw(i, "train")), 3)
        assert len({offered.spec.name for offered in offer}) == len({o.spec.description for o in offer}) == 4


def test_requests_name_what_is_called_with() -> None:
    """Whatever is in a call stands in the request, or is what the request says in other words."""
    for i in range(200):
        draw = Draw(i, "train")
        target = offer_function(draw, draw_everyday(draw), masked=False)
        question, values = request(draw, target)
        for slot in target.intent.slots:
            if slot.name in values and slot.kind in ("city", "person", "title", "code", "integer", "pseudo"):
                assert str(values[slot.name]) in question.replace(",", "")


def test_values_stand_before_their_nouns_behind_them_and_in_quotes() -> None:
    """Every request still names each value once, whole."""
    slot = Slot("channel", "topic", "Channel", shown="channel")
    said = {pointed(Draw(i, "train"), "Mute {channel} for 2 hours.", (slot,)) for i in range(400)}
    assert {"Mute {channel} for 2 hours.", "Mute the {channel} channel for 2 hours."} < said
    assert {"Mute the channel {channel} for 2 hours.", 'Mute the "{channel}" channel for 2 hours.'} < said
    assert all(text.count("{channel}") == 1 for text in said)
    assert {pointed(Draw(i, "train"), "Mute my {channel} channel.", (slot,)) for i in range(200)} == {
        "Mute my {channel} channel.", 'Mute my "{channel}" channel.',
    }  # fmt: skip


def test_an_id_comes_from_the_first_function_and_goes_into_the_second() -> None:
    both = 0
    for i in range(200):
        turn = chained(Draw(i, "train")).turns[0]
        calls = [message.tool_calls[0] for message in turn.steps[::2]]
        found = json.loads(turn.steps[1].text)
        if "error" in found:
            assert len(calls) == 1
            continue
        both += 1
        assert any(value in found.values() for value in calls[1].arguments.values())
        (sought,) = calls[0].arguments.values()
        assert sought in turn.question
    assert both > 150


def test_what_is_undone_has_the_arguments_of_what_was_done() -> None:
    said = 0
    for i in range(100):
        first, second = undone(Draw(i, "train")).turns
        (done, *_), (back, *_) = first.steps[0].tool_calls, second.steps[0].tool_calls
        assert done.name != back.name
        assert done.arguments == back.arguments
        said += bool(set(map(str, done.arguments.values())) & set(second.question.split()))
    assert said <= 1  # a value is any word, and may be "again"


def test_chores_are_no_business_of_what_is_offered() -> None:
    """Its words would tell: a chore that an offered function could do would teach to decline."""
    for i in range(300):
        draw = Draw(i, "train")
        _, offer = offered_with(draw, draw_intent(draw), 3)
        said = set(chore(draw, offer).lower().strip("?.").split())
        for offered in offer:
            about = set(offered.intent.about.lower().split()) | set(offered.intent.name.split("_"))
            assert not {word for word in said & about if len(word) > 5} - {"somebody", "tomorrow"}


def test_every_parameter_of_every_function_can_be_drawn() -> None:
    for intent in (*intents(), *taught()):
        for slot in intent.slots:
            assert known(slot.kind), (intent.name, slot)
            draw_value(Draw(1, "train"), slot.kind)


def test_every_function_can_be_asked_for() -> None:
    for intent in (*intents(), *taught()):
        for asked in intent.requests:
            for slot in (slot for slot in intent.slots if slot.required):
                assert "{" + slot.name + "}" in asked, (intent.name, asked)


def test_no_task_of_held_out_phrasings_is_about_a_function_for_training_alone() -> None:
    assert set(taught()) <= set(everyday("train"))
    assert set(everyday("val")) == set(intents())
    assert not set(taught()) & set(intents())


def test_functions_for_training_alone_have_no_name_of_a_held_out_one() -> None:
    def names(functions: Iterable[Intent]) -> set[str]:
        return {expand(random.Random(i), function.name) for function in functions for i in range(40)}

    unseen = set(everyday("val")) - set(everyday("train"))
    assert len(unseen) > 90
    assert not names(taught()) & names(unseen)


def test_it_is_the_thing_that_was_spoken_of() -> None:
    for i in range(100):
        first, second = same_thing(Draw(i, "train")).turns
        (done, *_), (then, *_) = first.steps[0].tool_calls, second.steps[0].tool_calls
        (thing,) = then.arguments.values()
        assert done.name != then.name
        assert thing in done.arguments.values()
        assert str(thing) not in second.question
        assert re.search(r"\bit\b", second.question, re.IGNORECASE)


def test_few_words_say_which_function_and_all_that_it_needs() -> None:
    for i in range(300):
        draw = Draw(i, "train")
        offered = offer_function(draw, draw_intent(draw), masked=False)
        if text := terse(draw, offered.intent):
            said, values = request(draw, offered, text)
            assert {slot.name for slot in offered.intent.slots if slot.required} <= set(values)
            assert len(said.split()) < 40


def test_values_that_look_alike_are_not_asked_for_in_few_words() -> None:
    alike = Intent("f", "Add", "done", (Slot("a", "small", "A"), Slot("b", "integer", "B")), ("{a} {b}",))
    assert all(not terse(Draw(i, "train"), alike) for i in range(50))


def test_descriptions_and_examples_are_as_programmers_write_them() -> None:
    ways, examples = set(), 0
    forecast = Intent(
        "rain", "Whether it rains", "done", (Slot("town", "city", "Town"), Slot("n", "small", "Days")), ()
    )
    for i in range(300):
        spec = offer_function(Draw(i, "train"), forecast, masked=False).spec
        ways.add(spec.description.rstrip("."))
        about = spec.parameters["properties"]["town"]["description"]
        examples += about not in ("Town", "Town.")
        assert spec.parameters["properties"]["n"]["description"].rstrip(".") == "Days"
    assert {"Whether it rains", "Check whether it rains", "Returns whether it rains"} <= ways
    assert 10 < examples < 60


def test_longer_dialogs_have_questions_that_take_several_calls() -> None:
    both = 0
    for i in range(300):
        task = several(Draw(i, "train"))
        offered = {spec.name for spec in task.functions}
        for turn in task.turns:
            calls = [call for message in turn.steps for call in message.tool_calls if call.name != CODE_INTERPRETER]
            both += len(calls) > 1
            assert {call.name for call in calls} <= offered
            assert len({(call.name, str(call.arguments)) for call in calls}) == len(calls)
    assert both > 30


def test_drills_of_names_have_many_requests_under_one_offer_some_for_none() -> None:
    drills = [which_tool(Draw(i, "train")) for i in range(200)]
    answers = [turn.answer.full for task in drills for turn in task.turns]
    assert len(answers) > 5 * len(drills)
    assert 0.3 < answers.count("None.") / len(answers) < 0.5
    for task in drills:
        assert {turn.answer.full for turn in task.turns} <= {spec.name for spec in task.functions} | {"None."}
        assert not any(turn.steps for turn in task.turns)


def test_longer_dialogs_have_questions_for_python_beside_those_for_functions() -> None:
    made = [several(Draw(i, "train")) for i in range(200)]
    used = [{message.tool_calls[0].name for turn in task.turns for message in turn.steps[::2]} for task in made]
    both = [task for task, names in zip(made, used, strict=True) if CODE_INTERPRETER in names and len(names) > 1]
    assert len(both) > 15
    assert all(task.code for task in both)


def test_strange_words_leave_the_values_and_what_tells_them_apart() -> None:
    said = {worn(Draw(i, "train"), "Book a train from {origin} to {goal} for {who}'s party.") for i in range(300)}
    assert len(said) > 200
    assert all(re.search(r"from \{origin\} to \{goal\} for \{who\}'s", text) for text in said)
    assert {worn(Draw(i, "train"), "{place}") for i in range(20)} == {"{place}"}
    few = {worn(Draw(i, "train"), "Weather {place}") for i in range(200)}
    assert all(text == text.strip() and len(text.split()) == 2 and "{place}" in text for text in few)


def test_other_words_stand_for_those_that_have_them_and_leave_the_rest() -> None:
    said = {otherwise(Draw(i, "train"), "Delete an old film from {film}, please. Film-maker") for i in range(200)}
    form = r"(Delete|Erase|Wipe|Discard) an (old|ancient|aged) (film|movie|motion picture) from {film}, .*\. Film-maker"
    assert len(said) > 40
    assert all(re.fullmatch(form, text) for text in said)
    words = phrases.mapping("synonyms")
    assert all(key == key.lower() and key not in others.split("|") for key, others in words.items())


def test_the_less_rough_training_is_the_fewer_requests_are_in_other_words() -> None:
    words = phrases.mapping("synonyms")
    others = {other for key in words for other in words[key].split("|")} - set(words)

    def in_other_words(roughness: float) -> int:
        samples = (draw_sample(2, i, "train", {"functions": 1.0}, roughness) for i in range(400))
        asked = (
            f" {message.text.lower()} " for sample in samples for message in sample.messages if message.role == "user"
        )
        return sum(any(f" {other} " in question for other in others) for question in asked)

    assert in_other_words(1.0) > in_other_words(0.3) > in_other_words(0.0)


def test_strange_words_are_only_said_where_one_function_could_be_meant_and_in_no_task_of_a_split() -> None:
    slots = (Slot("place", "city", "Town", shown="place"),)
    weather, tide = (
        offer_function(
            Draw(0, "train"), Intent(f"get_{name}", about, "id", slots, (f"{name} {{place}}",)), masked=False
        )
        for name, about in (("sunshine", "Hours of sun"), ("swell", "Height of waves"))
    )
    near = offer_function(Draw(0, "train"), Intent("set_sunshine", "Sun", "id", slots, ("{place}",)), masked=False)

    def odd(draw: Draw, *offer: Offered) -> bool:
        question, values = request(draw, weather, "sunshine {place}", among=offer)
        return question != f"sunshine {values['place']}"

    drawn = [Draw(i, "train") for i in range(200)]
    assert 45 < sum(odd(draw, weather) for draw in drawn) < 100
    assert 12 < sum(odd(draw, weather, tide) for draw in drawn) < 65
    assert not any(odd(draw, weather, near) or odd(draw) for draw in drawn)
    assert not any(odd(StrictDraw(str(i), "train", "train"), weather) for i in range(50))
