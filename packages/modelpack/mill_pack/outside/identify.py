"""What a file is, by its content alone. Runs in the sandbox; knows pickles in every disguise so that the refusal can say so.

Whatever is not positively one of the accepted formats is refused, so a disguise that is not known here is refused too.
"""

import bz2
import io
import lzma
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from typing import Final

from mill_contracts.adoption import ModelFileFormat

from mill_pack.outside.bounds import MAX_ENTRIES, MAX_FILE_BYTES
from mill_pack.outside.errors import CodeInModelFile, ModelFileRejected

ACCEPTED: Final = "XGBoost JSON or UBJ, LightGBM text, ONNX (one file), skops"
HOW_TO_CONVERT: Final = (
    "A pickle or joblib file can run any code when it is loaded, so none is accepted, from nobody. Load it where you trust it and "
    "save it again: skops.io.dump(model, 'model.skops') for scikit-learn, model.save_model('model.json') for XGBoost, "
    "model.booster_.save_model('model.txt') for LightGBM, or convert it with skl2onnx"
)
_PEEK: Final = 1 << 16
_HEAD: Final = 1024
_CODE_ENDINGS: Final = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_UBJ_STARTS: Final = (b"{L\x00", b"{i", b"{U", b"{l", b"{I")
_TEXT_OPCODES: Final = b"(c]}lNIFSVKMLGXTU)d\x8c\x8a\x88\x89"
_HINTS: Final = {
    b"\x89HDF": "It is an HDF5 file, as Keras writes them",
    b"\x28\xb5\x2f\xfd": "It is compressed (zstd); unpack it first",
    b"\x04\x22\x4d\x18": "It is compressed (lz4); unpack it first",
    b"catboost": "It is a CatBoost model; save it with format='onnx'",
    b"CBM1": "It is a CatBoost model; save it with format='onnx'",
    b"binf": "It is XGBoost's old binary format; load it and save it as JSON",
    b"\x7fELF": "It is a program",
    b"MZ": "It is a program",
}


def identify(data: bytes) -> ModelFileFormat:
    """Raises `CodeInModelFile` for pickles, `ModelFileRejected` for everything else that is not accepted."""
    if not data or len(data) > MAX_FILE_BYTES:
        raise ModelFileRejected(f"The file is empty or larger than {MAX_FILE_BYTES // 2**20} MiB")
    refuse_code(data)
    if data[:2] == b"PK":
        return _archive(data)
    if data[:5] in (b"tree\n", b"tree\r"):
        return ModelFileFormat.LIGHTGBM_TEXT
    if data.startswith(_UBJ_STARTS):
        return ModelFileFormat.XGBOOST_UBJ
    if data[:64].lstrip()[:1] == b"{":
        return ModelFileFormat.XGBOOST_JSON
    if data[:1] == b"\x08" and len(data) > 2 and 1 <= data[1] <= 64:
        return ModelFileFormat.ONNX
    hint = next((words for start, words in _HINTS.items() if data.startswith(start)), "Its content is none of them")
    raise ModelFileRejected(f"{hint}. Accepted are: {ACCEPTED}")


def refuse_code(data: bytes) -> None:
    """Raises `CodeInModelFile` for a pickle of any protocol, plain, compressed, in a numpy file or in an archive."""
    if _is_pickle(data) or data[:2] == b"ZF" or _is_object_array(data):
        raise CodeInModelFile(HOW_TO_CONVERT)
    for start, unpack in _UNPACKERS:
        if not data.startswith(start):
            continue
        inner = _peek(unpack, data)
        if inner is None:
            continue
        if _is_pickle(inner, cut=len(inner) == _PEEK) or _is_object_array(inner):
            raise CodeInModelFile(HOW_TO_CONVERT)
        raise ModelFileRejected(f"The file is compressed. Unpack it first; accepted are: {ACCEPTED}")
    if data[257:262] == b"ustar":
        raise ModelFileRejected(f"The file is a tar archive. Accepted are: {ACCEPTED}")


def _is_pickle(data: bytes, *, cut: bool = False) -> bool:
    """By its first opcodes. Protocols 2 to 5 say so themselves; 0 and 1 are told by reading opcodes, which runs none."""
    if data[:1] == b"\x80" and len(data) > 1 and data[1] <= 15:
        return True
    if data[:1] not in {bytes((code,)) for code in _TEXT_OPCODES}:
        return False
    seen = 0
    try:
        for opcode, _, _ in pickletools.genops(data[:_PEEK]):
            seen += 1
            if opcode.name == "STOP" or seen >= 64:
                return True
    except Exception:  # whatever a text that is no pickle makes of it
        return (cut or len(data) > _PEEK) and seen >= 8
    return False


def _is_object_array(data: bytes) -> bool:
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        return False
    size = int.from_bytes(data[8:10] if data[6] == 1 else data[8:12], "little")
    header = data[8 : 12 + size]
    return b"'O'" in header or b"'|O" in header


def _peek(unpack: Callable[[bytes], bytes], data: bytes) -> bytes | None:
    """The first 64 KiB of what is inside; None where it is not what its first bytes say."""
    try:
        return unpack(data[: 1 << 20])
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        return None


def _inflate(wbits: int) -> Callable[[bytes], bytes]:
    return lambda data: zlib.decompressobj(wbits).decompress(data, _PEEK)


def _xz(data: bytes) -> bytes:
    return lzma.LZMADecompressor(memlimit=1 << 28).decompress(data, _PEEK)


_UNPACKERS: Final[tuple[tuple[bytes, Callable[[bytes], bytes]], ...]] = (
    (b"\x1f\x8b", _inflate(31)),
    (b"x\x01", _inflate(15)),
    (b"x\x5e", _inflate(15)),
    (b"x\x9c", _inflate(15)),
    (b"x\xda", _inflate(15)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, _PEEK)),
    (b"\xfd7zXZ\x00", _xz),
    (b"\x5d\x00\x00", _xz),
)


def _archive(data: bytes) -> ModelFileFormat:
    """A zip: skops by its schema, a pickle by name or content anywhere inside, else refused."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise ModelFileRejected(f"The archive holds {len(entries):,} entries; at most {MAX_ENTRIES:,}")
            for entry in entries:
                if entry.filename.lower().endswith(_CODE_ENDINGS) or _is_code(_beginning(archive, entry)):
                    raise CodeInModelFile(HOW_TO_CONVERT)
            names = {entry.filename for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, RuntimeError) as error:
        raise ModelFileRejected(f"The archive is damaged: {str(error)[:100]}") from error
    if "schema.json" not in names:
        raise ModelFileRejected(f"The archive is no skops file (it has no schema.json). Accepted are: {ACCEPTED}")
    return ModelFileFormat.SKOPS


def _is_code(head: bytes) -> bool:
    return _is_pickle(head, cut=len(head) == _HEAD) or _is_object_array(head)


def _beginning(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The first kilobyte of an entry; nothing where it cannot be read, which the reader of archives refuses later."""
    try:
        with archive.open(entry) as file:
            return file.read(_HEAD)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, OSError, ValueError):
        return b""
