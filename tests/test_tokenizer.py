"""Text to ids and back: bytes of the reference, and the promise that no text becomes a control token."""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_models.llama3.tokenizer import Tokenizer as MetaTokenizer

from llamachat.errors import TokenizerError
from llamachat.tokenizer import StreamDecoder, Tokenizer, read_ranks

Golden = Callable[[str], list[dict[str, Any]]]
SPELLED = ("<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>", "<|python_tag|>", "<|reserved_special_token_0|>")
# Text as people paste it: any Unicode, control tokens spelled out, long runs of one kind.
texts = st.lists(
    st.one_of(st.text(), st.sampled_from([*SPELLED, " \n\t ", "a" * 99, "é😸", "123456"])), max_size=8
).map("".join)
encodable = texts.filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))


@pytest.fixture(scope="session")
def meta(tokenizer_file: Path) -> MetaTokenizer:
    return MetaTokenizer(tokenizer_file)


@pytest.fixture(scope="session")
def both(llama_tokenizer: Tokenizer, llama_tokenizer_30: Tokenizer) -> dict[str, Tokenizer]:
    return {"3.1": llama_tokenizer, "3.0": llama_tokenizer_30}


def test_special_tables(both: dict[str, Tokenizer]) -> None:
    table = json.loads((Path(__file__).parent / "data/golden/special_tokens.json").read_text(encoding="utf-8"))
    assert {variant: both[variant].special for variant in table} == table
    assert both["3.1"].stop_ids == {128001, 128008, 128009}
    assert both["3.0"].stop_ids == {128001, 128009}
    assert (both["3.0"].eom_id, both["3.0"].python_tag_id, both["3.0"].pad_id) == (None, None, None)


def test_golden_texts(both: dict[str, Tokenizer], golden: Golden) -> None:
    for case in golden("tokenizer"):
        tokenizer = both[case.get("variant", "3.1")]
        options = {name: case[name] for name in ("bos", "eos", "allowed_special")}
        assert tokenizer.tokenize(case["text"], **options) == case["ids"], case["id"]
        if not (case["allowed_special"] or case["bos"] or case["eos"]):
            assert tokenizer.encode(case["text"]) == case["ids"], case["id"]
            assert tokenizer.decode(case["ids"]) == case.get("decoded", case["text"]), case["id"]


def test_golden_long_texts(llama_tokenizer: Tokenizer, golden: Golden) -> None:
    for case in golden("tokenizer_long"):
        text = "".join(unit * count for unit, count in case["text_spec"]) if "text_spec" in case else case["text"]
        ids = llama_tokenizer.encode(text)
        assert hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest() == case.get("ids_sha256_le32") or (
            ids == case.get("ids")
        ), case["id"]
        assert "roundtrip" not in case or llama_tokenizer.decode(ids) == text, case["id"]


def test_golden_decoding(both: dict[str, Tokenizer], golden: Golden) -> None:
    for case in golden("decode"):
        assert both["3.1"].decode(case["ids"]) == case["text_31"], case["id"]
        assert b"".join(map(both["3.1"].token_bytes, case["ids"])).hex() == case["bytes_hex_31"], case["id"]
        assert both["3.0"].decode(case["ids"]) == case.get("text_30", case["text_31"]), case["id"]


def test_golden_streams(llama_tokenizer: Tokenizer, golden: Golden) -> None:
    for case in golden("stream"):
        decoder = StreamDecoder(llama_tokenizer)
        assert [*map(decoder.feed, case["ids"]), decoder.flush()] == case["chunks"], case["id"]


@settings(max_examples=300)
@given(text=encodable)
def test_ids_are_those_of_meta(llama_tokenizer: Tokenizer, meta: MetaTokenizer, text: str) -> None:
    ids = llama_tokenizer.encode(text)
    assert ids == meta.encode(text, bos=False, eos=False, allowed_special=set(), disallowed_special=())
    assert llama_tokenizer.decode(ids) == text
    every = meta.encode(text, bos=True, eos=True, allowed_special="all")
    assert llama_tokenizer.tokenize(text, bos=True, eos=True, allowed_special="all") == every


@settings(max_examples=300)
@given(text=texts)
def test_text_never_becomes_a_special_id(llama_tokenizer: Tokenizer, text: str) -> None:
    assert all(token_id < llama_tokenizer.n_base for token_id in llama_tokenizer.encode(text))


@settings(max_examples=200)
@given(ids=st.lists(st.integers(0, 128_255), max_size=30))
def test_a_stream_shows_what_decoding_at_once_shows(llama_tokenizer: Tokenizer, ids: list[int]) -> None:
    ordinary = [token_id for token_id in ids if token_id < llama_tokenizer.n_base]
    decoder = StreamDecoder(llama_tokenizer)
    assert "".join([*map(decoder.feed, ordinary), decoder.flush()]) == llama_tokenizer.decode(ordinary)


def test_a_special_id_cuts_a_half_character(llama_tokenizer: Tokenizer) -> None:
    half = llama_tokenizer.encode("😸")[0]
    decoder = StreamDecoder(llama_tokenizer)
    assert [decoder.feed(half), decoder.feed(llama_tokenizer.eot_id), decoder.flush()] == ["", "\ufffd", ""]


@pytest.mark.parametrize("token_id", [-1, 128_256, 10**20])
def test_foreign_ids_are_refused(llama_tokenizer: Tokenizer, token_id: int) -> None:
    assert llama_tokenizer.is_special(token_id)
    with pytest.raises(TokenizerError, match="outside the vocabulary") as caught:
        llama_tokenizer.decode([token_id])
    assert caught.value.hint


LINES = [base64.b64encode(bytes([i])) + b" %d" % i for i in range(256)]
BROKEN = {
    "empty": b"",
    "a picture": b"\x89PNG",
    "no base64": b"not base64! 0",
    "three words": b"\n".join([*LINES, b"YWI= 256 257"]),
    "a byte is missing": b"\n".join([*LINES[:-1], b"YWI= 255"]),
    "a gap in the ranks": b"\n".join([*LINES, b"YWI= 300"]),
    "a rank twice": b"\n".join([*LINES, b"YWI= 7"]),
    "cut in a line": b"\n".join(LINES)[:-2],
}


@pytest.mark.parametrize("content", list(BROKEN.values()), ids=list(BROKEN))
def test_torn_and_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(TokenizerError) as caught:
        Tokenizer.from_file(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="Can't read"):
        read_ranks(tmp_path / "absent")
