"""Text of unknown origin, made safe to print and to draw."""


def printable(text: object, keep: str = '', limit: int | None = 300) -> str:
    r"""The text with every character escaped that is not visible, but for those in `keep`.

    Names in files and replies of servers may hold escape sequences, which a terminal would obey,
    and characters that reverse the direction of what follows. More than `limit` characters are cut.

    >>> print(printable('sky\x1b[2J\u202e.png'))
    sky\x1b[2J\u202e.png
    """
    whole = str(text)
    shown = whole if limit is None else whole[:limit]
    escaped = ''.join(character if character.isprintable() or character in keep
                      else ascii(character)[1:-1] for character in shown)
    return escaped if len(shown) == len(whole) else f'{escaped}…'
