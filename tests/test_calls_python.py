"""Which texts are calls, II: Python lists, ``.call`` and bare calls, and the literals that they may hold."""

from typing import Any

import pytest
from reading import ALL, FUNCTIONS, NOTHING, TAG, WEATHER, broken, call, code, cut, said, search, text

from llamachat.calls import Offered, Part

LIST = "[get_weather(city='Oslo')]"


@pytest.mark.parametrize(
    "raw",
    [
        LIST,
        f"  {LIST} \n",
        f"{LIST}.",
        "[ get_weather ( city = 'Oslo', ) , ]",
        "[get_weather(city='Oslo')",
        "[get_weather(city='Oslo'",
        "[get_weather(city='Oslo',",
        f"```python\n{LIST}\n```",
        f"```\n{LIST}",
        "get_weather(city='Oslo')",
        "get_weather(city='Oslo'",
        "get_weather.call(city='Oslo')",
    ],
)
def test_python_calls(raw: str) -> None:
    assert said(raw) == [WEATHER]
    assert said(raw, FUNCTIONS) == [WEATHER]
    assert said(TAG + raw) == [WEATHER]
    assert said(TAG + raw, FUNCTIONS) == [WEATHER]


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("[get_weather(city='Oslo'), add(a=1, b=2)]", [WEATHER, call("add", a=1, b=2)]),
        (f"{LIST}; {LIST}", [WEATHER, WEATHER]),
        (f"{LIST}\n{LIST}", [WEATHER, WEATHER]),
        ("get_weather(city='Oslo'); no_args()", [WEATHER, call("no_args")]),
        ("get_weather(city='Oslo')\nno_args()", [WEATHER, call("no_args")]),
        ("[get_weather(city='Oslo'), launch(n=1)]", [WEATHER, broken("unknown_function", "launch")]),
        ("[math.sqrt(x=16), get-stock(sym='X')]", [call("math.sqrt", x=16), call("get-stock", sym="X")]),
        (f"{LIST}\n\nThis gets it.", [WEATHER, text("This gets it.")]),
        (f"Let me look.\n{LIST}", [text("Let me look."), WEATHER]),
        (f"One\n  {LIST}\ntwo\n{LIST}", [text("One"), WEATHER, text("two"), WEATHER]),
        (f"So:\n```\n{LIST}\n```", [text("So:"), WEATHER]),
        (
            "Look:\n[get_weather('Oslo')]\nok",
            [text("Look:"), broken("positional_arguments", "get_weather"), text("ok")],
        ),
    ],
)
def test_several_and_in_prose(raw: str, parts: list[Part]) -> None:
    assert said(raw, FUNCTIONS) == parts


@pytest.mark.parametrize(
    "raw",
    [
        f"Sure, {LIST}",
        f"- {LIST}",
        "[get_weather]",
        "[get_weather(city='Oslo')](https://example.org)",
        "[get_weather(city)](https://example.org)",
        "[ ] todo\n[x] done",
        "[link](https://example.org)",
        "['get_weather(city=1)']",
        "get_weather",
        "get_weather('Oslo')",
        "add(a, b) adds",
        "get_weather(city='Oslo') is how you call it.",
        "launch(n=1)",
        "launch.call(query='x')",
        "[f(x) for x in y]",
        "Look:\n[launch(n=1)]",
        "Call get_weather(city='Oslo').",
        "wolfram_alpha is a calculator",
    ],
)
def test_mentions_stay_text(raw: str) -> None:
    assert said(raw) == [text(raw)]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'it\\'s'", "it's"),
        ('"a]b)c,d=e"', "a]b)c,d=e"),
        ("'東京 😀'", "東京 😀"),
        ("'raw\nnewline'", "raw\nnewline"),
        ("'''triple 'quoted'\n'''", "triple 'quoted'\n"),
        ('"""a"b"""', 'a"b'),
        ("r'\\d+\\''", "\\d+\\'"),
        ("u'x'", "x"),
        ("''", ""),
        ("'\\x41\\u6771\\U0001F600\\101\\N{BULLET}\\q\\\n'", "A東😀A•\\q"),
        ("'\\ud83d\\ude00 \\ud83d'", "😀 \ufffd"),
        ("7890", 7890),
        ("-1", -1),
        ("+2.5", 2.5),
        ("- 3", -3),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b101", 5),
        ("0", 0),
        ("True", True),
        ("false", False),
        ("None", None),
        ("null", None),
        ("[]", []),
        ("[1, 'a', [None,],]", [1, "a", [None]]),
        ("(1, 2)", [1, 2]),
        ("(1,)", [1]),
        ("()", []),
        ("(1)", 1),
        ("('a')", "a"),
        ("{}", {}),
        (
            "{'a': {'b': (1,)}, 2: 'c', True: 0, None: 1, 1.5: 2}",
            {"a": {"b": [1]}, "2": "c", "true": 0, "null": 1, "1.5": 2},
        ),
        ("{'a': 1, 'a': 2}", {"a": 2}),
        ("[" * 60 + "]" * 60, None),
    ],
)
def test_literals(literal: str, value: Any) -> None:
    (part,) = said(f"[add(a={literal}, class=1)]", FUNCTIONS)
    assert part.kind == "function"
    assert part.arguments is not None
    assert part.arguments["class"] == 1
    if literal.startswith("[[["):
        return
    assert part.arguments["a"] == value
    assert type(part.arguments["a"]) is type(value)


@pytest.mark.parametrize(
    "value",
    ["Oslo", "get_city()", "x.y", "x[0]", "1 + 2", "'a' + 'b'", "'a'.upper()", "f'{x}'", "b'x'", "lambda: 1", "-x",
     "~1", "not True", "[x for x in y]", "[y]", "{'a': x}", "{x: 1}", "1 if True else 2", "1 < 2", "'a' % 1", "NaN",
     "*x"],
)  # fmt: skip
def test_values_must_be_literals(value: str) -> None:
    assert said(f"[add(b=1, a={value})]", FUNCTIONS) == [broken("non_literal_argument", "add")]


@pytest.mark.parametrize(
    "arguments",
    ["**{'a': 1}", "a=1, a=2", "a: 1", "'a': 1", "a={1, 2}", "a='x' 'y'", "a=007", "a=1j", "a=1e999", "a=", "a=1 b=2",
     "a=1;", "a=5km", "a='\\x4'", "a='\\N{NO SUCH}'", "a={'a': 1, **b}", "a={[1]: 2}", "a=" + "9" * 4301, "a:=1",
     "a=0x" + "f" * 4000, "a=" + "(" * 80 + ")" * 80, ",", "a=1,,b=2"],
)  # fmt: skip
def test_what_is_no_python(arguments: str) -> None:
    assert said(f"[add({arguments})]", FUNCTIONS) == [broken("bad_python", "add")]


@pytest.mark.parametrize("arguments", ["'Oslo'", "5", "city", "{'a': 1}", "a=1, 2", "*x", "g()", "x for x in y"])
def test_arguments_must_be_named(arguments: str) -> None:
    assert said(f"[add({arguments})]", FUNCTIONS) == [broken("positional_arguments", "add")]
    assert said(f"{TAG}add({arguments})", FUNCTIONS) == [broken("positional_arguments", "add")]


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ("[[get_weather(city='Oslo')]]", broken("bad_python")),
        ("[get_weather(city='Oslo'), 5]", broken("bad_python", "get_weather")),
        ("[get_weather(city='Oslo'); no_args()]", broken("bad_python", "get_weather")),
        ("[get_weather(city='Oslo'), add(a=x)]", broken("non_literal_argument", "add")),
        ("[get_weather(city='It's')]", broken("bad_python", "get_weather")),
        ("[get_weather(city='Os", broken("bad_python", "get_weather")),
        ("[get_weather(city=['Oslo'", broken("bad_python", "get_weather")),
        ("[launch(n=1)]", broken("unknown_function", "launch")),
    ],
)
def test_a_broken_list_is_one_error(raw: str, part: Part) -> None:
    assert said(raw, FUNCTIONS) == [part]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("[get_weather(city='Os", "get_weather"),
        ("[get_weather(city='Oslo')", "get_weather"),
        ("[get_weather(city='Oslo'), add(a=", "add"),
        ("get_weather(city='Os", "get_weather"),
        ('brave_search.call(query="go', "brave_search"),
        ('brave_search.call(query="gold"', "brave_search"),
    ],
)
def test_nothing_of_a_cut_call_runs(raw: str, name: str) -> None:
    assert cut(raw) == [broken("truncated", name)]
    assert cut(TAG + raw) == [broken("truncated", name)]
    bare = raw.startswith("get_weather")  # in prose, a bare call is a mention
    assert cut("So:\n" + raw) == ([text("So:\n" + raw)] if bare else [text("So:"), broken("truncated", name)])


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ('brave_search.call(query="gold")', search("gold")),
        (' brave_search.call(query="gold") \n', search("gold")),
        ("brave_search.call(query='gold')", search("gold")),
        ('brave_search.call("gold")', search("gold")),
        ('brave_search.call(q="gold")', search("gold")),
        ('brave_search.call(query="gold", n=5)', search("gold")),
        ('brave_search.call(query="gold").', search("gold")),
        ('brave_search.call(query="gold"', search("gold")),
        ('brave_search.call(query="say \\"hi\\"")', search('say "hi"')),
        ('brave_search.call(query="say "hi" now")', search('say "hi" now')),
        ("brave_search.call(query='it's \"so\"')", search('it\'s "so"')),
        ('brave_search.call("say "hi"")', search('say "hi"')),
        ('brave_search.call(query="a \nb")', search("a \nb")),
        ('brave_search.call(query="")', search("")),
        ('wolfram_alpha.call(query="2+2")', search("2+2", "wolfram_alpha")),
        ("brave_search.call(query=topic)", broken("non_literal_argument", "brave_search")),
        ('brave_search.call(query="a" + b)', broken("non_literal_argument", "brave_search")),
        ('brave_search.call(query="a" + "b")', broken("non_literal_argument", "brave_search")),
        ('brave_search.call("a", "b")', broken("positional_arguments", "brave_search")),
        ('brave_search.call(query="a', broken("bad_python", "brave_search")),
        ("brave_search.call()", broken("bad_arguments", "brave_search")),
        ("brave_search.call(query=5)", broken("bad_arguments", "brave_search")),
        ('get_weather.call("Oslo")', broken("positional_arguments", "get_weather")),
    ],
)
def test_dot_calls(raw: str, part: Part) -> None:
    assert said(TAG + raw) == [part]
    assert said(raw) == [part]


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ('brave_search.call(query="a"); wolfram_alpha.call(query="b")', [search("a"), search("b", "wolfram_alpha")]),
        ('brave_search.call(query="a")\nbrave_search.call(query="b")', [search("a"), search("b")]),
        ('Let me see.\nbrave_search.call(query="a")', [text("Let me see."), search("a")]),
        ('brave_search.call(query="a")\nSearching.', [search("a"), text("Searching.")]),
    ],
)
def test_several_dot_calls_and_in_prose(raw: str, parts: list[Part]) -> None:
    assert said(raw) == parts


def test_dot_calls_of_names_that_are_not_offered() -> None:
    unknown = broken("unknown_function", "wolfram_alpha")
    raw = 'wolfram_alpha.call(query="x")'
    assert said(TAG + raw, Offered(builtin=("brave_search",))) == [unknown]
    assert said(TAG + raw, Offered(code=True)) == [unknown]
    assert said(raw, Offered(builtin=("brave_search",))) == [text(raw)]
    assert said(TAG + "client.call(url='x')", FUNCTIONS) == [broken("unknown_function", "client")]


@pytest.mark.parametrize(
    "program",
    [
        'brave_search.call(query="x")\nprint(1)',
        "client.call(url='x')",
        "get_weather('Oslo')",
        "print(get_weather(city='Oslo'))",
        "x = get_weather(city='Oslo')",
        "get_weather(city='Oslo'); print(1)",
        "[foo(x=1)]",
        "[math.sqrt(x) for x in range(3)]",
        "[x for x in y]",
        "foo(x=1)",
    ],
)
def test_programs_that_mention_calls_are_code(program: str) -> None:
    assert said(TAG + program) == [code(program)]


def test_tagged_built_ins_as_plain_calls() -> None:
    assert said(f'{TAG}brave_search(query="x")') == [search("x")]
    assert said(f'{TAG}[brave_search(query="x"), code_interpreter(code="1")]') == [search("x"), code("1")]
    assert said("[launch(n=1)]", ALL) == [broken("unknown_function", "launch")]
    assert said("[launch(n=1)]", NOTHING) == [text("[launch(n=1)]")]
