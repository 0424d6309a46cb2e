"""The token inspector by its screen: what is shown, where the cursor goes."""

from textual.app import App
from textual.widgets import Static

from llamachat.anatomy import anatomy
from llamachat.messages import Dialog, Message
from llamachat.protocol import Dialect
from llamachat.testing import byte_tokenizer
from llamachat.widgets.inspector import InspectorScreen, TokenFlow

TOKENIZER = byte_tokenizer()
DIALOG = Dialog(
    (Message("user", "Hi [/] \x1b[31m\n"), Message("assistant", "Yo", token_ids=(*b"Yo", TOKENIZER.eot_id)))
)
TOKENS = anatomy(TOKENIZER, DIALOG, Dialect(dates=False))


class Inspects(App[None]):
    def on_mount(self) -> None:
        self.push_screen(InspectorScreen(TOKENS, cached=5, cursor=0, badges=["<|eot_id|>"]))


def flow(app: App[None]) -> TokenFlow:
    return app.screen.query_one(TokenFlow)


def told(app: App[None]) -> str:
    return str(app.screen.query_one("#token", Static).render())


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
