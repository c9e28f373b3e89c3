"""Who may ask the dashboard, and what every answer carries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from scalewise.core.errors import UsageError
from scalewise.web.guard import check_host, check_site
from scalewise.web.refusals import ForbiddenError, RefusalError
from scalewise.web.server import serve
from scalewise.web.settings import Settings
from tests.web.conftest import Starter
from tests.web.dashboard import FORM, JSON, Dashboard, run_table
from tests.web.elements import elements

PAGES = ("/", "/api/", "/static/page.css", "/static/dashboard.js", "/no/such/page")


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "[::1]:{}", "LocalHost"])
def test_this_computer_is_answered_by_its_own_names(dashboard: Dashboard, host: str) -> None:
    answer = dashboard.ask("/api/", headers={"Host": host.format(dashboard.port)})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost@evil.example",
     "evil.example/127.0.0.1", "", "127.0.0.1:port", "localhost, evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/", "/static/page.css"])
def test_a_name_that_was_rebound_to_this_computer_is_refused(
    dashboard: Dashboard, host: str, path: str
) -> None:
    answer = dashboard.ask(path, headers={"Host": host})
    assert answer.status == 400
    if path == "/api/":
        told = answer.json["error"]
        assert "which is not this one" in told["message"]
        assert "--allow-host NAME --token" in told["hint"]


def test_two_hosts_are_no_host() -> None:
    raw = [(b"host", b"localhost"), (b"host", b"evil.example")]
    with pytest.raises(RefusalError, match=r"'localhost, evil\.example'"):
        check_host(Headers(raw=raw), ())
    with pytest.raises(RefusalError, match="not this one"):
        check_host(Headers(raw=[]), ())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "file://localhost:{}"},
        {"Origin": "http://evil.example@localhost:{}"},
        {"Origin": "http://[broken"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "http://localhost:{}", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/jobs", "/jobs", "/api/sources", "/sources"])
def test_what_another_site_sends_is_refused(
    dashboard: Dashboard, headers: dict[str, str], path: str
) -> None:
    sent = {name: value.format(dashboard.port) for name, value in headers.items()}
    host = {"Host": f"localhost:{dashboard.port}"}
    answer = dashboard.ask(path, b"{}", headers={**sent, **host, **JSON})
    assert answer.status == 403
    assert "another" in answer.text


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://localhost:{}"}, {"Sec-Fetch-Site": "same-origin"},
     {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}],
)  # fmt: skip
def test_what_its_own_pages_send_reaches_the_question(
    dashboard: Dashboard, headers: dict[str, str]
) -> None:
    sent = {name: value.format(dashboard.port) for name, value in headers.items()}
    host = {"Host": f"localhost:{dashboard.port}"}
    answer = dashboard.ask("/api/jobs", b'{"kind": "x"}', headers={**sent, **host, **JSON})
    assert answer.status == 400
    assert answer.json["error"]["message"] == "A job of kind 'x' is not known."


def test_other_sites_may_link_to_a_page_but_not_load_from_it() -> None:
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "host": "localhost"}
    check_site("GET", Headers(followed), ())
    with pytest.raises(ForbiddenError, match="another site"):
        check_site("GET", Headers({**followed, "sec-fetch-mode": "no-cors"}), ())


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_says_what_a_browser_may_do_with_it(dashboard: Dashboard, path: str) -> None:
    headers = dashboard.ask(path).headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_nothing_stands_inline_in_a_page_and_nothing_is_fetched_from_elsewhere(
    dashboard: Dashboard, runs: str, fit: str
) -> None:
    for path in ("/", f"/runs/{runs}", f"/fits/{fit}", f"/fits/{fit}/backtest"):
        for name, given in elements(dashboard.ask(path).text):
            assert name != "style", path
            assert name != "script" or given["src"].startswith("/"), path
            assert not [key for key in given if key == "style" or key.startswith("on")], path
            for key in {"src", "href", "action"} & set(given):
                assert re.match(r"/(?!/)|#|data:,|$", given[key]), path


def test_a_wrong_method_or_address_is_told(dashboard: Dashboard) -> None:
    told = dashboard.ask("/api/jobs", method="DELETE")
    assert (told.status, told.json["ok"]) == (405, False)
    assert "DELETE" in told.json["error"]["message"]
    assert dashboard.ask("/api/none").json["error"]["message"] == "There is no page '/api/none'."
    assert dashboard.ask("/runs/../../etc/passwd").status == 404
    for key in ("..", "%2e%2e", "a" * 64, "..%2f..%2fetc", "A" * 32, "0" * 33):
        for kind in ("runs", "fits", "jobs"):
            assert dashboard.ask(f"/api/{kind}/{key}").status == 404
        assert dashboard.ask(f"/static/{key}").status == 404
        assert dashboard.ask(f"/runs/{key}/runs.csv").status == 404


def test_other_addresses_are_refused_without_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):  # noqa: S104
        with pytest.raises(UsageError, match=rf"{host} can be reached by others.*Add --token"):
            serve(Settings(folder=tmp_path / "p"), host=host)
    with pytest.raises(UsageError, match=r"answers to hub and has no token"):
        serve(Settings(folder=tmp_path / "p", names=("hub",)))
    assert not (tmp_path / "p").exists()


def test_with_a_token_only_who_knows_it_is_answered(started: Starter) -> None:
    token = "a-secret-of-the-test"  # noqa: S105
    served = started(token=token, host="0.0.0.0", names=["hub.example"])  # noqa: S104
    assert served.url.endswith(f"/?token={token}")
    for path in (*PAGES, "/?token=wrong", "/?token="):
        assert served.ask(path).status == 401
    assert served.ask("/api/jobs", b"{}", headers=JSON).status == 401
    assert served.ask("/?token=" + token, b"", headers=FORM).status == 401
    entered = served.ask(f"/?token={token}&a=b")
    assert (entered.status, entered.headers["location"]) == (303, "/?a=b")
    cookie = entered.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    named = cookie.split(";")[0]
    assert served.ask("/", headers={"Cookie": named}).status == 200
    assert served.ask("/", headers={"Cookie": named[:-1]}).status == 401
    assert served.ask("/api/", headers={"Authorization": f"Bearer {token}"}).status == 200
    assert served.ask("/", headers={"Cookie": named, "Host": "hub.example"}).status == 200
    assert served.ask("/", headers={"Cookie": named, "Host": "evil.example"}).status == 400
    away = served.ask(f"//evil.example/?token={token}").headers["location"]
    assert away == "/evil.example/"


def test_behind_a_proxy_every_link_has_its_prefix(started: Starter) -> None:
    served = started(root_path="/user/me/proxy/8765")
    assert served.url.endswith("/user/me/proxy/8765/")
    for path in ("/", "/user/me/proxy/8765/", "/user/me/proxy/8765"):
        text = served.ask(path).text
        places = re.findall(r'(?:src|href|action)="(/[^"]*)"', text)
        assert places
        assert all(place.startswith("/user/me/proxy/8765/") for place in places)
    sent = served.upload({"runs.csv": run_table()}, path="/user/me/proxy/8765/sources")
    assert sent.headers["location"].startswith("/user/me/proxy/8765/jobs/")
    assert served.ask(sent.headers["location"]).status == 200
    assert served.ask("/user/me/proxy/8765/static/page.css").status == 200
    assert served.ask("/user/me/proxy/87655/").status == 404
