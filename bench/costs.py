"""What many runs on an object store cost: the tables of docs/scaling.md, calculated from what is stated here.

``python bench/costs.py`` writes them into the document.
"""

from __future__ import annotations

import math
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
MARKS = ("<!-- bench/costs.py begins -->", "<!-- bench/costs.py ends -->")

# ---------------------------------------------------------------------------------------------------- what is asked of storage

RUNS = 100_000
SHAPE = (512, 1024, 1024)
#: Bytes of a voxel of the tomogram; that noise does not compress is assumed.
VOXEL_BYTES = 4
CHUNK = 128
LEVELS = 3
KINDS = ("LIST", "PUT", "GET and HEAD")
#: Requests of one run whose volumes have one chunk in each level, counted in tests/bench/test_costs.py.
COUNTED = {
    "read": {"LIST": 3, "GET and HEAD": 4},
    "segmentation": {"LIST": 5, "PUT": 11},
    "picks": {"PUT": 2, "GET and HEAD": 1},
}
#: Requests of each further chunk: a new volume is written in its place.
FURTHER = {"read": ("GET and HEAD",), "segmentation": ("PUT",), "picks": ()}

# ------------------------------------------------------------------------------------------------------------ prices and rates

#: US$ for 1,000 requests to S3 Standard in us-east-1.
PRICE = {"LIST": 0.005, "PUT": 0.005, "GET and HEAD": 0.0004}
PRICE_SOURCE = "https://c3x.dev/blog/s3-request-fees-explained"
#: US$ for 1 GB a month, by the TB that are stored: (up to, price).
STORAGE = ((50, 0.023), (500, 0.022), (math.inf, 0.021))
STORAGE_SOURCE = "https://gist.github.com/EverettBerry/a37438006529a55f42da6fdbc44a505c"
#: US$ for 1 GB out to the internet, by the TB of a month: (up to, price).
TRANSFER = ((0.1, 0.0), (10, 0.09), (50, 0.085), (150, 0.07), (500, 0.05))
TRANSFER_SOURCE = "https://www.usage.ai/blogs/s3-egress-cost/"
SAME_REGION_SOURCE = "https://aws.amazon.com/s3/faqs/"
PRICES_TODAY = "https://aws.amazon.com/s3/pricing/"
#: Requests a second that S3 allows at least, for each partition of a bucket; milliseconds to the first byte.
WRITES_A_SECOND, READS_A_SECOND, FIRST_BYTE = 3500, 5500, "100 to 200"
RATE_SOURCE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"
#: MB a second over one connection.
CONNECTION = 85
CONNECTION_SOURCE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html"
#: How many workers there are is assumed, and that each has no more than one connection's worth of network.
WORKERS = 100


def chunks(levels: int) -> int:
    """Chunks of a volume's levels."""
    return sum(math.prod(math.ceil(n / 2**level / CHUNK) for n in SHAPE) for level in range(levels))


def further(step: str) -> int:
    """Chunks beyond those whose requests were counted."""
    return {"read": chunks(1) - 1, "segmentation": chunks(LEVELS) - LEVELS, "picks": 0}[step]


def requests() -> dict[str, int]:
    """Requests of one run."""
    sums = dict.fromkeys(KINDS, 0)
    for step, counted in COUNTED.items():
        for kind, number in counted.items():
            sums[kind] += number
        for kind in FURTHER[step]:
            sums[kind] += further(step)
    return sums


def tiered(terabytes: float, tiers: tuple[tuple[float, float], ...]) -> float:
    """US$ for an amount whose price falls as it grows."""
    paid, below = 0.0, 0.0
    for up_to, price in tiers:
        paid += max(0.0, min(terabytes, up_to) - below) * 1000 * price
        below = up_to
    return paid


def render() -> str:
    """The tables and what follows from them, as Markdown."""
    sums = requests()
    run_bytes = math.prod(SHAPE) * VOXEL_BYTES
    terabytes = RUNS * run_bytes / 1e12
    money = {kind: RUNS * sums[kind] / 1000 * PRICE[kind] for kind in KINDS}
    writes, reads = money["LIST"] + money["PUT"], money["GET and HEAD"]
    seconds = run_bytes / 1e6 / CONNECTION
    rate = WORKERS * sums["PUT"] / seconds
    lines = [
        f"One run: read a tomogram of {' × '.join(map(str, SHAPE))} float32 ({run_bytes / 2**30:g} GiB, {chunks(1)} chunks of"
        f" {CHUNK}³ in level 0),",
        f"write one segmentation of the same shape with {LEVELS} levels ({chunks(LEVELS)} chunks, none of them empty) and one",
        "picks file.",
        "",
        '"Base" is what `tests/bench/test_costs.py` counts for volumes that have one chunk in each level. Each further chunk',
        "adds a GET, or a PUT: a new volume is written in its place. To replace one takes a COPY more for each.",
        "",
        f"| requests of one run | {' | '.join(KINDS)} |",
        "| --- " * (1 + len(KINDS)) + "|",
    ]
    for step, counted in COUNTED.items():
        lines.append(_row(f"{step}, base", *(counted.get(kind, "") for kind in KINDS)))
        if further(step):
            lines.append(
                _row(f"{further(step)} more chunks", *(further(step) if kind in FURTHER[step] else "" for kind in KINDS))
            )
    lines += [
        _row("sum", *(sums[kind] for kind in KINDS)),
        "",
        f"| {RUNS:,} runs | amount | price | US$ | source |",
        "| --- " * 5 + "|",
        _row(
            "LIST, PUT",
            f"{RUNS * (sums['LIST'] + sums['PUT']) / 1e6:.1f} million",
            f"{PRICE['PUT']} for 1,000",
            f"{writes:.0f}",
            f"<{PRICE_SOURCE}>",
        ),
        _row(
            "GET, HEAD",
            f"{RUNS * sums['GET and HEAD'] / 1e6:.1f} million",
            f"{PRICE['GET and HEAD']} for 1,000",
            f"{reads:.0f}",
            f"<{PRICE_SOURCE}>",
        ),
        _row(
            "listing the runs",
            f"{math.ceil(RUNS / 1000)} (1,000 names each)",
            f"{PRICE['LIST']} for 1,000",
            f"{math.ceil(RUNS / 1000) / 1000 * PRICE['LIST']:.4f}",
            f"<{PRICE_SOURCE}>",
        ),
        _row("bytes read within the region", f"{terabytes:.0f} TB", "0", "0", f"<{SAME_REGION_SOURCE}>"),
        _row(
            "bytes read over the internet",
            f"{terabytes:.0f} TB",
            "0.09 to 0.05 for 1 GB",
            f"{tiered(terabytes, TRANSFER):,.0f}",
            f"<{TRANSFER_SOURCE}>",
        ),
        _row(
            "keeping the tomograms, each month",
            f"{terabytes:.0f} TB",
            "0.023 to 0.021 for 1 GB",
            f"{tiered(terabytes, STORAGE):,.0f}",
            f"<{STORAGE_SOURCE}>",
        ),
        "",
        "Prices are those of S3 Standard in us-east-1 as the sources give them (Amazon's own page shows them only in a",
        f"browser: <{PRICES_TODAY}>). Assumed: deleting costs nothing and tomograms do not compress.",
        "Computers are not included.",
        "",
        f"Time: one connection brings {CONNECTION} MB a second (<{CONNECTION_SOURCE}>),",
        f"and {FIRST_BYTE} ms pass before the first byte (<{RATE_SOURCE}>),",
        f"so a worker that is no faster than one connection reads a tomogram in {seconds:.0f} s:"
        f" {RUNS * seconds / WORKERS / 3600:.0f} hours with {WORKERS} workers (assumed).",
        f"They make {rate:,.0f} PUT requests a second together. S3 allows at least {WRITES_A_SECOND:,} of these a"
        f" second, and {READS_A_SECOND:,} GET and HEAD,",
        "for each partition of a bucket, and answers 503 above that while it splits them (same source).",
    ]
    return "\n".join(lines) + "\n"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |".replace("|  |", "| |").replace("|  |", "| |")


def document() -> str:
    """The whole document with these tables in it."""
    before, _, rest = DOCUMENT.read_text().partition(MARKS[0])
    return f"{before}{MARKS[0]}\n\n{render()}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
