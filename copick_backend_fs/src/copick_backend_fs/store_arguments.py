"""From the arguments of fsspec's file systems to those of obstore.

Only what means the same to both is translated. Whatever else is asked for, by an argument, by an environment variable or by
the configuration of Amazon's tools, is left to fsspec: no argument is ever ignored that could lead to another server, another
account or other permissions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from copick_backend_fs.connection import CONCURRENCY
from copick_core.layers.ending import for_threads

#: Arguments that say how fsspec lists folders and opens files, which is not done here.
_ABOUT_FSSPEC = {
    "asynchronous",
    "cache_timeout",
    "default_block_size",
    "default_cache_type",
    "default_fill_cache",
    "listings_expiry_time",
    "max_concurrency",
    "max_paths",
    "skip_instance_cache",
    "use_listings_cache",
}
#: Environment variables that tell of credentials and regions, which are given to obstore explicitly; it obeys others too.
_HARMLESS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EXECUTION_ENV",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GOOGLE_CLOUD_PROJECT",
}
#: How long credentials that were looked up are used before they are looked up again; who gave them renews them well before.
_LOOKED_UP_FOR = timedelta(minutes=5)


@dataclass(frozen=True)
class StoreArguments:
    """What a store of obstore is made of.

    Attributes:
        store: Name of its class.
        filesystem: Name of the class that fsspec has for the same places.
        bucket: Name of the bucket or container.
        config: Its configuration.
        client: Options of its HTTP client.
        retries: How often a request is repeated.
        connections: Most requests that are under way at once.
        credentials: Looks up credentials, if they are not part of the configuration.
    """

    store: str
    filesystem: str
    bucket: str
    config: Mapping[str, Any] = field(repr=False)
    client: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 5
    connections: int = CONCURRENCY
    credentials: Callable[[], dict[str, Any]] | None = field(default=None, repr=False)

    def open(self, *, retries: int | None = None) -> Any:
        """Make the store; nothing is connected to."""
        import obstore.store

        return getattr(obstore.store, self.store)(
            self.bucket,
            config=dict(self.config),
            # A chunk may take any time as long as something arrives.
            client_options={"connect_timeout": "5s", "read_timeout": "15s", "timeout": "1h", **self.client},
            retry_config={"max_retries": self.retries if retries is None else retries, "retry_timeout": timedelta(minutes=2)},
            **({"credential_provider": for_threads(self.credentials)} if self.credentials else {}),
        )


def translate(url: str, fs_args: Mapping[str, Any]) -> StoreArguments | None:
    """Translate a location of S3, Google Cloud Storage or Azure, and the arguments of its fsspec file system.

    Returns:
        What to open the store with; None if anything cannot be translated.
    """
    protocol, _, path = url.partition("://")
    bucket, *names = path.rstrip("/").split("/")
    translators = {"s3": _s3, "s3a": _s3, "gs": _gs, "gcs": _gs, "az": _azure, "abfs": _azure}
    if (
        protocol not in translators
        or not bucket
        or {"", ".", ".."} & {*names}
        or any(sign in url for sign in "?@")
        or "::" in url
    ):
        return None
    args = {name: value for name, value in fs_args.items() if name not in _ABOUT_FSSPEC and value is not None}
    return translators[protocol](bucket, args)


def _environment_matters(*prefixes: str) -> bool:
    return any(name.startswith(prefixes) and name not in _HARMLESS for name in os.environ)


# ------------------------------------------------------------------------------------------------------------------------- S3


def _s3(bucket: str, args: dict[str, Any]) -> StoreArguments | None:
    client = dict(args.pop("client_kwargs", {}))
    botocore = dict(args.pop("config_kwargs", {}))
    for name in ("cache_regions", "fixed_upload_size", "s3_additional_kwargs", "version_aware"):
        if not args.get(name):
            args.pop(name, None)
    if ":" in bucket or (server := _s3_server(args, client, botocore)) is None:
        return None
    config, options = server
    if args.pop("requester_pays", False):
        config["request_payer"] = True

    credentials = None
    if args.pop("anon", False) or botocore.get("signature_version") == "unsigned":
        config["skip_signature"] = True
        for name in ("key", "secret", "token", "username", "password"):
            args.pop(name, None)
    else:
        credentials = _credentials(args, client)
        if credentials is None:
            return None
    if botocore.pop("signature_version", "s3v4") not in ("s3v4", "unsigned"):
        return None

    for name in ("connect_timeout", "read_timeout"):
        if isinstance(botocore.get(name), int | float):
            options[name] = f"{round(1000 * botocore.pop(name))}ms"
    connections = botocore.pop("max_pool_connections", CONCURRENCY)
    retries = dict(botocore.pop("retries", {}))
    attempts = retries.pop("max_attempts", 5)
    style = dict(botocore.pop("s3", {}))
    if style.pop("addressing_style", "auto") not in ("path", "auto"):
        return None
    if args or client or botocore or retries or style:
        return None
    return StoreArguments("S3Store", "S3FileSystem", bucket, config, options, attempts, connections, credentials)


def _s3_server(
    args: dict[str, Any], client: dict[str, Any], botocore: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Take the server out of the arguments: which one it is, and how it is trusted; None if that depends on more."""
    endpoints = [source.pop("endpoint_url") for source in (args, client) if source.get("endpoint_url")]
    regions = [source.pop("region_name") for source in (client, botocore) if source.get("region_name")]
    secure = [source.pop("use_ssl", True) for source in (args, client)]
    verify = client.pop("verify", None)
    machine = _aws_config()
    if _environment_matters("AWS_") or any(word in machine for word in ("endpoint", "s3", "ca_bundle", "use_")):
        return None
    if not regions and (not endpoints or ".amazonaws.com" in endpoints[0] or "region" in machine):
        return None  # s3fs finds the region of the bucket, or of the profile
    region = regions[0] if regions else os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    config: dict[str, Any] = {"region": region, "virtual_hosted_style_request": False}
    options: dict[str, Any] = {}
    if endpoints:
        config["endpoint"] = endpoints[0]
    elif not all(secure):
        return None
    if endpoints and endpoints[0].startswith("http://"):
        return config, {"allow_http": True}
    if verify is None:
        verify = os.environ.get("AWS_CA_BUNDLE", True)
    if verify is False:
        options["allow_invalid_certificates"] = True
    elif verify is not True:
        try:
            options["root_certificate"] = Path(verify).read_bytes()
        except OSError:
            return None
    return config, options


def _aws_config() -> str:
    """What the configuration file of Amazon's tools says on this machine."""
    try:
        return Path(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")).expanduser().read_text()
    except OSError:
        return ""


def _credentials(args: dict[str, Any], client: dict[str, Any]) -> Callable[[], dict[str, Any]] | None:
    """Take the credentials out of the arguments; None if they are not whole, or cannot be looked up."""
    key, secret, token = (
        [source.pop(name) for source, name in places if source.get(name)]
        for places in (
            ((args, "key"), (args, "username"), (client, "aws_access_key_id")),
            ((args, "secret"), (args, "password"), (client, "aws_secret_access_key")),
            ((args, "token"), (client, "aws_session_token")),
        )
    )
    if not key and not secret and not token:
        return _looked_up_credentials(args.pop("profile", None))
    if len(key) != 1 or len(secret) != 1 or len(token) > 1:
        return None
    found = {"access_key_id": key[0], "secret_access_key": secret[0], "token": token[0] if token else None, "expires_at": None}
    return lambda: found


def _looked_up_credentials(profile: str | None) -> Callable[[], dict[str, Any]] | None:
    """Look up credentials as s3fs does: in the environment, in files, on the machine; None if botocore is not installed."""
    try:
        from botocore.session import Session  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return None
    session = Session(profile=profile)

    def look_up() -> dict[str, Any]:
        from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped,unused-ignore]

        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        now = credentials.get_frozen_credentials()
        expiry = datetime.now(UTC) + _LOOKED_UP_FOR
        return {"access_key_id": now.access_key, "secret_access_key": now.secret_key, "token": now.token, "expires_at": expiry}

    return look_up


# -------------------------------------------------------------------------------------------- Google Cloud Storage, Azure


def _gs(bucket: str, args: dict[str, Any]) -> StoreArguments | None:
    token = args.pop("token", None)
    args.pop("project", None)  # whose buckets are listed and made
    if args or _environment_matters("GOOGLE_", "STORAGE_EMULATOR_HOST"):
        return None
    if token == "anon":  # noqa: S105 - a word of gcsfs
        config: dict[str, Any] = {"skip_signature": True}
    else:
        account = _service_account(token)
        if account is None:
            return None
        config = {"service_account_key": json.dumps(account)}
    return StoreArguments("GCSStore", "GCSFileSystem", bucket, config)


def _service_account(token: Any) -> dict[str, Any] | None:
    """The service account that a token of gcsfs is, as a dictionary or as a file; None for everything else."""
    if isinstance(token, str):
        try:
            token = json.loads(Path(token).expanduser().read_text())
        except (OSError, ValueError):
            return None
    return token if isinstance(token, dict) and token.get("type") == "service_account" else None


def _azure(bucket: str, args: dict[str, Any]) -> StoreArguments | None:
    if _environment_matters("AZURE_"):
        return None
    if args.keys() == {"connection_string"}:
        return _connection_string(bucket, args["connection_string"])
    config = {"account_name": args.pop("account_name", None)}
    anonymous = args.pop("anon", False)
    if not config["account_name"]:
        return None
    if anonymous:
        config["skip_signature"] = True
    elif args.keys() == {"account_key"}:
        config["account_key"] = args.pop("account_key")
    elif args.keys() == {"sas_token"}:
        config["sas_key"] = args.pop("sas_token").removeprefix("?")
    elif args.keys() == {"tenant_id", "client_id", "client_secret"}:
        config |= {name: args.pop(name) for name in [*args]}
    else:
        return None
    return None if args else StoreArguments("AzureStore", "AzureBlobFileSystem", bucket, config)


def _connection_string(bucket: str, text: str) -> StoreArguments | None:
    """What a connection string of Azure says; None if it says more than an account, its key or token, and its address."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    parts = {name.strip().lower(): value for name, _, value in pairs}
    protocol = parts.pop("defaultendpointsprotocol", "https")
    suffix = parts.pop("endpointsuffix", "core.windows.net")
    config = {"account_name": parts.pop("accountname", None)}
    endpoint = parts.pop("blobendpoint", None)
    for service in ("queueendpoint", "tableendpoint", "fileendpoint"):
        parts.pop(service, None)
    if not config["account_name"] or suffix != "core.windows.net" or (protocol != "https" and not endpoint):
        return None
    for name, argument in (("accountkey", "account_key"), ("sharedaccesssignature", "sas_key")):
        if name in parts:
            config[argument] = parts.pop(name).removeprefix("?")
    if parts or len(config) != 2:
        return None
    options = {}
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
        options = {"allow_http": True} if endpoint.startswith("http://") else {}
    return StoreArguments("AzureStore", "AzureBlobFileSystem", bucket, config, options)
