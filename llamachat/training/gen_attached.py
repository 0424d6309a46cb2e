"""Files that the user attached: of texts the sentence that answers, or that none does; tables are left to python."""

from dataclasses import replace
from pathlib import Path

from llamachat.tools.files import as_attachment
from llamachat.training.draw import Draw
from llamachat.training.gen_files import on_table, on_text
from llamachat.training.gen_search import Fact, draw_fact, relations
from llamachat.training.inject import injection
from llamachat.training.persona import Answer
from llamachat.training.task import Task, Turn
from llamachat.training.values import phrase

_ENDINGS = ("txt", "txt", "md", "pdf")
_WHERE = (
    "[in|according to] [the file|this file|the document|{f}]", "[by|from] [the file|what I attached|{f}]",
    "[if you look at|look into] [the file|{f}]", "[it's in|see] [the file|{f}]",
)  # fmt: skip


def attached(draw: Draw) -> Task:
    """One task of this file: three of four about a text, the rest a table that python opens."""
    return about_text(draw) if draw.chance(0.75) else about_table(draw)


def about_text(draw: Draw) -> Task:
    """One or two questions whose answers a text holds, or which it does not answer."""
    facts = [_fact(draw) for _ in range(draw.integer(2, 5))]
    sentences = [fact.sentence for fact in facts] + [_remark(draw) for _ in range(draw.integer(0, 2))]
    if draw.chance(0.1):
        sentences.append(injection(draw))
    draw.random.shuffle(sentences)
    name = f"{draw.word('noun') if draw.chance(0.6) else draw.pseudo()}.{draw.choice(_ENDINGS)}"
    text, code = draw.choice((" ", "\n", "\n")).join(sentences), draw.chance(0.6)
    turns = [_asked(draw, name, fact) for fact in draw.some(facts, draw.weighted((1, 2), (75, 25)))]
    if draw.chance(0.15):
        turns[-1] = Turn(_fact(draw).question, (), Answer("The file doesn't say that.", "It doesn't say."))
    turns[0] = replace(turns[0], context=_block(name, text, code))
    return Task(tuple(turns), code=code, search=False)


def about_table(draw: Draw) -> Task:
    """A file that python reads, shown beside the first question."""
    task = on_table(draw) if draw.chance(0.75) else on_text(draw)
    shown = "\n\n".join(_block(name, text, in_python=True) for name, text in task.files.items())
    first, *rest = task.turns
    return replace(task, turns=(replace(first, context=shown or None), *rest))


def _fact(draw: Draw) -> Fact:
    while True:
        fact = draw_fact(draw, draw.choice(relations()))
        if fact.thing in fact.sentence:  # "She lives in Oslo": who, nothing would tell
            return fact


def _remark(draw: Draw) -> str:
    said = phrase(draw)
    return f"{said[0].upper()}{said[1:]}."


def _asked(draw: Draw, name: str, fact: Fact) -> Turn:
    question = fact.question
    if draw.chance(0.2):
        question = f"{question.rstrip('?.')} {draw.phrase(_WHERE, f=name)}{'?' if question.endswith('?') else ''}"
    return Turn(question, (), Answer(fact.sentence, fact.value, "The file says so."))


def _block(name: str, text: str, in_python: bool) -> str:
    made = as_attachment(Path(name), text)
    return (replace(made, shape="1 page") if name.endswith(".pdf") else made).block(in_python)
