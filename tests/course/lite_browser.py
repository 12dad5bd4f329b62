"""Run lessons on the site of lessons/lite.py, in headless Chromium, with no other host in reach.

    python tests/course/lite_browser.py                 every lesson: make lite-check
    python tests/course/lite_browser.py l03_im2col      some

It builds a site that has a copy of Pyodide, and prints a row for each lesson: the seconds until the
first cell could run, and until the last one was done; its first error. Exits 1 if there is one.
`make .venv/lite .venv/pyodide` installs what this needs.
"""
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from subprocess import run
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
LITE = Path(sys.prefix) / 'lite/bin/python'
PYODIDE = Path(sys.prefix) / 'pyodide'
MAX_SECONDS = 900                              # only against a hang
IS_OPEN = "window.jupyterapp?.shell.currentWidget?.context?.path.endsWith('.ipynb')"
# The first error of a cell ends the run
RUN_ALL = """async () => {
    const panel = window.jupyterapp.shell.currentWidget
    await panel.context.ready
    await panel.sessionContext.ready
    const begin = performance.now()
    await window.jupyterapp.commands.execute('notebook:run-all-cells')
    return {seconds: (performance.now() - begin) / 1000, nb: panel.content.model.toJSON()}
}"""
# JupyterLab attaches only cells that are in view
SHOW_PLAYER = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget.content
    const index = notebook.model.toJSON().cells.findIndex(
        cell => cell.outputs?.some(output => output.data?.['text/html']?.includes('<iframe')))
    notebook.activeCellIndex = index
    await notebook.scrollToItem(index, 'start')
}"""
RUN_CODE = """async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
    const request = kernel.requestExecute({code})
    let text = ''
    request.onIOPub = message => {
        text += message.content.text ?? message.content.evalue ?? ''
    }
    await request.done
    return text
}"""


class Run(NamedTuple):
    """What came of a lesson."""
    load_seconds: float                 # until the kernel was ready for a cell
    seconds: float                      # until the last cell was done
    nb: dict[str, Any]                  # the notebook with its outputs
    errors: list[str]                   # of cells, without colours


def build_site(folder: Path) -> None:
    """Build the site of `make lite`, but with a Pyodide that is already on this machine."""
    run([LITE, ROOT / 'lessons/lite.py', '--pyodide', PYODIDE, '--output', folder], check=True)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """-> the address of a server for the files of a folder, on this machine only"""
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(QuietHandler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def open_page() -> Iterator[Page]:
    """An empty page of a Chromium for which no host but this machine exists."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'), args=[
            '--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'])
        page = browser.new_page(viewport=dict(width=1280, height=800))
        page.set_default_timeout(1000 * MAX_SECONDS)
        yield page
        browser.close()


def run_lesson(page: Page, address: str, name: str) -> Run:
    """Open a lesson's notebook, such as 'l03_im2col', and run its cells from first to last."""
    begin = perf_counter()
    page.goto(f'{address}/lab/index.html?path={name}.ipynb')
    page.wait_for_function(IS_OPEN)
    result = page.evaluate(RUN_ALL)
    seconds = perf_counter() - begin
    nb = result['nb']
    outputs = [output for cell in nb['cells'] for output in cell.get('outputs', ())]
    errors = [re.sub(r'\x1b\[[\d;]*m', '', '\n'.join(output['traceback']))
              for output in outputs if output['output_type'] == 'error']
    return Run(seconds - result['seconds'], seconds, nb, errors)


def main(names: list[str]) -> int:
    """Run these lessons, or all, and print a row for each. -> exit status"""
    lessons = [path.stem for path in sorted((ROOT / 'lessons').glob('l[0-9][0-9]_*.ipynb'))]
    failed = 0
    print(f'{"lesson":24}{"kernel":>8}{"all":>8}   seconds')
    with TemporaryDirectory() as folder:
        build_site(Path(folder))
        for name in names or lessons:
            with serve(Path(folder)) as address, open_page() as page:
                lesson = run_lesson(page, address, name)
            error = lesson.errors[0].splitlines()[-1] if lesson.errors else ''
            failed += bool(error)
            print(f'{name:24}{lesson.load_seconds:8.1f}{lesson.seconds:8.1f}   {error}', flush=True)
    return int(failed > 0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
