"""A page about one step of a run: its loss, its images, its gradients."""
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path

import numpy as np

from .. import viz
from ..data.batches import Sample
from ..data.labels import Array, by_output
from ..files import open_atomic, printable
from ..files.overwrite import MARK
from ..net import Net
from ..prediction import predict, report
from ..prediction.report_sections import CLOSE_TABLE, chip, open_table, row, with_bar
from ..viz.colours import VOID, share_text
from ..viz.data_uri import image_uri
from .replay import ReplayedStep, box_norms

MAX_IMAGES = 12


def write_replay_page(path: str | PathLike[str], step: ReplayedStep, net: Net,
                      classes: Sequence[str] | dict[str, Sequence[str]], title: str,
                      subtitle: str) -> None:
    """Write the page; an existing file is replaced.

    net: with the weights before the step, which predict its images
    """
    lines = page_lines(step, net, by_output(classes), title, subtitle)
    with open_atomic(path) as file:
        file.write('\n'.join(lines).encode('utf-8', 'backslashreplace'))


def page_lines(step: ReplayedStep, net: Net, classes: Mapping[str, Sequence[str]], title: str,
               subtitle: str) -> Iterator[str]:
    """The page, piece by piece."""
    css = Path(report.__file__).with_name('report.css').read_text('utf-8')
    heading = escape(printable(title))
    yield f'{report.HEAD}<title>{heading}</title><style>\n{css}</style></head><body>'
    yield f'<header><h1>{heading}</h1><p class="about">{escape(printable(subtitle))}</p></header>'
    yield '<main><h2>Loss</h2>'
    yield f'<p><strong>{escape(describe_loss(step))}</strong></p>'
    if len(step.losses) > 1:
        each = ', '.join(f'{loss:.4g}' for loss in step.losses)
        yield f'<p class="faint">It is the mean over {len(step.losses)} batches: {each}.</p>'
    yield '<h2>Images</h2>'
    yield ('<p>As the net saw them, augmented; their labels; and what the net predicted before '
           'this step.</p>')
    for sample in step.samples[:MAX_IMAGES]:
        yield from image_rows(sample, net, classes)
    if len(step.samples) > MAX_IMAGES:
        yield f'<p class="faint">The first {MAX_IMAGES} of {len(step.samples)} images.</p>'
    yield '<h2>Gradients</h2>'
    yield from gradient_table(step, net)
    yield f'</main><footer class="faint">Written by {MARK}.</footer></body></html>'


def describe_loss(step: ReplayedStep) -> str:
    """Whether the loss is that of the run."""
    if step.logged_loss is None:
        return f'{step.loss!r}. metrics.jsonl has no row of this step to compare it with.'
    if step.logged_loss == step.loss:
        return f'{step.loss!r}: to the last bit the loss that the run has logged.'
    return (f'{step.loss!r}. The run has logged {step.logged_loss!r}: the images, the initial '
            f'weights, the machine or the version is not that of the run.')


def image_rows(sample: Sample, net: Net, classes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """An image, its label and its prediction, for each output of the net."""
    labels = by_output(sample.label)
    preds = by_output(predict(net, sample.image))
    for output, names in classes.items():
        colours = viz.class_colours(names, net.about.get('colours'))
        label = labels[output if output in labels else 'score']
        name = sample.name if len(classes) == 1 else f'{sample.name}, {output}'
        image = picture(viz.as_colours(sample.image), escape(printable(name)), is_photo=True)
        truth = picture(colours[label], f'label: {shares(label, names, colours)}', 'label')
        predicted = picture(colours[preds[output]],
                            f'prediction: {shares(preds[output], names, colours)}', 'prediction')
        yield f'<div class="row">{image}{truth}{predicted}</div>'


def picture(pixels: Array, caption: str, alt: str = '', is_photo: bool = False) -> str:
    """caption: HTML. alt: text, if not the caption"""
    uri = image_uri(np.ascontiguousarray(pixels), is_photo)
    return (f'<figure><img src="{uri}" alt="{alt or caption}"><figcaption>{caption}</figcaption>'
            f'</figure>')


def shares(label: Array, classes: Sequence[str], colours: Array) -> str:
    """The shares of all pixels, the largest first, after squares in the colours of the classes."""
    void = float((label == VOID).mean())
    found = [(share * (1 - void), chip(colours[i]) + escape(printable(name)))
             for i, name, share in viz.class_shares(label, classes)]
    if void:
        found.append((void, f'{chip(colours[VOID])}void'))
    return ', '.join(f'{name} {share_text(share)}'
                     for share, name in sorted(found, key=lambda each: -each[0]))


def gradient_table(step: ReplayedStep, net: Net) -> Iterator[str]:
    """For each box the norm of its gradient, beside that of its weights."""
    gradients = box_norms(step.gradients)
    weights = box_norms({name: net.params[name] for name in step.gradients})
    largest = max(gradients.values(), default=0.) or 1.
    yield ('<p>Of each box, the norm of the gradient of the loss by all of its weights. The last '
           'column compares a step of plain gradient descent at this learning rate with the '
           'weights that it changes.</p>')
    yield open_table('box', 'norm of the gradient', 'of the largest', 'norm of the weights',
                     'rate · gradient / weights')
    for box, norm in gradients.items():
        ratio = step.lr * norm / weights[box] if weights[box] else np.inf
        yield row(escape(printable(box)), f'{norm:.3g}', with_bar(norm / largest),
                  f'{weights[box]:.3g}', f'{ratio:.1e}' if np.isfinite(ratio) else 'weights are 0')
    yield CLOSE_TABLE
