"""What may reach a terminal: characters that would steer it are shown as symbols instead. Knows no widget."""

_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
# C0 controls have pictures at U+2400; a reader should see that something was there, so nothing is dropped.
_TABLE: dict[int, str] = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_TABLE |= {0x7F: "␡"} | {code: "�" for code in (*range(0x80, 0xA0), *range(0xD800, 0xE000))}
_TABLE |= {code: f"⟪U+{code:04X}⟫" for code in (*_BIDI, 0x2028, 0x2029)}


def visible(text: str) -> str:
    """``text`` with escape, NUL and other control characters, bidi controls and lone surrogates made visible.

    Newlines and tabs stay. Trojan Source (CVE-2021-42574) is why bidi controls are named.
    """
    return text.translate(_TABLE)
