"""Search in the user's own folder: real files, a real index, and no sleeping: times of change are set."""

import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from llamachat.messages import ToolCall
from llamachat.tools import Toolbox
from llamachat.tools.search import search_tool
from llamachat.tools.search.folder_index import MAX_BYTES, FolderIndex
from llamachat.tools.search.reader import Reader


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "trips").mkdir(parents=True)
    (folder / "trips" / "oslo.md").write_text("# Oslo\nThe fjord ferries leave at nine.\n", encoding="utf-8")
    (folder / "bread.txt").write_text("Rye bread wants a long rise and some patience.", encoding="utf-8")
    (folder / "prices.csv").write_text("item,price\nlantern,12\n", encoding="utf-8")
    (folder / "code.py").write_text("def quicksort(items): ...", encoding="utf-8")
    return folder


@pytest.fixture
def page(notes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Read by a process of its own, which takes half a second to start; a slow machine may take a minute."""
    monkeypatch.setattr(Reader.__init__, "__defaults__", (60.0,))
    file = notes / "page.html"
    file.write_text("<title>x</title><p>The walrus sings.</p><script>hidden()</script>", encoding="utf-8")
    return file


def still() -> float:
    """A clock of an index that is never in a hurry, on a slow machine either."""
    return 0.0


def names(index: FolderIndex, query: str) -> list[str]:
    return [Path(found.url).name for found in index.search(query, 5)]


def pdf(path: Path, words: str) -> None:
    """A page with ``words`` on it."""
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1"),
                             NameObject("/BaseFont"): NameObject("/Helvetica")})  # fmt: skip
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    content = StreamObject()
    content.set_data(f"BT /F1 12 Tf 20 200 Td ({words}) Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(content)
    with path.open("wb") as file:
        writer.write(file)


def test_texts_of_all_kinds_are_found(notes: Path, page: Path, tmp_path: Path) -> None:
    pdf(notes / "manual.pdf", "Turn the flywheel twice")
    index = FolderIndex(notes, tmp_path / "cache", still)
    (oslo,) = index.search("ferries", 5)
    assert oslo.title == "oslo.md"
    assert oslo.url == str(notes / "trips" / "oslo.md")
    assert oslo.text == "# Oslo The fjord ferries leave at nine."
    assert names(index, "lantern") == ["prices.csv"]
    assert names(index, "walrus") == ["page.html"]
    assert names(index, "hidden") == []
    assert names(index, "quicksort") == ["code.py"]
    assert names(index, "flywheel") == ["manual.pdf"]


def test_words_are_found_by_their_stem_without_accents_and_in_names(notes: Path, tmp_path: Path) -> None:
    (notes / "année_2020.txt").write_text("Une idée", encoding="utf-8")
    index = FolderIndex(notes, tmp_path / "cache", still)
    assert names(index, "FERRY") == ["oslo.md"]
    assert names(index, "idee") == ["année_2020.txt"]
    assert names(index, "annee 2020") == ["année_2020.txt"]


def test_all_words_together_come_before_any(notes: Path, page: Path, tmp_path: Path) -> None:
    index = FolderIndex(notes, tmp_path / "cache", still)
    assert names(index, "rye bread") == ["bread.txt"]
    assert set(names(index, "bread walrus")) == {"bread.txt", "page.html"}


@pytest.mark.parametrize("query", ['"', "NEAR(", "a AND", "*", "text:", "-x", "') --", "\0", "", "^rye {", "\ud800"])
def test_no_query_is_an_error(notes: Path, tmp_path: Path, query: str) -> None:
    assert names(FolderIndex(notes, tmp_path / "cache", still), query) in ([], ["bread.txt"])


def test_changes_are_seen_and_the_rest_is_not_read_again(notes: Path, page: Path, tmp_path: Path) -> None:
    index = FolderIndex(notes, tmp_path / "cache", still)
    assert names(index, "bread") == ["bread.txt"]
    bread = notes / "bread.txt"
    page.unlink()
    bread.write_text("Now about cheese.", encoding="utf-8")
    (notes / "new.txt").write_text("A gramophone.", encoding="utf-8")
    code, before = notes / "code.py", (notes / "code.py").stat()
    code.write_text("def QUICKSORT(items): ...", encoding="utf-8")  # same size, and:
    os.utime(code, ns=(before.st_atime_ns, before.st_mtime_ns))
    code.chmod(0)
    again = FolderIndex(notes, tmp_path / "cache", still)  # another day
    assert names(again, "bread") == ["bread.txt"]  # by its name
    assert [names(again, word) for word in ("rye", "cheese", "walrus", "gramophone")] == [
        [], ["bread.txt"], [], ["new.txt"]
    ]  # fmt: skip
    assert again.search("quicksort", 5)[0].text.startswith("def quicksort")


def test_hidden_linked_binary_and_huge_files_are_left_out(notes: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("zeppelin", encoding="utf-8")
    (notes / "link.txt").symlink_to(outside)
    (notes / "linked").symlink_to(tmp_path)
    (notes / ".secret").write_text("zeppelin", encoding="utf-8")
    (notes / ".git").mkdir()
    (notes / ".git" / "x.txt").write_text("zeppelin", encoding="utf-8")
    (notes / "image.bin").write_bytes(b"zeppelin \0\0\0\1")
    (notes / "huge.txt").write_bytes(b"zeppelin " * (MAX_BYTES // 9 + 1))
    (notes / "torn.pdf").write_bytes(b"%PDF-1.7 zeppelin")
    os.mkfifo(notes / "pipe.txt")
    (notes / "wide.txt").write_bytes("\ufeffzebra".encode("utf-16-le"))
    index = FolderIndex(notes, tmp_path / "cache", still)
    assert names(index, "zeppelin") == []
    assert names(index, "zebra") == ["wide.txt"]


def test_a_long_file_is_one_result_with_its_best_passage(notes: Path, tmp_path: Path) -> None:
    (notes / "long.txt").write_text("filler words. " * 5000 + "The amethyst. " + "more filler. " * 5000, "utf-8")
    (found,) = FolderIndex(notes, tmp_path / "cache", still).search("amethyst", 5)
    assert "The amethyst." in found.text
    assert len(found.text) < 500


def _torn(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4096] + bytes(len(data) - 4096))


def _no_database(file: Path) -> None:
    file.write_bytes(b"no database at all" * 500)


def _claims_gigabytes(file: Path) -> None:
    with sqlite3.connect(file) as database:
        (table,) = database.execute("SELECT name FROM sqlite_master WHERE name LIKE '%_data'").fetchone()
        database.execute(f"UPDATE {table} SET block = ?", (random.Random(33).randbytes(50),))
    database.close()


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _foreign(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE files (x)")
    database.close()


@pytest.mark.parametrize("damage", [_torn, _no_database, _claims_gigabytes, _empty, _foreign])
def test_a_broken_index_is_built_anew(notes: Path, tmp_path: Path, damage: Any) -> None:
    assert names(FolderIndex(notes, tmp_path / "cache", still), "ferries") == ["oslo.md"]
    (file,) = (tmp_path / "cache").iterdir()
    damage(file)
    assert names(FolderIndex(notes, tmp_path / "cache", still), "ferries") == ["oslo.md"]
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM files").fetchone() == (4,)
    database.close()


def test_without_a_place_for_it_the_index_is_kept_in_memory(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    index = FolderIndex(notes, tmp_path / "cache", still)
    assert names(index, "ferries") == ["oslo.md"]
    (notes / "trips" / "oslo.md").unlink()
    assert names(index, "ferries") == []


def test_a_large_folder_is_read_over_several_searches(notes: Path, page: Path, tmp_path: Path) -> None:
    ticks = iter(range(0, 1000, 2))  # each look at the clock finds it 2 s later
    index = FolderIndex(notes, tmp_path / "cache", lambda: next(ticks))
    first = names(index, "rye ferries lantern walrus quicksort")
    assert 0 < len(first) < 5
    for _ in range(5):
        last = names(index, "rye ferries lantern walrus quicksort")
    assert len(last) == 5


def test_an_index_that_another_program_writes_is_searched_as_it_is(notes: Path, tmp_path: Path) -> None:
    index = FolderIndex(notes, tmp_path / "cache", still)
    assert names(index, "ferries") == ["oslo.md"]
    (file,) = (tmp_path / "cache").iterdir()
    (notes / "new.txt").write_text("A gramophone.", encoding="utf-8")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert names(index, "gramophone") == []
        assert names(index, "ferries") == ["oslo.md"]
    finally:
        other.close()
    assert names(index, "gramophone") == ["new.txt"]


def test_a_folder_that_has_gone_holds_nothing(tmp_path: Path) -> None:
    assert FolderIndex(tmp_path / "gone", tmp_path / "cache", still).search("x", 5) == []


async def test_it_is_a_provider_of_the_search_tool(notes: Path, tmp_path: Path) -> None:
    box = Toolbox((search_tool(FolderIndex(notes, tmp_path / "cache", still)),))
    result = await box.run(ToolCall("brave_search", {"query": "ferries"}))
    assert result.ok
    assert str(notes / "trips" / "oslo.md") in result.output
    assert not (await box.run(ToolCall("brave_search", {"query": "zeppelin"}))).ok
