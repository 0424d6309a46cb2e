"""Which texts are calls, I: tagged segments, JSON, function tags. Every rule has a case, and a neighbour beyond it."""

import pytest
from reading import ALL, FUNCTIONS, NOTHING, OSLO, TAG, WEATHER, broken, call, code, cut, said, search, text

from llamachat.calls import Offered, Part
from llamachat.protocol import explain

F = "<function=get_weather>"


@pytest.mark.parametrize(
    "raw",
    [
        "Hi",
        "  Hi \n",
        "",
        " \t\n",
        ".",
        '{"a": 1}',
        '{"name": "Alice", "age": 30}',
        '{"a": 1} is a dict',
        '{"a": 1',
        "{}",
        "{",
        "{x} + {y}",
        "[]",
        "[1, 2, 3]",
        '["a", {"b": 1}]',
        '[{"name": "Al", "age": 1}]',
        '"quoted"',
        '"{not json}"',
        "```python\nprint(1)\n```",
        '```json\n{"a": 1}\n```',
        '```json\n{"parameters": {"lr": 0.1}}\n```',
        f"```javascript\n{OSLO}\n```",
        f"Write `{OSLO}` to call.",
        f"Use `{F}{{}}</function>` for that.",
        f"```js\nconst call = {OSLO};\n```\nThat is all.",
        "The tag <function=NAME>ARGUMENTS</function> starts a call.",
        "Say <function=get_weather> first",
        "<b>bold</b>",
        "<function>{}</function>",
        '{"tool_calls": [' + OSLO + "]}",
        'I think of {"name": "launch", "parameters": {}} here.',
        'There is {"name": "no_args"} too.',
        'Almost: {"name": "get_weather", "parameters": {"city": "Oslo"}',
        '{"query": "gold"}',
    ],
)
def test_text_stays_text_to_the_letter(raw: str) -> None:
    assert said(raw) == [text(raw)]
    assert cut(raw) == [text(raw)]


@pytest.mark.parametrize(
    "raw", [OSLO, f"{F}{{}}</function>", "[get_weather(city='x')]", 'brave_search.call(query="x")', "no_args()"]
)
def test_nothing_untagged_is_a_call_if_nothing_is_offered(raw: str) -> None:
    assert said(raw, NOTHING) == [text(raw)]


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ("print(1)", code("print(1)")),
        ("  x\n", code("  x\n")),
        ("```python\nprint(1)\n```", code("print(1)")),
        ("```\nif a:\n    b\n```\n", code("if a:\n    b")),
        ("```python\na\n```\ntext\n```", code("```python\na\n```\ntext\n```")),
        ('cfg = "<function=add>{}</function>"', code('cfg = "<function=add>{}</function>"')),
        ('r = brave_search.call(query="x")', code('r = brave_search.call(query="x")')),
        (f"print({OSLO})", code(f"print({OSLO})")),
        ('{"a": 1}', code('{"a": 1}')),
        ("[1, 2]", code("[1, 2]")),
        ('"text"', code('"text"')),
        ('subprocess.call("ls")', code('subprocess.call("ls")')),
        ("", broken("empty_call")),
        (" \n", broken("empty_call")),
        ("```python\n```", broken("empty_call")),
        (OSLO, WEATHER),
        (f"```json\n{OSLO}\n```", WEATHER),
        (f"[{OSLO}]", WEATHER),
        (F + '{"city": "Oslo"}</function>', WEATHER),
        ('{"name": "launch", "parameters": {}}', broken("unknown_function", "launch")),
    ],
)
def test_tagged(raw: str, part: Part) -> None:
    assert said(TAG + raw) == [part]


@pytest.mark.parametrize("raw", ["print(1)", "hello", '{"a": 1}', "[1]", "foo(x=1)"])
def test_tagged_while_code_is_off(raw: str) -> None:
    assert said(TAG + raw, FUNCTIONS) == [broken("not_a_call")]
    assert said(TAG + raw, NOTHING) == [broken("not_a_call")]


def test_tags_split_a_message() -> None:
    assert said(f"Sure! \n{TAG}a{TAG}b") == [text("Sure!"), code("a"), code("b")]
    assert said(f"{OSLO}{TAG}{OSLO}") == [WEATHER, WEATHER]
    assert said(f"\n{TAG}a") == [code("a")]
    assert said(f"{TAG}{OSLO}\nDone.") == [WEATHER, text("Done.")]
    assert cut(f"Hi{TAG}print(1)") == [text("Hi"), code("print(1)")]


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ('{"type": "function", "name": "get_weather", "parameters": {"city": "Oslo"}}', WEATHER),
        ('{"parameters": {"city": "Oslo"}, "name": "get_weather"}', WEATHER),
        ('{"name": "get_weather", "arguments": {"city": "Oslo"}}', WEATHER),
        ('{"name": "get_weather", "arguments": {"city": "Rome"}, "parameters": {"city": "Oslo"}}', WEATHER),
        ('{"type": "function", "function": {"name": "get_weather", "parameters": {"city": "Oslo"}}}', WEATHER),
        ('{"function": {"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}', WEATHER),
        ('{"name": "get_weather", "parameters": "{\\"city\\": \\"Oslo\\"}"}', WEATHER),
        (f"\n  {OSLO}\n", WEATHER),
        (f"{OSLO}.", WEATHER),
        (f"{OSLO};", WEATHER),
        (f"[{OSLO}]", WEATHER),
        (f"```\n{OSLO}\n```", WEATHER),
        (f"```json {OSLO}```", WEATHER),
        (f"```python\n{OSLO}", WEATHER),
        (OSLO.replace('"', '\\"'), WEATHER),
        ('"' + OSLO.replace('"', '\\"') + '"', WEATHER),
        ("{'name': 'get_weather', 'parameters': {'city': 'Oslo',},}", WEATHER),
        ('{"name": "launch", "name": "get_weather", "parameters": {"city": "Oslo"}}', WEATHER),
        ('{"name": "get_weather", "parameters": {"city": "Oslo"}', WEATHER),
        ('{"name": "get_weather", "parameters": {"city": "Oslo"', WEATHER),
        ('{"name": "get_weather", "parameters": {"city": "Oslo",', WEATHER),
        (f"[{OSLO}", WEATHER),
        ('{"name": "no_args"}', call("no_args")),
        ('{"type": "function", "name": "no_args"}', call("no_args")),
        ('{"name": "no_args", "parameters": null}', call("no_args")),
        ('{"name": "math.sqrt", "parameters": {"x": 16}}', call("math.sqrt", x=16)),
        ('{"name": "add", "parameters": {"a": True, "b": None}}', call("add", a=True, b=None)),
        ('{"name": "add", "parameters": {"a": "5", "b": "[1]"}}', call("add", a="5", b="[1]")),
        ('{"name": "add", "parameters": {"a": {"b": [[1e3, -0.5]]}}}', call("add", a={"b": [[1000.0, -0.5]]})),
        ('{"name": "send_mail", "parameters": {"body": "a\nb \\ud83d"}}', call("send_mail", body="a\nb \ufffd")),
        ('{"name": "brave_search", "parameters": {"query": "gold", "n": 5}}', search("gold")),
        ('{"name": "brave_search", "parameters": {"q": "gold"}}', search("gold")),
        ('{"name": "code_interpreter", "parameters": {"code": "1+1"}}', code("1+1")),
    ],
)
def test_json_calls(raw: str, part: Part) -> None:
    assert said(raw) == [part]


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ('{"name": "launch", "parameters": {}}', broken("unknown_function", "launch")),
        ('{"type": "function", "name": "launch"}', broken("unknown_function", "launch")),
        ('{"name": "Get_Weather", "parameters": {}}', broken("unknown_function", "Get_Weather")),
        ('```json\n{"name": "launch", "arguments": {}}\n```', broken("unknown_function", "launch")),
        ('{"name": "", "parameters": {}}', broken("missing_name")),
        ('{"name": null, "parameters": {}}', broken("missing_name")),
        ('{"name": 5, "arguments": {}}', broken("missing_name")),
        ('{"type": "function", "parameters": {}}', broken("missing_name")),
        ('{"parameters": {"city": "Oslo"}}', broken("missing_name")),
        ('{"name": "get_weather", "parameters": 7}', broken("bad_arguments", "get_weather")),
        ('{"name": "get_weather", "parameters": []}', broken("bad_arguments", "get_weather")),
        ('{"name": "get_weather", "parameters": "Oslo"}', broken("bad_arguments", "get_weather")),
        ('{"name": "brave_search", "parameters": {"query": 5}}', broken("bad_arguments", "brave_search")),
        ('{"name": "brave_search", "parameters": {"a": "x", "b": "y"}}', broken("bad_arguments", "brave_search")),
        ('{"name": "code_interpreter", "parameters": {}}', broken("bad_arguments", "code_interpreter")),
        ('{"name": "get_weather", "parameters": {"city": Oslo}}', broken("bad_json", "get_weather")),
        ('{"name": "get_weather", "parameters": {"city": "a "b""}}', broken("bad_json", "get_weather")),
        ('{"name": "get_weather" "parameters": {}}', broken("bad_json", "get_weather")),
        ('{name: "get_weather", parameters: {}}', broken("bad_json", "get_weather")),
        ('{"parameters": {"a": NaN}, "name": "add"}', broken("bad_json", "add")),
        ('{"name": "add", "parameters": {"a": -Infinity}}', broken("bad_json", "add")),
        ('{"name": "add", "parameters": {"a": 1e999}}', broken("bad_json", "add")),
        ('{"name": "add", "parameters": {"a": 007}}', broken("bad_json", "add")),
        ('{"name": "add", "parameters": {"a": ' + "9" * 4301 + "}}", broken("bad_json", "add")),
        ('{"name": "add", "parameters": {"a": ' + "[" * 80 + "]" * 80 + "}}", broken("bad_json", "add")),
        ('{"name": "get_weather", "parameters": {"city": "Os', broken("bad_json", "get_weather")),
        ('{"name": "get_weather", "parameters": {"city":', broken("bad_json", "get_weather")),
    ],
)
def test_broken_json_calls(raw: str, part: Part) -> None:
    assert said(raw) == [part]
    assert said(TAG + raw) == [part]


def test_names_are_checked_against_what_is_offered() -> None:
    assert said('{"name": "brave_search", "parameters": {"query": "x"}}', FUNCTIONS) == [
        broken("unknown_function", "brave_search")
    ]
    assert said('{"name": "code_interpreter", "parameters": {"code": "x"}}', FUNCTIONS) == [
        broken("unknown_function", "code_interpreter")
    ]
    assert said(OSLO, Offered(code=True)) == [broken("unknown_function", "get_weather")]
    assert said(TAG + OSLO, NOTHING) == [broken("unknown_function", "get_weather")]


@pytest.mark.parametrize("separator", ["; ", ", ", "\n", ";\n\n", ""])
def test_several_json_calls(separator: str) -> None:
    assert said(OSLO + separator + OSLO) == [WEATHER, WEATHER]
    assert said(TAG + OSLO + separator + OSLO) == [WEATHER, WEATHER]


def test_a_sequence_keeps_what_is_good() -> None:
    unknown = '{"name": "launch", "parameters": {}}'
    assert said(f"{OSLO}; {unknown}") == [WEATHER, broken("unknown_function", "launch")]
    assert said(f"[{unknown}, {OSLO}]") == [broken("unknown_function", "launch"), WEATHER]
    assert cut(OSLO + '; {"name": "add", "par') == [WEATHER, broken("truncated", "add")]
    assert said(OSLO + '; {"name": "add", "parameters": {"a": oops}}') == [WEATHER, broken("bad_json", "add")]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ('{"name": "get_wea', None),
        ('{"name": "get_weather"', "get_weather"),
        ('{"name": "get_weather", "para', "get_weather"),
        ('{"name": "get_weather", "parameters": {"city": "Os', "get_weather"),
        ('{"name": "get_weather", "parameters": {"city": "Oslo"}', "get_weather"),
        ('{"type": "func', None),
        ('{"parameters": {"ci', None),
        (f"[{OSLO}", "get_weather"),
        ('```json\n{"name": "get_weather", "parameters": {', "get_weather"),
        (F + '{"city": "Os', "get_weather"),
        (F, "get_weather"),
        ("<function=get_wea", None),
    ],
)
def test_what_the_token_limit_cut_is_never_run(raw: str, name: str | None) -> None:
    assert cut(raw) == [broken("truncated", name)]
    assert cut(TAG + raw) == [broken("truncated", name)]


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (f"Sure: {OSLO} and done.", [text("Sure:"), WEATHER, text("and done.")]),
        (f"{OSLO} // call", [WEATHER, text("// call")]),
        (f"{OSLO}\n\nHere.", [WEATHER, text("Here.")]),
        (f"One {OSLO}; {OSLO}.", [text("One"), WEATHER, WEATHER]),
        (f"Two:\n[{OSLO},\n {OSLO}]\nDone", [text("Two:"), WEATHER, WEATHER, text("Done")]),
        (f"Go:\n\n```json\n{OSLO}\n```\n\nSo.", [text("Go:"), WEATHER, text("So.")]),
        (f"Go:\n```\n{OSLO}\n{OSLO}", [text("Go:"), WEATHER, WEATHER]),
        (f"Go: {F}" + '{"city": "Oslo"}</function> ok', [text("Go:"), WEATHER, text("ok")]),
        (f'{{"a": 1}} {OSLO}', [text('{"a": 1}'), WEATHER]),
        (f'{OSLO} {{"a": 1}}', [WEATHER, text('{"a": 1}')]),
        (f"{{{OSLO}", [text("{"), WEATHER]),
        (f"`x` {OSLO}", [text("`x`"), WEATHER]),
        (f"`open\n{OSLO}", [text("`open"), WEATHER]),
        (f"```js\nx\n```\n{OSLO}", [text("```js\nx\n```"), WEATHER]),
        ('Go: {"name": "get_weather", "parameters": 7}', [text("Go:"), broken("bad_arguments", "get_weather")]),
    ],
)
def test_calls_in_prose(raw: str, parts: list[Part]) -> None:
    assert said(raw) == parts


@pytest.mark.parametrize(
    "raw",
    [
        F + '{"city": "Oslo"}</function>',
        F + '{"city": "Oslo"}',
        F + ' {"city": "Oslo"} \n</function>.',
        F + '{"city": "Oslo"}"</function>',
        F + '{"city": "Oslo"} // yes</function>',
        F + '({"city": "Oslo"})</function>',
        F + "{'city': 'Oslo',}</function>",
        F + '{"city": "Oslo"',
        '<function="get_weather">{"city": "Oslo"}</function>',
        '<function=\'get_weather\'>{"city": "Oslo"}</function>',
        '<function=get_weather({"city": "Oslo"})</function>',
        '<function=get_weather{"city": "Oslo"}></function>',
        '<function=get_weather{"city": "Oslo"}>',
        '<function= get_weather >{"city": "Oslo"}</function>',
        "```\n" + F + '{"city": "Oslo"}</function>\n```',
    ],
)
def test_function_tags(raw: str) -> None:
    assert said(raw) == [WEATHER]
    assert said(TAG + raw) == [WEATHER]


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ("<function=no_args></function>", call("no_args")),
        ("<function=no_args>", call("no_args")),
        ("<function=no_args>null</function>", call("no_args")),
        ('<function=get-stock>{"sym": "META"}</function>', call("get-stock", sym="META")),
        ('<function=send_mail>{"body": "it\'s </function>"}</function>', call("send_mail", body="it's </function>")),
        ('<function=brave_search>{"query": "gold"}</function>', search("gold")),
        ('<function=code_interpreter>{"code": "1"}</function>', code("1")),
        ('<function=launch>{"n": 1}</function>', broken("unknown_function", "launch")),
        ("<function=>{}</function>", broken("missing_name")),
        (F + '{"city": Oslo}</function>', broken("bad_json", "get_weather")),
        (F + "city=Oslo</function>", broken("bad_json", "get_weather")),
        (F + '{"city": "Os', broken("bad_json", "get_weather")),
        (F + "[1]</function>", broken("bad_arguments", "get_weather")),
    ],
)
def test_function_tags_of_other_names_and_bodies(raw: str, part: Part) -> None:
    assert said(raw) == [part]


def test_several_function_tags() -> None:
    raw = F + '{"city": "Oslo"}</function>'
    assert said(raw + "\n" + raw) == [WEATHER, WEATHER]
    assert said(raw + " and " + raw + "\nDone.") == [WEATHER, text("and"), WEATHER, text("Done.")]
    assert cut(raw + F + '{"ci') == [WEATHER, broken("truncated", "get_weather")]
    assert cut(raw[:-4]) == [WEATHER]


def test_every_error_is_explained_in_one_sentence() -> None:
    sentences = {explain(Part("error", "eot", "f", error=error, offered=ALL.names)) for error in ERRORS}
    assert len(sentences) == len(ERRORS)
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in sentences)
    unknown = Part("error", "eot", "launch", error="unknown_function", offered=("add", "no_args"))
    assert explain(unknown) == "There is no function launch; these are offered: add, no_args."
    assert "token limit" in explain(Part("code", "length", text="1+"))


ERRORS = (
    "empty_call", "not_a_call", "unknown_function", "missing_name", "bad_json", "bad_arguments", "bad_python",
    "non_literal_argument", "positional_arguments", "truncated",
)  # fmt: skip
