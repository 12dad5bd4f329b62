"""Build the course as a site on which the lessons run in the browser: site/lite/lab/index.html.

    python lessons/lite.py                      Python for the browser comes from its own server
    python lessons/lite.py --pyodide FOLDER     from a copy of this folder, without other hosts

The site is JupyterLite, that is JupyterLab without a server. Its kernel is Pyodide, Python compiled
for browsers, with NumPy, SciPy, Pillow and matplotlib. What else the lessons need is in the site:
tinyfcn as a wheel, and two small packages. The Makefile installs what this program needs.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree, rmtree
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
ROOT = HERE.parent
SITE = ROOT / 'site/lite'
# what a wheel is built from
SOURCES = 'pyproject.toml', 'README.md', 'LICENSE', 'tinyfcn'
# Pyodide has all others that tinyfcn needs; comm is needed by the kernel
PACKAGES = 'tqdm==4.70.1', 'comm==0.2.3'
PYODIDE = 'https://cdn.jsdelivr.net/pyodide/v0.27.7/full/pyodide.js'
KERNEL = '@jupyterlite/pyodide-kernel-extension'
# The first cell of each lesson on the site. In a browser tinyfcn is not installed, and cannot stay
# installed: a kernel forgets it when the page is closed.
SETUP = """# In a browser: get tinyfcn and what it needs. Nothing on your computer is changed.
%pip install -q tinyfcn"""
FOLDED = dict(tags=['hide-input'], jupyter=dict(source_hidden=True))
KERNELSPEC = dict(name='python', display_name='Python (Pyodide)', language='python')


def adapt_notebook(nb):
    """A lesson's notebook (JSON) for the site: tinyfcn is loaded first, and all outputs are shown.

    JupyterLab shows a player only in a cell that is trusted.
    """
    setup = dict(cell_type='code', id='setup', source=SETUP, metadata=FOLDED, outputs=[],
                 execution_count=None)
    nb['metadata']['kernelspec'] = KERNELSPEC
    nb['cells'].insert(1, setup)                        # below the title and the question
    for cell in nb['cells']:
        if cell['cell_type'] == 'code':
            cell['metadata'] = dict(cell['metadata'], trusted=True)
    return nb


def write_contents(folder):
    """Write the files that a reader sees: the lessons, their list and the glossary."""
    folder.mkdir()
    for path in sorted(HERE.glob('l[0-9][0-9]_*.ipynb')):
        nb = adapt_notebook(json.loads(path.read_text('utf-8')))
        (folder / path.name).write_text(json.dumps(nb), 'utf-8')
    for name in 'README.md', 'glossary.md':
        copy(HERE / name, folder)


def build_wheels(folder, sources):
    """Build tinyfcn's wheel from a copy of its sources, and download those of PACKAGES."""
    sources.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            copytree(path, sources / name)
        else:
            copy(path, sources)
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir',
                    folder, sources, *PACKAGES], check=True)


def site_config(pyodide_url):
    """JupyterLite's own settings. exposeAppInBrowser lets the tests run all cells of a lesson."""
    kernel = dict(pyodideUrl=pyodide_url, disablePyPIFallback=True)
    return {'jupyter-lite-schema-version': 0,
            'jupyter-config-data': dict(appName='tinyfcn', exposeAppInBrowser=True,
                                        litePluginSettings={f'{KERNEL}:kernel': kernel})}


def build(output, pyodide=None):
    """Build the site in the folder `output`, in place of what is there."""
    if pyodide and not (pyodide / 'pyodide.js').exists():
        raise ValueError(f'{pyodide} holds no pyodide.js: name the folder of a Pyodide 0.27.7')
    extension = Path(sys.prefix) / 'share/jupyter/labextensions' / KERNEL
    rmtree(output, ignore_errors=True)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_contents(folder / 'contents')
        build_wheels(folder / 'wheels', folder / 'sources')
        lite = folder / 'lite'
        lite.mkdir()
        url = './static/pyodide/pyodide.js' if pyodide else PYODIDE
        (lite / 'jupyter-lite.json').write_text(json.dumps(site_config(url)), 'utf-8')
        wheels = [f'--piplite-wheels={path}' for path in sorted((folder / 'wheels').iterdir())]
        subprocess.run([sys.executable, '-m', 'jupyterlite_core', 'build', f'--lite-dir={lite}',
                        f'--contents={folder / "contents"}', f'--output-dir={output}',
                        f'--LiteBuildConfig.federated_extensions={extension}',
                        '--ignore-sys-prefix', '--apps=lab', '--no-sourcemaps',
                        '--no-unused-shared-packages', *wheels],
                       check=True, cwd=lite, stdout=subprocess.DEVNULL)
    if pyodide:
        copytree(pyodide, output / 'static/pyodide')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--pyodide', type=Path, help='a folder with Pyodide 0.27.7, to be copied '
                        'into the site (default: it is loaded from cdn.jsdelivr.net)')
    parser.add_argument('--output', type=Path, default=SITE, help='default: site/lite')
    args = parser.parse_args()
    try:
        build(args.output.resolve(), args.pyodide)
    except ValueError as error:
        parser.error(str(error))
    except subprocess.CalledProcessError as error:
        return f'the command failed: {" ".join(map(str, error.cmd))}'


if __name__ == '__main__':
    sys.exit(main())
