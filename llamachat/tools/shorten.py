"""How long texts are made short for the model. Knows nothing else; the python worker uses it too."""


def shorten(text: str, limit: int) -> str:
    """``text``, or its beginning and end around a note of how much was left out, about ``limit`` characters in all."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… [{len(text) - 2 * half:,} of {len(text):,} characters left out] …\n{text[-half:]}"


def printable(text: str) -> str:
    """``text`` with lone surrogates written as ``\\udXXX``: UTF-8, and so the tokenizer, can't hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
