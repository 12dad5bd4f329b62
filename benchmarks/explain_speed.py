"""The page of `tinyfcn explain` in Chromium: seconds for a picture, and the page's longest task.

    python benchmarks/explain_speed.py          a minute; needs chromium and playwright

The net runs in a worker. While a task of the page itself runs, a click waits: over 100 ms a reader
notices.
"""
import json
import re
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory

from markdown_table import table
from timing import RESULTS, check_machine, save

# isort: split
import tinyfcn
from tinyfcn.data import shapes
from tinyfcn.explain import Part, make_page

NETS = dict(tiny_8s=1, fcn_squeezenet_4s=1, unet_same=1 / 4, segnet=1 / 4)      # and their widths
SIZE = 240, 320
RUNS = 5
PREPROCESS = dict(order='BGR', scale=1, mean=(104., 117., 123.), std=(1, 1, 1))
# the length of every task of the page that takes 50 ms or more, in milliseconds
OBSERVE = """
window.tasks = [0]
new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration)))
    .observe({ type: 'longtask', buffered: true })
"""


def measure(browser, name, width, folder):
    """-> a row: the median of the seconds that the page shows, and its longest task"""
    net = tinyfcn.build(name, n_class=7, width=width)
    net.about['preprocess'] = PREPROCESS
    image, _ = shapes.generate(0, 1, SIZE)
    path = folder / f'{name}.html'
    path.write_text(make_page([Part(name, net)], image, name), 'utf-8')
    page = browser.new_page(viewport=dict(width=1280, height=900))
    page.add_init_script(OBSERVE)
    page.goto(path.as_uri())
    page.locator('.pixel').filter(has_text='Row').wait_for()
    seconds = []
    for _ in range(RUNS):
        page.get_by_role('button', name='first picture').click()
        page.wait_for_timeout(100)
        status = page.locator('.status').filter(has_text='pixels')
        status.wait_for()
        seconds.append(float(re.match(r'[\d.]+', status.text_content())[0]))
    for box in page.get_by_role('button', name=re.compile('^box conv')).all()[:3]:
        box.dispatch_event('click')
        page.wait_for_timeout(500)
    page.get_by_role('button', name='take the step').click()
    page.locator('.result').wait_for()
    page.wait_for_timeout(500)
    longest = max(page.evaluate('tasks'))
    page.close()
    return dict(net=name, width=width, size=SIZE, seconds=median(seconds), longest_task=longest,
                bytes=path.stat().st_size)


def load_results(path=RESULTS / 'explain_speed.json'):
    """-> the rows and the machine, or None"""
    if path.exists():
        result = json.loads(path.read_text('utf-8'))
        return result['rows'], result['machine']
    return None


def markdown_section(results):
    """Lines of Markdown: a row for each net."""
    if not results:
        return
    rows, machine = results
    height, width = rows[0]['size']
    yield '## The page of `tinyfcn explain`\n'
    yield (f'A picture of {width}×{height} pixels through a net in Chromium, by ops of the page '
           f'in a worker. While a task of the page itself runs, a click waits. '
           f'On {machine["cpu"]}, {machine["date"][:10]}.\n')
    yield from table(['net', 'width', 'seconds', 'the page\'s longest task in ms', 'megabytes'],
                     [[row['net'], f'{row["width"]:g}', f'{row["seconds"]:.2f}',
                       f'{row["longest_task"]:.0f}', f'{row["bytes"] / 1e6:.1f}'] for row in rows])


def main():
    from playwright.sync_api import sync_playwright
    machine = check_machine()
    rows = []
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=which('chromium'),
                                             args=['--no-sandbox'])
        for name, width in NETS.items():
            rows.append(measure(browser, name, width, Path(folder)))
            print('{net}, width {width:g}: {seconds:.2f} s; longest task {longest_task:.0f} ms; '
                  '{bytes:,} bytes'.format(**rows[-1]))
        browser.close()
    save('explain_speed', rows, machine)


if __name__ == '__main__':
    main()
