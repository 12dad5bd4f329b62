"""Names that were typed wrongly: which ones are near."""
from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A question with the names that are near, or what to say where none is.

    >>> did_you_mean('trian', ['demo', 'train'], 'there are two commands')
    'did you mean train?'
    >>> did_you_mean('x', ['demo', 'train'], 'there are two commands')
    'there are two commands'
    """
    near = get_close_matches(name, list(known))
    return f'did you mean {", ".join(near)}?' if near else otherwise
