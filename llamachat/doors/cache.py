"""The cache door: what is kept on disk to be quick, and how to be rid of it. Knows folders; loads no model."""

from collections.abc import Iterator

import typer

from llamachat.errors import StorageError
from llamachat.paths import cache_dir

app = typer.Typer(no_args_is_help=True, help="What is kept to be quick: it can always be made anew.")


@app.command()
def show() -> None:
    """How much there is."""
    for name, size in kept():
        typer.echo(f"{size / 2**20:10,.1f} MiB  {name}")


@app.command()
def clear() -> None:
    """Remove what dialogs were read into. The dialogs themselves stay."""
    from llamachat.kv_store import clear

    try:
        size = clear(cache_dir() / "kv")
    except OSError as error:
        raise StorageError(f"{error.filename} can't be removed: {error.strerror}.", "Mend its permissions.") from error
    typer.echo(f"{size / 2**20:,.1f} MiB are free again.")


def kept() -> Iterator[tuple[str, int]]:
    """What it is, and how many bytes."""
    from llamachat.kv_store import usage

    yield "keys and values of dialogs", usage(cache_dir() / "kv")
