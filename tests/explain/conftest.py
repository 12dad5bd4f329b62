"""The explainer's modules in Chromium."""
import pytest
from explain_page import HELPERS

from tinyfcn.explain.page import WORKER, join_modules


@pytest.fixture(scope='module')
def engine(browser):
    """A page that has all modules but those that draw."""
    page = browser.new_page()
    errors = []
    page.on('pageerror', lambda error: errors.append(str(error)))
    modules = [name for name in WORKER if name != 'worker']
    page.add_script_tag(content=join_modules([*modules, 'fraction', 'layers']) + HELPERS)
    assert errors == []
    yield page
    page.close()
