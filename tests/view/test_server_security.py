"""Who may ask, and what a path can lead to."""

from __future__ import annotations

import json
import logging
import os
import socket

import pytest

from copick_core.errors import InvalidDataError
from copick_view.server.access import Access
from copick_view.server.serving import Server

from .conftest import ask, get

CHUNK = "tomogram/TS_1/wbp@10.0/0/0/0/0"
OTHER_HOSTS = [
    "",
    "evil.example",
    "evil.example:80",
    "localhost.evil.example",
    "192.0.2.7",
    "[2001:db8::1]",
    "127.0.0.1@evil.example",
]
OTHER_ORIGINS = ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "file://"]


@pytest.mark.parametrize(
    "path", ["/", "/project", "/" + "0" * 40 + "/project", f"/{'x' * 40}/{CHUNK}", "//", "/%00", "*", "http://a.example/"]
)
def test_without_the_token_nothing_is_answered(served, path):
    _, server = served

    answer = ask(server, path)

    assert (answer.status, b"token" in answer.content) == (403, True)


def test_a_part_of_the_token_is_not_enough(served):
    _, server = served

    assert ask(server, f"/{server.token[:-1]}/project").status == 403


@pytest.mark.parametrize("host", OTHER_HOSTS)
@pytest.mark.parametrize("path", ["project", CHUNK, "nothing"])
def test_another_name_in_host_is_refused(served, host, path):
    _, server = served

    assert get(server, path, host=host).status in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:9000", "[::1]:80", "LOCALHOST"])
def test_names_of_this_machine_are_answered_on_any_port(served, host):
    _, server = served

    assert get(server, CHUNK, host=host).status == 200


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_pages_of_other_origins_are_refused(served, origin, method):
    _, server = served

    answer = get(server, CHUNK, method=method, Origin=origin)

    assert (answer.status, "access-control-allow-origin" in answer.headers) == (403, False)


def test_its_own_pages_are_answered(served):
    _, server = served

    assert get(server, CHUNK, Origin=f"http://127.0.0.1:{server.port}").status == 200


def test_without_allowed_origins_no_page_may_embed_what_is_served(served):
    _, server = served

    headers = get(server, CHUNK).headers

    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert not {"access-control-allow-origin", "server"} & headers.keys()


def test_an_allowed_origin_may_read_and_no_other(layered):
    with Server(layered[0], origins=["https://viewer.example"]) as server:
        answer = get(server, CHUNK, Origin="https://viewer.example", Range="bytes=0-3")
        missing = get(server, "tomogram/TS_1/wbp@10.0/0/9/9/9", Origin="https://viewer.example")
        other = get(server, CHUNK, Origin="https://evil.example")

    assert (answer.status, missing.status, other.status) == (206, 404, 403)
    assert missing.headers["access-control-allow-origin"] == "https://viewer.example"
    assert answer.headers["access-control-allow-origin"] == "https://viewer.example"
    assert {"ETag", "Content-Range", "Content-Length"} <= {*answer.headers["access-control-expose-headers"].split(", ")}


def test_a_preflight_tells_an_allowed_origin_what_it_may_send(layered):
    with Server(layered[0], origins=["https://viewer.example"]) as server:
        asked = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Private_Network": "true"}
        answer = get(server, CHUNK, method="OPTIONS", Origin="https://viewer.example", **asked)

    assert answer.status == 204
    assert "Range" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-private-network"] == "true"


def test_every_origin_may_read_only_where_that_was_asked_for(layered):
    with Server(layered[0], origins=["*"]) as server:
        answer = get(server, CHUNK, Origin="https://anybody.example")

    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_only_reading_is_possible(served, method):
    _, server = served

    assert get(server, CHUNK, method=method).status == 405


UPWARDS = [
    "tomogram/TS_1/wbp@10.0/../../../../secret",
    "tomogram/TS_1/wbp@10.0/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret",
    "tomogram/TS_1/wbp@10.0/..%2f..%2f..%2f..%2fsecret",
    "tomogram/TS_1/wbp@10.0/..%5c..%5csecret",
    "tomogram/TS_1/wbp@10.0//etc/passwd",
    "tomogram/TS_1/wbp@10.0/%2fetc%2fpasswd",
    "tomogram/TS_1/wbp@10.0/0/%00",
    "tomogram/TS_1/wbp@10.0/0/a%0d%0ab",
    "tomogram/TS_1/wbp@10.0/./.zattrs",
    "tomogram/TS_1/wbp@10.0/%ff",
    "tomogram/..%2f..%2fTS_1/wbp@10.0/.zattrs",
    "tomogram/TS_1/..%2fwbp@10.0/.zattrs",
    "tomogram/TS_1/..%252f..%252fwbp@10.0/.zattrs",
    "tomogram/%2e%2e/wbp@10.0/.zattrs",
    "tomogram/%252e%252e/wbp@10.0/.zattrs",
    "tomogram/.copick-staged/wbp@10.0/.zattrs",
    "object/..%252f..%252fsecret/.zattrs",
    "object/../.zattrs",
    "picks/../ribosome:tool/0",
    "picks/TS_1/ribosome:..%252ftool/0",
    "picks/TS_1/ribosome:tool/..%252f..%252fsecret",
    "run/%2e%2e",
    "run/..%252f",
    "run/",
    "picture/run/..%252f..%252fsecret",
    "picture/picks/TS_1/ribosome:tool/0",
    "picture/run/TS_1?size=big",
    "mesh/TS_1/membrane:tool/0/below",
    "tomogram/TS_1/wbp@ten/.zattrs",
    "tomogram/TS_1/wbp@nan/.zattrs",
    "tomogram/TS_1/wbp/.zattrs",
    "tomogram;shape=round/TS_1/wbp@10.0/.zattrs",
    "segmentation;type=odd/TS_1/membrane:tool/0@10.0/.zattrs",
    "picks;variant=x/TS_1/ribosome:tool/0",
    "segmentation/TS_1/membrane:tool/0@10.0%3Finstance=true/.zattrs",
]


@pytest.mark.parametrize("path", UPWARDS)
def test_a_path_that_leads_elsewhere_is_refused(served, tmp_path, path):
    _, server = served
    (tmp_path / "secret").write_text("secret")
    (tmp_path.parent / "secret").write_text("secret")

    answer = get(server, path)

    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    [
        "tomogram/TS_1/wbp@10.0/0",
        "tomogram/TS_1/wbp@10.0/",
        "tomogram/TS_1/wbp@10.0",
        "tomogram/TS_1/wbp@10.0/0/9/9/9",
        f"tomogram/TS_1/wbp@10.0/{'x' * 300}",
        "tomogram/TS_1/wbp@20.0/.zattrs",
        f"tomogram/{'x' * 300}/wbp@10.0/.zattrs",
        "tomogram;layer=nowhere/TS_1/wbp@10.0/.zattrs",
        "tomogram;layer=overlay/TS_1/wbp@10.0/.zattrs",
        "picks/TS_1/ribosome:nobody/0",
        "run/TS_2",
        "picture/run/TS_2",
        "picture/tomogram/TS_1/denoised@10.0",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_not_stored_is_404(served, path, method):
    _, server = served

    assert get(server, path, method=method).status == 404


def test_a_damaged_file_is_one_line_without_places_and_the_cause_is_logged(layered, caplog):
    root, folder = layered
    files = [*folder.rglob("wbp.zarr/.zattrs"), *folder.rglob("wbp.zarr/0/.zarray")]
    for file in files:
        file.write_text("{broken")

    with Server(root) as server:
        answer = get(server, "picture/tomogram/TS_1/wbp@10.0")

    assert (answer.status, str(folder).encode() in answer.content) == (500, False)
    assert "wbp" in caplog.text


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_an_error_without_its_place(layered):
    root, folder = layered
    for file in folder.rglob("*ribosome.json"):
        file.chmod(0)

    with Server(root) as server:
        answer = get(server, "picks/TS_1/ribosome:tool/0")

    assert (answer.status, answer.content) == (500, b"500: Internal Server Error\n")


def test_the_token_is_in_no_log(served, caplog):
    _, server = served
    caplog.set_level(logging.DEBUG)

    for path in ("project", "nothing", "run/..", "tomogram/TS_1/wbp@10.0/0/9/9/9"):
        get(server, path)

    assert server.token not in caplog.text
    assert server.token not in repr(Access(server.token))


def test_only_this_machine_can_connect_by_default(served):
    _, server = served
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}

    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, server.port), timeout=5):
            pass
    assert server.url.startswith("http://127.0.0.1:")


def test_a_server_for_other_machines_answers_to_its_addresses_and_names_only(layered):
    with Server(layered[0], host="0.0.0.0") as server:
        place = f"/{server.token}/project"
        local = type("Local", (), {"url": f"http://127.0.0.1:{server.port}/"})
        statuses = {host: ask(local, place, host=host).status for host in ("192.0.2.7", socket.gethostname(), "evil.example")}

    assert statuses == {"192.0.2.7": 200, socket.gethostname(): 200, "evil.example": 403}


@pytest.mark.parametrize("token", ["", "short", "a" * 15, "with/slash-and-more", "with space in it"])
def test_a_token_that_is_easily_guessed_or_no_part_of_a_path_is_refused(layered, token):
    with pytest.raises(InvalidDataError) as caught:
        Access(token)

    assert caught.value.source == "token"


@pytest.mark.parametrize(
    "origin", ["viewer.example", "https://viewer.example/", "https://a, https://b", "ftp://viewer.example"]
)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(InvalidDataError):
        Access("a" * 16, origins=frozenset([origin]))


def test_two_servers_have_two_tokens(layered):
    with Server(layered[0]) as one, Server(layered[0]) as two:
        assert one.token != two.token
        assert len(one.token) == 40


def test_the_documents_name_no_place_of_the_storage(layered):
    root, folder = layered
    with Server(root) as server:
        texts = [json.dumps(json.loads(get(server, path).content)) for path in ("project", "run/TS_1")]

    assert not any(str(folder.parent) in text for text in texts)
