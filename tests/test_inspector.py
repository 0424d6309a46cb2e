"""The token inspector by its screen: what is shown, where the cursor goes."""

from collections.abc import Mapping

from textual.app import App
from textual.widgets import Static

from llamachat.anatomy import anatomy
from llamachat.chat.front import Alternative, Inspection, Likely
from llamachat.errors import ConfigError
from llamachat.messages import Dialog, Message
from llamachat.protocol import Dialect
from llamachat.testing import byte_tokenizer
from llamachat.widgets.inspector import InspectorScreen, TokenFlow

TOKENIZER = byte_tokenizer()
DIALOG = Dialog(
    (Message("user", "Hi [/] \x1b[31m\n"), Message("assistant", "Yo", token_ids=(*b"Yo", TOKENIZER.eot_id)))
)
TOKENS = anatomy(TOKENIZER, DIALOG, Dialect(dates=False))


FIRST, SECOND = (i for i, token in enumerate(TOKENS) if token.source == "generated" and not token.control)


class Inspects(App[None]):
    """FIRST was a surprise, SECOND was not; nothing else was asked for or chosen yet."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.taken: list[tuple[int, str]] = []

    def on_mount(self) -> None:
        self.push_screen(InspectorScreen(Inspection(TOKENS, 5, 0, ["<|eot_id|>"], self.likely, self.branch)))

    async def likely(self, at: int) -> Mapping[int, Likely]:
        self.asked.append(at)
        if TOKENS[at].role != "assistant":
            raise ConfigError("A message is being answered.", "Stop it first with esc.")
        likelier = (Alternative(78, "N", 0.9), Alternative(33, "\x1b", 0.0004))
        return {FIRST: Likely(0.003, likelier), SECOND: Likely(0.97, (Alternative(79, "o", 0.97),))}

    def branch(self, at: int, instead: Alternative) -> None:
        if instead.text == "o":
            raise ConfigError("That is what stands there.", "Choose another one.")
        self.taken.append((at, instead.text))


def flow(app: App[None]) -> TokenFlow:
    return app.screen.query_one(TokenFlow)


def told(app: App[None], where: str = "#token") -> str:
    return str(app.screen.query_one(where, Static).render())


def colour(app: App[None], at: int) -> str | None:
    style = flow(app)._style(at)
    return style.color.name if style.color else None


def rows(app: App[None]) -> list[str]:
    return [flow(app).render_line(y).text.rstrip() for y in range(flow(app).size.height)]


async def test_every_id_is_there_and_nothing_in_it_is_obeyed() -> None:
    app = Inspects()
    async with app.run_test(size=(60, 20)):
        text = "".join(rows(app))
        assert "<|begin_of_text|>" in text
        assert "Hi [/] ␛[31m⏎<|eot_id|>" in text
        assert "Yo<|eot_id|>" in text
        assert "1 control token names are text here: <|eot_id|>" in str(app.screen.query_one("#badge", Static).render())


async def test_the_line_below_tells_all_about_the_token_at_the_cursor() -> None:
    app = Inspects()
    async with app.run_test(size=(60, 20)) as pilot:
        assert told(app) == f"1: id {TOKENIZER.bos_id} · control token · begin · template · cached"
        flow(app).to(next(i for i, token in enumerate(TOKENS) if token.source == "generated"))
        await pilot.pause()
        assert told(app).endswith("id 89 · 'Y' · assistant · generated · computed")


async def test_keys_move_by_token_row_and_message() -> None:
    app = Inspects()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("right", "right", "left")
        assert flow(app).cursor == 1
        await pilot.press("end")
        assert TOKENS[flow(app).cursor].message == 1
        await pilot.press("home")
        assert TOKENS[flow(app).cursor].message == 0
        await pilot.press("down", "up", "pagedown", "pageup", "left", "left", "left", "left")
        assert flow(app).cursor == 0
        await pilot.press("pagedown")
        assert TOKENS[flow(app).cursor].message == 1


async def test_a_tiny_terminal_shows_it_too() -> None:
    app = Inspects()
    async with app.run_test(size=(12, 8)) as pilot:
        for _ in TOKENS:
            await pilot.press("right")
        assert flow(app).cursor == len(TOKENS) - 1


async def test_escape_closes_it() -> None:
    app = Inspects()
    async with app.run_test() as pilot:
        await pilot.press("escape")
        assert not isinstance(app.screen, InspectorScreen)


async def test_p_tells_how_likely_each_was_and_a_number_goes_on_with_another():
    app = Inspects()
    async with app.run_test(size=(70, 20)) as pilot:
        assert "p: how likely" in told(app, "#odds")
        flow(app).to(FIRST)
        await pilot.press("p")
        await pilot.pause()
        assert told(app, "#odds") == "0.3% likely · 1 90% N · 2 <.1% ␛"
        assert [colour(app, i) for i in (FIRST, SECOND, 0)] == ["blue", "green", "bright_black"]
        assert "a surprise" in told(app, "#legend")
        await pilot.press("3")  # there are two
        assert app.taken == []
        await pilot.press("1")
        assert app.taken == [(FIRST, "N")]
        assert not isinstance(app.screen, InspectorScreen)


async def test_a_message_is_asked_for_once_and_what_went_wrong_is_said():
    app = Inspects()
    async with app.run_test(size=(70, 20)) as pilot:
        await pilot.press("p")
        await pilot.pause()
        assert "The model had no choice here." not in told(app, "#odds")
        await pilot.press("right", "right", "right", "right", "right", "right")
        await pilot.pause()
        assert told(app, "#odds") == "A message is being answered. Stop it first with esc."
        flow(app).to(SECOND)
        await pilot.pause()
        await pilot.press("1")
        assert told(app, "#odds") == "That is what stands there. Choose another one."
        await pilot.press("left", "right", "left")
        assert [TOKENS[at].role for at in app.asked].count("assistant") == 1
        await pilot.press("p")
        assert "p: how likely" in told(app, "#odds")
        assert colour(app, SECOND) == "green"
        assert "generated" in told(app, "#legend")
