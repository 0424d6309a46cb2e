"""Lines of Markdown, code and tables, and the widgets that show them, through their public doors."""

from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.widgets.look import Look
from llamachat.widgets.markdown import MarkdownLines

LOOK = Look()

BLOCKS = [
    "# Heading\n",
    "Some *words* with `code`, **bold** and [a link](https://example.org).\n",
    "two lines\nof one paragraph\n",
    "- one\n- two\n  - nested\n\n  a paragraph of two\n- three\n",
    "1. one\n1. two\n\n   ```python\n   x = 1\n   ```\n1. three\n",
    "> a quote\n> - with a list\nand a lazy line\n",
    "| a | b |\n|---|--:|\n| 1 | 2 |\n| long | 3333 |\n",
    "```python\ndef f(x):\n    return x\n\nprint(f(1))\n```\n",
    "~~~\nno language\n~~~\n",
    "    indented code\n\n    goes on\n",
    "* * *\n",
    "para\n---\n",
    "2. starts at two\n",
    "<div>html</div> &amp; [ref]\n\n[ref]: https://example.org\n",
    "\\( x_1 \\) $y$ ~~gone~~ \x1b[31m \x00 ‮ \ud800 [bold] [/]\n",
    "unfinished ```fence",
    "```\nnever closed\n\n",
    "- ",
    "|",
]  # fmt: skip


def drawn(chunks: list[str], width: int = 40) -> list[str]:
    """Plain text and spans of every line."""
    lines = MarkdownLines(width, LOOK)
    for chunk in chunks:
        lines.append(chunk)
    return [f"{line.plain!r} {line.spans}" for line in lines.lines]


def chunked(text: str, sizes: list[int]) -> list[str]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(text[start : start + size])
        start += size
    return [*chunks, text[start:]]


documents = st.lists(st.one_of(st.sampled_from(BLOCKS), st.text("ab -*|`>#1.\n\t~_[]()\\\r", max_size=12)), max_size=8)


@settings(max_examples=300, deadline=None)
@given(blocks=documents, joint=st.sampled_from(["", "\n"]), sizes=st.lists(st.integers(1, 9), max_size=60))
def test_streaming_in_any_chunks_ends_with_the_lines_of_drawing_at_once(blocks, joint, sizes):
    text = joint.join(blocks)
    assert drawn(chunked(text, sizes)) == drawn([text])
