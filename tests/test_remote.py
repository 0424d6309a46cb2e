"""A model that another engine runs: the ids that it sampled, whatever it leaves out; its troubles in a sentence."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_server import DRAWN, EOT, HELLO, KINDS, PROMPT, TOKENIZER, EngineServer, open_remote, say, without_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import edit_json

from llamachat.errors import CheckpointError, ConfigError, ContextOverflow, EngineError
from llamachat.remote import Address, RemoteRuntime
from llamachat.remote.lost import lost_ids
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return without_weights(tmp_path_factory.mktemp("model") / "m")


# -- who is there -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "engine"), [("vllm", "vLLM"), ("sglang", "SGLang"), ("llama", "llama-server")])
async def test_a_server_says_what_it_is(kind: str, engine: str, folder: Path) -> None:
    with EngineServer(kind, [HELLO], context=300) as server:
        runtime = RemoteRuntime.open(Address.read(server.url.removeprefix("http://") + "/v1/", key="s3cret"), folder)
        assert (runtime.engine.kind, runtime.name, runtime.context) == (engine, "Llama-3.1-8B", 300)
        assert (runtime.tokenizer.n_words, runtime.dialect.python_tag) == (512, "all_calls")
        assert await say(runtime) == HELLO
        assert set(server.keys) == {"Bearer s3cret"}
        runtime.close()


def test_the_folder_tells_how_the_model_speaks(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes())
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    edit_json(tmp_path / "config.json", llamachat={"variant": "3.1", "dialect": {"compact": True}})
    edit_json(tmp_path / "generation_config.json", temperature=0.3, top_k=40)
    with EngineServer("vllm") as server:
        runtime = RemoteRuntime.open(Address(server.url), tmp_path)
    assert (runtime.dialect.compact, runtime.sampling.temperature, runtime.sampling.top_k) == (True, 0.3, 40)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_with_another_tokenizer_is_refused(kind: str, folder: Path) -> None:
    with EngineServer(kind) as server:
        server.tokenizer = Tokenizer({bytes([255 - i]): i for i in range(256)})
        with pytest.raises(CheckpointError, match="cuts text otherwise") as caught:
            RemoteRuntime.open(Address(server.url), folder)
        assert "-m FOLDER" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "fault", "reason"),
    [
        ("ollama", "", "neither vLLM nor SGLang nor llama-server"),
        ("nothing", "", "neither vLLM nor SGLang nor llama-server"),
        ("web", "", "something else than JSON"),
        ("vllm", "locked", "refused: Unauthorized"),
        ("llama", "loading", "refused: Loading model"),
    ],
)
def test_servers_that_do_not_let_us_in(kind: str, fault: str, reason: str, folder: Path) -> None:
    with EngineServer(kind, fault=fault) as server, pytest.raises(EngineError, match=reason) as caught:
        RemoteRuntime.open(Address(server.url), folder)
    assert caught.value.hint


def test_nobody_there(folder: Path) -> None:
    with EngineServer("vllm") as server:
        url = server.url
    with pytest.raises(EngineError, match="Nobody answers at"):
        RemoteRuntime.open(Address(url), folder)


@pytest.mark.parametrize("url", ["", "http://", "ftp://a", "http://a:b", "http://u:p@host", "file:///etc/passwd"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Address.read(url)
    assert "u:p" not in str(caught.value)


# -- ids in, ids out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tells_stop", [True, False])
async def test_the_ids_are_those_of_the_server(kind: str, tells_stop: bool) -> None:
    with EngineServer(kind, [HELLO, HELLO[:-1], HELLO]) as server:
        server.tells_stop = tells_stop
        runtime = open_remote(server)
        assert await say(runtime) == HELLO
        stats = runtime.stats
        assert (stats.prompt_tokens, stats.cached_tokens, stats.prefilled_tokens) == (10, 0, 10)
        assert stats.generated_tokens == 7
        assert stats.prefill_seconds > 0
        assert stats.decode_seconds >= 0
        assert await say(runtime, sampling=replace(DRAWN, max_tokens=6)) == HELLO[:-1]
        assert await say(runtime, [*PROMPT, *HELLO, 1, 2]) == HELLO
        assert (runtime.stats.cached_tokens, runtime.stats.prefilled_tokens) == (15, 4)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_field_is_left_to_the_server(kind: str) -> None:
    with EngineServer(kind, [HELLO, HELLO]) as server:
        await say(open_remote(server))
        await say(open_remote(server), sampling=SamplingParams(temperature=0.0))
        asked, greedy = server.asked
    params = asked.get("sampling_params", asked)
    assert (params["temperature"], params["top_p"], params["min_p"]) == (0.5, 0.8, 0.05)
    assert params["top_k"] == (-1 if kind.startswith("sglang") else 0)
    assert asked["stream"] is True
    assert greedy.get("sampling_params", greedy)["temperature"] == 0
    if kind == "llama":
        assert params["samplers"] == ["temperature", "top_k", "top_p", "min_p"]
        assert (asked["cache_prompt"], asked["return_tokens"], asked["seed"], greedy["seed"]) == (True, True, 7, -1)
    else:
        assert params["stop_token_ids"] == sorted(TOKENIZER.stop_ids)
        assert (params["repetition_penalty"], params["skip_special_tokens"]) == (1.0, False)
    if kind == "vllm":
        assert (asked["model"], asked["return_token_ids"], asked["seed"]) == ("meta-llama/Llama-3.1-8B", True, 7)


@pytest.mark.parametrize("kind", KINDS)
async def test_never_more_than_was_asked_for(kind: str) -> None:
    long = list(b"a" * 400)
    with EngineServer(kind, [long, long], context=200) as server:
        runtime = open_remote(server)
        assert await say(runtime, sampling=replace(DRAWN, max_tokens=5)) == long[:5]
        assert len(await say(runtime, [65] * 150, replace(DRAWN, max_tokens=1000))) == 50
        with pytest.raises(ContextOverflow, match="must fit into 200"):
            await say(runtime, [65] * 200)
        for prompt, reason in (([], "empty"), ([512], "outside the vocabulary"), ([-1], "outside")):
            with pytest.raises(EngineError, match=reason):
                await say(runtime, prompt)


# -- ids that llama-server leaves out ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[EngineServer]:
    with EngineServer("llama") as server:
        yield server


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@settings(deadline=None, max_examples=20)
@given(TEXT, st.booleans())
async def test_ids_inside_of_characters_are_found(server: EngineServer, text: str, whole: bool) -> None:
    ids = [*text.encode(), *([EOT] if whole else [])]
    server.replies.append(ids)
    assert await say(open_remote(server), sampling=replace(DRAWN, max_tokens=len(ids))) == ids


def test_lost_ids_are_cut_as_the_model_cut_them() -> None:
    pairs = [bytes([97, i]) for i in range(256)]  # "a" and a byte are one token
    tokenizer = Tokenizer({token: i for i, token in enumerate([*(bytes([i]) for i in range(256)), *pairs])})
    e, ay = [*"é".encode()], 256 + 0xC3
    assert lost_ids(tokenizer, "aé", 1, e[1]) == (ay,)  # as the tokenizer cuts it
    assert lost_ids(tokenizer, "aé", 2, e[1]) == (97, e[0])  # a way of the model's own
    assert lost_ids(tokenizer, "aéb", 3, 98) == (97, *e)
    assert lost_ids(tokenizer, "\ufffdb", 1, 98) == tuple("\ufffd".encode())  # broken by the model: the words, at least


async def test_behind_a_broken_character_all_is_well() -> None:
    """The server shows U+FFFD for bytes that will never be one."""
    with EngineServer("llama", [[*b"a", 0xC3, *b"b", *"é😀".encode(), EOT]]) as server:
        said = await say(open_remote(server))
    assert said == [*"a\ufffdbé😀".encode(), EOT]


async def test_a_reply_cut_inside_of_a_character_ends_before_it() -> None:
    ids = [*b"ab", *"😀".encode()][:4]
    with EngineServer("llama", [ids]) as server:
        assert await say(open_remote(server), sampling=replace(DRAWN, max_tokens=4)) == ids[:2]


async def test_a_stop_id_behind_half_a_character_still_stops() -> None:
    with EngineServer("llama", [[*b"ab", 0xF0, EOT]]) as server:
        assert await say(open_remote(server)) == [*b"ab", EOT]


# -- troubles ---------------------------------------------------------------------------------------------------------

FAULTS = [
    ("hangs up", "hung up in the middle of its answer"),
    ("ends", "hung up in the middle of its answer"),
    ("garbage", "something else than JSON"),
    ("foreign", "its answer is not that of"),
    ("list", "its answer is not that of"),
    ("error", "refused: CUDA out of memory"),
    ("falls silent", "silent for 0.3 seconds"),
    ("drips", "silent for 0.3 seconds"),
    ("endless line", "more at once than any engine"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "reason"), FAULTS)
async def test_a_server_that_fails_in_the_middle(kind: str, fault: str, reason: str) -> None:
    with EngineServer(kind, [[*b"Hello there, how are you?", EOT]], fault=fault) as server:
        runtime, got = open_remote(server, patience=0.3 if "silent" in reason else 30), list[int]()
        with pytest.raises(EngineError, match=reason) as caught:
            await say(runtime, got=got)
        assert bytes(got) == b"Hello there"[: len(got)]
        assert len(got) >= 3  # what came before is kept
        assert caught.value.hint
        assert runtime.stats.generated_tokens == len(got)


@pytest.mark.parametrize(("fault", "reason"), [("refuses", r"maximum␛\[31m context"), ("silent", "silent for 0.3")])
async def test_a_server_that_does_not_even_begin(fault: str, reason: str) -> None:
    with EngineServer("vllm", [HELLO], fault=fault) as server, pytest.raises(EngineError, match=reason):
        await say(open_remote(server, patience=0.3))


@pytest.mark.parametrize("ids", [[600], [-5], [3.5], ["a"], [True], [None]])
async def test_ids_that_are_none(ids: list[Any]) -> None:
    with EngineServer("sglang", [[*b"ab", *ids]]) as server, pytest.raises(EngineError, match="no engine that we"):
        await say(open_remote(server))


async def test_a_server_that_never_ends_is_ended() -> None:
    with EngineServer("vllm", [[65] * 300], fault="no end", context=1000) as server:
        assert len(await say(open_remote(server), sampling=replace(DRAWN, max_tokens=40))) == 40


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_hangs_up(kind: str) -> None:
    with EngineServer(kind, [[65] * 300], fault="no end", context=1000) as server:
        runtime = open_remote(server)
        async with aclosing(runtime.generate(PROMPT, DRAWN, ())) as ids:
            assert [await anext(ids), await anext(ids)] == [65, 65]
        assert await asyncio.to_thread(server.hung_up.wait, 30)
        assert runtime.stats.generated_tokens == 2


async def test_cancelling_the_wait_for_the_first_id_hangs_up_too() -> None:
    with EngineServer("vllm", [HELLO], fault="drips", good=0) as server:
        task = asyncio.create_task(say(open_remote(server)))
        await asyncio.to_thread(server.was_asked.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.hung_up.wait, 30)
