"""Equations with the actual numbers, in one line."""
from ..player import format_number

MAX_TERMS = 12                      # a longer sum is abbreviated to its first and last terms
FIRST_TERMS = 7
LAST_TERMS = 3


def sum_of_products(name, a, b, total):
    """y[0,1] = 1·3 − 1·0 + 2·(−4) = −5"""
    if not len(a):
        return f'{name} = {format_number(total)}: the window contains only zeros'
    terms = _sum(zip(a, b))
    return f'{name} = {terms} {equal_sign(*a, *b, total)} {format_number(total)}'


def sum_of(name, values, total):
    """y[3] = 0.5 + 2.25 = 2.75"""
    terms = _sum((value,) for value in values)
    return f'{name} = {terms} {equal_sign(*values, total)} {format_number(total)}'


def increment(name, before, factors, after):
    """dw[0,0] = 2 + 3·1 = 5: what a frame adds to a cell."""
    sign, product = _term(*factors)
    return (f'{name} = {format_number(before)} {sign or "+"} {product} '
            f'{equal_sign(before, *factors, after)} {format_number(after)}')


def window_formula(output, a, b, channels, start, step=(1, 1)):
    """y[1,2] = Σ[a,b] w[a,b] · x[1+a,2+b]: the sum over a window that starts at `start`"""
    channel, letters = ('[c]', 'c,a,b') if channels > 1 else ('', 'a,b')
    return (f'y{subscript(output)} = Σ[{letters}] {a}{channel}[a,b] · '
            f'{b}{channel}{window_subscript(start, step)}')


def window_subscript(start, step=(1, 1)):
    """[1+a,2+b]: the cell of tap a, b in a window that starts at `start`"""
    taps = [letter if n == 1 else f'{n}·{letter}' for letter, n in zip('ab', step)]
    return subscript(f'{n}+{tap}' if n else tap for n, tap in zip(start, taps))


def equal_sign(*values):
    """=, or ≈ where a number is shown rounded."""
    return '=' if all(map(_is_exact, values)) else '≈'


def subscript(cell):
    """[0,1]"""
    return f'[{",".join(map(str, cell))}]'


def _is_exact(value):
    """Whether the text of a number is the number itself; nan is."""
    text = format_number(value).replace('−', '-').replace('∞', 'inf')
    return value != value or float(text) == value


def _term(first, *others):
    """The sign of a product, '' or '−', and the product without it."""
    factors = [format_number(abs(first))]
    for value in others:
        text = format_number(value)
        factors.append(f'({text})' if value < 0 else text)
    return '−' if first < 0 else '', '·'.join(factors)


def _sum(products):
    terms = [_term(*factors) for factors in products]
    if len(terms) > MAX_TERMS:
        terms = [*terms[:FIRST_TERMS], ('', '…'), *terms[-LAST_TERMS:]]
    (sign, first), *others = terms
    return sign + first + ''.join(f' {sign or "+"} {text}' for sign, text in others)
