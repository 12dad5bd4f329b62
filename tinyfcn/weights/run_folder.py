"""The file of weights in the folder of a run."""
from pathlib import Path

CHECKPOINTS = 'best.safetensors', 'last.safetensors'


def find_weights(path: Path) -> Path:
    """`path` itself, or if it is the folder of a run the best file of weights in it."""
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f'{path}: no such file; give a file of weights, or the folder '
                                    f'of a run')
        return path
    for name in CHECKPOINTS:
        if (path / name).is_file():
            return path / name
    runs = sorted(str(file.parent) for file in path.glob('*/last.safetensors'))
    if runs:
        advice = f'it holds the runs {", ".join(runs[:8])}: give one of them'
    else:
        names = sorted(file.name for file in path.iterdir())
        advice = (f'it holds {", ".join(names[:8]) or "nothing"}. Train a net first '
                  f'(tinyfcn train), or give a file of weights')
    raise FileNotFoundError(f'{path}: neither best.safetensors nor last.safetensors is in this '
                            f'folder; {advice}')
