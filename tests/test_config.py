"""Settings: layers, origins, errors with line and key, writing, trust."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from llamachat import config, trust
from llamachat.doors.config import app
from llamachat.errors import ConfigError, StorageError


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user: config and data folders of their own, no project."""
    monkeypatch.setenv("LLAMACHAT_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LLAMACHAT_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "config").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "config" / "config.toml"


def project(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "work" / ".llamachat" / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_without_any_file_all_is_default(user: Path) -> None:
    loaded = config.load()
    assert loaded.config == config.Config()
    assert {setting.origin for setting in loaded.settings()} == {"default"}


def test_each_layer_wins_over_the_one_below(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write_text("[sampling]\ntemperature = 0.1\ntop_p = 0.1\ntop_k = 1\nmin_p = 0.1\n")
    file = project(tmp_path, "[sampling]\ntemperature = 0.2\ntop_p = 0.2\ntop_k = 2\n")
    trust.trust(file)
    monkeypatch.setenv("LLAMACHAT_SAMPLING_TEMPERATURE", "0.3")
    monkeypatch.setenv("LLAMACHAT_SAMPLING_TOP_P", "0.3")
    loaded = config.load({"sampling.temperature": 0.4})
    sampling = loaded.config.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (0.4, 0.3, 2, 0.1)
    origins = {s.key: s.origin for s in loaded.settings() if s.origin != "default"}
    assert origins == {
        "sampling.temperature": "command line",
        "sampling.top_p": "environment",
        "sampling.top_k": str(file),
        "sampling.min_p": str(user),
    }


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("[chat]\n\nmodle = 'x'\n", "line 3", "there is no setting 'chat.modle'"),
        ("# c\n[chta]\nmodel = 'x'\n", "line 2", "there is no setting 'chta'"),
        ("[chat]\nmax_steps = 'x'\n", "line 2", "chat.max_steps should be a valid integer"),
        ("[chat]\nmax_steps = 0\n", "line 2", "chat.max_steps should be greater than or equal to 1"),
        ("[chat]\nmax_steps = true\n", "line 2", "chat.max_steps should be a valid integer"),
        ("[ui]\nreduced_motion = 'yes'\n", "line 2", "ui.reduced_motion should be a valid boolean"),
        ("[python]\nseconds = nan\n", "line 2", "python.seconds should be"),
        ("[permissions]\npython = 'maybe'\n", "line 2", "permissions.python should be 'allow', 'ask' or 'deny'"),
        ("permissions.python = 'maybe'\n", "line 1", "permissions.python should be"),
        ("chat = 3\n", "line 1", "chat should be an object"),
        ("[ui]\ntheme = 2024-01-01\n[chat]\ntools = 'x'\n", "line 4", "chat.tools should be a valid array"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_key(user: Path, text: str, place: str, said: str) -> None:
    user.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert str(user) in caught.value.message
    assert place in caught.value.message
    assert said in caught.value.message


def test_a_near_miss_is_guessed(user: Path) -> None:
    user.write_text("[sampling]\ntemprature = 1\n")
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert caught.value.hint == "Did you mean sampling.temperature?"


@pytest.mark.parametrize("content", [b"[chat\n", b"\xff\xfe\x00", b"a = 1\na = 2\n"])
def test_what_is_no_toml_is_said(user: Path, content: bytes) -> None:
    user.write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML"):
        config.load()


def test_a_folder_in_its_place_is_said(user: Path) -> None:
    user.mkdir()
    with pytest.raises(StorageError, match="can't be read"):
        config.load()


def test_an_unknown_variable_is_refused(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_COLOUR", "red")
    with pytest.raises(ConfigError, match="LLAMACHAT_COLOUR is no setting"):
        config.load()
    monkeypatch.delenv("LLAMACHAT_COLOUR")
    monkeypatch.setenv("LLAMACHAT_CHAT_MAX_STEPS", "many")
    with pytest.raises(ConfigError, match=r"LLAMACHAT_CHAT_MAX_STEPS: chat\.max_steps"):
        config.load()


def test_text_in_the_environment_needs_no_quotes(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_UI_THEME", "nord")
    monkeypatch.setenv("LLAMACHAT_CHAT_TOOLS", '["python"]')
    loaded = config.load()
    assert loaded.config.ui.theme == "nord"
    assert loaded.config.chat.tools == ["python"]


def test_a_setting_is_written_among_the_users_comments(user: Path) -> None:
    user.write_text("# mine\n[chat]\nmodel = 'x'  # the big one\n")
    config.save("chat.max_steps", 3)
    config.save("permissions.search", "allow")
    text = user.read_text()
    assert "# mine" in text
    assert "model = 'x'  # the big one" in text
    assert config.load().config.chat.max_steps == 3
    assert config.load().config.permissions == {"search": "allow"}
    assert list(user.parent.iterdir()) == [user]


def test_a_wrong_setting_is_not_written(user: Path) -> None:
    user.write_text("[chat]\nmax_steps = 4\n")
    with pytest.raises(ConfigError):
        config.save("chat.max_steps", 0)
    assert user.read_text() == "[chat]\nmax_steps = 4\n"


def test_a_projects_config_waits_for_trust_and_loses_it_when_it_changes(user: Path, tmp_path: Path) -> None:
    file = project(tmp_path, "[chat]\npersona = 'pirate'\n")
    loaded = config.load()
    assert loaded.config.chat.persona == "default"
    assert str(file) in loaded.notices[0]
    assert trust.undecided(file)
    trust.trust(file)
    assert config.load().config.chat.persona == "pirate"
    file.write_text("[chat]\npersona = 'terse'\n")
    assert config.load().config.chat.persona == "default"
    assert trust.undecided(file)
    trust.trust(file, yes=False)
    assert not trust.undecided(file)
    assert config.load().config.chat.persona == "default"


def test_a_project_is_found_from_below(user: Path, tmp_path: Path) -> None:
    file = project(tmp_path, "")
    below = tmp_path / "work" / "a" / "b"
    below.mkdir(parents=True)
    assert config.project_file(below) == file


def test_the_door_shows_sets_and_trusts(user: Path, tmp_path: Path) -> None:
    door = CliRunner()
    assert door.invoke(app, ["path"]).stdout.strip() == str(user)
    assert door.invoke(app, ["set", "sampling.temperature", "0.25"]).exit_code == 0
    shown = door.invoke(app, ["show", "--origin"]).stdout
    assert f"sampling.temperature = 0.25\n    ({user})" in shown
    file = project(tmp_path, "[ui]\nreduced_motion = true\n")
    assert door.invoke(app, ["trust"]).exit_code == 0
    assert trust.trusted(file)
    assert door.invoke(app, ["distrust"]).exit_code == 0
    assert not config.load().config.ui.reduced_motion
