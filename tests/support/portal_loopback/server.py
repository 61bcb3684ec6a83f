"""The GraphQL endpoint: a real HTTP server over a :class:`~support.portal_loopback.database.Database`."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    execute_sync,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
    value_from_ast,
)
from graphql.execution.values import get_variable_values

from support.portal_loopback.database import Database


@dataclass
class Fault:
    """What goes wrong with requests.

    Attributes:
        times: How many requests it hits; None for all.
        delay: Seconds before the answer.
        status: HTTP status of an answer without data.
        error: Message of a GraphQL error, with status 200.
        row_limit: Answers with more rows are refused: by the error or status given here, else by a GraphQL error of its own.
        fields: Only requests for these root fields; all if empty.
    """

    times: int | None = None
    delay: float = 0.0
    status: int = 200
    error: str = ""
    row_limit: int | None = None
    fields: frozenset[str] = field(default_factory=frozenset)


class GraphQLServer:
    """Serves a database; counts requests by root field."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.counts: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self._epoch = 0
        self.columns: dict[str, set[str]] = {}
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._documents: dict[str, Any] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/graphql"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop serving; the port is closed."""
        self._http.shutdown()
        self._http.server_close()

    @property
    def requests(self) -> int:
        """Number of requests so far."""
        return self.counts.total()

    def reset(self) -> None:
        """Forget counts and faults."""
        with self._lock:
            self.counts.clear()
            self.columns.clear()
            self.faults.clear()
            self.most_in_flight = 0
            self.in_flight = 0
            self._epoch += 1  # requests of before no longer count

    # ------------------------------------------------------------------ answering

    def answer(self, text: str, variables: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a query."""
        if text not in self._documents:
            document = parse(text)
            self._documents[text] = document, validate(self.database.schema, document)
        document, errors = self._documents[text]
        if errors:
            return 400, {"errors": [error.formatted for error in errors]}
        operation = next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))
        roots = [node for node in operation.selection_set.selections if isinstance(node, FieldNode)]
        with self._lock:
            self.counts.update(node.name.value for node in roots)
            for node in roots:
                asked = {s.name.value for s in node.selection_set.selections} if node.selection_set else set()
                self.columns.setdefault(node.name.value, set()).update(asked)
            fault = self._fault({node.name.value for node in roots})
        if fault is not None:
            time.sleep(fault.delay)
        if fault is not None and fault.row_limit is None:
            if fault.status != 200:
                return fault.status, {}
            if fault.error:
                return 200, {"data": None, "errors": [{"message": fault.error}]}
        try:
            data = self._execute(document, operation, roots, variables)
        except GraphQLError as error:
            return 200, {"data": None, "errors": [error.formatted]}
        rows = sum(len(v) for v in data.values() if isinstance(v, list))
        if fault is not None and fault.row_limit is not None and rows > fault.row_limit:
            message = fault.error or f"Query result too large: {rows} rows"
            return fault.status, {"data": None, "errors": [{"message": message}]} if fault.status == 200 else {}
        return 200, {"data": data}

    def _fault(self, roots: set[str]) -> Fault | None:
        for fault in self.faults:
            if fault.times == 0 or (fault.fields and not fault.fields & roots):
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None

    def _execute(self, document: Any, operation: Any, roots: list[FieldNode], variables: dict[str, Any]) -> dict[str, Any]:
        if all(node.name.value in self.database.root_fields and self._is_flat(node) for node in roots):
            return self._execute_flat(operation, roots, variables)
        result = execute_sync(self.database.schema, document, variable_values=variables, field_resolver=self._resolve)
        if result.errors:
            raise result.errors[0]
        return dict(result.data or {})

    def _is_flat(self, node: FieldNode) -> bool:
        """Whether only scalars are selected: then no GraphQL engine is needed, which is ten times faster."""
        row_type = self.database.schema.type_map[self.database.root_fields[node.name.value]]
        selections = node.selection_set.selections if node.selection_set else ()
        return all(
            isinstance(s, FieldNode)
            and s.name.value in row_type.fields
            and is_leaf_type(get_named_type(row_type.fields[s.name.value].type))
            for s in selections
        )

    def _execute_flat(self, operation: Any, roots: list[FieldNode], variables: dict[str, Any]) -> dict[str, Any]:
        schema = self.database.schema
        values = get_variable_values(schema, operation.variable_definitions or (), variables)
        if isinstance(values, list):
            raise values[0]
        values = getattr(values, "coerced", values)  # graphql-core 3.3 wraps what 3.2 gives
        query = schema.query_type
        assert query is not None
        data = {}
        for node in roots:
            name = node.name.value
            columns = [s.name.value for s in node.selection_set.selections]
            where = {}
            for argument in node.arguments:
                if argument.name.value == "where":
                    where = value_from_ast(argument.value, query.fields[name].args["where"].type, values) or {}
            rows = self.database.select(self.database.root_fields[name], where)
            alias = node.alias.value if node.alias else name
            data[alias] = [{column: row[column] for column in columns} for row in rows]
        return data

    def _resolve(self, source: Any, info: Any, **args: Any) -> Any:
        name, parent = info.field_name, info.parent_type.name
        if parent == "Query":
            if name.endswith("Aggregate"):
                return {"aggregate": [{"count": len(self.database.select(self._aggregated(name), args.get("where")))}]}
            rows = self.database.select(self.database.root_fields[name], args.get("where"))
            for order in reversed(args.get("orderBy") or []):
                for column, direction in order.items():
                    rows.sort(key=lambda row, c=column: (row[c] is None, row[c]), reverse="desc" in str(direction))
            page = args.get("limitOffset") or {}
            start = page.get("offset") or 0
            return rows[start : start + page["limit"]] if page.get("limit") is not None else rows[start:]
        if name in source:
            return source[name]
        rows = self.database.related(parent, source, name)
        if get_named_type(info.return_type).name.endswith("Connection"):
            return {"edges": [{"node": row, "cursor": ""} for row in rows], "pageInfo": None}
        return rows[0] if rows else None

    def _aggregated(self, name: str) -> str:
        return self.database.root_fields[re.sub("Aggregate$", "", name)]

    # ------------------------------------------------------------------ HTTP

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    epoch = server._epoch
                    server.in_flight += 1
                    server.most_in_flight = max(server.most_in_flight, server.in_flight)
                try:
                    status, answer = server.answer(body["query"], body.get("variables") or {})
                finally:
                    with server._lock:
                        server.in_flight -= epoch == server._epoch
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        return Handler
