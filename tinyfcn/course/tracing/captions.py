"""Equations with the real numbers in them, as one line."""
from ..player import short

TERMS, FIRST, LAST = 12, 7, 3       # of a longer sum only the ends are written


def sum_of_products(name, a, b, total):
    """y[0,1] = 1·3 − 1·0 + 2·(−4) = −5"""
    if not len(a):
        return f'{name} = {short(total)}: the window meets nothing but zeros'
    return f'{name} = {_sum(zip(a, b))} {equals(*a, *b, total)} {short(total)}'


def sum_of(name, values, total):
    """y[3] = 0.5 + 2.25 = 2.75"""
    return f'{name} = {_sum((value,) for value in values)} {equals(*values, total)} {short(total)}'


def added(name, before, factors, after):
    """dw[0,0] = 2 + 3·1 = 5: what a frame adds to a cell."""
    sign, product = _term(*factors)
    return (f'{name} = {short(before)} {sign or "+"} {product} '
            f'{equals(before, *factors, after)} {short(after)}')


def equals(*values):
    """≈ where a number is written shorter than it is."""
    return '=' if all(map(_exact, values)) else '≈'


def at(cell):
    """[0,1]: a place, as an index is written."""
    return f'[{",".join(map(str, cell))}]'


def _exact(value):
    text = short(value).replace('−', '-').replace('∞', 'inf')
    return value != value or float(text) == value


def _term(first, *others):
    """Its sign, '' or '−', and the product without it."""
    brackets = (f'({short(value)})' if value < 0 else short(value) for value in others)
    return '−' if first < 0 else '', '·'.join([short(abs(first)), *brackets])


def _sum(terms):
    terms = [_term(*term) for term in terms]
    if len(terms) > TERMS:
        terms = [*terms[:FIRST], ('', '…'), *terms[-LAST:]]
    (sign, first), *others = terms
    return sign + first + ''.join(f' {sign or "+"} {text}' for sign, text in others)
