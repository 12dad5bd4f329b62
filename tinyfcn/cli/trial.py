"""A trial of a training in a process of its own, whose memory is that of the training alone."""
import signal
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from ..runtime.malloc import tune_allocator
from ..training.advice import Stage
from ..training.first_weights import build_net
from ..training.recipes import get_recipe
from ..training.trial import Trial, try_steps
from .paths import train_val_sets

# of weights from Caffe, where the weights decide how images are prepared
MEAN = 104., 117., 123.


def run_trial(stage: Stage, root: Path, seed: int = 0) -> Trial:
    """The time and the memory of a stage, from random weights.   root: of its data set"""
    context = get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_trial, args=(sender, stage, root, seed), daemon=True)
    process.start()
    sender.close()                                      # then the end of the process ends the pipe
    try:
        result = receiver.recv()
    except EOFError:
        process.join()
        raise ValueError(f'the trial ended with code {process.exitcode}; if the system ended it, '
                         f'its memory was too small for a step: --set crop_size=256,256 or '
                         f'batch=1 takes less') from None
    finally:
        process.terminate()
        process.join()
    if isinstance(result, str):
        raise ValueError(result)
    trial: Trial = result
    return trial


def _send_trial(sender: Connection, stage: Stage, root: Path, seed: int) -> None:
    """Send the trial, or the message of the error that a user can do something about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C is for the process that waits
    tune_allocator()                                    # as `tinyfcn train` does
    try:
        sender.send(_try_stage(stage, root, seed))
    except MemoryError:
        sender.send('there is not enough memory for a step')
    except (ValueError, OSError) as error:
        sender.send(str(error))


def _try_stage(stage: Stage, root: Path, seed: int) -> Trial:
    recipe = get_recipe(stage.recipe, **stage.changes)
    train, valid = train_val_sets(recipe, root)
    net = build_net(recipe, train.classes, seed)
    if not net.about.get('preprocess'):
        channels = net['data'].channels
        mean = (MEAN * channels)[:channels]
        net.about['preprocess'] = dict(order='BGR', scale=1, mean=mean, std=(1,) * channels)
    return try_steps(net, train, valid, recipe)
