"""``copick-core cache``: fill a cache ahead of time, see what it holds, and clear it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from copick_core.cli.parameters import examples, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.keys import Key
    from copick_layers.cache.folder import CacheFolder
    from copick_layers.cache.layer import CacheLayer

_config = click.option(
    "-c",
    "--config",
    metavar="FILE",
    envvar="COPICK_CONFIG",
    show_envvar=True,
    help="Config file of the project, or the project's folder or URL.",
)
_folder = click.option("--path", metavar="FOLDER", help="Folder of the cache; by default the project's, or else the user's.")


@click.group
def cache() -> None:
    """Fill, show or clear the cache that the wrapper "cache" keeps on local disk."""


@examples("copick-core cache prefetch 'TS_*/ribosome'")
@cache.command
@click.argument("address")
@_config
@click.option("--kind", help="Kind of entity, where the address can mean several.")
@json_option
def prefetch(address: str, config: str | None, kind: str | None, as_json: bool) -> None:
    """Read what ADDRESS matches into the cache: files, and all levels of volumes."""
    if config is None:
        raise click.UsageError("Missing option '-c' / '--config'.")
    root = _opened(config)
    caches = _caches(root)
    files = size = 0
    for key, layer in root.select(address, kind=kind).rows():
        holders = [layer] if layer is not None else [*root.layers.all]
        for found in _with_children(root, key, holders):
            for number in (_fetched(cached, found) for cached in caches if cached in {*map(_cache_of, holders)}):
                files, size = files + (number > 0), size + number
    if as_json:
        click.echo(json.dumps({"entities": files, "bytes": size}))
    else:
        click.echo(f"{files} entities, {size:,} bytes are in the cache")


@examples("copick-core cache info")
@cache.command
@_config
@_folder
@json_option
def info(config: str | None, path: str | None, as_json: bool) -> None:
    """Print what the cache holds, by storage location."""
    folders = _folders(config, path)
    facts = [
        {
            "path": folder.path,
            "limit": folder.limit,
            "places": [{"place": u.place, "entries": u.entries, "size": u.size} for u in folder.usage()],
        }
        for folder in folders
    ]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for fact in facts:
        places: Any = fact["places"]
        click.echo(f"{fact['path']}: {sum(p['size'] for p in places):,} of at most {fact['limit']:,} bytes")
        for place in places:
            click.echo(f"  {place['size']:>15,} bytes  {place['entries']:>8,} files  {place['place'] or '-'}")


@examples("copick-core cache clear -c config.json", "copick-core cache clear --path /scratch/cache")
@cache.command
@_config
@_folder
@click.option("--all", "everything", is_flag=True, help="Also delete what other projects keep in the same folder.")
@json_option
def clear(config: str | None, path: str | None, everything: bool, as_json: bool) -> None:
    """Delete what the cache keeps of the project; without -c, everything in the folder."""
    if config is None or path is not None or everything:
        cleared = sum(folder.clear() for folder in _folders(config, path))
    else:
        cleared = sum(layer.cache_folder.clear(layer.place_name) for layer in _caches(_opened(config)))
    click.echo(json.dumps({"deleted_bytes": cleared}) if as_json else f"{cleared:,} bytes deleted")


def _opened(config: str) -> CopickRootOverlay:
    from copick_core import opening

    return opening.open(config)


def _cache_of(layer: Layer) -> CacheLayer | None:
    from copick_layers.cache.layer import CacheLayer

    return layer.unwrap(CacheLayer)


def _caches(root: CopickRootOverlay) -> list[CacheLayer]:
    found = [cached for layer in root.layers.all if (cached := _cache_of(layer)) is not None]
    if not found:
        raise click.ClickException('No layer of this project has a cache. Add {"name": "cache"} to "wrappers" in its config.')
    return found


def _folders(config: str | None, path: str | None) -> list[CacheFolder]:
    from copick_layers.cache.folder import CacheFolder
    from copick_layers.cache.options import CacheOptions

    if path is not None or config is None:
        options = CacheOptions(path=path)
        return [CacheFolder(options.folder, options.size)]
    folders = {layer.cache_folder.path: layer.cache_folder for layer in _caches(_opened(config))}
    return [*folders.values()]


def _with_children(root: CopickRootOverlay, key: Key, layers: list[Layer]) -> Iterator[Key]:
    """An entity and everything below it."""
    from copick_core.tree.keys import child_kinds

    yield key
    for kind in child_kinds(key.kind):
        children = {child for layer in layers for child in layer.list(kind, key)}  # type: ignore[arg-type]
        for child in sorted(children):
            yield from _with_children(root, child, layers)


def _fetched(layer: CacheLayer, key: Key) -> int:
    """Read an entity through its cache; gives its bytes, 0 where the layer does not have it."""
    from copick_core.errors import NotFoundError
    from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS, Kind

    if key.kind in FILE_KINDS:
        try:
            load = {Kind.PICKS: layer.load_picks, Kind.MESH: layer.load_mesh}.get(key.kind)
            if load is not None:
                load(key)
            return len(layer.read(key))
        except NotFoundError:
            return 0
    return _fetched_volume(layer, key) if key.kind in VOLUME_KINDS else 0


def _fetched_volume(layer: CacheLayer, key: Key) -> int:
    import asyncio

    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    from copick_layers.cache.volume import DOCUMENTS

    store = layer.zarr(key)

    async def fetch() -> int:
        # The documents first: they tell which version the others are of.
        names = [*DOCUMENTS, *[name async for name in store.list() if name not in DOCUMENTS]]
        if len(names) == len(DOCUMENTS):
            return 0
        size = 0
        for begin in range(0, len(names), 64):
            values = [store.get(name, default_buffer_prototype()) for name in names[begin : begin + 64]]
            size += sum(len(value) for value in await asyncio.gather(*values) if value is not None)
        return size

    size = sync(fetch())
    layer.volume_version(key)
    return size
