"""A page of the explainer's modules in Chromium, and arrays on their way there and back."""
import json
from base64 import b64decode, b64encode

import numpy as np

HELPERS = """
const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer)
const textOf = data => {
    const bytes = new Uint8Array(Float32Array.from(data).buffer)
    let text = ''
    for (let i = 0; i < bytes.length; i += 32768) {
        text += String.fromCharCode(...bytes.subarray(i, i + 32768))
    }
    return btoa(text)
}
const arrive = ({ shape, size, channels, text, integers }) => {
    const numbers = floats(text), data = integers ? Int32Array.from(numbers) : numbers
    return size ? { size, channels, data } : { shape, data }
}
const leave = x => x && { shape: x.shape, size: x.size, channels: x.channels, text: textOf(x.data) }
"""


def to_page(x):
    """An array as `arrive` reads it: (1, C, H, W) as an image of channels last."""
    if x.ndim == 4 and len(x) == 1:
        data = x[0].transpose(1, 2, 0)
        about = dict(size=list(x.shape[2:]), channels=x.shape[1])
    else:
        data = x
        about = dict(shape=list(x.shape))
    text = b64encode(np.ascontiguousarray(data, '<f4').tobytes()).decode()
    return dict(about, text=text, integers=x.dtype.kind == 'i')


def weights_to_page(w):
    return dict(shape=list(w.shape), text=b64encode(np.ascontiguousarray(w, '<f4')).decode(),
                integers=False)


def from_page(found):
    """What `leave` wrote -> (1, C, H, W), or the shape of weights."""
    data = np.frombuffer(b64decode(found['text']), '<f4')
    if 'size' in found:
        return data.reshape(*found['size'], found['channels']).transpose(2, 0, 1)[None]
    return data.reshape(found['shape'])


def largest_difference(x, y):
    """max |x − y| relative to the largest of y."""
    assert x.shape == y.shape, (x.shape, y.shape)
    return float(abs(x - y).max(initial=0) / max(abs(y).max(initial=0), 1e-12))


def evaluate(page, function, argument):
    """function(argument) in the page; the argument as text, which is faster."""
    return json.loads(page.evaluate(f'text => JSON.stringify(({function})(JSON.parse(text)))',
                                    json.dumps(argument)))
