"""Texts in, two splits and a fingerprint out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.train.corpus import load_corpus
from scalewise.train.corpus.build import build, library_documents
from scalewise.train.corpus.embedded import FOLDER, embedded_corpus, embedded_manifest
from scalewise.train.corpus.split import corpus_from_documents

UNICODE = [f"Zeile {n}: größer als ∞ ≤ {n * 'λ'} 数 🙂" for n in range(60)]


def test_the_embedded_corpus_is_what_its_manifest_says() -> None:
    corpus, manifest = load_corpus("stdlib"), embedded_manifest()
    assert (len(corpus.train), len(corpus.val)) == (9_441_463, 573_086)
    assert corpus.fingerprint == manifest["fingerprint"] == "eabf0d0922354cc2"
    assert corpus.train.count(b"\0") + corpus.val.count(b"\0") + 2 == manifest["documents"]
    assert b"PYTHON SOFTWARE FOUNDATION LICENSE" in (FOLDER / manifest["license_file"]).read_bytes()
    assert embedded_corpus() is corpus


def test_a_damaged_embedded_corpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = embedded_manifest() | {"fingerprint": "0" * 16}
    monkeypatch.setattr("scalewise.train.corpus.embedded.embedded_manifest", lambda: wrong)
    with pytest.raises(RunDataError, match="has fingerprint eabf0d0922354cc2, not 0000"):
        embedded_corpus.__wrapped__()


def test_the_corpus_is_built_the_same_twice_and_leaves_tests_and_tables_out(
    tmp_path: Path,
) -> None:
    library = tmp_path / "library"
    chosen = {f"package/module_{n}.py": f"x = {n}\n" * 20 for n in range(60)}
    left_out = {
        "test/test_x.py": "x",
        "idlelib/idle_test/test_y.py": "y",
        "site-packages/other.py": "z",
        "encodings/cp1.py": "codecs.charmap_decode()",
        "_sysconfigdata__linux.py": "machine = 1",
        "empty.py": "",
    }
    for name, text in {**chosen, **left_out, "LICENSE.txt": "licence"}.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(text)
    assert set(library_documents(library)) == set(chosen)
    manifests = [build(library, tmp_path / out) for out in ("one", "two")]
    one, two = (
        {file.name: file.read_bytes() for file in path.parent.iterdir()} for path in manifests
    )
    assert one == two
    assert one["LICENSE.PSF"] == b"licence"


def test_the_split_is_decided_by_the_hash_of_the_name() -> None:
    documents = {f"file-{n}": f"<{n}>".encode() for n in range(200)}
    corpus = corpus_from_documents("c", documents)
    val = {
        text
        for name, text in documents.items()
        if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 20 == 0
    }
    assert set(corpus.val.split(b"\0")) == val
    assert set(corpus.train.split(b"\0")) == set(documents.values()) - val


def test_one_document_more_leaves_the_others_where_they_were() -> None:
    documents = {f"file-{n}": f"<{n}>".encode() for n in range(200)}
    before = corpus_from_documents("c", documents)
    after = corpus_from_documents("c", {**documents, "new": b"<new>"})
    assert set(before.val.split(b"\0")) <= set(after.val.split(b"\0"))
    assert after.fingerprint != before.fingerprint
    reordered = corpus_from_documents("c", dict(reversed(documents.items())))
    assert reordered == before


def test_text_jsonl_and_parquet_of_any_script_hold_the_same_documents(tmp_path: Path) -> None:
    jsonl = "".join(json.dumps({"text": line, "id": 1}) + "\n\n" for line in UNICODE)
    (tmp_path / "rows.jsonl").write_text(jsonl, encoding="utf-8")
    pl.DataFrame({"text": UNICODE, "id": 1}).write_parquet(tmp_path / "rows.parquet")
    from_jsonl = load_corpus(str(tmp_path / "rows.jsonl"))
    from_parquet = load_corpus(str(tmp_path / "rows.parquet"))
    assert from_jsonl.fingerprint == from_parquet.fingerprint
    documents = {*from_jsonl.train.split(b"\0"), *from_jsonl.val.split(b"\0")}
    assert documents == {line.encode() for line in UNICODE}


def test_a_folder_is_read_whole_but_for_hidden_files(tmp_path: Path) -> None:
    for n, line in enumerate(UNICODE):
        file = tmp_path / f"part-{n % 3}" / f"{n}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(line, encoding="utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("secret")
    corpus = load_corpus(str(tmp_path))
    assert corpus.documents == 60
    assert b"secret" not in corpus.train + corpus.val


def test_equal_rows_count_once(tmp_path: Path) -> None:
    rows = [{"text": line} for line in UNICODE * 3]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert load_corpus(str(tmp_path / "rows.jsonl")).documents == 60


def test_a_single_text_is_cut_into_blocks_at_line_ends(tmp_path: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(5000))
    (tmp_path / "one.txt").write_text(text)
    corpus = load_corpus(str(tmp_path / "one.txt"))
    blocks = [*corpus.train.split(b"\0"), *corpus.val.split(b"\0")]
    assert 90 <= len(blocks) <= 100
    assert all(block.endswith(b"\n") for block in blocks)
    assert sum(len(block) for block in blocks) == len(text)
    assert 0 < len(corpus.val) < 0.2 * len(text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "bad.jsonl, line 2: no JSON object with"),
        ("bad.jsonl", b"not json\n", "bad.jsonl, line 1: no JSON object"),
        ("empty.txt", b"", "holds no text"),
        ("short.txt", b"x", r"has 1 document\(s\); it takes two"),
    ],
)
def test_what_cannot_be_read_says_where(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunDataError, match=message):
        load_corpus(str(tmp_path / name))


def test_a_parquet_file_without_text_names_its_columns(tmp_path: Path) -> None:
    pl.DataFrame({"body": ["a"]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(RunDataError, match="no column 'text'; it has body"):
        load_corpus(str(tmp_path / "x.parquet"))


def test_an_unknown_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No corpus 'wikipedia': it is neither 'stdlib' nor"):
        load_corpus("wikipedia")
