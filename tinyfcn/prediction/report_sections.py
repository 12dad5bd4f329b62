"""The sections of a report on the errors of a net, in HTML."""
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..data.labels import VOID
from ..files import printable
from ..metrics import scores
from ..viz.border_curve import border_figure
from ..viz.colours import class_colours
from ..viz.confusion import confusion_figure
from ..viz.data_uri import figure_uri, image_uri
from .analysis import BEST, MEDIUM, WORST, ErrorAnalysis, ShownImage

MAX_NAME = 60                   # characters of a class or of an image
PAIRS = 12                      # of classes in the table of pairs
TABLE_DISTANCES = 1, 2, 3, 5, 10, 20, 40

CAUSE_NAMES = 'grid of scores', 'small objects', 'borders', 'confused classes'
# from pale to dark, and none of them the colour of a class
CAUSE_COLOURS = (255, 179, 124), (232, 80, 91), (156, 47, 127), (43, 15, 92)


# ---- the four metrics ----------------------------------------------------------------------------

def score_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """The four metrics, and what they are."""
    own = analysis.scores
    cards = [
        ('mean IU', own['mean_iu'], 'of each class: the pixels that are both true and '
         'predicted, divided by those that are either; then the mean over the classes'),
        ('pixel accuracy', own['pixel_acc'], 'the share of all pixels that are right'),
        ('mean accuracy', own['mean_acc'], 'the share of the pixels of each class that are '
         'right; then the mean over the classes'),
        ('f.w. IU', own['fw_iu'], 'frequency weighted IU: the mean in which a class counts '
         'as much as it has pixels')]
    yield '<div class="scores">'
    for name, value, meaning in cards:
        yield (f'<div>{name}<strong>{percent(value)}</strong><small>{meaning}</small></div>')
    yield '</div>'
    hist = analysis.confusion
    void = analysis.void / max(1, analysis.void + hist.sum())
    yield (f'<p class="about">In per cent, of {hist.sum():,} pixels of '
           f'{count(len(analysis.images), "image")} at once. {percent(void)} % of all pixels are '
           f'void, which is not evaluated.</p>')


# ---- causes --------------------------------------------------------------------------------------

def cause_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """The causes of errors: a bar, a table of what each costs, and how they are told apart."""
    causes = analysis.causes()
    wrong = sum(cause.pixels for cause in causes)
    total = int(analysis.confusion.sum())
    yield (f'<p>{wrong:,} of {total:,} pixels ({percent(ratio(wrong, total))} %) are wrong. Each '
           f'is counted once, under the first of four causes that applies to it. So the shares add '
           f'up to 100 %.</p>')
    if not wrong:
        return
    yield parts_bar([cause.pixels for cause in causes], is_large=True)
    yield cause_legend()
    yield open_table('cause', 'wrong pixels', 'share of all errors', 'mean IU if right, too',
                     'gain', kind='full causes')
    yield row('the prediction as it is', '', '', percent(analysis.scores['mean_iu']), '')
    for i, (cause, meaning) in enumerate(zip(causes, cause_meanings(analysis))):
        disc = chip(CAUSE_COLOURS[i], is_round=True)
        yield row(f'{disc}{i + 1}. {CAUSE_NAMES[i]}<small>{meaning}</small>', f'{cause.pixels:,}',
                  f'{percent(cause.share)} %', percent(cause.mean_iu), f'+{percent(cause.gain)}')
    gain = sum(cause.gain for cause in causes)
    yield row('all', f'{wrong:,}', '100.0 %', '', f'+{percent(gain)}', kind='sum')
    yield CLOSE_TABLE
    yield ('<p class="faint">The mean IU rises from row to row, as the errors of one cause after '
           'another are corrected, and ends at 100. Where two causes apply to a pixel, it counts '
           'for the upper one. In another order each cause would have another share, of the same '
           'sum.</p>')


def cause_meanings(analysis: ErrorAnalysis) -> list[str]:
    """How a pixel with each cause is known, and what helps."""
    strides = sorted(analysis.strides)
    stride = f'{strides[0]}' if len(strides) == 1 else f'{strides[0]} to {strides[-1]}'
    ceiling = percent(scores(analysis.ceiling)['mean_iu'])
    grid = (f'Scores are computed at every {stride} pixels and interpolated. The true label, '
            f'reduced to cells of this size and enlarged again, is wrong here, too; as a '
            f'prediction such labels have a mean IU of {ceiling}. A net whose last scores have a '
            f'finer stride helps.')
    if strides[-1:] == [1]:
        grid = 'None: this net computes a score for every pixel.'
    side = round(analysis.small ** .5)
    return [
        grid,
        f'The object has fewer than {analysis.small:,} pixels (as {side}×{side} have). Larger '
        f'images, or predictions at larger scales, help; so do weights for rare classes.',
        f'At most {analysis.border} pixels from a border between two labels. A finer stride and '
        f'the CRF help; so do masks that are drawn precisely.',
        'All others: in large objects, away from borders. More images of these classes and longer '
        'training help; the confusion matrix shows which classes.']


# ---- borders and sizes ---------------------------------------------------------------------------

def border_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """The trimap curve, as a figure and as a table."""
    bands = analysis.bands()
    own = analysis.scores
    if not bands:
        yield '<p>There are no borders: every image is of one class.</p>'
        return
    yield ('<p>The pixels within some distance from a border between two labels, evaluated alone: '
           'the trimap curve. It begins low where borders are out of place. Pixels on both sides '
           'of a border, and those beside void, have distance 1.</p>')
    uri = figure_uri(border_figure(bands, own['pixel_acc'], own['mean_iu']))
    yield f'<img src="{uri}" width="990" alt="scores and shares by the distance from a border">'
    yield open_table('distance up to', 'share of all pixels', 'share of all errors',
                     'pixel accuracy', 'mean IU')
    for band in bands:
        if band.distance in TABLE_DISTANCES:
            yield row(count(band.distance, 'pixel'), f'{percent(band.pixels)} %',
                      f'{percent(band.errors)} %', percent(band.pixel_acc), percent(band.mean_iu))
    yield row('any', '100.0 %', '100.0 %', percent(own['pixel_acc']),
              percent(own['mean_iu']), kind='sum')
    yield CLOSE_TABLE


def size_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """How much of small, medium and large objects is right."""
    small = analysis.small
    medium = MEDIUM * small
    names = [('small', f'fewer than {small:,}'), ('medium', f'{small:,} to {medium - 1:,}'),
             ('large', f'{medium:,} or more')]
    total = int(analysis.confusion.sum())
    yield '<p>An object is a part of a true label whose pixels touch.</p>'
    yield open_table('object', 'its pixels', 'objects', 'share of all pixels',
                     'of their pixels right')
    for (name, limits), size in zip(names, analysis.sizes()):
        yield row(name, limits, f'{size.objects:,}', f'{percent(ratio(size.pixels, total))} %',
                  f'{percent(size.accuracy)} %')
    yield CLOSE_TABLE


# ---- classes -------------------------------------------------------------------------------------

def class_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """A row for each class."""
    hist = analysis.confusion
    iu = analysis.scores['iu']
    true, pred = hist.sum(1), hist.sum(0)
    table = class_colours(analysis.classes, analysis.colours)
    yield '<p>A click on the head of a column sorts the table.</p>'
    yield cause_legend()
    yield open_table('class', 'share of all pixels', 'IU', 'accuracy', 'precision',
                     text('most often taken for'), text('why its pixels are missed'),
                     kind='full sortable')
    for i in range(len(analysis.classes)):
        missed = analysis.by_cause[:, i].sum(0)         # by the class that was predicted
        other = '–'
        if missed.any():
            taken = int(missed.argmax())
            other = f'{class_name(analysis, taken)} ({percent(missed[taken] / true[i])} %)'
        yield row(f'{chip(table[i])}{i} {class_name(analysis, i)}',
                  f'{percent(ratio(true[i], hist.sum()))} %', with_bar(iu[i]),
                  percent(ratio(hist[i, i], true[i])), percent(ratio(hist[i, i], pred[i])),
                  text(other), parts_bar(analysis.by_cause[:, i].sum(1)))
    yield CLOSE_TABLE
    never = np.flatnonzero((true > 0) & (pred == 0)).tolist()
    if never:
        names = ', '.join(class_name(analysis, i) for i in never)
        yield (f'<p class="note">Never predicted: {names}. Longer training helps, or weights for '
               f'rare classes.</p>')
    yield ('<p class="faint">Accuracy: of the pixels of the class, how many are found. Precision: '
           'of those predicted as the class, how many are of it. A class that is neither in the '
           'labels nor predicted has no IU, and is not in the mean.</p>')


def confusion_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """The confusion matrix as a picture, and the classes that are taken for each other most."""
    yield ('<p>Of 100 pixels of the class of a row, how many are predicted as the class of a '
           'column. A perfect prediction has 100 along the diagonal and nothing elsewhere; an '
           'empty cell is less than 0.5.</p>')
    figure = confusion_figure(analysis.confusion, analysis.classes)
    width = round(110 * figure.get_size_inches()[0])
    yield f'<img src="{figure_uri(figure)}" width="{width}" alt="confusion matrix">'
    pairs = analysis.pairs()
    if not pairs:
        return
    yield '<h3>Most pixels taken for another class</h3>'
    yield open_table('true class', text('taken for'), 'pixels', 'share of all errors',
                     text('cause'))
    for pair in pairs[:PAIRS]:
        yield row(class_name(analysis, pair.true), text(class_name(analysis, pair.pred)),
                  f'{pair.pixels:,}', f'{percent(pair.share)} %', parts_bar(pair.by_cause))
    rest = pairs[PAIRS:]
    if rest:
        yield row(count(len(rest), 'other pair'), '', f'{sum(pair.pixels for pair in rest):,}',
                  f'{percent(sum(pair.share for pair in rest))} %',
                  parts_bar(np.sum([pair.by_cause for pair in rest], axis=0)))
    yield CLOSE_TABLE


# ---- images --------------------------------------------------------------------------------------

def image_section(analysis: ErrorAnalysis) -> Iterator[str]:
    """The worst and the best images."""
    groups = [('The worst', analysis.worst()), ('The best', analysis.best())]
    if len(analysis.images) <= WORST + BEST:
        groups = [('All', analysis.worst() + analysis.best()[::-1])]
    for title, images in groups:
        if images:
            yield f'<h3>{title}</h3>'
            yield '<p>By the mean IU of the classes that an image or its prediction has.</p>'
            yield class_legend(analysis, images)
            yield cause_legend()
            for shown in images:
                yield from image_row(analysis, shown)


def image_row(analysis: ErrorAnalysis, shown: ShownImage) -> Iterator[str]:
    """An image, its label, its prediction, and its errors by cause."""
    table = class_colours(analysis.classes, analysis.colours)
    name = escape(printable(shown.score.name, limit=MAX_NAME))
    yield (f'<p class="title"><strong>{name}</strong>: mean IU {percent(shown.score.mean_iu)}, '
           f'{percent(shown.score.wrong)} % of its pixels wrong</p><div class="row">')
    pictures = [('image', shown.image, True), ('true label', table[shown.label], False),
                ('prediction', table[shown.pred], False),
                ('errors by cause', draw_errors(shown), True)]
    for caption, pixels, is_photo in pictures:
        yield (f'<figure><img src="{image_uri(pixels, is_photo)}" alt="{name}: {caption}">'
               f'<figcaption>{caption}</figcaption></figure>')
    yield '</div>'


def draw_errors(shown: ShownImage) -> NDArray[np.uint8]:
    """Errors in the colour of their cause over a pale image; void is white."""
    grey = shown.image.mean(2, keepdims=True).repeat(3, axis=2)
    pixels = 255 - .4 * (255 - grey)
    for cause, colour in enumerate(CAUSE_COLOURS):
        pixels[shown.causes == cause] = colour
    pixels[shown.causes == VOID] = 255
    drawn: NDArray[np.uint8] = pixels.astype('uint8')
    return drawn


# ---- tables --------------------------------------------------------------------------------------

CLOSE_TABLE = '</tbody></table></div>'


def open_table(*heads: str, kind: str = '') -> str:
    """A table up to its first row.   kind: its classes in the style sheet"""
    cells = ''.join(head.replace('<td', '<th') if head.startswith('<td') else f'<th>{head}'
                    for head in heads)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{cells}</thead><tbody>'


def row(*cells: str, kind: str = '') -> str:
    """A row of numbers, or of `text`."""
    own = ''.join(cell if cell.startswith('<td') else f'<td>{cell}' for cell in cells)
    return f'<tr class="{kind}">{own}'


def text(content: str) -> str:
    """A cell that is aligned to the left."""
    return f'<td class="text">{content}'


# ---- small parts ---------------------------------------------------------------------------------

def percent(share: float) -> str:
    """.571 -> '57.1'"""
    return '–' if np.isnan(share) else f'{100 * share:.1f}'


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def count(number: int, unit: str) -> str:
    """'1 pixel', '2 pixels'"""
    return f'{number:,} {unit}' if number == 1 else f'{number:,} {unit}s'


def class_name(analysis: ErrorAnalysis, i: int) -> str:
    return escape(printable(analysis.classes[i], limit=MAX_NAME))


def chip(colour: Iterable[int], is_round: bool = False) -> str:
    """A square in the colour of a class, or a disc in that of a cause."""
    kind = 'chip round' if is_round else 'chip'
    return f'<span class="{kind}" style="background:{css_colour(colour)}"></span>'


def css_colour(colour: Iterable[int]) -> str:
    return '#' + ''.join(f'{int(part):02x}' for part in colour)


def with_bar(share: float) -> str:
    """A number in per cent, and a bar of this length."""
    if np.isnan(share):
        return percent(share)
    return (f'{percent(share)}<span class="bar"><i style="width:{100 * share:.1f}%"></i></span>')


def parts_bar(pixels: Sequence[int] | NDArray[np.int64], is_large: bool = False) -> str:
    """A bar that the causes share.   pixels: of each cause"""
    total = sum(int(part) for part in pixels)
    if not total:
        return ''
    parts = []
    for part, name, colour in zip(pixels, CAUSE_NAMES, CAUSE_COLOURS):
        share = 100 * int(part) / total
        inside = f'{share:.0f} %' if is_large and share >= 5 else ''
        parts.append(f'<i style="width:{share:.2f}%;background:{css_colour(colour)}" '
                     f'title="{name}: {share:.1f} %">{inside}</i>')
    return f'<div class="parts{" large" if is_large else ""}">{"".join(parts)}</div>'


def cause_legend() -> str:
    chips = [f'<span>{chip(colour, is_round=True)}{name}</span>'
             for name, colour in zip(CAUSE_NAMES, CAUSE_COLOURS)]
    return f'<div class="legend">{"".join(chips)}</div>'


def class_legend(analysis: ErrorAnalysis, images: Sequence[ShownImage]) -> str:
    """The classes that these images or their predictions have."""
    table = class_colours(analysis.classes, analysis.colours)
    values = {int(value) for shown in images for label in (shown.label, shown.pred)
              for value in np.unique(label)}
    chips = [f'<span>{chip(table[i])}{class_name(analysis, i)}</span>'
             for i in sorted(values - {VOID})]
    if VOID in values:
        chips.append(f'<span>{chip(table[VOID])}void, not evaluated</span>')
    return f'<div class="legend">{"".join(chips)}</div>'
