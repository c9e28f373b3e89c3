"""Uploads: streamed to disk part by part, limited in every direction, confirmed by a rename."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from anyio import to_thread
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from scalewise.core.records import atomic_write, sha256_of_json, to_json
from scalewise.runs.quote import quoted
from scalewise.web.project import Project
from scalewise.web.refusals import RefusalError, TooLargeError, WrongKindError
from scalewise.web.settings import Limits

_HIDDEN_WITH_LOGS = (".wandb", ".mlruns", ".trackio")
# Containers could hold more than was counted, or files with other names; pickles are programs.
_PACKED = {
    b"PK\x03\x04": "a zip file", b"PK\x05\x06": "a zip file", b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file", b"\xfd7zXZ\x00": "an xz file", b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf": "a 7z file", b"Rar!": "a rar file",
    **{b"\x80" + bytes([n]): "a pickle" for n in range(2, 6)},
}  # fmt: skip
_UNPACK = "Unpack it and upload the files or the folder."
_BROKEN = "Send the files again."


@dataclass(slots=True)
class _Part:
    head: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    header_bytes: int = 0
    disposition: bytes = b""
    name: str = ""
    size: int = 0
    begin: bytes = b""
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    file: BinaryIO | None = None


class Receiver:
    """Parts of one multipart body, written below a folder as they come."""

    def __init__(self, folder: Path, content_type: str, limits: Limits) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise WrongKindError(
                f"An upload is multipart/form-data, not {quoted(content_type, 80)}.",
                hint="Send the files as a form does, for example with curl -F files=@runs.csv.",
            )
        self.folder, self.limits = folder, limits
        self.files: dict[str, dict[str, object]] = {}
        self.ended = False
        self._part = _Part()
        self._total = 0
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, i, j: self._header(self._part.head, data[i:j]),
                "on_header_value": lambda data, i, j: self._header(self._part.value, data[i:j]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        """Take the next piece. Raises RefusalError for what is over a limit or damaged."""
        self._total += len(data)
        if self._total > self.limits.upload:
            raise too_large(self._total, self.limits.upload, "The upload")
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise RefusalError(
                f"The upload is no multipart body: {quoted(str(error), 120)}.", hint=_BROKEN
            ) from error

    def finish(self) -> None:
        """Check that the body has ended. Raises RefusalError if it stops short or holds no file."""
        if not self.ended:
            raise RefusalError(
                f"The upload ends after {self._total} bytes, in the middle of a part.", hint=_BROKEN
            )
        if not self.files:
            raise RefusalError("The upload holds no file.", hint="Choose files or a folder first.")

    def abandon(self) -> None:
        """Close what is open."""
        if self._part.file is not None:
            self._part.file.close()

    def _begin(self) -> None:
        self._part = _Part()

    def _header(self, kept: bytearray, piece: bytes) -> None:
        kept += piece
        self._part.header_bytes += len(piece)
        if self._part.header_bytes > self.limits.part_headers:
            raise too_large(self._part.header_bytes, self.limits.part_headers, "A part's head")

    def _header_end(self) -> None:
        part = self._part
        if part.head.lower() == b"content-disposition":
            part.disposition = bytes(part.value)
        part.head.clear()
        part.value.clear()

    def _open(self) -> None:
        name = _file_name(self._part.disposition)
        if not name:  # a field without a file, or a file chooser left empty
            return
        if len(self.files) >= self.limits.files:
            raise TooLargeError(
                f"The upload holds more than {self.limits.files} files.",
                hint="Upload the logs alone, or watch the folder: scalewise serve --watch FOLDER.",
            )
        path = checked_name(name, self.limits)
        if path in self.files:
            raise RefusalError(
                f"Two files are called {quoted(path, 120)}.", hint="Rename one of them."
            )
        target = self.folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._part.file = target.open("xb")
        except OSError as error:
            raise RefusalError(
                f"The file {quoted(path, 120)} cannot be kept: {error.strerror}.",
                hint="Rename it; no file may have the name of another one's folder.",
            ) from error
        self._part.name = path

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.file is None:
            if part.size > self.limits.part_headers:
                raise too_large(part.size, self.limits.part_headers, "A field")
            return
        if part.size > self.limits.file:
            raise too_large(part.size, self.limits.file, f"The file {quoted(part.name, 120)}")
        if len(part.begin) < 8:
            part.begin += data[start : min(end, start + 8)]
            _refuse_packed(part.begin, part.name)
        part.digest.update(data[start:end])
        part.file.write(data[start:end])

    def _close(self) -> None:
        part = self._part
        if part.file is None:
            return
        with part.file as file:
            file.flush()
            os.fsync(file.fileno())
        self.files[part.name] = {"bytes": part.size, "sha256": part.digest.hexdigest()}

    def _end(self) -> None:
        self.ended = True


async def receive_upload(
    project: Project, content_type: str, body: AsyncIterator[bytes], limits: Limits
) -> str:
    """Take an upload in; the key of its source once it is confirmed on disk.

    Raises RefusalError; then nothing of it stays.
    """
    with project.staging() as staged:
        receiver = Receiver(staged / "files", content_type, limits)
        (staged / "files").mkdir()
        try:
            async for piece in body:
                if piece:
                    await to_thread.run_sync(receiver.write, piece)
            receiver.finish()
        except ClientDisconnect as error:
            raise RefusalError("The upload was broken off.", hint=_BROKEN) from error
        finally:
            receiver.abandon()
        key = sha256_of_json(receiver.files)
        await to_thread.run_sync(_keep, project, staged, key, receiver.files)
    return key


def _keep(project: Project, staged: Path, key: str, files: dict[str, dict[str, object]]) -> None:
    atomic_write(staged / "source.json", to_json({"files": files}))
    project.confirm(staged, "sources", key)


def checked_name(name: str, limits: Limits) -> str:
    """The name of an uploaded file, with its folders, if it stays below the source's folder.

    >>> checked_name("wandb/run-1/run-1.wandb", Limits())
    'wandb/run-1/run-1.wandb'
    """
    parts = PurePosixPath(name).parts
    told = quoted(name, 120)
    if len(name.encode("utf-8", "surrogatepass")) > limits.name or len(parts) > limits.depth:
        raise RefusalError(
            f"The file name {told} is too long or too deep.",
            hint=f"At most {limits.name} bytes in {limits.depth} folders.",
        )
    odd = not name.isprintable() or any(sign in name for sign in '\\:*?"<>|')
    climbs = name.startswith("/") or not parts or any(part in ("..", ".") for part in parts)
    hidden = any(part.startswith(".") and part not in _HIDDEN_WITH_LOGS for part in parts)
    if odd or climbs or hidden:
        raise RefusalError(
            f"The file name {told} is not accepted.",
            hint='Names are plain text without \\ : * ? " < > |, below the folder that is '
            "uploaded, and not hidden.",
        )
    return "/".join(parts)


def too_large(size: int, most: int, what: str) -> TooLargeError:
    """What is over a limit, by how much, and the way out."""
    return TooLargeError(
        f"{what} has {size} bytes or more; {most} are accepted.",
        hint="Upload less at once, or let the folder be watched: scalewise serve --watch FOLDER.",
    )


def _file_name(disposition: bytes) -> str:
    found = parse_options_header(disposition)[1].get(b"filename", b"")
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusalError(
            f"A file name is not UTF-8: {quoted(found, 80)}.", hint="Rename the file."
        ) from error


def _refuse_packed(begin: bytes, name: str) -> None:
    for magic, kind in _PACKED.items():
        if begin.startswith(magic):
            raise WrongKindError(
                f"The file {quoted(name, 120)} is {kind}, which is not opened here.", hint=_UNPACK
            )
