"""Numbers and sizes on the command line, checked where they are parsed."""
import argparse
from collections.abc import Callable
from math import isfinite
from typing import TypeVar

Number = TypeVar('Number', int, float)

MAX_FACTOR = 100                # of an image's size; 1/MAX_FACTOR is the smallest


def natural_number(text: str) -> int:
    """'0' -> 0"""
    return _parse(int, text, lambda number: number >= 0, 'a whole number, 0 or more')


def positive_number(text: str) -> int:
    """'321' -> 321"""
    return _parse(int, text, lambda number: number > 0, 'a whole number above 0')


def positive_value(text: str) -> float:
    """'.5' -> 0.5"""
    return _parse(float, text, lambda x: isfinite(x) and x > 0, 'a number above 0')


def frame_rate(text: str) -> float:
    """'25' -> 25.0"""
    return _parse(float, text, lambda x: .01 <= x <= 1000,
                  'a number of frames a second from 0.01 to 1000, such as 25')


def size_factor(text: str) -> float:
    """'.75' -> 0.75"""
    return _parse(float, text, lambda x: isfinite(x) and 1 / MAX_FACTOR <= x <= MAX_FACTOR,
                  f'a factor from {1 / MAX_FACTOR:g} to {MAX_FACTOR}, such as .75')


def image_size(text: str) -> tuple[int, int]:
    """'375x500' -> (375, 500)"""
    try:
        h, w = (int(number) for number in text.split('x'))
    except ValueError:
        h = w = 0
    if min(h, w) < 1:
        raise argparse.ArgumentTypeError(
            f'{text[:40]!r} is not a size: height x width, such as 375x500')
    return h, w


def pixel_position(text: str) -> tuple[int, int]:
    """'120,80' -> (120, 80): column and row"""
    try:
        x, y = (int(number) for number in text.split(','))
    except ValueError:
        x = y = -1
    if min(x, y) < 0:
        raise argparse.ArgumentTypeError(
            f'{text[:40]!r} is not a pixel: X,Y counted from 0 at the top left, such as 120,80')
    return x, y


def _parse(kind: type[Number], text: str, accepts: Callable[[Number], bool], what: str) -> Number:
    try:
        number = kind(text)
    except ValueError:
        pass
    else:
        if accepts(number):
            return number
    raise argparse.ArgumentTypeError(f'{text[:40]!r} is not {what}')
