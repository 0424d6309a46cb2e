"""What the model sees, id by id."""

from llamachat.anatomy import anatomy, lookalikes, shares
from llamachat.messages import Dialog, Message, StopReason
from llamachat.protocol import Dialect, encode_dialog
from llamachat.testing import byte_tokenizer

TOKENIZER = byte_tokenizer()
EOT = TOKENIZER.eot_id
DIALECT = Dialect(dates=False)
DIALOG = Dialog(
    (
        Message("system", "Be kind."),
        Message("user", "Hi <|eot_id|> ü", context="notes"),
        Message("assistant", "Yo.", token_ids=(*b"Yo.", EOT)),
        Message("ipython", "completed"),
        Message("assistant", "typed by a human", stop=StopReason.end_of_turn),
    )
)


def test_the_ids_are_those_of_the_prompt() -> None:
    prompt = encode_dialog(TOKENIZER, DIALOG, DIALECT, add_generation_prompt=False).ids
    assert [view.id for view in anatomy(TOKENIZER, DIALOG, DIALECT)] == prompt


def test_every_id_has_its_message_and_source() -> None:
    views = anatomy(TOKENIZER, DIALOG, DIALECT)
    by_source = {
        (view.message, source): "".join(v.text for v in views if (v.message, v.source) == (view.message, source))
        for view in views
        for source in ("system", "user", "tool", "generated", "written")
    }
    assert by_source[0, "system"] == "Be kind."
    assert by_source[1, "user"] == "Hi <|eot_id|> \\xc3\\xbc\n\nnotes"
    assert by_source[2, "generated"] == "Yo.<|eot_id|>"
    assert by_source[3, "tool"] == "completed"
    assert by_source[4, "written"] == "typed by a human"
    assert by_source[2, "user"] == ""


def test_headers_and_ends_that_nobody_said_are_template() -> None:
    views = [view for view in anatomy(TOKENIZER, DIALOG, DIALECT) if view.message == 3]
    template = "".join(view.text for view in views if view.source == "template")
    assert template == "<|start_header_id|>ipython<|end_header_id|>\n\n<|eot_id|>"


def test_only_ids_are_control_never_letters() -> None:
    views = [view for view in anatomy(TOKENIZER, DIALOG, DIALECT) if view.message == 1 and view.source == "user"]
    assert not any(view.control for view in views)
    assert lookalikes(TOKENIZER, DIALOG[1].text) == ["<|eot_id|>"]
    assert lookalikes(TOKENIZER, "<|nothing|> < |eot_id| >") == []


def test_a_cut_reply_gets_an_end_of_ours() -> None:
    cut = Dialog((Message("assistant", "Yo", token_ids=tuple(b"Yo")),))
    last = anatomy(TOKENIZER, cut, DIALECT)[-1]
    assert (last.id, last.source) == (EOT, "template")


def test_shares_add_up_to_the_prompt() -> None:
    parts = shares(TOKENIZER, DIALOG, DIALECT)
    assert [part.role for part in parts] == ["system", "user", "assistant", "ipython", "assistant"]
    assert sum(part.tokens for part in parts) + 1 == len(anatomy(TOKENIZER, DIALOG, DIALECT))
