"""Labels: void is 255; a net with several outputs has a dict of labels, by output."""
import numpy as np

VOID = 255


def by_output(value):
    """{'score': value}, as a net of one output calls it; a dict by output stays what it is."""
    return value if isinstance(value, dict) else {'score': value}


def each_label(change, label):
    """change(label), or of several a dict."""
    if isinstance(label, dict):
        return {key: change(part) for key, part in label.items()}
    return change(label)


def beyond(label, n_class):
    """The first pixel that is neither a class nor void -> value, row, column, how many; or None."""
    odd = ((label < 0) | (label >= n_class)) & (label != VOID)
    if not odd.any():
        return None
    row, column = np.unravel_index(odd.argmax(), odd.shape)
    return tuple(map(int, (label[row, column], row, column, np.count_nonzero(odd))))


def not_a_class(where, value, row, column, pixels, files, n_class, values):
    values = [str(value) for value in values]
    return (f'{where}: label {value} at row {row}, column {column}; there are {n_class} classes '
            f'(0 … {n_class - 1}) and {VOID} is void. {pixels:,} such pixel{"s"[:pixels > 1]} in '
            f'{files} file{"s"[:files > 1]}. Values seen: {", ".join(values[:30])}'
            f'{", …" if len(values) > 30 else ""}')
