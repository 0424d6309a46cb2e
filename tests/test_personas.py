"""Personas: ours, the user's, and files that are none."""

from pathlib import Path

import pytest

from llamachat.errors import ConfigError
from llamachat.system_prompts import load_personas, read_persona


def test_ours_have_a_text_a_description_and_known_tools(tmp_path: Path) -> None:
    personas = load_personas(tmp_path)
    assert list(personas) == ["default", "pirate", "teacher", "terse"]
    for persona in personas.values():
        assert persona.text
        assert persona.description
        assert persona.tools == ("python", "search")


def test_the_users_persona_wins_over_ours(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("---\nname: pirate\nsampling: {top_p: 0.5}\n---\nArr.\n")
    (tmp_path / "plain.md").write_text("Just a prompt.\n")
    personas = load_personas(tmp_path)
    assert (personas["pirate"].text, personas["pirate"].sampling) == ("Arr.", {"top_p": 0.5})
    assert (personas["plain"].text, personas["plain"].tools) == ("Just a prompt.", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\ncolour: red\n---\nHi.", "unknown key 'colour'"),
        ("---\n- a\n- b\n---\nHi.", "no keys"),
        ("---\nname: [\n---\nHi.", "broken front matter"),
        ("---\ntools: python\n---\nHi.", "tools is not a list"),
        ("---\nsampling: {heat: 1}\n---\nHi.", "sampling has a key"),
        ("---\nsampling: {top_p: hot}\n---\nHi.", "sampling has a value"),
        ("---\nsampling: {top_p: 7}\n---\nHi.", "top_p is 7"),
    ],
)
def test_a_wrong_persona_is_one_sentence_with_a_hint(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.md"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_persona(path)
    assert caught.value.hint


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_personas(tmp_path)
