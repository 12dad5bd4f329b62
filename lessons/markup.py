"""Markdown, equations and code as plain HTML, without scripts or fonts from elsewhere."""
import re
from html import escape

import mistune
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

TEX = {
    r'\alpha': 'α', r'\beta': 'β', r'\gamma': 'γ', r'\delta': 'δ', r'\Delta': 'Δ',
    r'\epsilon': 'ε', r'\varepsilon': 'ε', r'\eta': 'η', r'\theta': 'θ', r'\lambda': 'λ',
    r'\mu': 'μ', r'\pi': 'π', r'\sigma': 'σ', r'\Sigma': 'Σ', r'\phi': 'φ', r'\partial': '∂',
    r'\nabla': '∇', r'\infty': '∞', r'\ell': 'ℓ', r'\sum': 'Σ', r'\prod': 'Π', r'\cdot': '·',
    r'\times': '×', r'\div': '÷', r'\pm': '±', r'\le': '≤', r'\leq': '≤', r'\ge': '≥',
    r'\geq': '≥', r'\ne': '≠', r'\neq': '≠', r'\approx': '≈', r'\in': '∈', r'\to': '→',
    r'\rightarrow': '→', r'\leftarrow': '←', r'\mapsto': '↦', r'\lfloor': '⌊', r'\rfloor': '⌋',
    r'\lceil': '⌈', r'\rceil': '⌉', r'\langle': '⟨', r'\rangle': '⟩', r'\lVert': '‖',
    r'\rVert': '‖', r'\Vert': '‖', r'\top': 'ᵀ', r'\ast': '∗', r'\dots': '…', r'\ldots': '…',
    r'\cdots': '⋯', r'\log': 'log', r'\ln': 'ln', r'\exp': 'exp', r'\max': 'max', r'\min': 'min',
    r'\arg': 'arg', r'\left': '', r'\right': '', r'\quad': '  ', r'\,': ' ', r'\;': ' ',
    r'\ ': ' ', r'\!': '', r'\{': '{', r'\}': '}', r'\_': '_', r'\%': '%', r'\$': '$', r'\|': '‖',
    '-': '−', "'": '′',
}
UPRIGHT_COMMANDS = r'\mathrm', r'\text', r'\operatorname', r'\mathbf'


def equation(tex):
    """TeX as HTML text with <sub> and <sup>; a command that is not in TEX raises a ValueError."""
    tokens = re.findall(r'\\[A-Za-z]+|\\?.', tex, re.S)
    html = ''.join(convert_tokens(iter(tokens), tex))
    return f'<span class="math">{html.replace("</i><i>", "")}</span>'


def convert_tokens(tokens, tex, end=None):
    """Yield the HTML of an iterator of TeX tokens, up to the token `end`."""
    for token in tokens:
        if token == end:
            return
        elif token == '{':
            yield from convert_tokens(tokens, tex, '}')
        elif token in ('_', '^'):
            tag = 'sub' if token == '_' else 'sup'
            yield f'<{tag}>{convert_argument(tokens, tex)}</{tag}>'
        elif token in (r'\frac', r'\tfrac', r'\dfrac'):
            yield ' / '.join(parenthesise(convert_argument(tokens, tex)) for _ in range(2))
        elif token == r'\sqrt':
            yield f'√{parenthesise(convert_argument(tokens, tex))}'
        elif token in UPRIGHT_COMMANDS:
            yield re.sub('</?i>', '', convert_argument(tokens, tex))
        elif token in TEX:
            yield TEX[token]
        elif token.startswith('\\'):
            raise ValueError(f'{token} in ${tex}$ is not known; write it as text, or give it a '
                             f'letter in TEX of lessons/markup.py')
        else:
            yield f'<i>{token}</i>' if token.isalpha() else escape(token)


def convert_argument(tokens, tex):
    """The HTML of the next argument of a command: a group in braces, or one token."""
    token = next((token for token in tokens if token != ' '), '')
    if token == '{':
        return ''.join(convert_tokens(tokens, tex, '}'))
    return ''.join(convert_tokens(iter([token]), tex))


def parenthesise(html):
    """Put a sum in parentheses; leave a product as it is."""
    text = re.sub('<[^>]*>', '', html)
    return f'({html})' if re.search('[ +−]', text) else html


def highlight_code(code):
    """Python code as HTML, with a class for each kind of token."""
    return f'<pre class="code">{highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))}</pre>'


def slug(html):
    """An id for a heading: its words in lower case, joined by hyphens."""
    return re.sub(r'\W+', '-', re.sub('<[^>]*>', '', html).lower()).strip('-')


class Html(mistune.HTMLRenderer):
    """Render Markdown; resolve_link(url) gives the target of a link, or None for no link."""

    def __init__(self, resolve_link):
        super().__init__(escape=False)
        self.resolve_link = resolve_link

    def link(self, text, url, title=None):
        url = self.resolve_link(url)
        return text if url is None else f'<a href="{escape(url)}">{text}</a>'

    def image(self, text, url, title=None):
        return f'<img src="{escape(url)}" alt="{escape(text)}">'

    def heading(self, text, level, **_):
        return f'<h{level} id="{slug(text)}">{text}</h{level}>\n'

    def block_code(self, code, info=None):
        if info == 'python':
            return highlight_code(code)
        return f'<pre class="text">{escape(code)}</pre>\n'

    def table(self, text):
        return f'<div class="wide"><table>{text}</table></div>\n'

    def inline_math(self, text):
        return equation(text)

    def block_math(self, text):
        return f'<p class="equation">{equation(text)}</p>\n'


def markdown(text, resolve_link=lambda url: url):
    """Markdown with tables and equations -> HTML"""
    convert = mistune.create_markdown(renderer=Html(resolve_link), plugins=['math', 'table'])
    return convert(text)
