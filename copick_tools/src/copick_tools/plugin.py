"""What ``copick_core.commands`` finds: the commands of this distribution."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl


@hookimpl
def copick_command() -> list[Command]:
    """Bring the commands."""
    names = ("changing", "configuring", "looking", "reviewing", "running")
    changing, configuring, looking, reviewing, running = (f"copick_tools.commands.{name}" for name in names)
    return [
        Command("add", 1, f"{changing}:add", "add an object or a run to a project"),
        Command("browse", 1, "copick_tools.commands.browse:browse", "browse a project in the terminal"),
        Command("compare", 1, f"{looking}:compare", "compare picks of two annotators, or with the truth"),
        Command(
            "completion", 1, f"{configuring}:completion", "print the script that completes commands and addresses in a shell"
        ),
        Command("config", 1, f"{configuring}:config", "print, change and check the config of a project"),
        Command(
            "convert",
            1,
            "copick_tools.commands.converting:convert",
            "make meshes of segmentations, and segmentations of meshes and picks",
        ),
        Command("copy", 1, "copick_tools.copy:copy", "copy a project into another one, of any backend"),
        Command("cp", 1, f"{changing}:cp", "copy entities to other addresses, or into another project"),
        Command("demo", 1, "copick_tools.demo.command:demo", "make an example project, edit it in an overlay, and draw it"),
        Command(
            "deposit",
            1,
            "copick_tools.commands.depositing:deposit",
            "make a tree of links or copies for the CryoET Data Portal",
        ),
        Command("info", 1, f"{looking}:info", "print what a project is and has"),
        Command("init", 1, f"{configuring}:init", "make an empty project in a folder"),
        Command("ls", 1, f"{looking}:ls", "list runs, or what an address matches"),
        Command("merge", 1, f"{changing}:merge", "merge the picks of several annotators"),
        Command("mv", 1, f"{changing}:mv", "move entities to other addresses"),
        Command("prune", 1, f"{changing}:prune", "delete empty picks, leftovers and unknown files, after asking"),
        Command("render", 1, "copick_tools.commands.render:render", "draw a run, or all runs on one page"),
        Command("review", 1, f"{reviewing}:review", "set and show who works on which run, and what is done or rejected"),
        Command("rm", 1, f"{changing}:rm", "delete entities"),
        Command("run", 1, f"{running}:run", "call a function for each run or entity, here or on a cluster"),
        Command("show", 1, f"{looking}:show", "print what is stored of an entity, and where"),
        Command("stats", 1, f"{looking}:stats", "count entities by run, object, user and session"),
        Command("sync", 1, f"{changing}:sync", "bring another project up to date with this one"),
        Command("tree", 1, "copick_tools.tree:tree", "print a project as a tree, with the layer that holds each entity"),
    ]
