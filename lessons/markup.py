"""Markdown, equations and code as plain HTML: nothing has to be fetched to read them."""
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
UPRIGHT = r'\mathrm', r'\text', r'\operatorname', r'\mathbf'


def equation(tex):
    """TeX as letters, with <sub> and <sup>; a command that is not in TEX is refused."""
    html = ''.join(pieces(iter(re.findall(r'\\[A-Za-z]+|\\?.', tex, re.S)), tex))
    return f'<span class="math">{html.replace("</i><i>", "")}</span>'


def pieces(tokens, tex, end=None):
    for token in tokens:
        if token == end:
            return
        elif token == '{':
            yield from pieces(tokens, tex, '}')
        elif token in ('_', '^'):
            tag = 'sub' if token == '_' else 'sup'
            yield f'<{tag}>{argument(tokens, tex)}</{tag}>'
        elif token in (r'\frac', r'\tfrac', r'\dfrac'):
            yield ' / '.join(together(argument(tokens, tex)) for _ in 'ab')
        elif token == r'\sqrt':
            yield f'√{together(argument(tokens, tex))}'
        elif token in UPRIGHT:
            yield re.sub('</?i>', '', argument(tokens, tex))
        elif token in TEX:
            yield TEX[token]
        elif token.startswith('\\'):
            raise ValueError(f'{token} in ${tex}$ is not known; write it as text, or give it a '
                             f'letter in TEX of lessons/markup.py')
        else:
            yield f'<i>{token}</i>' if token.isalpha() else escape(token)


def argument(tokens, tex):
    """What a command takes: a group in braces, or one token."""
    token = next((token for token in tokens if token != ' '), '')
    return ''.join(pieces(tokens, tex, '}') if token == '{' else pieces(iter([token]), tex))


def together(html):
    """A sum is put in parentheses, a product is not."""
    return f'({html})' if re.search('[ +−]', re.sub('<[^>]*>', '', html)) else html


def coloured(code):
    """Python, with a class for each kind of token."""
    return f'<pre class="code">{highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))}</pre>'


def slug(html):
    return re.sub(r'\W+', '-', re.sub('<[^>]*>', '', html).lower()).strip('-')


class Html(mistune.HTMLRenderer):
    """where(url) says where a link leads on these pages; None: it is no link here."""

    def __init__(self, where):
        super().__init__(escape=False)
        self.where = where

    def link(self, text, url, title=None):
        url = self.where(url)
        return text if url is None else f'<a href="{escape(url)}">{text}</a>'

    def image(self, text, url, title=None):
        return f'<img src="{escape(url)}" alt="{escape(text)}">'

    def heading(self, text, level, **_):
        return f'<h{level} id="{slug(text)}">{text}</h{level}>\n'

    def block_code(self, code, info=None):
        return coloured(code) if info == 'python' else f'<pre class="text">{escape(code)}</pre>\n'

    def table(self, text):
        return f'<div class="wide"><table>{text}</table></div>\n'

    def inline_math(self, text):
        return equation(text)

    def block_math(self, text):
        return f'<p class="equation">{equation(text)}</p>\n'


def markdown(text, where=lambda url: url):
    """-> HTML"""
    return mistune.create_markdown(renderer=Html(where), plugins=['math', 'table'])(text)
