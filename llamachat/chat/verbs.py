"""What the ``/`` commands do. Knows the chat and its front as values; knows no widget and no terminal.

A verb gets the chat and the argument. What goes wrong is raised as LlamaChatError, for the front to say.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llamachat import config
from llamachat.chat.branches import best, continue_, edit, name, retry, tree, undo
from llamachat.chat.chat import Chat
from llamachat.chat.commands import Command
from llamachat.chat.front import Choice
from llamachat.chat.inspection import likely, tokens
from llamachat.chat.window import compact, context
from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Message
from llamachat.sessions import Info, short
from llamachat.sessions.export import to_json, to_markdown
from llamachat.threads import in_thread
from llamachat.tools.files import read_attachment

Verb = Callable[[Chat, str], Awaitable[None]]


async def do(chat: Chat, command: Command, argument: str) -> None:
    """Do ``command``. Raises LlamaChatError."""
    await VERBS[command.name](chat, argument)


async def help_(chat: Chat, _: str) -> None:
    """Keys and commands."""
    chat.front.help()


async def quit_(chat: Chat, _: str) -> None:
    """Leave; nothing is lost."""
    chat.front.leave()


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def new(chat: Chat, _: str) -> None:
    """A new session with fresh tools."""
    chat.conversation.free()
    chat.begin()
    await chat.conversation.settings.toolbox.close()
    chat.front.show_dialog()


async def resume(chat: Chat, words: str) -> None:
    """Another session: by the beginning of its id, or picked from those whose title holds ``words``."""
    chat.conversation.free()
    if chat.store is None:
        raise ConfigError("Sessions are not kept in this chat.", "llamachat doctor says why.")
    infos = [info for info in chat.store.sessions(500) if info.id != chat.conversation.session.id]
    exact = [info for info in infos if words and info.id.startswith(words)]
    id = exact[0].id if len(exact) == 1 else await _pick_session(chat, infos, words)
    if id:
        chat.open(id)
        await chat.conversation.settings.toolbox.close()
        chat.front.show_dialog()


async def _pick_session(chat: Chat, infos: list[Info], words: str) -> str | None:
    rows = [
        Choice(info.id, info.title or "(nothing said)", f"{info.when} · {info.messages} messages · {info.short_id}")
        for info in infos
    ]
    found = [row for row in rows if row.matches(words.casefold().split())]
    if not found:
        raise ConfigError(
            "There is no other session." if not words else f"No session fits {words!r}.", "/search looks inside."
        )
    return await chat.front.pick("Sessions", found)


async def rename(chat: Chat, title: str) -> None:
    """Another title."""
    title = title or await chat.front.line("Title of this session", chat.conversation.session.info.title) or ""
    if title:
        chat.conversation.session.rename(title)
        chat.front.note(f"This session is now “{short(title)}”.")


async def search(chat: Chat, words: str) -> None:
    """Messages of all sessions that hold the words; picking one opens it there."""
    if chat.store is None or not words:
        raise ConfigError("There is nothing to search for.", "Give some words: /search llamas in peru")
    hits = chat.store.search(words, 100)
    rows = [
        Choice(f"{hit.session}/{hit.node}", "".join(text for text, _ in hit.snippet), f"{hit.role} · {hit.title}")
        for hit in hits
    ]
    if not rows:
        raise ConfigError(f"No message holds {words!r}.", "Try fewer words.")
    if key := await chat.front.pick(f"Found: {words}", rows):
        chat.conversation.free()
        session, _, node = key.partition("/")
        if session != chat.conversation.session.id:
            chat.open(session)
        tree = chat.conversation.session.tree
        chat.conversation.session.go(tree.leaf(node))
        chat.front.show_dialog()


async def export(chat: Chat, path: str) -> None:
    """The session as a file; what is there already stays."""
    target = Path(path or await chat.front.line("Write to", "session.md", ".md for reading, .json for keeping") or "")
    if not target.name:
        return
    session = chat.conversation.session
    data = to_json(session.info, session.tree) if target.suffix == ".json" else to_markdown(session.info, session.tree)
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, indent=1)
    await in_thread(lambda: _write(target.expanduser(), text))
    chat.front.note(f"Written to {target}.")


def _write(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(f"{target} can't be written: {error.strerror}.", "Choose another name.") from error


# ── what answers, and with what ──────────────────────────────────────────────────────────────────────────────────────


async def system(chat: Chat, text: str) -> None:
    """Show or set the system prompt."""
    conversation = chat.conversation
    if text:
        conversation.settings = replace(conversation.settings, system=text)
    chat.front.note(f"System prompt: {conversation.settings.instruction or 'none'}")


async def persona(chat: Chat, name: str) -> None:
    """Show or change who answers."""
    conversation = chat.conversation
    if name:
        conversation.settings = conversation.settings.with_persona(name)
        chat.front.note(f"{name} answers from the next message on.")
    else:
        chat.front.page(conversation.settings.persona_list())


async def tools(chat: Chat, argument: str) -> None:
    """List the tools, with what holds for each; switch some, or all for one message."""
    conversation = chat.conversation
    if argument.split() == ["off", "once"]:
        conversation.bare = True
        chat.front.note("The next message is answered without tools.")
        return
    if argument:
        conversation.settings = conversation.settings.with_tools(argument)
    rows = [
        f"{'●' if tool.name in conversation.settings.tools_on else '○'} **{tool.name}** {tool.description} "
        f"({chat.permissions.rule(tool)}, {tool.source})"
        for tool in conversation.settings.toolbox.tools
    ]
    chat.front.page("\n".join(rows) or "There are no tools.")


async def model(chat: Chat, path: str) -> None:
    """Show or change the model."""
    if path:
        chat.front.open_model(path)
    else:
        runtime = chat.conversation.runtime
        chat.front.note(f"The model is {runtime.name}." if runtime else "There is no model yet.")


async def theme(chat: Chat, name: str) -> None:
    """Change the colours, seen while choosing."""
    names = chat.front.themes()
    if not names:
        raise ConfigError("There are no colours to choose here.", "The full screen has some.")
    chosen = name or await chat.front.pick("Themes", [Choice(n, n) for n in names], preview=chat.front.set_theme)
    if chosen and chosen not in names:
        raise ConfigError(f"There is no theme {chosen!r}.", f"Themes here: {', '.join(names)}.")
    chat.front.set_theme(chosen or names[0])
    if chosen:
        config.save("ui.theme", chosen)


async def settings(chat: Chat, _: str) -> None:
    """All settings; one that is changed is written, and holds from the next start on."""
    loaded = config.load()
    by_key = {setting.key: setting for setting in loaded.settings() if not setting.key.endswith("…")}
    rows = [Choice(s.key, f"{s.key} = {_plain(s.value)}", f"{s.help} ({s.origin})") for s in by_key.values()]
    if key := await chat.front.pick("Settings", rows):
        setting = by_key[key]
        text = await chat.front.line(key, _plain(setting.value), setting.help)
        if text is not None and text != _plain(setting.value):
            file = config.save(key, config.value_of(text))
            chat.front.note(f"{key} is set in {file}; it holds from the next start on.")


def _plain(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ── the next message ─────────────────────────────────────────────────────────────────────────────────────────────────


async def attach(chat: Chat, path: str) -> None:
    """A file for the next message: what it costs is said before it is sent."""
    path = path.strip("\"'") or await chat.front.line("Attach", help_="Path of a txt, md, csv or pdf file") or ""
    if not path:
        return
    attachment = await in_thread(lambda: read_attachment(Path(path).expanduser()))
    chat.attached.append(attachment)
    tokens = chat.conversation.count(attachment.block(in_python=True))
    cost = f"{tokens:,} tokens" if tokens else f"{len(attachment.text):,} characters"
    part = "" if attachment.whole else ", its beginning"
    chat.front.note(f"Attached {attachment.name} ({attachment.shape}): {cost}{part}. /detach takes it back.")


async def detach(chat: Chat, _: str) -> None:
    """Take the attached files back."""
    names = ", ".join(attachment.name for attachment in chat.attached)
    chat.attached.clear()
    chat.front.note(f"Not attached any more: {names}." if names else "Nothing is attached.")


async def copy(chat: Chat, what: str) -> None:
    """The last reply, or the last code in it."""
    said = [node.message for node in reversed(chat.said) if node.message.role == "assistant"]
    texts = (_code_in(message) if what == "code" else message.text for message in said)
    chat.front.copy(next(filter(None, texts), ""), what or "reply")


def _code_in(message: Message) -> str:
    """The last code block of a message, or what it let python run."""
    from markdown_it import MarkdownIt  # late: 18 ms, and most chats copy nothing

    codes = [str(call.arguments["code"]) for call in message.tool_calls if "code" in call.arguments]
    blocks = [token.content for token in MarkdownIt().parse(message.text) if token.type in ("fence", "code_block")]
    return (codes or blocks or [""])[-1]


VERBS: Mapping[str, Verb] = {
    "help": help_, "new": new, "resume": resume, "rename": rename, "retry": retry, "edit": edit,
    "continue": continue_, "best": best, "undo": undo, "tree": tree, "name": name, "attach": attach,
    "detach": detach, "context": context, "compact": compact, "tokens": tokens, "likely": likely, "system": system,
    "persona": persona, "tools": tools, "model": model, "search": search, "export": export, "copy": copy,
    "theme": theme, "settings": settings, "quit": quit_,
}  # fmt: skip
