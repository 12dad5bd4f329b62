"""Small nets that a server on this machine publishes, in the place of real weights."""
import hashlib
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from local_mirror import running_server

from tinyfcn import build
from tinyfcn.fetch import download
from tinyfcn.fetch.source import Source
from tinyfcn.weights import sources
from tinyfcn.weights.export.torch_file import MEMBER, save_state_dict
from tinyfcn.weights.export.torch_names import state_dict


@pytest.fixture(scope='session', autouse=True)
def empty_cache(tmp_path_factory):
    """What the user who runs the tests has fetched is none of their business."""
    os.environ['TINYFCN_CACHE'] = str(tmp_path_factory.mktemp('cache'))


def random_net(name, n_class, width=1/16, seed=0):
    """A net whose weights are all random, also those that a new net has as zeros."""
    net = build(name, n_class, width=width)
    rng = np.random.default_rng(seed)
    for array in net.params.values():
        array += .05 * rng.standard_normal(array.shape)
    for array in net.state.values():
        array += rng.random(array.shape)
    return net


def write_state_dict(path, net):
    """As torch.save writes it: under torchvision's names, without what tinyfcn adds."""
    save_state_dict(path, state_dict(net), {})
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.infolist()
                   if not member.filename.endswith(MEMBER)}
    with zipfile.ZipFile(path, 'w') as archive:
        for member, data in members.items():
            archive.writestr(member, data)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """publish(name, net) serves a net under a name of the table; an own cache, empty at first.

    -> server, folder of the file in the cache. mirrors: addresses that are tried first
    """
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download, 'WAIT', .01)
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path / 'cache'))
    with running_server() as server:
        def add(name, net, file=None, mirrors=(), n_class=None):
            file = file or f'{name}-small.pth'
            own = tmp_path / 'published' / file
            own.parent.mkdir(exist_ok=True)
            write_state_dict(own, net)
            url = server.serve(file, own.read_bytes())
            source = Source(file, [*mirrors, url], hashlib.sha256(own.read_bytes()).hexdigest())
            build_of = net.about['build']
            monkeypatch.setitem(sources.SOURCES, name, sources.WeightsSource(
                [source], build_of['name'], n_class or build_of['n_class'], 'free for all',
                'A. Uthor, A Net, 2026'))
            return SimpleNamespace(server=server, own=own, url=url,
                                   cached=Path(tmp_path / 'cache/weights' / name / file))
        yield add
