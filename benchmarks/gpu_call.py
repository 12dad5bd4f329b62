"""A quarter of an hour on a GPU, in two commands that end by themselves: nothing else is needed.

    python3 benchmarks/gpu_call.py a --out FOLDER               430 s: smoke, check, bench
    python3 benchmarks/gpu_call.py b ARCHIVE --out FOLDER       290 s: train on real images

Call a runs the first half minute of gpu.py, then tests/gpu_check.py, then the rest of gpu.py. It
ends at once where no GPU computes or a product is wrong. If a Winograd sample fails, the rest is
timed without Winograd. Call b runs gpu_run.py on an archive of pack_data.py.

Each part is a process of its own that is killed when its time is up. FOLDER then has at most eight
files: the logs, a line for each row, written as it came; what the processes printed; report.md,
which is printed last; call.tar.gz, the compiled kernels and pages of predictions. A later call can
start from these kernels: --kernels call.tar.gz.

To keep the results: copy gpu.jsonl, gpu_run.jsonl and gpu_run.png to benchmarks/results and run
benchmarks/report.py; tests/gpu_check.py --record FOLDER/gpu_check.jsonl writes GPU_STATUS.md.
"""
import argparse
import os
import shutil
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / 'tests'))

# isort: split
from gpu_jobs import supervise, worker_command

ROOT = Path(__file__).parents[1]
BENCH = ROOT / 'benchmarks' / 'gpu.py'
CHECK = ROOT / 'tests' / 'gpu_check.py'
CHECK_PARTS = 'ops', 'nets', 'trainings', 'full'
SECONDS = dict(a=430., b=290.)
LAST_SHARE = .1             # of the seconds, for report and archive,
LAST_SECONDS = 15           # but at most so many
SMOKE_SECONDS = 60          # at most; what takes longer is done later
CHECK_SHARE = .3            # of what is left then


def call_a(args, deadline):
    """Smoke, check, bench. -> lines of the report"""
    log = args.out / 'gpu.jsonl'
    bench = worker_command(BENCH, '--out', args.out, '--width', args.width, '--size', args.size)
    smoke = supervise([*bench, '--parts', 'smoke'], log,
                      min(SMOKE_SECONDS, deadline - monotonic()))
    wrong = what_is_wrong(smoke)
    if wrong:
        return [f'The smoke test failed, so nothing else was run: {wrong}\n', *speed_lines(smoke)]
    check = supervise(worker_command(CHECK, '--out', args.out, '--parts', *CHECK_PARTS),
                      args.out / 'gpu_check.jsonl', CHECK_SHARE * (deadline - monotonic()))
    if winograd_failed(check):
        bench.append('--exact')
    results = supervise(bench, log, deadline - monotonic())
    return [*check_lines(check), '', *speed_lines(results)]


def what_is_wrong(smoke):
    """Why the rest would be a waste of time; '' if it is not."""
    wrong = [f'a {row["what"]} in float32 has the error {row["error"]:.1e}'
             for row in smoke.rows_of.get('products', ())
             if row['precision'] == 'float32' and not row['ok']]
    return smoke.stopped or smoke.failed.get('products') or '; '.join(wrong)


def winograd_failed(check):
    """Whether a sample of Winograd is wrong, or its process was killed."""
    bad = [row['name'] for row in check.rows if 'error' in row
           and not row['error'] <= row['tolerance']]
    return any('winograd' in name for name in (*bad, *check.failed))


def call_b(args, deadline):
    """The full run. -> lines of the report"""
    import gpu_run
    options = [args.archive, '--out', args.out, '--width', args.width]
    log = gpu_run.train_all([*map(str, options)], deadline - monotonic())
    return gpu_run.training_section(log)


# imported late: a GPU need not wait for what writes the report

def check_lines(log):
    import gpu_check
    return gpu_check.markdown_section(log)


def speed_lines(log):
    import gpu_tables
    return gpu_tables.speed_section(log)


# ---- The folder ----------------------------------------------------------------------------------

def unpack_kernels(archive, folder):
    """The compiled kernels of an earlier call; without them CuPy compiles them again."""
    if archive:
        with tarfile.open(archive) as file:
            members = [member for member in file if member.name.startswith('kernels/')]
            file.extractall(folder, members, filter='data')


def pack(out, work):
    """Compiled kernels and pages into one file of FOLDER."""
    pages = out / 'pages'
    with tarfile.open(out / 'call.tar.gz', 'w:gz') as file:
        for folder in work / 'kernels', pages:
            if folder.exists():
                file.add(folder, folder.name)
    shutil.rmtree(pages, ignore_errors=True)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('call', choices=SECONDS)
    parser.add_argument('archive', nargs='?', type=Path, help='of pack_data.py, for call b')
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--seconds', type=float, help='for everything')
    parser.add_argument('--kernels', type=Path, metavar='ARCHIVE', help='call.tar.gz of a call')
    parser.add_argument('--width', default='1', help='of every net, to try it out')
    parser.add_argument('--size', default='500', help='of the images of call a, to try it out')
    args = parser.parse_args()
    if (args.call == 'b') != bool(args.archive):
        parser.error('call b needs an archive of pack_data.py, call a none')
    for path in filter(None, (args.archive, args.kernels)):
        if not path.exists():
            parser.error(f'{path}: no such file')
    if args.out.exists() and any(args.out.iterdir()):
        parser.error(f'{args.out} is not empty: name another folder, so that no result is lost')
    return args


def main():
    began = monotonic()
    args = parse_args()
    # the images of a batch are read by threads; the other benchmarks take two, to compare CPUs
    os.environ.setdefault('TINYFCN_THREADS', str(os.cpu_count()))
    seconds = args.seconds or SECONDS[args.call]
    deadline = began + seconds - min(LAST_SECONDS, LAST_SHARE * seconds)
    args.out.mkdir(parents=True, exist_ok=True)
    make_lines = dict(a=call_a, b=call_b)[args.call]
    with TemporaryDirectory() as work:
        unpack_kernels(args.kernels, work)
        os.environ['CUPY_CACHE_DIR'] = f'{work}/kernels'
        try:
            lines = [*make_lines(args, deadline)]
        finally:                                # whatever happens to the report, the kernels stay
            pack(args.out, Path(work))
    (args.out / 'report.md').write_text('\n'.join(lines) + '\n', 'utf-8')
    print(*lines, sep='\n', flush=True)
    print(f'{monotonic() - began:.0f} s; report, logs and kernels are in {args.out}')


if __name__ == '__main__':
    main()
