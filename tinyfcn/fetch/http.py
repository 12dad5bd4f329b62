"""HTTP requests that end: replies that are too slow, or endless, or of another protocol fail.

urllib has a limit for one silence only. A server that sends a byte a second, or headers, empty
chunks or the text of a redirect without an end, would hold a download for ever.
"""
import io
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from socket import gaierror
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from ..files import printable

TIMEOUT = 30                            # seconds of silence
MIN_RATE = 1_000                        # bytes a second, on average over …
PERIOD = 30                             # … this many seconds of waiting
MAX_SECONDS = 24 * 3600                 # of waiting for one reply
MAX_HEADERS = 1 << 20                   # bytes, with provisional replies and trailers


class Unavailable(Exception):
    """Why a mirror does not deliver a file.

    retry: whether another try may succeed; is_reached: whether there was a connection to it
    """

    def __init__(self, why: str, retry: bool = True, is_reached: bool = True):
        super().__init__(why)
        self.retry = retry
        self.is_reached = is_reached


def open_url(request: Request, max_bytes: int) -> HTTPResponse:
    """The reply to a request, to be read up to `max_bytes`.

    As many bytes again are allowed for headers, and for those of chunks. Every failure of the
    network, and every status but success and 416, is Unavailable.
    """
    opener = OpenerDirector()
    for handler in (ProxyHandler(), UnknownHandler(), _HTTPHandler(), _HTTPSHandler(), _Redirects(),
                    HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    response = unavailable_on_error(opener.open, request, timeout=TIMEOUT)
    reply: Any = response.fp if isinstance(response, HTTPError) else response
    reply.reader.bytes_left = 2 * (max_bytes + MAX_HEADERS)
    return reply                                        # type: ignore[no-any-return]


def unavailable_on_error(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """call(…), in which every failure of the network becomes Unavailable.

    It must not write to the disk: a full disk is not the mirror's fault.
    """
    try:
        return call(*args, **kwargs)
    except HTTPError as error:
        if error.code == 416:                           # range not satisfiable
            return error
        error.close()
        retry = error.code >= 500 or error.code in (408, 429)
        raise Unavailable(f'HTTP {error.code} {printable(error.reason)}', retry) from None
    except URLError as error:                           # before anything was sent
        raise Unavailable(_describe(error.reason), is_reached=False) from None
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(_describe(error)) from None


def _describe(error: object) -> str:
    """An error of the network; one of the system's in its own words."""
    if isinstance(error, gaierror):
        return f'{printable(error.strerror)}; is this machine online?'
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    kind = f'{type(error).__name__}: ' if isinstance(error, Exception) else ''
    return f'{kind}{printable(error)}'


class _BoundedReader(io.RawIOBase):
    """The bytes of a connection, with a limit on their number and on the time spent waiting.

    Only time spent waiting counts: the disk may be slow.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self.raw = raw
        self.bytes_left = MAX_HEADERS
        self.seconds = 0.
        self.period_seconds = 0.
        self.period_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        start = monotonic()
        count = self.raw.readinto(buffer)               # type: ignore[attr-defined]
        waited = monotonic() - start
        self._count(count or 0, waited)
        return count                                    # type: ignore[no-any-return]

    def _count(self, count: int, waited: float) -> None:
        self.bytes_left -= count
        self.seconds += waited
        self.period_bytes += count
        self.period_seconds += waited
        if self.bytes_left < 0:
            raise Unavailable('its reply has no end', retry=False)
        if self.seconds > MAX_SECONDS:
            raise Unavailable(f'it took more than {MAX_SECONDS:,} seconds')
        if self.period_seconds > PERIOD:
            if self.period_bytes < MIN_RATE * PERIOD:
                raise Unavailable(f'it sends fewer than {MIN_RATE:,} bytes a second', retry=False)
            self.period_seconds = 0.
            self.period_bytes = 0

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Reply(HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = _BoundedReader(self.fp.detach())
        self.fp = io.BufferedReader(self.reader)


class _HTTP(HTTPConnection):
    response_class = _Reply


class _HTTPS(HTTPSConnection):
    response_class = _Reply


class _HTTPHandler(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_HTTP, req)


class _HTTPSHandler(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_HTTPS, req)


class _Redirects(HTTPRedirectHandler):
    inf_msg = 'it redirects without end: '              # urllib's own has several lines

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: HTTPMessage,
                         newurl: str) -> Request | None:
        fp.close()                      # urllib would read it to its end, which may never come
        if urlsplit(newurl).scheme not in ('http', 'https'):
            raise Unavailable(f'it redirects to {printable(newurl)}, which is not HTTP',
                              retry=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
