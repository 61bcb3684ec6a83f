"""Write the files that docs/writing-a-plugin.md includes into it: ``python docs/include.py``."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "writing-a-plugin.md"
BLOCK = re.compile(r"<!-- include: (\S+) -->\n(?:```\w+\n.*?\n```\n)?", re.S)
LANGUAGES = {".py": "python", ".toml": "toml"}


def included(match: re.Match[str]) -> str:
    """The mark, and the file below it."""
    path = ROOT / match[1]
    code = path.read_text().rstrip("\n")
    return f"<!-- include: {match[1]} -->\n```{LANGUAGES[path.suffix]}\n{code}\n```\n"


if __name__ == "__main__":
    sources = (ROOT / "examples" / "copick_backend_sqlite" / "src" / "copick_backend_sqlite").glob("*.py")
    lines = sum(len(p.read_text().splitlines()) for p in sources if p.name != "__init__.py")
    text = BLOCK.sub(included, DOCUMENT.read_text())
    DOCUMENT.write_text(re.sub(r"(\{lines\}|\d+) lines in four files", f"{lines} lines in four files", text))
