"""What can go wrong on our side, and what the user can do about it. Knows no other room.

    LlamaChatError(message, hint)      one sentence each; the front doors print both, never a traceback
    ├── ConfigError                    an option, persona, functions file or config key that we can't accept
    ├── CheckpointError                missing, torn or foreign weights; weights that don't fit their tokenizer
    ├── TokenizerError                 a tokenizer file that is not one, an id outside the vocabulary
    ├── ContextOverflow                the prompt is longer than the model's context
    ├── EngineError                    the runtime failed under way: out of memory, a dead device or server
    ├── StorageError                   a folder or file of ours that can't be read or written
    ├── SearchError                    the search tool has no answer …
    │   ├── SearchOffline                  … because there is no network
    │   ├── SearchRateLimited              … because the provider asks us to wait
    │   └── SearchNothingFound             … because nothing matches
    └── PageError                      an address on the web gives us no document …
        ├── PageOffline                    … because nobody answers there, or not to the end
        └── PageRefused                    … because we do not go there, or do not take what is there

A *model's* mistake (unknown tool, bad JSON, timeout) is no exception: it is a ``ToolResult(ok=False)``.
"""


class LlamaChatError(Exception):
    """Base of all errors that a user may see: ``message`` says what happened, ``hint`` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(LlamaChatError):
    """An option, persona, functions file or config key that we can't accept."""


class CheckpointError(LlamaChatError):
    """Missing, torn or foreign weights, or weights that don't fit their tokenizer."""


class TokenizerError(LlamaChatError):
    """A tokenizer file that is not one, or an id outside the vocabulary."""


class ContextOverflow(LlamaChatError):
    """The prompt is longer than the model's context."""


class EngineError(LlamaChatError):
    """The runtime failed under way: out of memory, a dead device or a dead server."""


class StorageError(LlamaChatError):
    """A folder or file of ours that can't be read or written."""


class SearchError(LlamaChatError):
    """The search tool has no answer."""


class SearchOffline(SearchError):
    """There is no network."""


class SearchRateLimited(SearchError):
    """The provider asks us to wait."""


class SearchNothingFound(SearchError):
    """Nothing matches the query."""


class PageError(LlamaChatError):
    """An address on the web gives us no document."""


class PageOffline(PageError):
    """Nobody answers there, or not to the end."""


class PageRefused(PageError):
    """We do not go there, or do not take what is there."""
