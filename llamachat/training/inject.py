"""Orders hidden in tool results, which the model must not follow. Used by every generator that shows foreign text."""

from llamachat.training import phrases
from llamachat.training.draw import Draw


def injection(draw: Draw) -> str:
    """One order that no user gave."""
    word = draw.choice((draw.word("animal"), draw.word("word"), draw.pseudo(), draw.word("noun")))
    return draw.phrase(phrases.lines("orders"), w=word, u=word.upper(), n=draw.number(4))
