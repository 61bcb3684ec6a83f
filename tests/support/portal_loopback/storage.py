"""S3 on loopback: moto's server with its requests counted, and the files of a portal in it."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from typing import Any

import numpy as np

BUCKET = "cryoet-data-portal-public"


class ObjectStore:
    """A public bucket with the portal's name."""

    def __init__(self) -> None:
        import boto3
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        # moto signs nothing on loopback, but boto3 wants to be told who asks.
        os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
        os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        quiet = type("Quiet", (WSGIRequestHandler,), {"log": lambda *_: None})
        self._server = make_server("127.0.0.1", 0, self._counting, threaded=True, request_handler=quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self._client.create_bucket(Bucket=BUCKET, ACL="public-read")
        self.reset()

    def _counting(self, environ: dict[str, Any], start_response: Any) -> Any:
        listing = "list-type" in environ.get("QUERY_STRING", "") or environ.get("PATH_INFO", "").count("/") < 2
        method = environ["REQUEST_METHOD"]
        self.counts["LIST" if method == "GET" and listing else method] += 1
        self.log.append(f"{method} {environ.get('PATH_INFO', '')}")
        return self._app(environ, start_response)

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Forget counts."""
        self.counts.clear()
        self.log.clear()

    @property
    def requests(self) -> int:
        """Number of requests so far."""
        return self.counts.total()

    def put(self, key: str, data: bytes) -> str:
        """Store an object that everyone may read; returns its ``s3://`` address."""
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data, ACL="public-read")
        return f"s3://{BUCKET}/{key}"

    def put_points(self, key: str, points: list[dict[str, Any]]) -> str:
        """Store points as NDJSON."""
        return self.put(key, b"".join(json.dumps(point).encode() + b"\n" for point in points))

    def put_volume(self, key: str, data: np.ndarray[Any, Any], voxel_size: float, chunk: int = 16) -> str:
        """Store an OME-Zarr 0.4 volume with three levels: zarr v2, "/" separator, blosc-lz4, no consolidated metadata."""
        from numcodecs import Blosc

        codec = Blosc(cname="lz4", clevel=5, shuffle=1)
        datasets = []
        for level in range(3):
            chunks = [min(chunk, n) for n in data.shape]
            meta = {
                "zarr_format": 2,
                "shape": list(data.shape),
                "chunks": chunks,
                "dtype": data.dtype.str,
                "compressor": codec.get_config(),
                "fill_value": 0,
                "order": "C",
                "filters": None,
                "dimension_separator": "/",
            }
            self.put(f"{key}/{level}/.zarray", json.dumps(meta).encode())
            for at in np.ndindex(*(-(-n // c) for n, c in zip(data.shape, chunks, strict=True))):
                part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(at, chunks, strict=True))]
                whole = np.zeros(chunks, data.dtype)
                whole[tuple(slice(0, n) for n in part.shape)] = part
                self.put(f"{key}/{level}/" + "/".join(map(str, at)), codec.encode(np.ascontiguousarray(whole)))
            scale = [voxel_size * 2**level] * 3
            datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
            data = np.ascontiguousarray(data[::2, ::2, ::2])
        axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
        multiscales = [{"version": "0.4", "name": "/", "axes": axes, "datasets": datasets}]
        self.put(f"{key}/.zgroup", b'{"zarr_format": 2}')
        self.put(f"{key}/.zattrs", json.dumps({"multiscales": multiscales}).encode())
        return f"s3://{BUCKET}/{key}"
