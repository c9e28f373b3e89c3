"""Rebuild the embedded corpus from an interpreter's standard library.

Run by hand, never at import; the result is the same to the byte for the same library::

    python -m scalewise.train.corpus.build LIBRARY_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import json
import lzma
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

from scalewise.train.corpus.split import Corpus, corpus_from_documents

ARCHIVE = "stdlib.xz"
MANIFEST = "stdlib.json"
LICENSE = "LICENSE.PSF"
SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idle_test", "site-packages", "pydoc_data", "__pycache__"}
)
# Tables of code points, one per code page: a seventh of the bytes and none of the language.
CODE_PAGE_MARK = b"codecs.charmap_"
# Text in Python sources is poor in position-aligned structure and rich in letter context.
XZ_FILTER = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}


def is_chosen(path: Path, text: bytes) -> bool:
    """Whether a source file, by its path relative to the library, belongs to the corpus."""
    machine_made = path.name.startswith("_sysconfigdata") or path.parts[0].startswith("config-")
    code_page = path.parts[0] == "encodings" and CODE_PAGE_MARK in text
    skipped = SKIPPED_FOLDERS.intersection(path.parts[:-1])
    return not (machine_made or code_page or skipped)


def library_documents(library: Path) -> dict[str, bytes]:
    """Source files of a standard library, by their path relative to it."""
    documents = {}
    for file in sorted(library.rglob("*.py")):
        path, text = file.relative_to(library), file.read_bytes()
        if text and is_chosen(path, text):
            documents[path.as_posix()] = text
    return documents


def interpreter_corpus() -> Corpus:
    """The standard library of the running interpreter, chosen and split as the embedded one.

    Its fingerprint differs between Python versions, so that their runs cannot be mixed.
    Raises RunDataError where the interpreter comes without sources.
    """
    library = Path(sysconfig.get_path("stdlib"))
    return corpus_from_documents("interpreter", library_documents(library))


def build(library: Path, out: Path) -> Path:
    """Write archive, manifest and licence of the corpus into `out`; return the manifest."""
    corpus = corpus_from_documents("stdlib", library_documents(library))
    out.mkdir(parents=True, exist_ok=True)
    packed = lzma.compress(corpus.train + corpus.val, format=lzma.FORMAT_XZ, filters=[XZ_FILTER])
    (out / ARCHIVE).write_bytes(packed)
    shutil.copyfile(library / "LICENSE.txt", out / LICENSE)
    manifest = {
        "name": corpus.name,
        "fingerprint": corpus.fingerprint,
        "train_bytes": len(corpus.train),
        "val_bytes": len(corpus.val),
        "documents": corpus.documents,
        "origin": "CPython standard library, Lib/**/*.py without tests and code-page tables",
        "version": platform.python_version(),
        "license": "PSF-2.0",
        "license_file": LICENSE,
        "split": "sha256(relative path) % 20 == 0 -> val; ordered by that hash; joined with NUL",
    }
    path = out / MANIFEST
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    return path


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]]
    defaults = [Path(sysconfig.get_path("stdlib")), Path(__file__).parent]
    build(*(given + defaults[len(given) :]))
