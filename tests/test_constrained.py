"""Constrained calls: what is valid passes unchanged in every writing, what is not is refused, whatever else comes."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llamachat.constrain import CallConstraint, Grammar
from llamachat.offer import FunctionSpec, Offer
from llamachat.protocol import Reply, parse
from llamachat.testing import byte_tokenizer
from llamachat.tokenizer import Tokenizer
from llamachat.tools.schemas import coerce, problems

TOKENIZER = byte_tokenizer()
TAG, EOT = TOKENIZER.special["<|python_tag|>"], TOKENIZER.eot_id
Schema = Mapping[str, Any]

# -- schemas, instances, and ways to write them ------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "days", "größe", "x y", 'q"q', "😀"])
LEAVES = st.sampled_from(
    [
        {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"},
        {"enum": ["red", 'a "b"', "ä😀\n", "re", 5, 2.5, None, True]}, {"const": {"k": [1, "x"]}},
        {"type": ["string", "null"]}, {"type": "integer", "enum": [1, 10, 100]}, {"type": "string", "maxLength": 3},
        {"oneOf": [{"type": "integer"}, {"type": "null"}]}, {"$ref": "#/$defs/pair"},
    ]
)  # fmt: skip
PAIR = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False, "minItems": 2}


def objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def build(properties: dict[str, Schema], required: int, more: object) -> Schema:
        keys = list(properties)[:required]
        return {"type": "object", "properties": properties, "required": keys, "additionalProperties": more}

    more = st.sampled_from([False, False, True, {"type": "integer"}])
    return st.builds(build, st.dictionaries(KEYS, inner, max_size=3), st.integers(0, 3), more)


def nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    arrays = st.builds(lambda items, n: {"type": "array", "items": items, "maxItems": n}, inner, st.integers(0, 3))
    unions = st.builds(lambda one, two: {"anyOf": [one, two]}, arrays, inner)
    return objects(inner) | arrays | unions


SCHEMAS = objects(st.recursive(LEAVES, nested, max_leaves=4)).map(lambda s: {**s, "$defs": {"pair": PAIR}})
ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=4)


@st.composite
def instances(draw: st.DrawFn, schema: Any, depth: int = 0) -> Any:
    """A value that fits ``schema``."""
    if schema is True:
        return draw(ANY)
    if "$ref" in schema:
        return [draw(st.integers()), draw(st.booleans())]
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else draw(st.sampled_from(schema["enum"]))
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return draw(instances(draw(st.sampled_from(choices))))
    kind = draw(st.sampled_from(schema["type"])) if isinstance(schema["type"], list) else schema["type"]
    if kind == "array":
        return [draw(instances(schema["items"])) for _ in range(draw(st.integers(0, schema["maxItems"])))]
    if kind == "object":
        return _object(draw, schema)
    floats = st.floats(allow_nan=False, allow_infinity=False)
    plain: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(st.characters(codec="utf-8"), max_size=schema.get("maxLength", 8)),
        "integer": st.integers(),
        "number": st.integers() | floats,
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return draw(plain[kind])


def _object(draw: st.DrawFn, schema: Schema) -> dict[str, Any]:
    known, more = schema["properties"], schema["additionalProperties"]
    found = {k: draw(instances(s)) for k, s in known.items() if k in schema["required"] or draw(st.booleans())}
    for key in () if more is False else draw(st.sets(KEYS, max_size=2)) - known.keys():
        found[key] = draw(instances(more))
    return found


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """``value`` in any JSON: order of keys, space, escapes, forms of numbers."""
    space = draw(st.sampled_from(["", "", " ", "\n\t", "\r\n  "]))
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        inner = f",{space}".join(f"{draw(written(k))}{space}:{draw(written(value[k]))}" for k in keys)
        return f"{{{space}{inner}{space}}}"
    if isinstance(value, list):
        return f"[{space}{f'{space},'.join(draw(written(item)) for item in value)}{space}]"
    if isinstance(value, str):
        return '"' + "".join(draw(_character(char)) for char in value) + '"'
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    plain = json.dumps(value)
    forms = [plain, plain.replace("e", "E")]
    if isinstance(value, int) and abs(value) < 1e200:
        forms += [f"{plain}.0"] if value in (1, 5, 10, 100) else [f"{plain}.0", f"{plain}e0"]  # an enum takes no e0
    return draw(st.sampled_from(forms))


def _character(char: str) -> st.SearchStrategy[str]:
    units = char.encode("utf-16-be")
    codes = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
    short = json.dumps(char)[1:-1]
    return st.sampled_from([short, codes, codes.upper().replace("U", "u"), char if char not in '"\\' else short])


def grammar(schema: Schema, tokenizer: Tokenizer = TOKENIZER, **offer: Any) -> Grammar:
    other = FunctionSpec("get_time", "", {"type": "object", "properties": {}})
    return Grammar(tokenizer, Offer(functions=(FunctionSpec("get_weather", "", schema), other), **offer))


def drive(constraint: CallConstraint, text: str) -> int | None:
    """Say ``text`` byte by byte; where it was refused, None if nowhere."""
    for at, byte in enumerate(text.encode()):
        if not constraint.allows(byte):
            return at
        constraint.accept(byte)
    return None


def tagged(held: Grammar) -> CallConstraint:
    constraint = held.constraint()
    constraint.accept(TAG)
    return constraint


def read(held: Grammar, text: bytes) -> Reply:
    return parse(TOKENIZER, [TAG, *text, EOT], held.offered)


def fits(schema: Schema, reply: Reply) -> bool:
    """Whether all calls of ``reply`` would run."""
    known = {"get_weather": schema, "get_time": {"type": "object", "properties": {}}}

    def wrong(name: str, arguments: Mapping[str, Any]) -> list[str]:
        return problems(known[name], coerce(known[name], arguments))

    functions = [(part.name or "", part.arguments or {}) for part in reply.parts if part.kind == "function"]
    return 0 < len(functions) == len(reply.parts) and not any(wrong(*call) for call in functions)


# -- nothing valid is refused ------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=120)
def test_a_valid_call_passes_in_every_writing(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    value = data.draw(instances(schema))
    held = grammar(schema)
    call = {"name": "get_weather", data.draw(st.sampled_from(["parameters", "arguments"])): value}
    call |= data.draw(st.sampled_from([{}, {"type": "function"}, {"id": [1, {"a": None}]}]))
    shapes = [call, [call, {"name": "get_time"}], {"type": "function", "function": call}]
    text = data.draw(written(data.draw(st.sampled_from(shapes))))
    assert fits(schema, read(held, text.encode()))
    constraint = tagged(held)
    assert drive(constraint, text) is None, text
    assert constraint.allows(EOT)
    assert drive(constraint, f" ; {text}") is None
    assert constraint.allows(TOKENIZER.special["<|eom_id|>"])


LENIENT = [
    "{'name': 'get_weather', 'parameters': {'a': 'it\\'s \"so\"', \"b\": None}}",
    '{"name": "get_weather", "parameters": {"a": "two\nlines"}} . ;',
    '{"name": "get_weather", "parameters": {"a": "x", "b": null}}, {"name": "get_time"}',
    '{"name": "get_time", "parameters": null}',
    '{"name":"get_weather","arguments":{"a":"\\ud800 alone"},"type":"function"}',
    '<function=get_weather>{"a": "x"}</function>',
    '<function=get_weather> {"a": "x"}\n',
    '<function=get_weather>{"a": "x"}</function>\n<function=get_time>{}</function>',
    "<function=get_time></function>",
    "[get_weather(a='x, (y)', b=-3), get_time( )]",
    '[get_weather(a="""x"y""", b=0x1F)]',
    'get_weather(a="x")',
    'get_weather.call(a = "x", b=[1, (2, 3), {"k": True}])',
    'brave_search.call(query="a plain one")',
    'brave_search.call(query="with "quotes" (and) more")',
    'brave_search.call("positional")',
    "brave_search.call(q='by another name')",
    '{"name": "brave_search", "parameters": {"query": "x"}}',
    '{"name": "brave_search", "parameters": {"q": "x"}}',
]
AB = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "book": {"type": "boolean"}},
    "required": ["a"],
}


@pytest.mark.parametrize("text", LENIENT)
def test_the_slips_that_the_parser_takes_pass_too(text: str) -> None:
    held = grammar(AB, builtin=("brave_search",))
    assert all(part.kind in ("function", "builtin") for part in read(held, text.encode()).parts)
    constraint = tagged(held)
    assert drive(constraint, text) is None
    assert constraint.allows(EOT)


TREE = {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "n": {"type": "integer"}}}
RINGS = {
    "type": "object",
    "properties": {"tree": {"$ref": "#/$defs/tree"}, "either": {"$ref": "#/$defs/ring"}, "lost": {"$ref": "#/x/y"}},
    "$defs": {
        "tree": {**TREE, "additionalProperties": False},
        "ring": {"anyOf": [{"$ref": "#/$defs/ring"}, {"type": "integer"}, {"$ref": "#/$defs/tree"}]},
        "loop": {"$ref": "#/$defs/loop"},
    },
}


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ('{"tree": {"left": {"left": {"n": 1}}}', None),
        ('{"tree": {"left": {"left": {"m', "m"),
        ('{"either": 3', None),
        ('{"either": {"left": {}}', None),
        ('{"either": "', '"'),
        ('{"lost": [1, {"any": "thing"}]', None),
    ],
)
def test_schemas_may_refer_to_themselves(value: str, refused: str | None) -> None:
    beginning = '{"name": "get_weather", "parameters": '
    at = drive(tagged(grammar(RINGS)), beginning + value)
    assert at == (None if refused is None else len(beginning) + value.rindex(refused))


def test_arguments_nest_as_deep_as_the_parser_reads() -> None:
    beginning = '{"name": "get_weather", "parameters": {"x": '
    held = grammar({"type": "object"})
    assert drive(tagged(held), beginning + "[" * 62 + "]" * 62 + "}}") is None
    assert drive(tagged(held), beginning + "[" * 63) == len(beginning) + 62
    assert fits({"type": "object"}, read(held, (beginning + "[" * 62 + "]" * 62 + "}}").encode()))


# -- nothing invalid comes through -------------------------------------------------------------------------------------

REFUSED = [
    ('{"name": "get_wea', "t", 'g'),
    ('{"name": "get_weather', '"', "_"),
    ('{"type": "function", "name": "get_weather", "parameters": {"', "b", "c"),
    ('{"name": "get_weather", "parameters": {"b": 1', ",", "}"),
    ('{"name": "get_time", "', "p", "o"),
    ('{"name": "get_time", "para', "m", '"'),
    ('{"name": "get_weather", "parameters": {"bo', "o", '"'),
    ("[get_weather(bo", "o", "="),
    ("[get_weather(bo", "o", " "),
    ('{"name": "get_time"', ",", ";"),
    ('{"name": "get_weather", "parameters": {"a": "x",', '"', "}"),
    ('{"name": "get_weather", "parameters": {"a": "x", "b": 1, "book": true', "}", ","),
    ("[get_weather(a='x', b=1, book=True", ")", ","),
    ("[get_time(), ", "g", "]"),
    ('{"name": "get_weather", "parameters": {"b": 1.', "0", "5"),
    ('{"name": "get_weather", "parameters": {"a": ', '"', "7"),
    ('{"name": "get_weather", "parameters": {"a": "x", "', "b", "a"),
    ('{"name": "get_weather", "parameters": {"a": "x"}', "}", "\x00"),
    ('{"name": "get_weather"', ",", "}"),
    ('{"parameters": {}, "name": "get_', "t", "w"),
    ('{"name": "get_time", "parameters": {}}', ";", "x"),
    ("", "{", "H"),
    ("<function=get_", "w", "x"),
    ("[get_weather(", "b", "c"),
    ("[get_weather(b=1", ",", ")"),
    ("get_weather(a=", "T", "foo("),
    ("get_weather(a ", "=", ":"),
    ('brave_search.call(query="x"', ")", "+"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "right", "wrong"), REFUSED)
def test_the_first_wrong_byte_is_refused(text: str, right: str, wrong: str) -> None:
    held = grammar(AB, builtin=("brave_search",))
    for more, good in ((right, True), (wrong, False)):
        constraint = tagged(held)
        assert drive(constraint, text) is None
        assert (drive(constraint, more) is None) is good


LENGTHS = [
    ("", "abc", "d"), ("äö", "\\u00fc", "x"), ("😀😀", "😀", "\\n"), ("\\ud83d\\ude00\\ud83d", "\\uDE00x", "z"),
    ("ab", "c", "\\"), ("\\ud83d\\ud83d\\ud83d", "\\udfff", "\\"), ("\\ud83d\\ud83d", "\\ud83d", "\\u0041"),
    ("ab\\ud83d", "\\ude00", "\\ude00"), ("ab\\ud83d", "", "\\n"), ("ab\\ud83d", "", "\\ue"),
    ("\\u00e4\\n", "\\\\", "\\u"), ("😀\\ude00", "\\ude00", "\\ude00"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "right", "wrong"), LENGTHS)
def test_a_string_ends_where_its_schema_says(text: str, right: str, wrong: str) -> None:
    """A model that goes round in circles in a string comes out of it."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}
    held, beginning = grammar(schema), '{"name": "get_weather", "parameters": {"a": "' + text
    constraint = tagged(held)
    assert drive(constraint, beginning + right + '"}}') is None
    assert fits(schema, read(held, (beginning + right + '"}}').encode()))
    constraint = tagged(held)
    assert drive(constraint, beginning + right) is None
    assert drive(constraint, wrong) is not None
    assert not fits(schema, read(held, (beginning + right + wrong.ljust(6, "0") + '"}}').encode()))


@given(st.data())
@settings(max_examples=120)
def test_a_mutated_call_is_refused_or_still_fits(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    held = grammar(schema)
    call = {"name": "get_weather", "parameters": data.draw(instances(schema))}
    text = bytearray(json.dumps(call, ensure_ascii=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=1) | st.sampled_from(list(PIECES)))
    constraint = tagged(held)
    for byte in text:
        if not constraint.allows(byte):
            return
        constraint.accept(byte)
    if constraint.allows(EOT) and _held(constraint):
        assert fits(schema, read(held, bytes(text))), bytes(text)


PIECES = (
    b"{",
    b"}",
    b'"',
    b",",
    b"[",
    b"]",
    b":",
    b"1",
    b"-",
    b"null",
    b"true",
    b"\\",
    b"\\u00",
    b" ",
    b"e",
    b"get_time",
)


def _held(constraint: CallConstraint) -> bool:
    """Whether it still holds anything."""
    return not constraint.allows(0x80)


def bytes_of(constraint: CallConstraint) -> list[int]:
    return [i for i in constraint.replacements() if i < 256]


BEGINNINGS = ["{", "[{", "<function=", "[get_", "get_", "brave_search.call("]


@given(SCHEMAS, st.integers(0, 2**32), st.sampled_from(BEGINNINGS))
@settings(max_examples=50)
def test_whatever_is_allowed_ends_in_a_call_that_fits(schema: Schema, seed: int, beginning: str) -> None:
    held = grammar(schema, builtin=("brave_search",))
    constraint, chance, said = tagged(held), random.Random(seed), bytearray(beginning.encode())
    assert drive(constraint, beginning) is None
    weights = [40 if chr(i) in '"}])' else 4 if chr(i) in "{:,=\\" else 1 for i in range(256)]
    while len(said) < 500 and not (constraint.allows(EOT) and chance.random() < 0.3):
        drawn = chance.choices(range(256), weights, k=30)
        allowed = next(([i] for i in drawn if constraint.allows(i)), []) or bytes_of(constraint)
        if not allowed:
            assert not said.startswith((b"{", b"[{", b"<")), bytes(said)  # a keyword that no letter can continue
            break
        said.append(chance.choice(allowed))
        constraint.accept(said[-1])
    assume(constraint.allows(EOT))
    reply = read(held, bytes(said))
    if beginning in ("{", "[{", "<function=") and all(part.kind == "function" for part in reply.parts):
        assert fits(schema, reply), bytes(said)
    assert {part.kind for part in reply.parts} <= {"function", "builtin"}, bytes(said)
    assert reply.parts
