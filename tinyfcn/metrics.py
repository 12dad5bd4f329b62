"""One confusion matrix over a whole data set, and every score of the paper read off it.

    hist = sum(confusion(label, pred, n_class) for label, pred in pictures)
    scores(hist)['mean_iu']                     the mean of each picture's own is another number
"""
from .runtime.backend import array_module


def confusion(label, pred, n_class, ignore=255):
    """hist[i, j] = how many pixels of class i are predicted to be of class j.

    label, pred: integers, both of one shape -> (n_class, n_class) int64
    A pixel labelled `ignore` does not count, whatever is predicted there.
    """
    arrays = dict(label=label, pred=pred)
    for name, array in arrays.items():
        what = getattr(array, 'dtype', type(array).__name__)
        if getattr(what, 'kind', 'no dtype') not in ('i', 'u'):
            raise TypeError(f'{name} is {what}; an array of whole numbers is needed')
    if label.shape != pred.shape:
        raise ValueError(f'label has shape {label.shape} and pred {pred.shape}: '
                         f'one prediction for each pixel is needed')
    xp, valid = array_module(label), label != ignore
    for name, array in arrays.items():
        strange = valid & ((array < 0) | (array >= n_class))            # they would count as others
        if strange.any():
            first = tuple(int(i) for i in xp.argwhere(strange)[0])
            raise ValueError(f'{name} {array[first]} at {first}: there are classes '
                             f'0 … {n_class - 1}, and pixels labelled {ignore} are ignored; '
                             f'{strange.sum()} of {strange.size} pixels are like this')
    pairs = n_class * label[valid].astype('int64') + pred[valid].astype('int64')
    return xp.bincount(pairs, minlength=n_class * n_class).reshape(n_class, n_class)


def scores(hist):
    """IUᵢ = nᵢᵢ / (tᵢ + Σⱼ nⱼᵢ − nᵢᵢ), where nᵢⱼ is hist and tᵢ = Σⱼ nᵢⱼ the pixels of class i.

    hist (C, C) -> dict of floats: pixel_acc, mean_acc, mean_iu, fw_iu; and iu (C,)
    A class that is predicted but never true has IU 0; one that is neither is nan, and no mean
    counts it. mean_acc is over the true classes alone. Of nothing at all, every score is nan.
    """
    xp = array_module(hist)
    if hist.ndim != 2 or hist.shape[0] != hist.shape[1]:
        raise ValueError(f'hist has shape {hist.shape}; a row and a column a class are needed')

    def ratio(part, whole):
        return part / xp.where(whole > 0, whole, xp.nan)                # x / nan is nan, unwarned

    def mean(x):
        return ratio(xp.nansum(x), (~xp.isnan(x)).sum())

    right, true, predicted = hist.diagonal(), hist.sum(1), hist.sum(0)
    iu = ratio(right, true + predicted - right)
    return dict(
        pixel_acc=float(ratio(right.sum(), true.sum())),
        mean_acc=float(mean(ratio(right, true))),
        mean_iu=float(mean(iu)),
        fw_iu=float(ratio(xp.nansum(true * iu), true.sum())),
        iu=iu,
    )
