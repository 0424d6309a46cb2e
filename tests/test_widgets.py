"""Lines of Markdown, code and tables, and the widgets that show them, through their public doors."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from llamachat.chat.commands import NAMES, Completion, complete, read
from llamachat.chat.settings import Settings
from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Dialog, Message, Usage
from llamachat.sampling import SamplingParams
from llamachat.system_prompts import Persona
from llamachat.threads import in_thread
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.widgets.blocks import last_code
from llamachat.widgets.code import highlight
from llamachat.widgets.history import History
from llamachat.widgets.look import Look
from llamachat.widgets.markdown import MarkdownLines
from llamachat.widgets.status import Status, compose, meter, speed
from llamachat.widgets.toolcard import readable

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
    "$$\n- a_1 * b * c\n$$\n",
    "para\n\\[\n# x \\\\\n\n",
    "$$\n",
    "cost $5 * $6 * and \\( a * b * c \\) $$x*y*z$$\n",
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


def grown(unit: str, head: str = "", size: int = 60_000) -> list[int]:
    """How many lines are drawn again with each of the characters that a text of ``size`` ends with."""
    lines = MarkdownLines(80, LOOK)
    lines.append(head + unit * (size // len(unit)))
    work = []
    for character in unit * (400 // len(unit) + 1):
        lines.append(character)
        work.append(len(lines.lines) - lines.fixed)
    assert len(lines.lines) > 500
    return work


@pytest.mark.parametrize(
    ("unit", "head"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 5 + "\n\n", ""),
        ("one endless paragraph ", ""),
        ("line of a poem\n", ""),
        ("- an item with *emphasis*\n", ""),
        ("1. an item\n   of two lines\n", ""),
        ("    x = 1  # code\n", "```python\n"),
        ("x = 1\n\n", "```python\n"),
        ("| a | b |\n", "| a | b |\n|---|---|\n"),
        ("x_1 &= y \\\\\n", "$$\n"),
    ],
)
def test_a_new_character_redraws_few_lines_however_long_the_text(unit, head):
    assert max(grown(unit, head)) <= 130


def plain(markdown: str, width: int = 40) -> list[str]:
    lines = MarkdownLines(width, LOOK)
    lines.append(markdown)
    return [line.plain.rstrip() for line in lines.lines]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Title\ntext", ["Title", "", "text"]),
        ("a\nb", ["a", "b"]),
        ("- a\n- b\n  - c", ["• a", "• b", "  • c"]),
        ("9. a\n9. b", [" 9. a", "10. b"]),
        ("> a\n> b", ["▎ a", "▎ b"]),
        ("[a](http://a.b) <http://a.b> [http://a.b](http://a.b)", ["a (http://a.b) http://a.b http://a.b"]),
        ("![alt](x.png)", ["alt (x.png)"]),
        ("<b>x</b> [bold]y[/]", ["<b>x</b> [bold]y[/]"]),
        (r"\(a_1 + b_2\) and \[x\]", [r"\(a_1 + b_2\) and \[x\]"]),
        (r"\(a*b*c\) $$a*b*c$$ $a*b*c$ $a_1$", [r"\(a*b*c\) $$a*b*c$$ $a*b*c$ $a_1$"]),
        ("$5 for *two* or $6, \\(*open*", ["$5 for two or $6, \\(open"]),
        ("So\n\\[\n- a_1 \\\\\n# *b*\n\\]\n*end*", ["So", "", "\\[", "- a_1 \\\\", "# *b*", "\\]", "", "end"]),
        ("$$\n*x*\n\n*y*", ["$$", "*x*", "", "y"]),
        ("- a\n  $$\n  *x*\n  $$", ["• a", "", "  $$", "  *x*", "  $$"]),
        ("[ref]: http://a.b", ["[ref]: http://a.b"]),
        ("word " * 9, ["word word word word word word word word", "word"]),
        ("x" * 50, ["x" * 40, "x" * 10]),
        ("```\n" + "x" * 50 + "\n```", [" " + "x" * 38, " " + "x" * 12]),
        ("Windows\r\n\r\nends", ["Windows", "", "ends"]),
        ("&#x202E; \x07", ["⟪U+202E⟫ ␇"]),
        ("", []),
    ],
)
def test_markdown_becomes_these_lines(markdown, expected):
    assert plain(markdown) == expected


@given(text=st.text(max_size=300), width=st.integers(1, 60))
def test_no_text_raises_and_none_sends_a_control_character(text, width):
    lines = MarkdownLines(width, LOOK)
    lines.append(text)
    for line in lines.lines:
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in line.plain)


def test_no_line_is_wider_than_asked_for():
    wide = "漢字かな交じり文 " * 20 + "\n\n| 漢字 | b |\n|---|---|\n| " + "字" * 60 + " | x |\n"
    for width in (20, 40, 100):
        lines = MarkdownLines(width, LOOK)
        lines.append("".join(BLOCKS) + wide)
        assert max(line.cell_len for line in lines.lines) <= width


def test_a_table_gives_way_where_there_is_no_room():
    table = "| name | what it is |\n|---|--:|\n| a | some long words |\n"
    assert plain(table) == ["name       what it is", "────  ───────────────", "a     some long words"]
    assert plain(table, 16) == ["name  what it is", "────  ──────────", "a      some long", "           words"]
    assert plain(table, 7) == ["name", "what it", "is", "a", "some", "long", "words"]


def test_code_is_highlighted_and_unknown_languages_stay_plain():
    look = Look(keyword=Style(bold=True))
    assert any(span.style == look.keyword for span in highlight("return 1", "python", look)[0].spans)
    assert highlight("return 1", "no-such-language", look)[0].spans == []
    assert [line.plain for line in highlight("a\n\n\tb\n", "python", look)] == ["a", "", "    b"]


def test_the_last_code_block_is_found():
    assert last_code("```py\na\n```\n\n- x\n  ```\n  b\n  ```\n\ntext") == "b\n"
    assert last_code("none") == ""


# ── commands, history, settings, status ──────────────────────────────────────────────────────────────────────────────


def test_commands_are_read_and_messages_are_left_alone():
    assert read("/help") == (NAMES["help"], "")
    assert read("  /system  Be\nbrief. ") == (NAMES["system"], "Be\nbrief.")
    assert [read(text) for text in ("hello", "/etc/hosts", "a /help", "//")] == [None] * 4
    with pytest.raises(ConfigError, match="no command /sytem"):
        read("/sytem x")
    with pytest.raises(ConfigError, match="no command /"):
        read("/")


def test_commands_complete():
    arguments = {"persona": [Completion("/persona pirate")]}
    assert [c.text for c in complete("/to", arguments)] == ["/tokens", "/tools"]
    assert [c.text for c in complete("/persona p", arguments)] == ["/persona pirate"]
    assert complete("/persona x", arguments) == complete("hello", arguments) == complete("/t\n", arguments) == []
    assert len(complete("/", arguments)) == len(NAMES)


def test_history_survives_torn_lines_and_repeats(tmp_path):
    path = tmp_path / "deep" / "history.jsonl"
    history = History(path)
    for text in ("one", "two\nlines", "two\nlines", "\ud800"):
        history.add(text)
    with path.open("a") as file:
        file.write('{"text": "torn\n[]\n{"text": 3}\n')
    again = History(path)
    again.load()
    assert [again.older("draft"), again.older(""), again.older(""), again.older("")] == [
        "\ud800",
        "two\nlines",
        "one",
        None,
    ]
    assert [again.newer(), again.newer(), again.newer(), again.newer()] == ["two\nlines", "\ud800", "draft", None]


def test_history_that_cannot_be_read_or_written_says_so_once(tmp_path):
    folder = tmp_path / "history.jsonl"
    folder.mkdir()
    history = History(folder)
    with pytest.raises(StorageError, match="can't be used"):
        history.load()
    with pytest.raises(StorageError, match="can't be used"):
        history.add("one")
    history.add("two")
    assert history.older("") == "two"


def make_settings() -> Settings:
    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        return ToolOutput("")

    tools = tuple(Tool(name, f"Does {name}.", {"type": "object"}, run) for name in ("python", "search", "mine"))
    personas = {
        "default": Persona("default", "Help.", tools=("python", "search")),
        "bare": Persona("bare", "", tools=()),
        "all": Persona("all", "All.", sampling={"temperature": 0.1, "top_k": 3}),
    }
    return Settings(personas["default"], personas, Toolbox(tools), overrides={"temperature": 0.9})


def test_a_persona_brings_its_tools_and_leaves_the_users_own():
    settings = make_settings()
    assert settings.with_persona("bare").tools_on == ("mine",)
    assert settings.with_persona("bare").with_persona("default").tools_on == ("python", "search", "mine")
    assert settings.with_tools("off mine").with_persona("bare").tools_on == ()
    assert settings.with_persona("all").sampling(SamplingParams()) == SamplingParams(temperature=0.9, top_k=3)


def test_tools_are_switched_by_name():
    settings = make_settings()
    assert settings.with_tools("off python, search").tools_on == ("mine",)
    assert settings.with_tools("off").with_tools("on search").tools_on == ("search",)
    assert settings.with_tools("mine").tools_on == ("mine",)
    assert settings.with_tools("off").with_tools("on").tools_on == ("python", "search", "mine")
    for wrong in ("off nothing", "on nothing", "nothing"):
        with pytest.raises(ConfigError, match="no tool 'nothing'"):
            settings.with_tools(wrong)


def test_the_instruction_leads_the_dialog():
    settings = make_settings()
    hi = Message("user", "hi")
    first = settings.instruct(Dialog((hi,)))
    assert first == Dialog((Message("system", "Help."), hi))
    assert settings.with_persona("bare").instruct(first) == Dialog((hi,))
    assert replace(settings, system="Be brief.").instruct(first)[0].text == "Be brief."


USAGE = Usage(3_180, 3_148, 32, 62, 1.4, 1.0, 0.11)


def test_the_meter_shows_what_was_measured():
    assert meter(USAGE, 34, 8192) == ("ctx 3,214/8,192", "cached 99%", "62 tok/s", "ttft 0.11 s")
    assert meter(Usage(), 0, 512) == ("ctx 0/512",)
    assert (speed(1, 1.0), speed(5, 0.0), speed(15, 10.0), speed(3000, 2.0)) == ("", "", "1.5 tok/s", "1,500 tok/s")


@pytest.mark.parametrize(
    ("width", "left", "right"),
    [
        (100, "pirate · nano · python search", "ctx 3,214/8,192 · cached 99% · 62 tok/s · ttft 0.11 s"),
        (80, "pirate · nano", "ctx 3,214/8,192 · cached 99% · 62 tok/s · ttft 0.11 s"),
        (60, "pirate · nano", "ctx 3,214/8,192 · cached 99% · 62 tok/s"),
        (40, "nano", "ctx 3,214/8,192 · cached 99%"),
        (20, "", "ctx 3,214/8,192"),
        (8, "", "ctx 3,2…"),
    ],
)
def test_the_status_line_drops_parts_as_it_gets_narrow(width, left, right):
    status = Status("pirate", "nano", ("python", "search"), "", meter(USAGE, 34, 8192))
    assert compose(status, width) == (left, right)


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("completed\n[stdout]\n5021\n[/stdout]", "5021"),
        ("completed", ""),
        ("error\n[stdout]\na\n[/stdout]\n[stderr]\nb\n[/stderr]", "a\nb"),
        ("timeout\n[stdout]\na\n[/stdout]", "timeout\na"),
        ("failed\n[stderr]There is no function.[/stderr]", "There is no function."),
        ('{"temperature": 3}', '{"temperature": 3}'),
    ],
)
def test_tool_output_is_shown_without_the_marks_for_the_model(output, shown):
    assert readable(output) == shown


async def test_a_slow_function_returns_and_raises_across_threads():
    assert await in_thread(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
