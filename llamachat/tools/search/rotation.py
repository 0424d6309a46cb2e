"""Several search providers as one, which asks them in order and leaves those alone that fail. Knows no provider."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llamachat.errors import SearchError, SearchNothingFound, SearchOffline, SearchRateLimited
from llamachat.tools.search import Found, Provider, nothing_found

SECONDS = 7.0  # for one provider; the search tool has 15 for all
_KINDS = {"rate limited: ": SearchRateLimited, "offline: ": SearchOffline, "the search failed: ": SearchError}


@dataclass(frozen=True, slots=True)
class _Rest:
    """How long a provider is left alone: until a time of the clock, after so many failures in a row."""

    until: float
    failures: int
    message: str


class Rotation:
    """Several providers as one: asked in order, until one finds something.

    One that fails is left alone for a while, twice as long after each failure: rate limits from 60 s to an hour, other
    failures from 5 s to 5 minutes. ``clock`` counts seconds; each provider has ``seconds`` to answer.
    """

    def __init__(
        self, providers: Sequence[Provider], clock: Callable[[], float] = time.monotonic, seconds: float = SECONDS
    ) -> None:
        self.name = "+".join(provider.name for provider in providers)
        self._providers, self._clock, self._seconds = tuple(providers), clock, seconds
        self._rests: dict[str, _Rest] = {}

    def search(self, query: str, limit: int) -> list[Found]:
        """As in Provider. If none finds anything, the error says what each of them said."""
        failed: list[tuple[str, SearchError]] = []
        for provider in self._providers:
            try:
                return self._ask(provider, query, limit)
            except SearchError as error:
                failed.append((provider.name, error))
        raise _all_failed(failed)

    def _ask(self, provider: Provider, query: str, limit: int) -> list[Found]:
        rest = self._rests.get(provider.name)
        if rest and rest.until > self._clock():
            raise self._resting(rest)
        try:
            found = _within(self._seconds, lambda: provider.search(query, limit))
        except SearchNothingFound:
            found = []
        except SearchError as error:
            self._leave_alone(provider.name, error)
            raise
        self._rests.pop(provider.name, None)
        if not found:
            raise nothing_found()
        return found

    def _leave_alone(self, name: str, error: SearchError) -> None:
        before = self._rests.get(name)
        failures = before.failures if before else 0
        first, most = (60, 3600) if isinstance(error, SearchRateLimited) else (5, 300)
        pause = min(first * 2 ** min(failures, 10), most)
        self._rests[name] = _Rest(self._clock() + pause, failures + 1, error.message)

    def _resting(self, rest: _Rest) -> SearchError:
        wait = max(1, round(rest.until - self._clock()))
        kind = next((k for prefix, k in _KINDS.items() if rest.message.startswith(prefix)), SearchError)
        return kind(f"{rest.message.removesuffix('.')}; it is asked again in {wait} s.", f"Try again in {wait} s.")


def _all_failed(failed: Sequence[tuple[str, SearchError]]) -> SearchError:
    """One error for all: of the first kind that is not "nothing found", since that might have found something."""
    if len(failed) == 1:
        return failed[0][1]
    worst = next((error for _, error in failed if not isinstance(error, SearchNothingFound)), None)
    if worst is None:
        return nothing_found()
    prefix = next((prefix for prefix, kind in _KINDS.items() if type(worst) is kind), "the search failed: ")
    told = "; ".join(f"{name}: {error.message.removeprefix(prefix).removesuffix('.')}" for name, error in failed)
    return type(worst)(f"{prefix}{told}.", worst.hint)


def _within(seconds: float, work: Callable[[], list[Found]]) -> list[Found]:
    """``work()``, or SearchOffline after ``seconds``; its thread is then left behind."""
    values: list[list[Found]] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            values.append(work())
        except BaseException as error:  # noqa: BLE001 it is raised again below
            errors.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not values:
        raise SearchOffline(f"offline: no answer in {seconds:g} s.", "Check the network connection.")
    return values[0]
