"""Event files as TensorBoard itself reads them, and as protobuf and its own checksums say."""
from itertools import islice

import numpy as np
import pytest
from optional_deps import needed
from training_samples import CLASSES, make_recipe, small_dataset, small_net

from tinyfcn.training.event_file import EVENTS, EventFile, varint
from tinyfcn.training.run import run

pytestmark = pytest.mark.usefixtures('no_drawing')
VALID = small_dataset(2, seed=9)


def start(folder, resume=False, tensorboard=True, **changes):
    net = small_net()
    net.about['classes'] = CLASSES
    return run(folder, net, small_dataset(), VALID, make_recipe(**changes), resume=resume,
               tensorboard=tensorboard)


@pytest.fixture
def read():
    """-> a function of a folder: {tag: [(step, value), …]}, as TensorBoard has it."""
    accumulator = needed('tensorboard.backend.event_processing.event_accumulator')
    opened = {}

    def read(folder):
        if folder not in opened:                        # again: as a server that is running
            opened[folder] = accumulator.EventAccumulator(
                str(folder), {accumulator.SCALARS: 0})
        events = opened[folder].Reload()
        return {tag: [(event.step, event.value) for event in events.Scalars(tag)]
                for tag in events.Tags()['scalars']}
    return read


def expected(rows):
    found = {}
    for row in rows:
        part = 'train' if 'loss' in row else 'val'
        for key, value in row.items():
            if key == 'iu':
                for name, iu in zip(CLASSES, value):
                    if iu is not None:
                        found.setdefault(f'val_iu/{name}', []).append((row['step'], iu))
            elif key not in ('step', 'seconds'):
                found.setdefault(f'{part}/{key}', []).append((row['step'], value))
    return {tag: [(step, float(np.float32(value))) for step, value in pairs]
            for tag, pairs in found.items()}


def test_tensorboard_reads_every_number_of_a_run(tmp_path, read):
    rows = list(start(tmp_path))
    assert read(tmp_path) == expected(rows)
    assert {'train/loss', 'train/lr', 'val/mean_iu', 'val_iu/stripe'} <= read(tmp_path).keys()


def test_a_run_that_is_resumed_has_each_step_once(tmp_path, read):
    """Also in a TensorBoard that was running before."""
    stream = start(tmp_path)
    rows = list(islice(stream, 4))
    stream.close()
    assert read(tmp_path) == expected(rows)
    rows += start(tmp_path, resume=True)
    assert read(tmp_path) == expected(rows)


def test_killed_after_a_checkpoint_it_has_no_step_twice_either(tmp_path, read):
    stream = start(tmp_path)
    rows = list(islice(stream, 3))                      # step 2, validated and saved
    saved = (tmp_path / 'last.safetensors').read_bytes()
    assert [row['step'] for row in islice(stream, 1)] == [3]
    stream.close()
    (tmp_path / 'last.safetensors').write_bytes(saved)
    read(tmp_path)
    with open(tmp_path / EVENTS, 'ab') as file:         # a record that the kill cut
        file.write(bytes(5))
    rows += start(tmp_path, resume=True)
    assert [row['step'] for row in rows] == [1, 2, 2, 3, 4, 4, 5, 5]
    assert read(tmp_path) == expected(rows)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / 'precious').write_text('text')
    (tmp_path / EVENTS).symlink_to(tmp_path / 'precious')
    with pytest.raises(ValueError, match=f'{EVENTS}: a link to .*precious, which a run would rep'):
        next(start(tmp_path))
    with pytest.raises(OSError):
        EventFile(tmp_path, [], CLASSES)
    assert (tmp_path / 'precious').read_text() == 'text'


def test_a_finished_run_without_events_gets_all_of_them(tmp_path, read):
    rows = list(start(tmp_path, tensorboard=False))
    assert not (tmp_path / EVENTS).exists()
    assert not list(start(tmp_path, resume=True))
    assert read(tmp_path) == expected(rows)


def test_two_outputs_and_classes_of_any_name(tmp_path, read):
    scores = dict(pixel_acc=.5, mean_iu=.25, iu=[.5, None])
    row = dict(step=1 << 40, **scores, seconds=1., other=dict(scores, mean_iu=.125))
    classes = dict(score=('a/b\x1b', 'ü'), other=('sky', 'tree'))
    EventFile(tmp_path, [row], classes)
    assert read(tmp_path) == {tag: [(1 << 40, value)] for tag, value in {
        'val/pixel_acc': .5, 'val/mean_iu': .25, 'val_iu/a/b\x1b': .5, 'val_other/pixel_acc': .5,
        'val_other/mean_iu': .125, 'val_other_iu/sky': .5}.items()}


def test_times_are_those_of_training(tmp_path):
    """The pause between two commands does not count."""
    loader = needed('tensorboard.backend.event_processing.event_file_loader')
    rows = [dict(step=1, loss=1., lr=.1, seconds=10), dict(step=2, loss=1., lr=.1, seconds=30),
            dict(step=3, loss=1., lr=.1, seconds=5)]
    path = EventFile(tmp_path, rows, CLASSES).path
    times = [event.wall_time for event in loader.EventFileLoader(str(path)).Load()
             if event.HasField('summary')]
    np.testing.assert_allclose(np.diff(times), [20, 5], atol=1e-3)


@pytest.mark.parametrize('number', [0, 1, 127, 128, 300, (1 << 63) - 1])
def test_whole_numbers_are_those_of_protobuf(number):
    encoder = needed('google.protobuf.internal.encoder')
    written = bytearray()
    encoder._VarintEncoder()(written.extend, number)
    assert varint(number) == written
