"""Picture files: whole or not at all, marked as tinyfcn's own, and safe from any name in them."""
import os

import numpy as np
import pytest
from PIL import Image
from portable import resource

from tinyfcn import build
from tinyfcn.cli import main
from tinyfcn.files import require_own
from tinyfcn.viz import (
    draw_activations,
    draw_curves,
    draw_heatmap,
    draw_net,
    draw_page,
    overlay,
    side_by_side,
    write_label,
    write_png,
)

IMAGE = np.full((40, 60, 3), 90, 'uint8')
LABEL = np.arange(40 * 60).reshape(40, 60) // 1200
ALIGNMENT = build('squeezenet', seed=None, width=1/16)['conv10'].alignment


def page(path, name='one', classes=('sky', 'road'), title='FCN-8s'):
    draw_page(path, [(name, IMAGE, LABEL, LABEL)], classes, [title])


def net(path):
    draw_net(build('tiny_8s', 3, seed=None, width=1/8), path)


def curves(path):
    draw_curves(path, [dict(step=1, loss=2.), dict(step=2, loss=1.)])


def heatmap(path, title='tabby cat'):
    draw_heatmap(IMAGE, np.ones((3, 4)), ALIGNMENT, path, title)


def activations(path, name='conv1'):
    draw_activations({name: np.ones((2, 8, 8))}, path)


def label(path):
    write_label(path, LABEL)


def drawn_overlay(path, classes=('sky', 'road')):
    write_png(path, overlay(IMAGE, LABEL, classes))


# ---- the mark, and what is whole

@pytest.mark.parametrize('write, suffixes', [
    (page, ['.png']), (label, ['.png']), (drawn_overlay, ['.png']), (activations, ['.png']),
    (curves, ['.png', '.svg', '.pdf']), (heatmap, ['.png']),
    (net, ['.PNG'])])
def test_every_picture_is_known_as_tinyfcns_own(tmp_path, write, suffixes):
    for suffix in suffixes:
        path = tmp_path / f'a{suffix}'
        write(path)
        require_own(path)
        write(path)                                     # and is replaced
    assert len([*tmp_path.iterdir()]) == len(suffixes)


@pytest.mark.parametrize('write', [page, label, drawn_overlay, activations, curves, heatmap, net])
def test_a_picture_that_cannot_be_finished_leaves_the_old_one(tmp_path, write):
    """The files of a process may have no more than 60 bytes: as on a full disk."""
    path = tmp_path / 'a.png'
    path.write_bytes(b'the picture before')
    child = os.fork()
    if child == 0:
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))
        try:
            write(path)
        except OSError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_bytes() == b'the picture before'
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize('write', [activations, curves, heatmap, net])
@pytest.mark.parametrize('name', ['noext', 'a.png.txt', 'a.', '.png'])
def test_a_figure_is_written_under_its_own_name_or_not_at_all(tmp_path, write, name):
    with pytest.raises(ValueError, match=r'unknown image format; .* \.png, \.svg, \.pdf'):
        write(tmp_path / name)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize('name', ['noext', 'a.txt', 'new/a.jpg'])
def test_the_draw_command_refuses_another_ending(tmp_path, capsys, name):
    assert main(['draw', 'tiny_8s', '-o', f'{tmp_path}/{name}']) == 2
    assert 'give the file one of the endings .png, .svg, .pdf' in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_the_draw_command_overwrites_only_its_own_files(tmp_path, capsys):
    path = tmp_path / 'photo.png'
    Image.fromarray(IMAGE).save(path)
    before = path.read_bytes()
    assert main(['draw', 'tiny_8s', '-o', str(path)]) == 2
    assert 'was not written by tinyfcn; choose another name, or --overwrite' in \
        capsys.readouterr().err
    assert path.read_bytes() == before
    assert main(['draw', 'tiny_8s', '-o', str(path), '--overwrite']) == 0
    assert path.read_bytes() != before
    assert main(['draw', 'tiny_8s', '-o', str(path)]) == 0, 'now it is its own'


def test_the_draw_command_refuses_before_it_reads_weights(tmp_path, capsys):
    path = tmp_path / 'photo.png'
    Image.fromarray(IMAGE).save(path)
    assert main(['draw', 'squeezenet', '-o', str(path), '--weights', 'nowhere.safetensors',
                 '--activations', str(path)]) == 2
    assert 'was not written by tinyfcn' in capsys.readouterr().err


# ---- names

NAMES = ['a\nb', 'a\x85b', 'a\u202eb', 'a\x1b[2Jb', 'caf\udce9', '$x_{$', '', 'x' * 5000, '日本',
         'אב', 'a\rb', '\u0300']


@pytest.mark.parametrize('name', NAMES, ids=lambda name: ascii(name[:9]))
@pytest.mark.filterwarnings('ignore:Glyph')        # the font has no Japanese
def test_any_name_can_be_drawn(tmp_path, name):
    page(tmp_path / 'a.png', name, (name, 'road'), name)
    heatmap(tmp_path / 'b.png', name)
    activations(tmp_path / 'c.png', name)
    drawn_overlay(tmp_path / 'd.png', (name, 'road'))
    assert side_by_side({name: IMAGE}).width < 300
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert image.width < 1500 and image.height < 1500, path


def test_what_is_not_visible_is_drawn_escaped(tmp_path):
    for name, escaped in [('a\nb', r'a\nb'), ('\u202ea', r'\u202ea'), ('a\x85', r'a\x85')]:
        page(tmp_path / 'a.png', name, (name, 'road'), name)
        page(tmp_path / 'b.png', escaped, (escaped, 'road'), escaped)
        drawn = overlay(IMAGE, LABEL, (name, 'road'))
        assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
        assert drawn.tobytes() == overlay(IMAGE, LABEL, (escaped, 'road')).tobytes()


def test_a_row_that_cannot_be_drawn_is_named_escaped(tmp_path):
    with pytest.raises(ValueError, match=r'^a\\x1b\[2Jb: the image has shape'):
        draw_page(tmp_path / 'a.png', [('a\x1b[2Jb', IMAGE, LABEL[:3], LABEL)], 'ab', ['x'])
