"""Running a function on each run or entity that addresses match, on any executor, again only where that is needed."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from copick_core.errors import InvalidDataError, NotFoundError, ReadOnlyError, by_caller, in_python
from copick_core.layers.provenance import RECORD, Recording, described_input, mark_of, recording
from copick_core.layers.records import change_document, read_document
from copick_core.projects.runs import map_runs
from copick_core.projects.selection import Selection, handle_of
from copick_core.tree.addresses import address_of, key_of, parse
from copick_core.tree.keys import Key, Kind, RunKey

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: Name of the tool in the provenance.
TOOL = "copick-core run"


@dataclass(frozen=True)
class Call:
    """The function for one run or entity.

    Attributes:
        key: The run or entity.
        layer: Name of the layer that holds the entity; None for runs.
        reason: Why it is called.
    """

    key: Key
    layer: str | None
    reason: str

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.key.name if isinstance(self.key, RunKey) else self.key.run  # type: ignore[union-attr]

    def __str__(self) -> str:
        return f"{address_of(self.key)}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """The call as JSON values."""
        return {"kind": self.key.kind.value, "address": str(address_of(self.key)), "reason": self.reason}


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Attributes:
        kind: Kind of what the function was called for.
        address: Its address.
        state: ``"done"`` or ``"failed"``.
        outputs: Addresses of what the function stored.
        error: Why it failed, in one line.
        traceback: Where it failed.
    """

    kind: str
    address: str
    state: Literal["done", "failed"]
    outputs: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        found = {"kind": self.kind, "address": self.address, "state": self.state, "outputs": [*self.outputs]}
        return found if self.error is None else {**found, "error": self.error, "traceback": self.traceback}


@dataclass
class RunPlan:
    """Which calls will be made and why, and what is left out and why.

    Attributes:
        function: The function, as ``"module:name"``.
        arguments: Its arguments.
        calls: What will be called.
        skipped: What will not, as pairs of key and reason.
    """

    root: CopickRootOverlay
    function: str
    arguments: Mapping[str, Any]
    calls: list[Call] = field(default_factory=list)
    skipped: list[tuple[Key, str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"run {call}" for call in self.calls] + [f"skip {address_of(key)}: {why}" for key, why in self.skipped]
        return "\n".join([f"{self.function}:", *(f"  {line}" for line in lines or ["nothing to do"])])

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        skipped = [{"kind": k.kind.value, "address": str(address_of(k)), "reason": why} for k, why in self.skipped]
        return {"function": self.function, "calls": [call.to_json() for call in self.calls], "skipped": skipped}

    def run(
        self,
        *,
        executor: str | Executor | Any = "process",
        workers: int | None = None,
        chunksize: int | None = None,
        report: str | os.PathLike[str] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> list[Outcome]:
        """Make the calls.

        Args:
            executor: As :func:`copick_core.map_runs` has it.
            workers: As :func:`copick_core.map_runs` has it.
            chunksize: As :func:`copick_core.map_runs` has it.
            report: File that gets a line for each call as soon as it is made; a plan made with it leaves out what is done.
            progress: Called after each run with its name, how many are finished, and how many there are.

        Returns:
            What came of each call. An error of the function is an outcome, it is not raised.
        """
        by_run: dict[str, list[Call]] = {}
        for call in self.calls:
            by_run.setdefault(call.run, []).append(call)
        outcomes: list[Outcome] = []

        def on_outcome(run: str, found: list[Outcome] | None, failure: Any) -> None:
            if found is None:
                lost = f"{type(failure.error).__name__}: {failure.error}"
                found = [_failed(call.key, lost, failure.traceback) for call in by_run[run]]
            outcomes.extend(found)
            if report is not None:
                _append(Path(report), [one.to_json() for one in found])

        if report is not None and not Path(report).exists():
            _append(Path(report), [{"function": self.function, "arguments": dict(self.arguments)}])
        common = {"function": self.function, "arguments": dict(self.arguments), "path": _import_path()}
        run_args = {name: {"targets": [(call.key, call.layer) for call in calls], **common} for name, calls in by_run.items()}
        map_runs(
            work_on_run, self.root, [*by_run], executor=executor, workers=workers, chunksize=chunksize,
            run_args=run_args, collect=True, progress=progress, on_outcome=on_outcome,
        )  # fmt: skip
        self.root.refresh()
        return outcomes


def plan_run(
    function: str,
    root: CopickRootOverlay,
    addresses: Iterable[str] = ("*/",),
    *,
    kind: Kind | str | None = None,
    arguments: Mapping[str, Any] | None = None,
    if_needed: bool = False,
    report: str | os.PathLike[str] | None = None,
) -> RunPlan:
    """Plan to call a function for each run or entity that addresses match.

    Args:
        function: ``"module:name"``; called as ``name(entity, **arguments)``. What it stores carries its provenance.
        root: The project.
        addresses: What it is called for; of several layers that hold an entity, for the overlay's.
        kind: The one kind that is meant.
        arguments: Keyword arguments, as JSON values.
        if_needed: Leave out what is up to date: the function was called with these arguments, what it stored is there, and
            what it had read is unchanged. Regions that were written into volumes do not count as a change.
        report: Report of an earlier run, if there is one; what it has done is left out.

    Returns:
        The plan; nothing was called.

    Raises:
        AddressError: An address matches several kinds, or objects.
        InvalidDataError: The function cannot be imported, or the report is one of another function.
        NotFoundError: An address matches nothing.
        ReadOnlyError: ``if_needed``, and the project keeps no records of earlier runs.
    """
    _import_path()
    function_of(function)
    given = json.loads(json.dumps(dict(arguments or {})))
    plan = RunPlan(root, function, given)
    rows: dict[Key, Layer | None] = {}
    for address in addresses:
        found = Selection(root, address, kind).one_kind("run")
        if not found:
            raise NotFoundError(key=f"{address!r}", layer=", ".join(layer.name for layer in root.layers.all))
        if found[0][0].kind is Kind.OBJECT:
            raise InvalidDataError(source=f"address {address!r}", reason="it matches objects, which are in no run")
        rows |= dict(found)
    done = _done_in(report, function, given)
    calls: dict[str, dict[str, Any]] = {}
    for key, layer in rows.items():
        name = None if layer is None else layer.name
        call = Call(key, name, "asked for")
        if (key.kind.value, str(address_of(key))) in done:
            plan.skipped.append((key, "the report says that it is done"))
            continue
        if if_needed:
            if call.run not in calls:
                calls[call.run] = _calls_of(root, call.run)
            reason = _needed(root, calls[call.run].get(_name(function, key)), given)
            if reason is None:
                plan.skipped.append((key, "it is up to date"))
                continue
            call = Call(key, name, reason)
        plan.calls.append(call)
    return plan


def work_on_run(
    run: Any,
    *,
    function: str,
    arguments: dict[str, Any],
    targets: Sequence[tuple[Key, str | None]],
    path: list[str],
) -> list[Outcome]:
    """Call a function for what is asked for in one run; what a worker does."""
    _import_path(path)
    called, root = function_of(function), run.root
    version = getattr(sys.modules.get(function.partition(":")[0].partition(".")[0]), "__version__", None)
    outcomes = []
    for key, layer_name in targets:
        try:
            entity = run if key.kind is Kind.RUN else handle_of(root, key, root._layer(layer_name))
            with (
                recording(TOOL, function=function, version=version, by=root.user_id, arguments=arguments) as recorded,
                in_python(),
            ):
                called(entity, **arguments)
            _note_call(root, run.name, _name(function, key), arguments, recorded)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            outcomes.append(_failed(key, reason, traceback.format_exc()))
            continue
        stored = tuple(str(address_of(one)) for one in recorded.outputs)
        outcomes.append(Outcome(key.kind.value, str(address_of(key)), "done", stored))
    return outcomes


def function_of(text: str) -> Callable[..., Any]:
    """The function that ``"module:name"`` names.

    Raises:
        InvalidDataError: There is none, or the module cannot be imported.
    """
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise InvalidDataError(source="function", reason=f"{text!r} is not MODULE:FUNCTION, such as my_tools:segment")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidDataError(source="function", reason=f"{text} cannot be imported: {error}") from error
    if not callable(found):
        raise InvalidDataError(source="function", reason=f"{text} cannot be called")
    return found


def _import_path(path: list[str] | None = None) -> list[str]:
    """Make modules of the working folder importable, as ``python -m`` does; in workers, those of the caller's."""
    wanted = [os.getcwd()] if path is None else path
    for folder in wanted:
        if folder not in sys.path:
            sys.path.insert(0, folder)
    return wanted


def _failed(key: Key, error: str, where: str) -> Outcome:
    return Outcome(key.kind.value, str(address_of(key)), "failed", error=error, traceback=where)


def _name(function: str, key: Key) -> str:
    return f"{function} {key.kind.value} {address_of(key)}"


# ---------------------------------------------------------------------------------------------------- what was done before


def _note_call(root: CopickRootOverlay, run: str, name: str, arguments: dict[str, Any], recorded: Recording) -> None:
    """Note in the record of the run what a call read and stored, where the overlay keeps records."""
    overlay = root.layers.overlay
    if overlay is None or overlay.read_only or not overlay.keeps_records:
        return
    entry = {
        "arguments": arguments,
        "inputs": [described_input(key, layer, mark) for (key, layer), mark in recorded.inputs.items()],
        "outputs": [described_input(key, layer.name, mark_of(layer, key)) for key, layer in recorded.outputs.items()],
    }

    def add(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "calls": {**document.get("calls", {}), name: entry}}

    change_document(overlay, RunKey(run), RECORD, add)


def _calls_of(root: CopickRootOverlay, run: str) -> dict[str, Any]:
    overlay = root._writable(RunKey(run))
    if not overlay.keeps_records:
        option = by_caller("if_needed", "--if-needed")
        reason = f"layer {overlay.name!r} keeps no records of what was run. Leave out {option}."
        raise ReadOnlyError(subject=f"The provenance of {RunKey(run)}", reason=reason)
    return dict(read_document(overlay, RunKey(run), RECORD)[0].get("calls", {}))


def _needed(root: CopickRootOverlay, call: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> str | None:
    """Why a function must be called again; None if it need not."""
    if call is None:
        return "it was never run"
    if call["arguments"] != arguments:
        return "the arguments have changed"
    for one in call["outputs"]:
        layer, key = _stored(root, one)
        if layer is None or key is None or not layer.exists(key):
            return f"{one['kind']} {one['address']} is missing"
    for one in call["inputs"]:
        layer, key = _stored(root, one)
        if layer is None or key is None or mark_of(layer, key) != one["revision"]:
            return f"{one['kind']} {one['address']} has changed"
    return None


def _stored(root: CopickRootOverlay, one: Mapping[str, Any]) -> tuple[Layer | None, Key | None]:
    layer = next((layer for layer in root.layers.all if layer.name == one["layer"]), None)
    return layer, key_of(parse(one["address"]), Kind(one["kind"]))


def _done_in(report: str | os.PathLike[str] | None, function: str, arguments: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Kind and address of what a report says is done.

    Raises:
        InvalidDataError: It is the report of another function, or of other arguments.
    """
    if report is None or not Path(report).exists():
        return set()
    rows = []
    for line in Path(report).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue  # the last line of a run that was killed
    if not rows or {"function": function, "arguments": arguments} != rows[0]:
        reason = f"it is not a report of {function} with these arguments; name another file"
        raise InvalidDataError(source=str(report), reason=reason)
    return {(row["kind"], row["address"]) for row in rows[1:] if row.get("state") == "done"}


def _append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else f"\n{text}"  # after the torn line of a run that was killed
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
