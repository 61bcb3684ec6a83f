"""docs/performance.md, made of `results.json`: every number in it was measured by the command beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rounds import FAST, LIMIT, OURS, REFERENCE

RESULTS = Path(__file__).resolve().parent / "results.json"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"

Result = Mapping[str, Any]


def times(result: Result, case: str, system: str) -> float:
    """How many times faster than the reference."""
    return float(result["cases"][case]["systems"][system]["times"])


def counted(name: str) -> Callable[[Result, str, str], float]:
    """A count."""
    return lambda result, case, system: float(result["cases"][case]["systems"][system]["counts"][name])


def peak(result: Result, case: str, system: str) -> float:
    """Peak memory in MiB."""
    return float(result["cases"][case]["systems"][system]["peak_mib"])


def overhead(result: Result, case: str, system: str) -> float:
    """Milliseconds that each task takes longer than it would with warm workers."""
    systems = result["cases"][case]["systems"]
    return float((systems[system]["median"] - systems[LIMIT]["median"]) / result["sizes"]["runs"] * 1000)


def seconds(result: Result, case: str, system: str) -> float:
    """Seconds, the median."""
    return float(result["cases"][case]["systems"][system]["median"])


def of_limit(result: Result, case: str, system: str) -> float:
    """How many times as long as the limit."""
    systems = result["cases"][case]["systems"]
    return float(systems[system]["median"] / systems[LIMIT]["median"])


def share_of_limit(result: Result, case: str, system: str) -> float:
    """What part of the limit's speed."""
    return 1 / of_limit(result, case, system)


def of_case(first: str) -> Callable[[Result, str, str], float]:
    """How many times faster than another case of the same system."""
    return lambda result, case, system: seconds(result, first, system) / seconds(result, case, system)


def of_file(result: Result, case: str, system: str) -> float:
    """How far memory rose, as a multiple of the file's size."""
    return counted("MiB more")(result, case, system) / counted("MiB of the file")(result, case, system)


def in_order(entry: tuple[str, Any]) -> int:
    """Sorts workloads by number."""
    return int(entry[0][1:])


@dataclass(frozen=True)
class Target:
    """A row of the table of goals.

    Attributes:
        workload: Which.
        case: Which part of it.
        metric: What is compared.
        unit: What follows the number.
        floor: What an installation without extras must reach.
        goal: What is to be reached.
        least: Whether smaller is better.
        ours: Systems of ours of which the best counts for the goal; the first counts for the floor.
        limit: The system that cannot be beaten.
    """

    workload: str
    case: str
    metric: Callable[[Result, str, str], float]
    unit: str
    floor: float
    goal: float
    least: bool = False
    ours: tuple[str, ...] = (OURS,)
    limit: str = LIMIT

    def reached(self, value: float, wanted: float) -> bool:
        """Whether a value is good enough."""
        return value <= wanted if self.least else value >= wanted


_S3 = (OURS, FAST)
TARGETS = (
    Target("W1", "import and open", times, "x", 4, 8),
    Target("W2", "enumerate", times, "x", 25, 60),
    Target("W2", "enumerate", counted("system calls a run"), " system calls a run", 40, 26, least=True),
    Target("W3", "enumerate everything", counted("requests"), " requests", 251, 251, least=True, ours=_S3),
    Target("W3", "enumerate everything", times, "x", 8, 30, ours=_S3),
    Target("W3", "picks of all runs", times, "x", 5, 12, ours=_S3),
    Target("W3", "first region", counted("requests"), " requests", 5, 3, least=True, ours=_S3),
    Target("W3", "one picks file", counted("requests"), " requests", 2, 1, least=True, ours=_S3),
    Target("W4", "load", times, "x", 8, 11, ours=(OURS, FAST)),
    Target("W4", "store", times, "x", 20, 40, ours=(OURS, FAST)),
    Target("W5", "tomogram", times, "x", 2.5, 4),
    Target("W5", "tomogram", peak, " MiB", 600, 600, least=True),
    Target("W5", "segmentation", times, "x", 1.5, 3),
    Target("W6", "full", times, "x", 1.5, 2),
    Target("W6", "regions", times, "x", 1, 10, ours=(OURS, f"{OURS}, with a cache of chunks")),
    Target("W6", "regions", times, "x", 8, 12, ours=(f"{OURS}, own chunks",), limit=f"{LIMIT}, own chunks"),
    Target("W7", "import", times, "x", 4, 5.5),
    Target("W7", "import", peak, " MiB", 700, 500, least=True),
    Target("W8", "load", times, "x", 1, 2),
    Target("W8", "store", times, "x", 1, 1.5),
    Target("W9", "tasks that take processor time", overhead, " ms a task", 0.5, 0.2, least=True),
    Target("W10", "import", of_limit, " of the limit's time", 1.5, 1.5, least=True),
    Target("W10", "import", times, "x", 10, 10),
    Target("W10", "import", of_file, " x the file in memory", 3, 3, least=True),
    Target("W11", "to one file", of_limit, " of the limit's time", 1.5, 1.5, least=True),
    Target("W11", "to one file", times, "x", 10, 10),
    Target("W11", "to a file for each run", of_limit, " of the limit's time", 1.5, 1.5, least=True),
    Target("W11", "to a file for each run", times, "x", 10, 10),
    Target("W12", "with an index", counted("requests"), " requests", 5, 5, least=True),
    Target("W12", "with an index", seconds, " s", 1, 1, least=True),
    Target("W12", "after 10 runs changed through it", counted("requests"), " requests", 30, 30, least=True),
    Target("W13", "again in this process", counted("requests"), " requests", 0, 0, least=True),
    Target("W13", "again in this process", of_case("first time"), "x the first time", 20, 20),
    Target("W13", "in the next process", counted("requests"), " requests", 0, 0, least=True),
    Target("W13", "in the next process", of_case("first time"), "x the first time", 20, 20),
    Target("W14", "open and read picks", counted("requests"), " requests", 1, 1, least=True),
    Target("W14", "open and read a region", counted("requests"), " requests", 4, 4, least=True),
    Target("W14", "a later region", counted("requests"), " requests", 2, 2, least=True),
    Target("W15", "chunks of 128 x 128 x 128", share_of_limit, " of the limit's speed", 0.5, 0.5),
    Target("W15", "chunks of 64 x 64 x 64", share_of_limit, " of the limit's speed", 0.5, 0.5),
    Target("W15", "chunks of 128 x 128 x 128", peak, " MiB", 300, 300, least=True),
    Target("W16", "import", share_of_limit, " of the limit's speed", 0.7, 0.7),
    Target("W16", "import", peak, " MiB", 700, 700, least=True),
    Target("W17", "--help", seconds, " s", 0.25, 0.25, least=True),
    Target("W17", "--help", times, "x", 6, 6),
    Target("W17", "ls", seconds, " s", 0.6, 0.6, least=True),
    Target("W17", "ls", times, "x", 6, 6),
    Target("W17", "plugins", times, "x", 6, 6),
    Target("W18", "a new volume", counted("more than needed"), " requests more than objects", 8, 8, least=True, ours=_S3),
    Target(
        "W18",
        "a volume that is there",
        counted("more than needed"),
        " requests more than twice that",
        10,
        10,
        least=True,
        ours=_S3,
    ),
    *(
        Target("W20", f"{place}, {workers}", share_of_limit, " of the limit's speed", 0.9, 0.9)
        for place in ("local disk", "S3, first epoch", "S3, second epoch")
        for workers in ("1 worker", "2 workers")
    ),
)

HEAD = """# Performance

<!-- Made by `bench/run` of bench/results.json; edit bench/report.py. -->

Three systems do the same work, in alternating rounds of fresh processes, on data in the page cache:

* **reference**: the released copick 1.31.0 in an environment of its own, which `bench/setup` makes;
* **limit**: the same result with no library between the caller and the bytes;
* **ours**: an installation without optional accelerators; **ours, with extras**: with `orjson` or `obstore`.

Seconds are medians; ratios are times faster than the reference. Both depend on the machine and on its neighbours: the
slowest and the fastest round are given too. Where the limit is below a goal, nothing reaches that goal without keeping
something in memory. Memory is the peak of the whole process. Counts (requests, system calls, bytes, memory) are the same
everywhere, and are asserted in `tests/`.

`bench/run` measures everything anew and writes this document; each section names the command that measures it alone.
"""

NOTES: dict[str, str] = {
    "W1": """Imports are all there is to it; the largest that is left is pydantic, because configurations are pydantic
models. Reading the first voxel imports zarr and NumPy, which the reference imports at the start.""",
    "W2": """The system calls are those of the limit. What is left is making an object for each entity, with its parsed
name, and Python's own time for each call.""",
    "W3": """The seconds of the listings hold the making of the session; importing comes before. A first region is the
array's metadata, its attributes (which zarr asks for although nobody needs them), and one chunk. Reading one picks file is
already a single request in the reference, once it knows the file.""",
    "W4": """Text is parsed by pydantic's parser, a few hundred points at a time, with extras as well: orjson only writes.
Storing waits for the disk to confirm (`fsync`), which neither the reference nor the limit does.""",
    "W5": """Noise hardly compresses, so that compressing and writing it is what is left.""",
    "W6": """The limit decodes all of each chunk that a region touches, 64 MiB of the reference's, as zarr does. Ours reads and
decodes only the blocks of a chunk that hold something of the region, and is faster than that limit; a cache keeps whole chunks
and decodes each once. Full reads of both decode everything.""",
    "W7": """The limit leaves out compression and writing, which are the work; W5 has their limit.""",
    "W8": """Both libraries call the same trimesh, which is nearly all that either does. Storing also checks that vertices are
finite, writes beside the old file, and waits for the disk to confirm (`fsync`), which the reference does not. trimesh hashes
all that it exports; ours brings xxhash for that, which makes up for the waiting.""",
    "W9": """Starting the processes is most of it, and is shared by all tasks: more runs make it smaller. Threads take turns
in Python code, in both libraries. The dask cluster is there before the time begins.""",
    "W10": """The limit reads the file with gemmi and does nothing with its cells, then stores arrays that are ready. gemmi
holds each cell as text, which is most of the limit's memory; ours reads the file in parts, and lets go of what is stored.""",
    "W11": """The limit writes tables that are in memory already; ours reads the picks first.""",
    "W12": """The limit is one GET of a list of everything. The reference has no index: its time and requests are those of
all runs at the rate of 50, and so are ours without an index. With an index, most of it is reading rows of the table; no key is
made. A busy machine stretches the seconds, hardly those of the processor.""",
    "W13": """The limit reads the same files from the local disk. Regions read only the pieces of the kept chunk, which has
60 MiB, that they cover; each piece has a checksum.""",
    "W14": """The limit knows where everything is. A first region is the root's metadata, the level's metadata, a chunk, and a
check that the volume is still the same.""",
    "W20": """The limit reads the same regions with zarr alone, in as many threads; of S3 the first time, of the local disk the
second time. Ours reads and decodes only the blocks that a patch covers, of the kept copies too, and reads ahead.""",
    "W15": """copick 1.31 serves nothing. The reference is the server that comes with Python, on the same files, without ETags
and tokens. Memory is that of the server. The client takes a part of the processor, and it is what the profile shows.""",
    "W16": """The limit compresses and writes chunks that are in memory already, in as many threads as there are cores.""",
    "W17": """copick has no command that lists: its `ls` is the shortest program that prints the runs. Its `info` lists the
commands of plugins by their entry points; our `plugins` also loads the record of each plugin of every kind, and looks for what
it names. A busy machine stretches the seconds; those of the processor are what the commands need.""",
    "W18": """The limit sends objects that are encoded already, and checks nothing. Ours asks whether somebody else is writing,
and notes what it is about to do, so that no reader meets parts of two volumes and no crash leaves them. The reference
writes other chunks (256 x 256 x 256), and over what is there.""",
}


def render(results: Mapping[str, Result]) -> str:
    """Make the document."""
    machines = {_machine(result["machine"]): None for result in results.values()}
    common = next(iter(machines)) if len(machines) == 1 else None
    parts = [HEAD, *([f"{common}\n"] if common else []), "## Goals\n", _goals(results)]
    for name, result in sorted(results.items(), key=in_order):
        about = f"`{result['command']}` on {result['date']}, {result['rounds']} rounds"
        about += f"; {result['load']} processes were busy before it began." if "load" in result else "."
        parts += [f"## {name}: {result['title']}\n", f"{about}\n" if common else f"{about} {_machine(result['machine'])}\n"]
        for case, measured in result["cases"].items():
            parts.append(f"{case[0].upper()}{case[1:]}:\n\n{table(measured['systems'])}")
            if measured["profile"]:
                parts.append(_profile(measured["profile"]))
        parts.append(NOTES[name] + "\n")
    return "\n".join(parts)


def _goals(results: Mapping[str, Result]) -> str:
    rows = ["| workload | reference | limit | ours | floor | goal | command |", "| --- " * 7 + "|"]
    for target in TARGETS:
        if target.workload not in results:
            continue  # it has not been measured
        result = results[target.workload]
        seconds = result["cases"][target.case]["systems"][REFERENCE]["median"]
        reference, limit = (target.metric(result, target.case, system) for system in (REFERENCE, target.limit))
        known = [system for system in target.ours if system in result["cases"][target.case]["systems"]]
        values = [target.metric(result, target.case, system) for system in known]
        best = (min if target.least else max)(values)
        shown = f"{number(values[0])}{target.unit}"
        for system, value in zip(known[1:], values[1:], strict=True):
            shown += f"; {system.partition(', ')[2]} {number(value)}{target.unit}"
        first = f"{number(seconds)} s" if target.metric is times else f"{number(reference)}{target.unit}"
        own = known[0].partition(", ")[2]
        cells = [
            f"{target.workload} {target.case}" + (f", {own}" if own else ""),
            first,
            f"{number(limit)}{target.unit}",
            shown,
            _verdict(target, values[0], target.floor),
            _verdict(target, best, target.goal),
            f"`{result['command']}`",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _verdict(target: Target, value: float, wanted: float) -> str:
    sign = "≤" if target.least else "≥"
    return f"{sign} {number(wanted)}{target.unit}: {'**yes**' if target.reached(value, wanted) else 'no'}"


def _machine(machine: Mapping[str, Any]) -> str:
    versions = (
        f"{who}: {', '.join(f'{name} {version}' for name, version in found.items())}"
        for who, found in machine["versions"].items()
    )
    return (
        f"{machine['system']}, {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, "
        f"Python {machine['python']}.\n{'; '.join(versions)}."
    )


def table(systems: Mapping[str, Result]) -> str:
    """All systems of one case, as Markdown."""
    counts = list(dict.fromkeys(name for summary in systems.values() for name in summary["counts"]))
    header = ["system", "seconds", "from", "to", "times faster", "peak MiB", *counts]
    rows = [f"| {' | '.join(header)} |", "| --- " * len(header) + "|"]
    for system, summary in systems.items():
        seconds = (summary["median"], min(summary["seconds"]), max(summary["seconds"]))
        peaked = "" if summary["peak_mib"] is None else f"{summary['peak_mib']:.0f}"
        cells = [system, *map(number, seconds), number(summary["times"]), peaked]
        cells += [str(summary["counts"].get(name, "")) for name in counts]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _profile(shares: Mapping[str, float]) -> str:
    return f"Where ours spends it: {', '.join(f'{share:.0%} `{name}`' for name, share in shares.items())}.\n"


def number(value: float) -> str:
    """Three digits, and no exponent."""
    digits = f"{value:.3g}"
    return digits if "e" not in digits else f"{value:.0f}" if value > 1 else f"{value:.6f}"
