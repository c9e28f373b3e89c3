"""Uploads: what is accepted, what is refused and told, what a kill leaves behind."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalewise.web.refusals import RefusalError
from scalewise.web.settings import Limits
from scalewise.web.upload import Receiver, checked_name
from tests.web.conftest import Starter
from tests.web.dashboard import Dashboard, multipart, run_table

SMALL = {"upload": 20_000, "file": 8_000, "files": 4, "form": 2_000}


def told(answer: object) -> str:
    error = answer.json["error"]  # type: ignore[attr-defined]
    assert error["message"]
    assert error["hint"]
    return str(error["message"])


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../runs.csv", run_table())
    return buffer.getvalue()


def test_an_upload_is_on_disk_as_it_was_sent_when_it_is_confirmed(dashboard: Dashboard) -> None:
    content = run_table(name="kept")
    answer = dashboard.upload({"logs/runs.csv": content, "logs/more/other.csv": b"x\n1\n"})
    assert answer.status == 201
    source = answer.data["source"]
    kept = dashboard.folder / "sources" / source / "files" / "logs" / "runs.csv"
    assert kept.read_bytes() == content
    told_of = dashboard.ask(f"/api/sources/{source}").data["files"]["logs/runs.csv"]
    assert told_of == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    again = dashboard.upload({"logs/runs.csv": content, "logs/more/other.csv": b"x\n1\n"})
    assert again.data["source"] == source
    for job in (answer.data["job"], again.data["job"]):
        dashboard.ended(job)  # the readings stage what they write there too
    assert not list((dashboard.folder / "incoming").iterdir())


@pytest.mark.parametrize(
    "name",
    ["../runs.csv", "a/../../runs.csv", "/etc/runs.csv", "..", ".", ".ssh/config", "a/.hidden",
     "a\\..\\runs.csv", "C:runs.csv", "runs\x00.csv", "runs\x1b[31m.csv", "runs\u202e.csv",
     "x" * 300, "/".join("abcdefghijklmnop"), "<img src=x>", "a|b", "*"],
)  # fmt: skip
def test_a_hostile_file_name_is_refused_and_nothing_is_written(
    dashboard: Dashboard, name: str
) -> None:
    before = sorted(dashboard.folder.parent.rglob("*"))
    answer = dashboard.upload({name: run_table()})
    assert answer.status == 400
    assert "file name" in told(answer)
    left = set(dashboard.folder.parent.rglob("*")) - set(before)
    assert not [path for path in left if path.name.endswith("csv")]
    assert not list((dashboard.folder / "incoming").iterdir())


@pytest.mark.parametrize(
    ("content", "kind"),
    [(zipped(), "a zip file"), (b"\x1f\x8b\x08rest", "a gzip file"), (b"BZh91AY", "a bzip2 file"),
     (b"\xfd7zXZ\x00rest", "an xz file"), (pickle.dumps({"a": 1}), "a pickle")],
)  # fmt: skip
def test_packed_files_and_pickles_are_refused_whatever_they_are_called(
    dashboard: Dashboard, content: bytes, kind: str
) -> None:
    answer = dashboard.upload({"runs.csv": content})
    assert answer.status == 415
    assert f"'runs.csv' is {kind}" in told(answer)
    assert "Unpack it" in answer.json["error"]["hint"]


def test_every_limit_is_held_and_named(started: Starter) -> None:
    served = started(limits=SMALL)
    assert "8000 are accepted" in told(served.upload({"a.csv": b"x" * 8_001}))
    whole = served.upload({f"{n}.csv": b"x" * 7_000 for n in range(3)})
    assert whole.status == 413
    assert "20000 are accepted" in told(whole)
    many = served.upload({f"{n}.csv": b"x" for n in range(5)})
    assert (many.status, told(many)) == (413, "The upload holds more than 4 files.")
    kind, body = multipart({"a.csv": b"x"})
    head = body.replace(b"Content-Type", b"X-Long: " + b"y" * 5_000 + b"\r\nContent-Type")
    assert served.ask("/api/sources", head, headers={"Content-Type": kind}).status in (400, 413)
    long = json.dumps({"kind": "fit", "runs": "x" * 3_000}).encode()
    assert served.ask("/api/jobs", long, headers={"Content-Type": "application/json"}).status == 413
    assert not list((served.folder / "incoming").iterdir())
    assert not list((served.folder / "sources").iterdir())


def test_an_upload_of_unknown_length_is_stopped_at_the_limit(started: Starter) -> None:
    served = started(limits=SMALL)
    kind, body = multipart({"a.csv": b"x" * 7_000, "b.csv": b"x" * 7_000, "c.csv": b"x" * 7_000})
    head = (
        f"POST /api/sources HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with served.half_sent(head.encode()) as link:
        for begin in range(0, len(body), 1000):
            piece = body[begin : begin + 1000]
            link.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        link.sendall(b"0\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 413")
    assert not list((served.folder / "sources").iterdir())


def test_bodies_that_are_no_upload_are_told(dashboard: Dashboard) -> None:
    kind, body = multipart({"a.csv": b"x"})
    cases = {
        "application/json": (b"{}", 415, "multipart/form-data"),
        "multipart/form-data": (body, 415, "multipart/form-data"),
        kind: (body[:-40], 400, "in the middle of a part"),
        f"{kind}1": (body, 400, "no multipart body"),
    }
    for content_type, (sent, status, words) in cases.items():
        answer = dashboard.ask("/api/sources", sent, headers={"Content-Type": content_type})
        assert answer.status == status
        assert words in told(answer)
    kind, body = multipart({"": b""})
    answer = dashboard.ask("/api/sources", body, headers={"Content-Type": kind})
    assert told(answer) == "The upload holds no file."


def test_two_files_of_one_name_and_a_file_named_like_a_folder_are_refused(
    dashboard: Dashboard,
) -> None:
    kind, body = multipart({"a.csv": b"x", "b.csv": b"x"})
    twice = body.replace(b"b.csv", b"a.csv")
    answer = dashboard.ask("/api/sources", twice, headers={"Content-Type": kind})
    assert told(answer) == "Two files are called 'a.csv'."
    assert "cannot be kept" in told(dashboard.upload({"a": b"x", "a/b.csv": b"x"}))


def test_what_cannot_be_read_is_kept_and_told_with_the_mend(dashboard: Dashboard) -> None:
    answer = dashboard.upload({"notes.csv": b"\xff\xfe\x00garbage\x00" * 20})
    assert answer.status == 201
    ended = dashboard.ended(answer.data["job"])
    assert ended["state"] == "failed"
    assert ended["error"]["message"]
    assert ended["error"]["hint"]
    assert str(dashboard.folder) not in json.dumps(ended)
    page = dashboard.ask(f"/jobs/{answer.data['job']}").text
    assert 'role="alert"' in page


def test_an_upload_that_breaks_off_leaves_nothing(dashboard: Dashboard) -> None:
    before = sorted((dashboard.folder / "sources").iterdir())
    kind, body = multipart({"a.csv": b"x" * 5000})
    head = (
        f"POST /api/sources HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    incoming = dashboard.folder / "incoming"
    link = dashboard.half_sent(head.encode() + body[:3000])
    dashboard.until(lambda: list(incoming.rglob("a.csv")))
    link.close()
    dashboard.until(lambda: not list(incoming.iterdir()))
    assert sorted((dashboard.folder / "sources").iterdir()) == before


def test_a_kill_in_the_middle_of_an_upload_loses_nothing_that_was_confirmed(
    started: Starter,
) -> None:
    served = started()
    confirmed = served.upload({"runs.csv": run_table()}).data["source"]
    kind, body = multipart({"half.csv": b"x" * 50_000})
    head = (
        f"POST /api/sources HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with served.half_sent(head.encode() + body[:30_000]):
        served.until(lambda: list((served.folder / "incoming").rglob("half.csv")))
        served.kill()
    assert list((served.folder / "incoming").rglob("half.csv"))
    served.start()
    assert not list((served.folder / "incoming").iterdir())
    assert [path.name for path in (served.folder / "sources").iterdir()] == [confirmed]
    kept = served.folder / "sources" / confirmed / "files" / "runs.csv"
    assert kept.read_bytes() == run_table()
    assert served.runs_of({"runs.csv": run_table()})


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=60))
def test_a_name_that_is_accepted_stays_below_the_folder(name: str) -> None:
    root = Path("/project/files")
    try:
        path = checked_name(name, Limits())
    except RefusalError:
        return
    place = root / path
    assert place.is_relative_to(root)
    assert ".." not in place.parts
    assert place != root


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_mangled_body_is_refused_or_read_and_touches_nothing_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kind, body = multipart({"a.csv": b"run_id,loss\na,1\n", "logs/b.jsonl": b'{"loss": 1}\n'})
    mangled = bytearray(body)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mangled) - 1))
        piece = data.draw(st.binary(max_size=12) | st.sampled_from([b"../", b"\r\n", b'"', b"--"]))
        mangled[at : at + data.draw(st.integers(0, 12))] = piece
    root = tmp_path_factory.mktemp("mangled")
    folder = root / "incoming" / "files"
    folder.mkdir(parents=True)
    receiver = Receiver(folder, kind, Limits())
    try:
        cut = data.draw(st.integers(1, max(len(mangled), 1)))
        for begin in range(0, len(mangled), cut):
            receiver.write(bytes(mangled[begin : begin + cut]))
        receiver.finish()
    except RefusalError:
        pass
    finally:
        receiver.abandon()
    assert all(path.is_relative_to(folder) for path in root.rglob("*") if path.is_file())
