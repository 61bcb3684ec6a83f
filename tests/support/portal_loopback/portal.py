"""The whole portal: rows, files, and the two servers."""

from __future__ import annotations

from typing import Any

from support.portal_loopback.database import Database
from support.portal_loopback.server import GraphQLServer
from support.portal_loopback.storage import ObjectStore


class LoopbackPortal:
    """A portal on loopback.

    Attributes:
        database: Its rows.
        graphql: Its GraphQL endpoint.
        s3: Its bucket.
    """

    def __init__(self) -> None:
        self.database = Database()
        self.graphql = GraphQLServer(self.database)
        self.s3 = ObjectStore()

    def stop(self) -> None:
        """Stop both servers."""
        self.graphql.stop()
        self.s3.stop()

    def reset(self) -> None:
        """Forget counts and faults."""
        self.graphql.reset()
        self.s3.reset()

    def config(self, *dataset_ids: int, **fields: Any) -> dict[str, Any]:
        """Configuration of a project on some datasets of this portal."""
        return {
            "config_type": "cryoet_data_portal",
            "dataset_ids": list(dataset_ids),
            "graphql_url": self.graphql.url,
            "s3_endpoint_url": self.s3.url,
            **fields,
        }
