"""Prepare a checkout for the release of a tag: python .ci/release.py v0.2.0 ADDRESS NOTES

The tag must be the package's version, and CHANGELOG.md must have notes for it, which are written
to the file NOTES. Then the repository's address is written into pyproject.toml, and the links and
pictures of README.md begin with it: the package index shows that page, and has none of the files.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACEHOLDER = 'https://example.org/tinyfcn'


def read_version(root: Path) -> str:
    text = (root / 'tinyfcn/__init__.py').read_text('utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.M).group(1)


def release_notes(changelog: str, version: str) -> str:
    """The section of a version, without its heading."""
    section = re.search(rf'^## {re.escape(version)}\b([^\n]*)\n(.*?)(?=^## |\Z)', changelog,
                        re.M | re.S)
    if not section:
        raise ValueError(f'CHANGELOG.md has no section "## {version}": write one')
    if 'not released' in section.group(1):
        raise ValueError(f'CHANGELOG.md says that {version} is not released: write its date')
    return section.group(2).strip() + '\n'


def absolute_links(page: str, address: str, tag: str) -> str:
    """The page with links that work anywhere: [text](docs/nets.md), ![text](picture.png)."""
    page = page.replace('ADDRESS-OF-THIS-REPOSITORY', address)
    page = re.sub(r'(!\[[^]]*\]\()(?![a-z]+:|#)', rf'\1{address}/raw/{tag}/', page)
    return re.sub(r'((?<!!)\[[^]]*\]\()(?![a-z]+:|#)', rf'\1{address}/blob/{tag}/', page)


def prepare(root: Path, tag: str, address: str, notes: Path) -> None:
    version = read_version(root)
    if tag != f'v{version}':
        raise ValueError(f'the tag is {tag}, and tinyfcn/__init__.py says {version}: the tag of '
                         f'this version is v{version}')
    notes.write_text(release_notes((root / 'CHANGELOG.md').read_text('utf-8'), version), 'utf-8')
    for name, change in (
            ('pyproject.toml', lambda text: text.replace(PLACEHOLDER, address)),
            ('README.md', lambda text: absolute_links(text, address, tag))):
        path = root / name
        path.write_text(change(path.read_text('utf-8')), 'utf-8')


if __name__ == '__main__':
    try:
        tag, address, notes = sys.argv[1:]
        prepare(ROOT, tag, address, Path(notes))
    except ValueError as error:
        sys.exit(f'release.py: {error}')
