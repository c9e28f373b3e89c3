"""The embedded corpus: the same bytes on every machine, so that losses can be compared."""

from __future__ import annotations

import json
import lzma
from functools import lru_cache
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.train.corpus.split import Corpus, fingerprint_of

FOLDER = Path(__file__).parent
ARCHIVE = "stdlib.xz"
MANIFEST = "stdlib.json"


def embedded_manifest() -> dict[str, Any]:
    """Origin, version, licence, sizes and fingerprint of the embedded corpus.

    >>> embedded_manifest()["license"]
    'PSF-2.0'
    """
    manifest: dict[str, Any] = json.loads((FOLDER / MANIFEST).read_text())
    return manifest


@lru_cache(maxsize=1)
def embedded_corpus() -> Corpus:
    """Unpack the embedded corpus (0.4 s, once per process) and check it against its manifest.

    Raises RunDataError when the archive is not the one that the manifest describes.
    """
    manifest = embedded_manifest()
    text = lzma.decompress((FOLDER / ARCHIVE).read_bytes())
    train, val = text[: manifest["train_bytes"]], text[manifest["train_bytes"] :]
    found = fingerprint_of(train, val)
    if found != manifest["fingerprint"]:
        raise RunDataError(
            f"The embedded corpus has fingerprint {found}, not {manifest['fingerprint']}.",
            hint="The installation is damaged; install scalewise again.",
        )
    return Corpus(
        name=manifest["name"],
        train=train,
        val=val,
        documents=manifest["documents"],
        fingerprint=found,
    )
