"""Which arguments of fsspec are translated for obstore, and what happens to those that are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from copick_backend_fs.bucket_layer import BucketLayer
from copick_backend_fs.layer import open_layer
from copick_backend_fs.object_store import StoreConnection
from copick_backend_fs.store_arguments import translate
from copick_core.errors import ConfigError, ConflictError
from copick_core.tree.keys import ROOT, Kind, PicksKey, RunKey

SECRET = "do-not-tell"
S3 = {"key": "someone", "secret": SECRET, "endpoint_url": "https://s3.lab.org"}
CREDENTIALS = {"access_key_id": "someone", "secret_access_key": SECRET, "token": None, "expires_at": None}
PLAIN = {"endpoint": "https://s3.lab.org", "region": "us-east-1", "virtual_hosted_style_request": False}
ACCOUNT = {"type": "service_account", "client_email": "me@lab", "private_key": SECRET}
PICKS = PicksKey("TS_1", "ribosome", "alice", "1")


# ------------------------------------------------------------------------------------------------------------- translation


@pytest.mark.parametrize(
    ("args", "config"),
    [
        ({}, {}),
        ({"client_kwargs": {"region_name": "eu-west-1"}}, {"region": "eu-west-1"}),
        ({"config_kwargs": {"region_name": "eu-west-1"}}, {"region": "eu-west-1"}),
        ({"requester_pays": True}, {"request_payer": True}),
        ({"config_kwargs": {"signature_version": "s3v4", "s3": {"addressing_style": "path"}}}, {}),
        ({"use_listings_cache": False, "default_block_size": 5, "version_aware": False, "s3_additional_kwargs": {}}, {}),
    ],
)
def test_arguments_of_s3_are_translated(args: dict[str, Any], config: dict[str, Any]) -> None:
    found = translate("s3://lab/project", {**S3, **args})

    assert found is not None
    assert (found.store, found.bucket, found.config) == ("S3Store", "lab", {**PLAIN, **config})
    assert found.credentials is not None
    assert found.credentials() == CREDENTIALS


ABSENT = {
    "s3://lab/project": (
        S3,
        ["token", "profile", "client_kwargs", "config_kwargs", "anon", "requester_pays", "version_aware"],
    ),
    "gs://lab/project": ({"token": "anon"}, ["project", "consistency", "endpoint_url"]),
    "az://lab/project": ({"account_name": "mine", "account_key": SECRET}, ["sas_token", "connection_string", "credential"]),
}


@pytest.mark.parametrize(("url", "name"), [(url, name) for url, (_, names) in ABSENT.items() for name in names])
def test_an_argument_that_is_none_is_as_if_it_was_missing(url: str, name: str) -> None:
    args = ABSENT[url][0]

    found, expected = translate(url, {**args, name: None}), translate(url, args)

    assert found is not None
    assert expected is not None
    assert (found.config, found.client, found.retries) == (expected.config, expected.client, expected.retries)


@pytest.mark.parametrize(
    "args",
    [
        {"username": "someone", "password": SECRET, "endpoint_url": "https://s3.lab.org"},
        {
            "client_kwargs": {
                "aws_access_key_id": "someone",
                "aws_secret_access_key": SECRET,
                "endpoint_url": "https://s3.lab.org",
            }
        },
    ],
)
def test_all_spellings_of_credentials_mean_the_same(args: dict[str, Any]) -> None:
    found = translate("s3a://lab/project/", args)

    assert found is not None
    assert found.config == PLAIN
    assert found.credentials is not None
    assert found.credentials() == CREDENTIALS


@pytest.mark.parametrize(
    "args", [{"anon": True}, {"anon": True, "key": "a"}, {"config_kwargs": {"signature_version": "unsigned"}}]
)
def test_anonymous_requests_are_not_signed(args: dict[str, Any]) -> None:
    found = translate("s3://lab", {"client_kwargs": {"region_name": "us-west-2"}, **args})

    assert found is not None
    assert (found.config["skip_signature"], found.credentials) == (True, None)


def test_options_of_the_connection_are_translated() -> None:
    botocore = {"connect_timeout": 2, "read_timeout": 1.5, "max_pool_connections": 8, "retries": {"max_attempts": 1}}
    found = translate("s3://lab", {**S3, "config_kwargs": botocore, "client_kwargs": {"verify": False}})

    assert found is not None
    assert found.client == {"connect_timeout": "2000ms", "read_timeout": "1500ms", "allow_invalid_certificates": True}
    assert (found.connections, found.retries) == (8, 1)


def test_an_authority_is_trusted_that_arguments_or_environment_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.pem").write_bytes(b"certificate")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "lab.pem"))

    found = [translate("s3://lab", {**S3, "client_kwargs": {"verify": value}}) for value in (None, str(tmp_path / "lab.pem"))]

    assert [f and f.client for f in found] == [{"root_certificate": b"certificate"}] * 2


@pytest.mark.parametrize(
    ("url", "args"),
    [
        ("s3://lab", {"anon": True}),  # in which region?
        ("s3://lab", {**S3, "endpoint_url": "https://s3.eu-west-1.amazonaws.com"}),
        ("s3://lab", {**S3, "secret": None}),
        ("s3://lab", {**S3, "profile": "other"}),
        ("s3://lab", {**S3, "session": object()}),
        ("s3://lab", {**S3, "s3_additional_kwargs": {"ServerSideEncryption": "AES256"}}),
        ("s3://lab", {**S3, "version_aware": True}),
        ("s3://lab", {**S3, "new_argument": 1}),
        ("s3://lab", {**S3, "client_kwargs": {"api_version": "2006-03-01"}}),
        ("s3://lab", {**S3, "client_kwargs": {"verify": "/no/such/file"}}),
        ("s3://lab", {**S3, "config_kwargs": {"s3": {"addressing_style": "virtual"}}}),
        ("s3://lab", {**S3, "config_kwargs": {"proxies": {"http": "proxy"}}}),
        ("s3://lab", {**S3, "config_kwargs": {"signature_version": "s3"}}),
        ("s3://lab", {**S3, "config_kwargs": {"read_timeout": None}}),
        ("s3://lab", {**S3, "config_kwargs": {"retries": {"mode": "adaptive"}}}),
        ("s3://arn:aws:s3:us-west-2:1:accesspoint/mine", S3),
        ("s3://lab/a//b", S3),
        ("s3://lab/../b", S3),
        ("s3://lab/a?versionId=1", S3),
        ("simplecache::s3://lab", S3),
        ("gs://lab", {}),
        ("gs://lab", {"token": "google_default"}),
        ("gs://lab", {"token": {"type": "authorized_user"}}),
        ("gs://lab", {"token": "anon", "endpoint_url": "https://other"}),
        ("az://lab", {"account_name": "mine"}),
        ("az://lab", {"connection_string": "…"}),
        ("az://lab", {"account_name": "mine", "account_key": "a", "sas_token": "b"}),
        ("abfs://lab@mine.dfs.core.windows.net/project", {"account_name": "mine", "account_key": "a"}),
        ("ssh://host/project", {}),
    ],
)
def test_what_could_mean_anything_else_is_left_to_fsspec(url: str, args: dict[str, Any]) -> None:
    assert translate(url, args) is None


@pytest.mark.parametrize(
    "variable",
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SKIP_SIGNATURE", "AWS_SERVER_SIDE_ENCRYPTION", "AWS_USE_DUALSTACK"],
)
def test_variables_that_could_lead_elsewhere_are_left_to_fsspec(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "https://other")

    assert translate("s3://lab", S3) is None


@pytest.mark.parametrize("line", ["endpoint_url = https://other", "region = eu-west-1", "s3 =\n  addressing_style = virtual"])
def test_a_configuration_of_aws_that_could_lead_elsewhere_is_left_to_fsspec(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(f"[default]\n{line}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    assert translate("s3://lab", S3) is None


def test_credentials_are_looked_up_as_s3fs_does_each_time_a_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = mine\naws_secret_access_key = a\n"
        "[other]\naws_access_key_id = theirs\naws_secret_access_key = b\naws_session_token = c\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    place = {"endpoint_url": "https://s3.lab.org"}

    def looked_up(**args: str) -> tuple[str, str, str | None]:
        found = translate("s3://lab", {**place, **args})
        assert found is not None
        assert found.credentials is not None
        credentials = found.credentials()
        assert credentials["expires_at"] is not None  # so that they are looked up again
        return credentials["access_key_id"], credentials["secret_access_key"], credentials["token"]

    assert looked_up() == ("mine", "a", None)
    assert looked_up(profile="other") == ("theirs", "b", "c")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from the environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "d")
    assert looked_up() == ("from the environment", "d", None)


@pytest.mark.parametrize("protocol", ["gs", "gcs"])
def test_arguments_of_google_are_translated(protocol: str, tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(json.dumps(ACCOUNT))

    found = [
        translate(f"{protocol}://lab/p", {"token": t, "project": "x"})
        for t in ("anon", ACCOUNT, str(tmp_path / "account.json"))
    ]

    key = {"service_account_key": json.dumps(ACCOUNT)}
    assert [f and (f.store, f.bucket, f.config) for f in found] == [
        ("GCSStore", "lab", config) for config in ({"skip_signature": True}, key, key)
    ]


@pytest.mark.parametrize("protocol", ["az", "abfs"])
@pytest.mark.parametrize(
    ("args", "config"),
    [
        ({"anon": True}, {"skip_signature": True}),
        ({"account_key": "a"}, {"account_key": "a"}),
        ({"sas_token": "?sv=1&sig=2"}, {"sas_key": "sv=1&sig=2"}),
        (
            dict.fromkeys(("tenant_id", "client_id", "client_secret"), "a"),
            dict.fromkeys(("tenant_id", "client_id", "client_secret"), "a"),
        ),
    ],
)
def test_arguments_of_azure_are_translated(protocol: str, args: dict[str, Any], config: dict[str, Any]) -> None:
    found = translate(f"{protocol}://lab/p", {"account_name": "mine", **args})

    assert found is not None
    assert (found.store, found.bucket, found.config) == ("AzureStore", "lab", {"account_name": "mine", **config})


@pytest.mark.parametrize(
    ("url", "args"),
    [
        ("s3://lab/p", {**S3, "requester_pays": True}),
        ("s3://lab/p", {"anon": True, "endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"connect_timeout": 1}}),
        ("gs://lab/p", {"token": "anon"}),
        ("az://lab/p", {"account_name": "mine", "account_key": "bWluZQ=="}),
        ("az://lab/p", {"account_name": "mine", "sas_token": "sv=1&sig=2"}),
        ("az://lab/p", {"account_name": "mine", **dict.fromkeys(("tenant_id", "client_id", "client_secret"), "a")}),
    ],
)
def test_obstore_understands_what_was_translated(url: str, args: dict[str, Any]) -> None:
    found = translate(url, args)

    assert found is not None
    assert type(found.open()).__name__ == found.store
    assert SECRET not in repr(found)


# ----------------------------------------------------------------------------------------------------------------- opening


def test_a_place_is_opened_over_obstore_without_its_fsspec_file_system() -> None:
    code = (
        "import sys\n"
        "from copick_backend_fs.layer import open_layer\n"
        f"layer = open_layer('overlay', 's3://lab/project', {S3!r})\n"
        "assert type(layer).__name__ == 'BucketLayer'\n"
        "print({'obstore._obstore', 's3fs', 'aiobotocore', 'botocore', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_obstore_is_not_used_where_it_is_not_wanted_or_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    unwanted = open_layer("overlay", "s3://lab/project", S3, obstore=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    missing = open_layer("overlay", "s3://lab/project", S3)

    assert [isinstance(layer._connection, StoreConnection) for layer in (unwanted, missing)] == [False, False]


# ----------------------------------------------------------------------------------------- places without a server to test on


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> BucketLayer:
    """A layer on Azure whose requests are answered by obstore's store in memory."""
    from obstore.store import MemoryStore

    store = MemoryStore()
    monkeypatch.setattr("obstore.store.AzureStore", lambda *_, **__: store)
    layer = open_layer("overlay", "az://lab/project", {"account_name": "mine", "account_key": "bWluZQ=="})
    assert isinstance(layer, BucketLayer)
    return layer


def test_picks_on_azure_are_written_on_condition(azure: BucketLayer) -> None:
    first = azure.write(PICKS, b"one", if_revision=None)
    second = azure.write(PICKS, b"two", if_revision=first)

    with pytest.raises(ConflictError):
        azure.write(PICKS, b"mine", if_revision=first)

    assert azure.read_revised(PICKS) == (b"two", second)
    assert [*azure.list(Kind.PICKS, RunKey("TS_1"))] == [PICKS]
    azure.delete(RunKey("TS_1"))
    assert [*azure.list(Kind.RUN, ROOT)] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_says_how_else_to_start_one(azure: BucketLayer) -> None:
    azure.exists(PICKS)

    child = os.fork()
    if child == 0:
        try:
            azure.exists(PICKS)
        except ConfigError as error:
            os._exit(0 if "spawn" in error.reason else 1)
        os._exit(2)

    assert os.waitpid(child, 0)[1] == 0


def test_google_cloud_storage_is_announced_as_never_tried_with_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_backend_fs.layer._announced", set())

    with pytest.warns(UserWarning, match=r"never tried with a server of gs://.*Check that what you write"):
        open_layer("overlay", "gs://lab/project", {"token": "anon"})
