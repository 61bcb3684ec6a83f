"""A group of commands whose help has sections."""

from __future__ import annotations

import click

COMMAND_CATEGORIES: dict[str, list[str]] = {
    "Data Management": ["add", "cp", "export", "mv", "new", "rm", "sync"],
    "Data Processing": ["convert", "inference", "logical", "process", "training", "evaluation"],
    "Utilities": ["browse", "config", "deposit", "info", "setup", "stats", "download"],
}
OTHER = "Other Commands"


class GroupedCommandGroup(click.Group):
    """A group that shows its commands in the sections of :data:`COMMAND_CATEGORIES`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each category that has commands."""
        section_of = {name: section for section, names in COMMAND_CATEGORIES.items() for name in names}
        sections: dict[str, list[tuple[str, str]]] = {section: [] for section in (*COMMAND_CATEGORIES, OTHER)}
        for name in sorted(self.list_commands(ctx)):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                sections[section_of.get(name, OTHER)].append((name, command.get_short_help_str(limit=60)))
        for section, rows in sections.items():
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)
