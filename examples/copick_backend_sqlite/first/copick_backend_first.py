"""A whole backend: picks that somebody keeps in a table of SQLite, as a project to read."""

import sqlite3
from typing import Literal

from copick_core.errors import NotFoundError
from copick_core.layers import Layer, Layers
from copick_core.plugins import Backend, hookimpl
from copick_core.tree.keys import Kind, PicksKey, RunKey
from copick_core.tree.schema import CopickConfig

COLUMNS = "run, object, user, session"


class FirstLayer(Layer):
    name, read_only = "first", True

    def __init__(self, path):
        self.rows = sqlite3.connect(path, check_same_thread=False).execute(f"SELECT {COLUMNS}, json FROM picks").fetchall()

    def list(self, kind, parent):
        keys = {RunKey(row[0]) if kind is Kind.RUN else PicksKey(*row[:4]) for row in self.rows}
        return [key for key in keys if key.kind is kind and key.parent == parent]

    def exists(self, key):
        return key in self.list(key.kind, key.parent)

    def read(self, key):
        for *fields, json in self.rows:
            if PicksKey(*fields) == key:
                return json.encode()
        raise NotFoundError(key=key, layer=self.name)

    def zarr(self, key):
        raise NotFoundError(key=key, layer=self.name)


class Config(CopickConfig):
    config_type: Literal["first"] = "first"
    path: str


def open_layers(config):
    return Layers(static=[FirstLayer(config.path)])


@hookimpl
def copick_backend():
    return Backend("first", api_version=1, config_cls=Config, open_layers=open_layers, summary="Picks in a table")
