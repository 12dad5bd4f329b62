"""Files written whole, locked, read safely; text made printable."""
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
from struct import pack
from time import monotonic
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image
from portable import mkfifo

from tinyfcn import weights
from tinyfcn.data.lists import read_list
from tinyfcn.data.mat import read_mat
from tinyfcn.fetch.unpack import unpack
from tinyfcn.files import (
    ImageError,
    atomic,
    lock_folder,
    make_folder,
    open_atomic,
    open_image,
    open_regular,
    printable,
    read_text,
    require_own,
)
from tinyfcn.files.images import has_deep_pixels

TIMEOUT = 30
UNREADABLE = '/proc/self/mem'   # Linux opens it as a file, and fails to read it as a disk does


def write(path, data=b'new'):
    with open_atomic(path) as file:
        file.write(data)


# ---- Written whole

def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / 'a'
    write(path, b'old')
    with pytest.raises(KeyboardInterrupt), open_atomic(path) as file:
        file.write(b'half')
        assert path.read_bytes() == b'old'
        raise KeyboardInterrupt
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a']
    write(path)
    assert path.read_bytes() == b'new' and os.listdir(tmp_path) == ['a']


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / 'a'
    path.touch(0o600)
    path.chmod(0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_refused_and_its_target_is_unchanged(tmp_path):
    target, link = tmp_path / 'target', tmp_path / 'link'
    target.write_bytes(b'old')
    link.symlink_to(target)
    with pytest.raises(ValueError, match='link'):
        write(link)
    assert target.read_bytes() == b'old' and link.is_symlink()


@pytest.mark.parametrize('make', [mkfifo, os.mkdir])
def test_what_is_no_file_is_not_replaced(tmp_path, make):
    make(tmp_path / 'a')
    with pytest.raises(ValueError, match='not a file'):
        write(tmp_path / 'a')


@pytest.mark.skipif(sys.platform != 'linux', reason='files without a name are of Linux')
def test_a_killed_process_leaves_nothing_of_a_new_file(tmp_path):
    write(tmp_path / 'a')
    script = ('import os, signal, sys\nfrom tinyfcn.files import open_atomic\n'
              'with open_atomic(sys.argv[1]) as file:\n'
              '    file.write(bytes(1 << 20))\n'
              '    os.kill(os.getpid(), signal.SIGKILL)')
    killed = subprocess.run([sys.executable, '-c', script, tmp_path / 'a'], check=False)
    assert killed.returncode == -signal.SIGKILL and os.listdir(tmp_path) == ['a']
    assert os.stat(tmp_path / 'a').st_size < 1 << 20


def test_the_temporary_file_is_new_and_has_no_name_that_could_be_guessed(tmp_path, monkeypatch):
    """Where a file cannot be without a name."""
    monkeypatch.setattr(atomic, 'OPEN_FILES', tmp_path / 'nowhere')
    names = set()
    for _ in range(2):
        with open_atomic(tmp_path / 'a'):
            names.update(os.listdir(tmp_path))
    assert len(names - {'a'}) == 2


def test_temporary_files_of_dead_processes_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    for process in (ended.pid, os.getpid()):
        (tmp_path / f'.[a].{process}.0123.tmp').touch()
    (tmp_path / f'.b.{ended.pid}.0123.tmp').touch()
    write(tmp_path / '[a]')                             # no pattern: the name has brackets
    assert sorted(os.listdir(tmp_path)) == [
        f'.[a].{os.getpid()}.0123.tmp', f'.b.{ended.pid}.0123.tmp', '[a]']


def test_files_and_folders_are_flushed_before_their_names(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda handle: (
        calls.append('folder' if stat.S_ISDIR(os.fstat(handle).st_mode) else 'file'),
        fsync(handle)))
    monkeypatch.setattr(os, 'replace', lambda a, b: (calls.append('rename'), replace(a, b)))
    write(make_folder(tmp_path / 'b' / 'c') / 'a')
    assert calls == ['folder', 'folder', 'file', 'rename', 'folder']


# ---- Only one's own files are overwritten

def test_only_files_of_tinyfcn_are_overwritten(tmp_path):
    require_own(tmp_path / 'missing')
    (tmp_path / 'own').write_bytes(b'\x89PNG tEXtSoftware\0tinyfcn ' + bytes(10_000))
    require_own(tmp_path / 'own')
    for foreign in (b'\x89PNG' + bytes(10_000) + b'tinyfcn', b'\x89PNG tEXtpath\0~/tinyfcn/a.png',
                    b'<svg inkscape:export-filename="tinyfcn/a.png"/>', b'%PDF /Title (tinyfcn 2)'):
        (tmp_path / 'foreign').write_bytes(foreign)
        with pytest.raises(ValueError, match='foreign: exists.*--overwrite'):
            require_own(tmp_path / 'foreign')
        require_own(tmp_path / 'foreign', overwrite=True)


@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_drawings_of_tinyfcn_are_its_own(suffix, tmp_path):
    from tinyfcn import build, viz
    viz.draw_net(build('tiny_32s', n_class=2, seed=None), tmp_path / f'net.{suffix}')
    require_own(tmp_path / f'net.{suffix}')


# ---- Locks

HOLD = '''
import sys
from tinyfcn.files import lock_folder
with lock_folder(sys.argv[1], 'in use'):
    print('locked', flush=True)
    sys.stdin.read()
'''


def held(folder):
    process = subprocess.Popen([sys.executable, '-c', HOLD, folder], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'locked\n'
    return process


def test_a_lock_is_met_with_the_message_and_ends_with_its_process(tmp_path):
    with held(tmp_path) as process:
        with pytest.raises(ValueError, match='in use'), lock_folder(tmp_path, 'in use'):
            pass
        process.send_signal(signal.SIGKILL)
    with lock_folder(tmp_path, 'in use'):
        pass
    assert not os.listdir(tmp_path)


def test_a_lock_holds_for_other_threads_too(tmp_path):
    refused = []

    def enter():
        try:
            with lock_folder(tmp_path, 'in use'):
                pass
        except ValueError:
            refused.append(True)

    with lock_folder(tmp_path, 'in use'):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert refused == [True]


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    script = ('import os, sys, time\n'
              'from tinyfcn.files import lock_folder\n'
              'with lock_folder(sys.argv[1], "in use"):\n'
              '    if not os.fork():\n'
              '        print(os.getpid(), flush=True)\n'     # it has begun
              '        time.sleep(60)\n'
              '    os.kill(os.getpid(), 9)\n')
    command = [sys.executable, '-c', script, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
    try:
        with lock_folder(tmp_path, 'in use'):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


# ---- Reading

def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    start = monotonic()
    for path in (tmp_path / 'pipe', '/dev/zero'):
        with pytest.raises(ValueError, match='a pipe or a device'):
            open_regular(path)
    with pytest.raises(ValueError, match="a pipe"), open_image(tmp_path / "pipe"):
        pass
    assert monotonic() - start < TIMEOUT                # it would wait for ever
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)


def test_text_is_utf8_of_a_limited_size(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes('\ufeffä\nb'.encode())
    assert read_text(path) == 'ä\nb'
    path.write_bytes(b'a\n\xff')
    with pytest.raises(ValueError, match=r'list.txt:2: not UTF-8'):
        read_text(path)
    path.write_bytes(bytes(100))
    with pytest.raises(ValueError, match='more than 99 bytes'):
        read_text(path, limit=99)


def read_all(path):
    with open_regular(path) as file:
        file.read()


@pytest.mark.skipif(not os.path.exists(UNREADABLE), reason=f'needs {UNREADABLE}')
@pytest.mark.parametrize('read', [
    read_all, read_text, require_own, read_list, weights.read,
    lambda path: open_image(path).__enter__(), lambda path: read_mat(path, 'label'),
    lambda path: unpack(path, 'unpacked')])
def test_a_disk_that_fails_names_the_file(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = rf'^{UNREADABLE}: cannot be read \(Input/output error\); use a copy of it'
    with pytest.raises(OSError, match=message):
        read(UNREADABLE)


@pytest.mark.parametrize('kind', ['P1', 'P2', 'P3'])
def test_large_images_in_plain_text_are_refused(kind, tmp_path):
    """A megabyte of comments would take Pillow ten seconds."""
    path = tmp_path / 'a.ppm'
    head = f'{kind} 2 1 {"" if kind == "P1" else 255}\n'.encode()
    numbers = b'1 0 ' * 3
    path.write_bytes(head + numbers)
    with open_image(path) as image:
        image.load()
    path.write_bytes(head + (1 << 19) * b'#\n' + numbers)
    with pytest.raises(ImageError, match=r'a\.ppm: 1,\d+ kB of numbers in plain text, .* as PNG'):
        with open_image(path) as image:
            image.load()


def save_deep(path):
    if path.suffix == '.tif':
        entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2),
                   (273, 4, 1, 128), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 12)]
        body = struct.pack('<2sHIH', b'II', 42, 8, len(entries))
        body += b''.join(struct.pack('<HHII', *entry) for entry in entries) + bytes(4)
        body += struct.pack('<HHH', 16, 16, 16)
        path.write_bytes(body.ljust(128, b'\0') + np.full(6, 3000, '<u2').tobytes())
    elif path.suffix == '.ppm':
        path.write_bytes(b'P6 2 1 1023\n' + np.full(6, 900, '>u2').tobytes())
    else:
        rows = compress(b'\0' + np.full(6, 12, '>u2').tobytes())
        header = pack('>IIBBBBB', 2, 1, 16, 2, 0, 0, 0)
        chunks = [(b'IHDR', header), (b'IDAT', rows), (b'IEND', b'')]
        path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(
            pack('>I', len(data)) + kind + data + pack('>I', crc32(kind + data))
            for kind, data in chunks))


@pytest.mark.parametrize('suffix', ['png', 'tif', 'ppm'])
def test_16_bit_colours_are_noticed(tmp_path, suffix):
    save_deep(tmp_path / f'deep.{suffix}')
    Image.new('RGB', (2, 1)).save(tmp_path / f'plain.{suffix}')
    with open_image(tmp_path / f'deep.{suffix}') as image:
        assert has_deep_pixels(image)
    with open_image(tmp_path / f'plain.{suffix}') as image:
        assert not has_deep_pixels(image)


def test_16_bit_colours_in_planes_are_noticed(tmp_path):
    """A TIFF with one plane for each colour: Pillow calls them R, G, B, as those of 8 bits."""
    for bits in (8, 16):
        plane = bits // 4
        entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 134), (259, 3, 1, 1),
                   (262, 3, 1, 2), (273, 4, 3, 140), (277, 3, 1, 3), (278, 3, 1, 1),
                   (279, 4, 3, 152), (284, 3, 1, 2)]
        body = struct.pack('<2sHIH', b'II', 42, 8, len(entries))
        body += b''.join(struct.pack('<HHII', *entry) for entry in entries) + bytes(4)
        body += struct.pack('<3H', bits, bits, bits)
        body += struct.pack('<3I', *[164 + plane * i for i in range(3)])
        body += struct.pack('<3I', plane, plane, plane)
        (tmp_path / 'planes.tif').write_bytes(body + bytes(3 * plane))
        with open_image(tmp_path / 'planes.tif') as image:
            assert has_deep_pixels(image) == (bits == 16)


def test_16_bits_for_three_colours_are_not_deep(tmp_path):
    header = struct.pack('<2sIHHIIiiHHIIiiIIIII', b'BM', 74, 0, 0, 66, 40, 2, 1, 1, 16, 3, 8, 0, 0,
                         0, 0, 0xf800, 0x07e0, 0x001f)
    (tmp_path / 'a.bmp').write_bytes(header + bytes(8))
    with open_image(tmp_path / 'a.bmp') as image:
        assert image.mode == 'RGB' and not has_deep_pixels(image)


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    """Each takes a few bytes, and goes through all 49 million pixels that it claims."""
    Image.new('RGB', (32, 24)).save(tmp_path / 'a.jpg', progressive=True)
    data = bytearray((tmp_path / 'a.jpg').read_bytes())
    size = data.index(b'\xff\xc2') + 5
    data[size:size + 4] = pack('>HH', 7000, 7000)
    scan = data[data.rindex(b'\xff\xda'):-2]
    (tmp_path / 'a.jpg').write_bytes(data[:-2] + 600 * scan + data[-2:])
    with pytest.raises(ImageError, match='a JPEG of more than 500 scans'), \
            open_image(tmp_path / 'a.jpg'):
        pass
    # what follows its end, such as a video, has no scans
    Image.new('RGB', (32, 24)).save(tmp_path / 'b.jpg')
    with open(tmp_path / 'b.jpg', 'ab') as file:
        file.write(600 * bytes(scan))
    with open_image(tmp_path / 'b.jpg') as image:
        image.load()


def test_too_little_memory_for_an_image_names_the_image(tmp_path):
    Image.new('RGB', (4, 3)).save(tmp_path / 'a.png')
    with pytest.raises(ImageError, match=r'a\.png: not enough memory to read it; make it'):
        with open_image(tmp_path / 'a.png'):
            raise MemoryError


@pytest.mark.skipif(not os.access('/usr/bin/env', os.X_OK), reason='needs /usr/bin/env')
def test_no_program_is_started_to_read_an_image(tmp_path, monkeypatch):
    """A PostScript file named .png: Pillow would hand it to gs."""
    gs = tmp_path / 'gs'
    gs.write_text(f'#!/bin/sh\ntouch {tmp_path}/started\n')
    gs.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    (tmp_path / 'a.png').write_bytes(
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n')
    with pytest.raises(ImageError, match='not an image'), open_image(tmp_path / 'a.png') as image:
        image.load()
    assert not (tmp_path / 'started').exists()


# ---- Text

@pytest.mark.parametrize('text, shown', [
    ('Straße 木.png', 'Straße 木.png'),
    ('a\x1b[31mb', r'a\x1b[31mb'),
    ('a\nb\x85c\u2028d', r'a\nb\x85c\u2028d'),
    ('gpj.\u202egnp', r'gpj.\u202egnp'),
    ('\udcff', r'\udcff'),
    ('a' * 301, 'a' * 300 + '…'),
])
def test_text_of_unknown_origin_is_printable(text, shown):
    assert printable(text) == shown


def test_line_breaks_can_be_kept():
    assert printable('a\nb\x1b', keep='\n', limit=None) == 'a\nb\\x1b'
