"""The sessions door: list, show, search, export, import, rename and remove. Prints; knows no chat."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llamachat.errors import ConfigError, StorageError
from llamachat.visible import visible

if TYPE_CHECKING:  # rich, SQLite and the rest take 50 ms, which the chat's first frame need not wait for
    from llamachat.sessions import Info, Store, Tree

app = typer.Typer(help="Look at past sessions, take them out and in.", no_args_is_help=True)
Output = Annotated[Literal["text", "json"], typer.Option(help="Form of the answer.")]
Id = Annotated[str, typer.Argument(help="The id of a session, or its beginning.")]
Format = Literal["markdown", "json", "dpo"]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, the latest first.")] = 20,
    output: Output = "text",
) -> None:
    """List the latest sessions."""
    with _store() as store:
        found = store.sessions(limit)
    if output == "json":
        typer.echo(json.dumps([asdict(info) for info in found]))
        return
    rows = [(i.short_id, i.when, str(i.messages), i.title or "Untitled", i.cwd) for i in found]
    _table(("id", "last used", "messages", "title", "folder"), rows, "There are no sessions yet.")


@app.command()
def show(
    id: Id,
    tree: Annotated[bool, typer.Option("--tree", help="All branches, a line for each message.")] = False,
    output: Output = "text",
) -> None:
    """Print a session: the branch that was last looked at, as Markdown."""
    from llamachat.sessions.export import to_json, to_markdown

    with _store() as store:
        info, nodes = store.read(store.find(id).id)
    if output == "json":
        typer.echo(to_json(info, nodes), nl=False)
    elif tree:
        typer.echo("\n".join(_lines(info, nodes)))
    else:
        typer.echo(visible(to_markdown(info, nodes)), nl=False)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="All must be in the message; the last may be a beginning.")],
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, the best first.")] = 20,
    output: Output = "text",
) -> None:
    """Find messages in all sessions."""
    with _store() as store:
        hits = store.search(" ".join(words), limit)
    if output == "json":
        typer.echo(json.dumps([asdict(hit) for hit in hits]))
        return
    from llamachat.sessions import local

    rows = [(hit.session[:8], local(hit.created), hit.role, hit.title, hit.snippet) for hit in hits]
    _table(("id", "when", "who", "title", "text"), rows, "Nothing was found.")


@app.command()
def export(
    id: Id,
    form: Annotated[Format, typer.Option("--format", help="dpo: pairs of replies, the better one first.")] = "markdown",
    file: Annotated[Path | None, typer.Option("-o", "--out", help="A new file; without it, to stdout.")] = None,
) -> None:
    """Write a session out: markdown to read, json to take in again, dpo to learn from."""
    from llamachat.sessions.export import to_dpo, to_json, to_markdown

    with _store() as store:
        info, tree = store.read(store.find(id).id)
    forms = {"markdown": to_markdown, "json": to_json, "dpo": to_dpo}
    text = forms[form](info, tree)
    if not text:
        raise ConfigError(
            f"No reply of {info.short_id} was liked better than another.",
            "Use /retry or /edit on one: what the dialog goes on with is the better one.",
        )
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8", errors="replace") as out:
            out.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{file} is there already.", "Give the name of a new file.") from error


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What export --format json wrote; - reads stdin.")],
    copy: Annotated[bool, typer.Option("--copy", help="Take it in under a new id.")] = False,
) -> None:
    """Take a session in that was exported as json."""
    from llamachat.sessions.bundle import from_bundle
    from llamachat.sessions.records import new_id

    data = _read(file)
    with _store() as store, tempfile.TemporaryDirectory() as folder:
        info, tree = from_bundle(data, Path(folder))
        info = replace(info, id=new_id()) if copy else info
        store.insert(info, tree)
    typer.echo(f"{info.short_id}  {visible(info.title)}")


@app.command()
def rename(id: Id, title: str) -> None:
    """Give a session another title."""
    with _store() as store:
        store.rename(store.find(id).id, title)


@app.command()
def rm(
    ids: Annotated[list[str], typer.Argument(help="The ids of sessions, or their beginnings.")],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Don't ask.")] = False,
) -> None:
    """Remove sessions for good, with their files."""
    with _store() as store:
        found = {info.id: info for info in map(store.find, ids)}
        for info in found.values():
            question = f"Remove {info.short_id} “{visible(info.title)}” with {info.messages} messages?"
            if yes or typer.confirm(question):
                store.remove(info.id)


@contextmanager
def _store() -> "Iterator[Store]":
    """The user's store; what is wrong with it goes to stderr."""
    from llamachat.sessions import Store

    store = Store()
    if store.notice:
        typer.echo(f"warning: {store.notice}", err=True)
    try:
        yield store
    finally:
        store.close()


def _read(file: Path) -> Any:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return json.loads(raw)
    except OSError as error:
        raise StorageError(f"Can't read {file}: {error.strerror}.", "Give the path of an exported session.") from error
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{file} is no JSON.", "Give what llamachat sessions export --format json wrote.") from error


def _lines(info: "Info", tree: "Tree") -> Iterator[str]:
    """The tree, indented by its forks."""
    from llamachat.sessions import short

    head = {node.id for node in tree.path(info.head)}
    for row in tree.walk():
        node = row.node
        place = f" ‹{row.index}/{row.count}›" if row.count > 1 else ""
        name = f" [{visible(node.name)}]" if node.name else ""
        text = node.message.text or " ".join(call.name for call in node.message.tool_calls)
        mark = "•" if node.id in head else " "
        yield f"{mark} {'  ' * row.depth}{node.message.role}{place}{name}: {visible(short(text))}"


def _table(names: tuple[str, ...], rows: list[tuple[Any, ...]], nothing: str) -> None:
    """Cells are text, or pieces of it of which some are bold. Foreign text is never taken for markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        typer.echo(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        whole = name in ("id", "last used", "when")
        table.add_column(name, no_wrap=whole, justify="right" if name == "messages" else "left")
    for row in rows:
        cells = [((cell, False),) if isinstance(cell, str) else cell for cell in row]
        table.add_row(*(Text.assemble(*((_one_line(t), "bold" if b else "") for t, b in cell)) for cell in cells))
    Console().print(table)


def _one_line(text: str) -> str:
    return visible(text.replace("\n", " "))
