"""The settings: what can be set, where each value came from, and where it is written. Knows no tool, model or screen.

The command line wins over the environment (LLAMACHAT_SECTION_KEY), that over the project's ``.llamachat/config.toml``
(once it is trusted), that over the user's ``config.toml``, that over the defaults. An unknown key or a wrong value is
an error with file, line and key; nothing is ignored.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from llamachat.errors import ConfigError, StorageError
from llamachat.paths import config_dir, settings_from_environment, write_whole
from llamachat.trust import trusted

Permission = Literal["allow", "ask", "deny"]
Weights = Literal["bf16", "int8", "fp8", "int4"]
_CLOSED = {"extra": "forbid", "strict": True}


def _said(default: Any, text: str) -> Any:
    """A field with its explanation, for the settings screen and ``config show``."""
    if isinstance(default, dict | list):
        return field(default_factory=lambda: default.copy(), metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class ChatConfig:
    """Who answers, and with what."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    model: str | None = _said(None, "A checkpoint folder; empty for the embedded model.")
    weights: Weights | None = _said(None, "bf16, int8, fp8 or int4; quantised once, then kept in the cache folder.")
    draft: str | None = _said(None, "A smaller checkpoint with the same words, which guesses ahead.")
    persona: str = _said("default", "Who answers; llamachat personas lists them.")
    system: str | None = _said(None, "A system prompt in place of the persona's.")
    tools: list[str] | None = _said(None, "Tools to switch on; the persona's choice if absent.")
    functions: list[str] = _said([], "Python or JSON files whose functions become tools.")
    max_steps: Annotated[int, Interval(ge=1, le=1000)] = _said(10, "Most generations in a turn.")
    constrained: bool | None = _said(None, "Hold calls to the offered schemas; by default for the embedded model only.")


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """An engine that runs elsewhere: vLLM, SGLang or llama-server."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    url: str | None = _said(None, "Its address; chat.model then tells whose tokenizer it has. Empty: ours runs.")
    key_variable: str | None = _said(None, "The environment variable with its key, if it asks for one.")
    patience: Annotated[float, Gt(0)] = _said(300.0, "Longest silence, in seconds.")


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What was read once, so that it need not be read again."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    ram_mb: Annotated[int, Ge(0)] | None = _said(
        None, "For branches that were left; by default a quarter of the free memory, at most 8,192."
    )
    kv: Literal["fp8"] | None = _said(
        None, "fp8: keys and values in half the bytes, a little less exact; faster from some 16k tokens on, on a GPU."
    )
    disk_mb: Annotated[int, Ge(0)] = _said(2048, "For the next start; 0 keeps nothing. llamachat cache clear.")


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How the next token is chosen; what is absent is left to the persona and the model."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    temperature: Annotated[float, Interval(ge=0, le=100)] | None = _said(None, "0 is greedy.")
    top_p: Annotated[float, Interval(gt=0, le=1)] | None = _said(None, "Keep the likeliest, up to this probability.")
    top_k: Annotated[int, Ge(0)] | None = _said(None, "Keep this many tokens; 0 for all.")
    min_p: Annotated[float, Interval(ge=0, le=1)] | None = _said(
        None, "Keep what is this likely, next to the likeliest."
    )
    seed: int | None = _said(None, "Makes sampling repeatable.")
    max_tokens: Annotated[int, Ge(1)] | None = _said(None, "Longest single message, in tokens.")


@dataclass(frozen=True, slots=True)
class PythonConfig:
    """The python tool."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    seconds: Annotated[float, Gt(0)] = _said(20.0, "Longest run of a call.")
    memory_mb: Annotated[int, Ge(256)] = _said(3072, "Most address space of the worker.")
    unwalled: bool = _said(False, "Run code even where the system offers no walls. Say yes only if you read the code.")


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """The search tool."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    providers: list[str] = _said(["ddgs"], "Asked in this order: ddgs, searxng, wikipedia, folder.")
    searxng_url: str | None = _said(None, "Address of a SearXNG server.")
    language: str = _said("en", "Of Wikipedia.")
    folder: str | None = _said(None, "A folder of yours to search offline.")
    open: bool = _said(False, "Offer the tool that reads a page.")


@dataclass(frozen=True, slots=True)
class McpConfig:
    """Servers of the Model Context Protocol."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    file: str | None = _said(None, "A JSON file with mcpServers; mcp.json beside this file if it is there.")


@dataclass(frozen=True, slots=True)
class UiConfig:
    """The screen."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    theme: str | None = _said(None, "A theme's name; /theme shows them.")
    reduced_motion: bool = _said(False, "No animations.")
    notify_seconds: Annotated[float, Ge(0)] = _said(
        20.0, "Notify at the end of a turn this long, if the terminal is not in front; 0: never."
    )
    shell: bool = _said(False, "Lets !command run in your shell.")
    pictures: Literal["auto", "kitty", "blocks", "off"] = _said(
        "auto",
        "Pictures in the transcript: kitty's protocol (auto: where TERM names kitty or Ghostty), blocks, or none.",
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All settings."""

    __pydantic_config__: ClassVar[Any] = _CLOSED
    chat: ChatConfig = field(default_factory=ChatConfig)
    remote: RemoteConfig = field(default_factory=RemoteConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    python: PythonConfig = field(default_factory=PythonConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    mcp: McpConfig = field(default_factory=McpConfig)
    ui: UiConfig = field(default_factory=UiConfig)
    permissions: dict[str, Permission] = _said({}, "By tool: allow, ask or deny.")
    keys: dict[str, str] = _said({}, "By action, as F1 names them: the keys, with commas between.")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key, its value, where it came from and what it means."""

    key: str
    value: Any
    origin: str
    help: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config, the origin of every key that isn't a default, and what the user should be told."""

    config: Config
    origins: Mapping[str, str]
    notices: tuple[str, ...] = ()

    def settings(self) -> Iterator[Setting]:
        """Every key in the order of the schema."""
        for section in fields(self.config):
            value = getattr(self.config, section.name)
            inside = [(f.name, f.metadata["help"]) for f in fields(value)] if is_dataclass(value) else []
            for name, text in inside:
                key = f"{section.name}.{name}"
                yield Setting(key, getattr(value, name), self.origins.get(key, "default"), text)
            if isinstance(value, dict):
                for name in value or ("…",):
                    key = f"{section.name}.{name}"
                    yield Setting(key, value.get(name), self.origins.get(key, "default"), section.metadata["help"])


def user_file() -> Path:
    """The user's config."""
    return config_dir() / "config.toml"


def project_file(folder: Path | None = None) -> Path | None:
    """The config of the project that ``folder`` (default: where we are) belongs to, if it has one."""
    start = (folder or Path.cwd()).resolve()
    candidates = (place / ".llamachat" / "config.toml" for place in (start, *start.parents))
    return next((file for file in candidates if file.is_file()), None)


def load(overrides: Mapping[str, Any] | None = None, *, folder: Path | None = None) -> Loaded:
    """All layers, merged. ``overrides`` are the command line's, by ``section.key``.

    Raises ConfigError with file, line and key; StorageError if a file can't be read.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    notices: list[str] = []
    layers: list[tuple[str, Mapping[str, Any]]] = [(str(user_file()), _read(user_file()))]
    if project := project_file(folder):
        if trusted(project):
            layers.append((str(project), _read(project)))
        else:
            notices.append(f"{project} is not used until you trust it: llamachat config trust")
    layers.append(("environment", _from_environment(settings_from_environment())))
    layers.append(("command line", _nested(overrides or {})))
    for origin, layer in layers:
        for section, values in layer.items():
            merged.setdefault(section, {}).update(values)
            origins |= {f"{section}.{key}": origin for key in values}
    return Loaded(_build(merged) if merged else Config(), origins, tuple(notices))


def _read(file: Path) -> Mapping[str, Any]:
    """A TOML file that fits the schema; an absent one is empty."""
    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StorageError(f"{file} can't be read: {error.strerror}.", "Mend its permissions.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.", "Mend that line.") from error
    if data:
        _check(data, lambda path: f"{file}, line {_line(text, path)}")
    return data


def _check(data: Mapping[str, Any], where: Any) -> Config:
    """``data`` as a Config. ``where`` names the place of a key path."""
    from pydantic import TypeAdapter, ValidationError  # late: 0.1 s, and most people have no config

    try:
        return TypeAdapter(Config).validate_json(json.dumps(data, default=str))  # strict JSON still fills dataclasses
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = tuple(str(part) for part in first["loc"] if part in _keys_in(data, first["loc"]))
        key = ".".join(path)
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise ConfigError(f"{where(path)}: there is no setting {key!r}.", _meant(path)) from error
        reason = first["msg"].removeprefix("Input ")
        raise ConfigError(f"{where(path)}: {key} {reason}.", "llamachat config show lists what can be set.") from error


def _build(data: Mapping[str, Any]) -> Config:
    return _check(data, lambda path: "The settings")


def _keys_in(data: Any, location: Iterable[Any]) -> set[Any]:
    """The parts of an error's location that are keys of the data; pydantic adds names of types."""
    found: set[Any] = set()
    for part in location:
        if isinstance(data, Mapping) and part in data:
            found.add(part)
            data = data[part]
    return found


def _meant(path: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    known = [setting.key for setting in Loaded(Config(), {}).settings()] + [section.name for section in fields(Config)]
    meant = get_close_matches(".".join(path), known, 1)
    return f"Did you mean {meant[0]}?" if meant else "llamachat config show lists what can be set."


def _line(text: str, path: tuple[str, ...]) -> int:
    """Where ``path`` is set in a TOML text; tomllib keeps no places. 1 if it can't be found."""
    section, lines = "", text.splitlines()
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[+\s*([\w.\"' -]+?)\s*\]+", line):
            section = header[1].replace('"', "").replace("'", "")
            if section == ".".join(path):
                return number
        elif assigned := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            key = assigned[1].replace('"', "").replace("'", "")
            if ".".join(filter(None, (section, key))) in (".".join(path), ".".join(path[:1])):
                return number
    return 1


def _nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for key, value in flat.items():
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = value
    return nested


def _from_environment(found: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """``{"chat_model": "x"}`` → ``{"chat": {"model": "x"}}``; a value is TOML if it reads as such, else text."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        section, _, key = name.partition("_")
        if section not in {f.name for f in fields(Config)} or not key:
            raise ConfigError(
                f"LLAMACHAT_{name.upper()} is no setting of ours.",
                "Use names like LLAMACHAT_UI_THEME.",
            )
        flat[f"{section}.{key}"] = value_of(value)
    nested = _nested(flat)
    if nested:
        _check(nested, lambda path: f"LLAMACHAT_{'_'.join(path).upper()}")
    return nested


def value_of(text: str) -> Any:
    """A value that is written by hand: TOML if it reads as TOML, else text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def save(key: str, value: Any) -> Path:
    """Set ``section.key`` in the user's file, whose comments and order stay. Returns the file.

    Raises ConfigError if the value does not fit, StorageError if it can't be written; the old file is whole then.
    """
    import tomlkit

    file = user_file()
    section, _, name = key.partition(".")
    _check({section: {name: value}}, lambda path: "That")
    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        if section not in document:
            document[section] = tomlkit.table()
        document[section][name] = value
        write_whole(file, tomlkit.dumps(document))
    except OSError as error:
        raise StorageError(f"{file} can't be written: {error.strerror}.", "Mend its permissions.") from error
    return file


def as_toml(config: Config) -> str:
    """``config`` as a TOML file, without what is None."""
    import tomlkit

    plain = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in asdict(config).items()
    }
    return tomlkit.dumps(plain)
