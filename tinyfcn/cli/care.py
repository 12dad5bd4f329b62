"""Commands that take care: of pictures before they are trained on, of the machine."""
import shutil
from pathlib import Path
from time import perf_counter

from .where import DATA, home, located, opened

FIRST = 20      # problems that are shown


def check(args):
    """Read every picture of a set and say all that is wrong, before hours are spent on it."""
    from tqdm import tqdm

    from ..data.check import check as found
    from ..data.labels import by_output
    from ..data.manifest import verify, write_manifest
    pictures, summary, problems = opened(args.set, args.data, args.split), {}, 0
    manifest = located(args.set, args.data)[1] / 'manifest.sha256'
    with tqdm(range(len(pictures)), unit='picture', disable=None) as numbers:
        for problem in found(pictures, summary, numbers):
            problems += 1
            if problems <= FIRST:
                numbers.write(f'  {problem}')
    for problem in verify(pictures, manifest) if manifest.exists() and not args.write else ():
        problems += 1
        if problems <= FIRST:
            print(f'  {problem}')
    if problems > FIRST:
        print(f'  … and {problems - FIRST:,} more')
    for line in told(summary, by_output(pictures.classes)):
        print(line)
    if problems:
        raise ValueError(f'{problems:,} problems in {len(pictures):,} pictures')
    if args.write:
        write_manifest(pictures, manifest)
        print(f'{manifest}: the SHA-256 of every file; the next check compares with it')


def told(summary, classes):
    """What is in a set, in a few lines."""
    if summary['pictures']:
        yield ('{} pictures, from {}×{} to {}×{} pixels'.format(
            summary['pictures'], *summary['smallest'], *summary['largest']))
    for key, label in summary['labels'].items():
        yield f'{key}: void {label["void"]:.1%}; of the rest'
        everything = sum(label['pixels'].values()) or 1
        for name in classes[key]:
            yield f'  {name:20} {label["pixels"].get(name, 0) / everything:7.2%}'
    yield from summary['notes']


def data(args):
    """Fetch a data set: from the first mirror that has it, or from an archive of your own."""
    from tqdm import tqdm

    from ..data.fetch import fetch
    folder = args.data or home()
    with tqdm(unit='B', unit_scale=True, disable=None) as bar:
        def report(done, total, source):
            bar.total, bar.n = total, done
            bar.set_description(str(source)[-40:], refresh=False)
            bar.update(0)

        root = fetch(args.name, folder, args.source, report, bar.write)
    print(root)


def doctor(args):
    """Python, NumPy, the kernel and the speed of BLAS, GPU, memory and disk, with advice."""
    from .. import __version__
    from ..runtime.gpu import gpu_status
    from ..runtime.machine import free_memory, machine
    found = machine()
    print(f'tinyfcn    {__version__}, Python {found["python"]}, NumPy {found["numpy"]}')
    print(f'BLAS       {found["blas"]} {found["blas_version"]}, kernel {found["blas_kernel"]}, '
          f'{found["blas_threads"]} threads: {gemm_rate():.0f} GFLOP/s in float32')
    for advice in about_blas(found):
        print(f'           {advice}')
    for layer, fine, words in gpu_status():
        print(f'GPU        {layer}: {words}')
        if not fine:
            break
    disk = shutil.disk_usage('.').free
    print(f'memory     {free_memory() / 1e9:.1f} GB free; a step of FCN-8s on 500×500 pixels takes '
          f'about 3')
    print(f'disk       {disk / 1e9:.1f} GB free here')
    if disk < 5e9:
        print('           a run of FCN-8s keeps two checkpoints of 1.1 GB, and writes a third')


def gemm_rate(n=1024):
    """The best of a few products of n×n matrices, in GFLOP/s."""
    import numpy as np
    a = np.random.default_rng(0).standard_normal((n, n), 'float32')
    best = 1e9
    for _ in range(8):
        start = perf_counter()
        a @ a
        best = min(best, perf_counter() - start)
    return 2 * n ** 3 / best / 1e9


def about_blas(found):
    """What could make BLAS faster."""
    flags = Path('/proc/cpuinfo')
    if (found['blas'] == 'openblas' and found['blas_kernel'] == 'Haswell' and flags.exists()
            and 'avx512f' in flags.read_text()):
        yield ('this CPU has AVX-512, and OpenBLAS has chosen a kernel without it: try '
               'OPENBLAS_CORETYPE=SkylakeX')


def arguments(command):
    """What each command takes."""
    c = command(check)
    c.add_argument('set', metavar='SET', help='such as voc, or a folder of your own')
    c.add_argument('--data', **DATA)
    c.add_argument('--split', default='train', help='of the set (default: %(default)s)')
    c.add_argument('--write-manifest', action='store_true', dest='write',
                   help='write down the SHA-256 of every file, for later checks')

    c = command(data)
    c.add_argument('name', metavar='NAME', help='such as voc2012; a wrong name lists them all')
    c.add_argument('--data', **DATA)
    c.add_argument('--from', type=Path, metavar='FILE', dest='source',
                   help='the archive, if you have it already')

    command(doctor)
