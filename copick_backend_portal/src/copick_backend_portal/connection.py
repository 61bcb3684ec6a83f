"""Asking the portal: the official client's transport, retries within a bound, batches that shrink when they are refused."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from copick_backend_portal.errors import PortalError, PortalQueryError, PortalUnreachableError

if TYPE_CHECKING:
    from copick_backend_portal.queries import Query, Row

#: HTTP statuses after which the same request may succeed.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOO_LARGE_STATUS = 413
#: Statuses of servers, and of gateways before them, that may mean that the answer takes too long to make.
_TOO_SLOW = frozenset({502, 504})
#: Errors of a database that took too long: the same query may pass later, a smaller one sooner.
_TIMED_OUT = re.compile(r"time.?out|timed out|canceling statement", re.I)
#: How servers refuse an answer for its size.
_TOO_LARGE = re.compile(r"too (large|big|many|long|complex)|(limit|maximum).{0,20}exceeded|exceeds?\b.{0,40}(limit|max)", re.I)
#: Seconds before the first retry; each further one waits twice as long, give or take a half.
_FIRST_PAUSE = 0.1


class _TooLargeError(Exception):
    """The portal refused an answer for its size."""


class _SlowError(PortalUnreachableError):
    """The portal, or a gateway before it, gave up making an answer: a smaller one may succeed."""


@dataclass
class Gaps:
    """Runs that the portal refuses to answer for, however few it is asked about at once.

    Attributes:
        refused: The error of each, by the id of the run.
        answered: Whether it has answered anything meanwhile: else it is unreachable, and no single run is to blame.
    """

    refused: dict[int, PortalQueryError] = field(default_factory=dict)
    answered: bool = False


class Connection:
    """The portal's GraphQL endpoint.

    Args:
        url: Its address.
        timeout: Seconds that one query may take, retries included.
        batch: How many ids one query asks for at most.
        connections: How many queries are under way at once.
    """

    def __init__(self, url: str, timeout: float, batch: int, connections: int) -> None:
        self.url = url
        self._timeout = timeout
        self._batch = batch
        self._connections = connections
        self._client: Any = None
        self._lock = threading.Lock()

    def ask_all(
        self, queries: Sequence[tuple[Query, Sequence[int]]], identifiers: Sequence[str], gaps: Gaps | None = None
    ) -> list[list[Row]]:
        """Ask several queries at once; gives the rows of each.

        Args:
            queries: The queries, each with ids.
            identifiers: Identifiers of the objects whose annotations matter.
            gaps: Where to note the ids, of runs, that are too much by themselves; without it, that is an error.

        Raises:
            PortalUnreachableError: No usable answer came in time.
            PortalQueryError: The portal refused one of them.
        """
        if len(queries) == 1:
            return [self.ask(queries[0][0], queries[0][1], identifiers, gaps=gaps)]
        give_up = threading.Event()
        with ThreadPoolExecutor(self._connections, thread_name_prefix="portal") as pool:
            futures: list[Future[list[Row]]] = [
                pool.submit(self.ask, q, ids, identifiers, give_up, gaps) for q, ids in queries
            ]
            _, pending = wait(futures, return_when=FIRST_EXCEPTION)
            if pending:
                give_up.set()  # one has failed: the others would make the user wait for nothing
                pool.shutdown(wait=False, cancel_futures=True)
            failed = [f for f in futures if f.done() and not f.cancelled() and f.exception() is not None]
            for future in failed:
                future.result()
            return [future.result() for future in futures]

    def ask(
        self,
        query: Query,
        ids: Sequence[int],
        identifiers: Sequence[str],
        give_up: threading.Event | None = None,
        gaps: Gaps | None = None,
    ) -> list[Row]:
        """Ask one query for some ids, in as many requests as the portal needs."""
        rows: list[Row] = []
        waiting, batch = [list(ids)], self._batch
        while waiting:
            part = waiting.pop()
            if len(part) > self._batch:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            try:
                rows += self._request(query, query.where(part, identifiers), len(part) > 1, give_up, gaps)
            except _TooLargeError as error:
                if len(part) < 2:
                    way_out = "lower portal_batch_runs" if self._batch > 1 else "one run alone is too much for the portal"
                    refusal = PortalQueryError(query=query.name, url=self.url, reason=f"{error} ({way_out})")
                    if gaps is None:
                        raise refusal from error
                    gaps.refused[part[0]] = refusal
                    self._batch = max(self._batch, batch)  # this run was too much, not so many of the others
                    continue
                middle = len(part) // 2
                self._batch = max(1, min(self._batch, middle))  # others need not find out for themselves
                waiting += [part[middle:], part[:middle]]
        return rows

    def _request(
        self, query: Query, where: Any, divisible: bool, give_up: threading.Event | None, gaps: Gaps | None
    ) -> list[Row]:
        """One request, repeated while its failure may pass and there is time.

        Raises:
            _TooLargeError: The portal refuses it for its size, or has twice taken too long for one that is ``divisible``, or
                that may be left out because others are answered.
        """
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        slow = 0
        while True:
            try:
                rows = self._execute(query, where, deadline - time.monotonic())
            except PortalUnreachableError as error:
                slow += isinstance(error, _SlowError)
                if slow > 1 and (divisible or (gaps is not None and gaps.answered)):
                    raise _TooLargeError(error.reason) from error
                wait_for = pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, hides nothing
                if time.monotonic() + wait_for >= deadline or (give_up is not None and give_up.is_set()):
                    raise
            else:
                if gaps is not None:
                    gaps.answered = True
                return rows
            if give_up is None:
                time.sleep(wait_for)
            else:
                give_up.wait(wait_for)
            pause *= 2

    def _execute(self, query: Query, where: Any, timeout: float) -> list[Row]:
        from gql import GraphQLRequest
        from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError

        session = self._portal_client().get_client()
        # Retries are ours, within one bound; and a server that hangs must not hang us.
        session.transport.retries = 0
        session.transport.default_timeout = max(timeout, 0.1)
        try:
            request = GraphQLRequest(query.document, variable_values={"where": where})
            answer = session.execute(request)
        except TransportQueryError as error:
            reason = "; ".join(str(e.get("message", e)) for e in error.errors or []) or str(error)
            if _TOO_LARGE.search(reason):
                raise _TooLargeError(reason) from error
            if _TIMED_OUT.search(reason):
                raise _SlowError(query=query.name, url=self.url, reason=reason) from error
            raise PortalQueryError(query=query.name, url=self.url, reason=reason) from error
        except TransportServerError as error:
            if error.code == _TOO_LARGE_STATUS:
                raise _TooLargeError(str(error)) from error
            kind: type[PortalError] = PortalUnreachableError if error.code in _TRANSIENT else PortalQueryError
            if error.code in _TOO_SLOW:
                kind = _SlowError
            raise kind(query=query.name, url=self.url, reason=str(error)) from error
        except (TransportError, OSError) as error:
            raise PortalUnreachableError(query=query.name, url=self.url, reason=_short(error)) from error
        except AssertionError:
            answer = None  # so the transport takes an answer without data or errors
        rows = answer.get(query.field) if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise PortalQueryError(
                query=query.name, url=self.url, reason="its answer has no rows; is it the portal's address?"
            )
        return rows

    def _portal_client(self) -> Any:
        """The official client, made on first need; its schema is not parsed, since our documents are fixed."""
        with self._lock:
            if self._client is None:
                import cryoet_data_portal  # type: ignore[import-untyped,unused-ignore]

                class Client(cryoet_data_portal.Client):  # type: ignore[misc,unused-ignore]
                    def __init__(self, url: str) -> None:
                        self.url = url
                        self.schema = None

                self._client = Client(self.url)
            return self._client


def _short(error: BaseException) -> str:
    """The innermost cause of a failed connection: what is around it names the address, which may hold secrets."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    of_system = [cause for cause in chain if isinstance(cause, OSError) and cause.errno is not None]
    return str(of_system[-1]) if of_system else str(error).split(": ", 1)[-1]
