"""What the first reply needs and the first frame does not, loaded while the model is. Knows no model and no widget."""

from llamachat.widgets.look import Look


def load_ahead() -> None:
    """Import what holds calls to their schemas, the Markdown parser and Pygments. In any thread but the screen's: there
    they took 0.12 s out of the first second of a reply, in which no key was heard."""
    from llamachat import constrain  # noqa: F401 the agent imports it late
    from llamachat.widgets.blocks import parse
    from llamachat.widgets.code import highlight

    parse("a")
    highlight("pass", "python", Look())
