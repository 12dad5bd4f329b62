"""Run lessons in headless Chromium on the site of lessons/lite.py, with no other host in reach."""
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext, sync_playwright

MAX_SECONDS = 1200                              # only against a hang
# a kernel is ready before cells are run; an error ends the run of all cells
RUN_ALL = """async () => {
    const panel = window.jupyterapp.shell.currentWidget
    await panel.context.ready
    await panel.sessionContext.ready
    const begin = performance.now()
    await window.jupyterapp.commands.execute('notebook:run-all-cells')
    return {seconds: (performance.now() - begin) / 1000, nb: panel.content.model.toJSON()}
}"""
IS_OPEN = "window.jupyterapp?.shell.currentWidget?.context?.path.endsWith('.ipynb')"


class Run(NamedTuple):
    """What came of a lesson."""
    seconds: float                      # from the page's first request to the last output
    load_seconds: float                 # of these: until the kernel could run a cell
    nb: dict[str, Any]                  # the notebook with its outputs
    errors: list[str]


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
def open_browser() -> Iterator[BrowserContext]:
    """A Chromium for which all hosts but this machine do not exist."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'), args=[
            '--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'])
        context = browser.new_context(viewport=dict(width=1280, height=800))
        context.set_default_timeout(1000 * MAX_SECONDS)
        yield context
        browser.close()


def run_lesson(context: BrowserContext, address: str, name: str) -> Run:
    """Open a lesson's notebook, such as 'l03_im2col', and run its cells from first to last."""
    begin = perf_counter()
    page = context.new_page()
    page.goto(f'{address}/lab/index.html?path={name}.ipynb')
    page.wait_for_function(IS_OPEN)
    result = page.evaluate(RUN_ALL)
    seconds = perf_counter() - begin
    page.close()
    nb = result['nb']
    outputs = [output for cell in nb['cells'] for output in cell.get('outputs', ())]
    errors = ['\n'.join(output['traceback']) or f'{output["ename"]}: {output["evalue"]}'
              for output in outputs if output['output_type'] == 'error']
    return Run(seconds, seconds - result['seconds'], nb, errors)
