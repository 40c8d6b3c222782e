"""The library for evaluations in this process: where it is, and its functions and structures, which
are those of clients/python/native/local.h."""
import ctypes
import os
from pathlib import Path
from typing import Any, List, Optional

from ._fork import ModuleLock
from ._version import __version__

MAX_RANK = 16
SUCCEEDED, FAILED, RUNNING = range(3)
# enum loss_dtype, by the names of safetensors.
DTYPES = {
    "F64": 1, "F32": 2, "F16": 3, "BF16": 4, "I64": 5, "I32": 6, "I16": 7, "I8": 8, "U64": 9,
    "U32": 10, "U16": 11, "U8": 12, "BOOL": 13,
}  # fmt: skip

Sizes = ctypes.c_int64 * MAX_RANK


class Operands(ctypes.Structure):
    _fields_ = [
        ("names", ctypes.c_char_p),
        ("numbers", ctypes.c_void_p),
        ("count", ctypes.c_size_t),
    ]


class Output(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("loss", ctypes.c_int32),
        ("kind", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", Sizes),
    ]


class Error(ctypes.Structure):
    _fields_ = [
        ("status", ctypes.c_int32),
        ("message", ctypes.c_char * 320),
        ("pointer", ctypes.c_char * 192),
    ]


class LossResult(ctypes.Structure):
    _fields_ = [("loss", ctypes.c_double), ("facts", ctypes.c_char_p)]


class Call(ctypes.Structure):
    _fields_ = [
        ("work", ctypes.c_size_t),
        ("outputs", ctypes.c_size_t),
        ("losses", ctypes.c_size_t),
        ("output", ctypes.POINTER(Output)),
        ("result", ctypes.POINTER(LossResult)),
        ("error", Error),
        ("milliseconds", ctypes.c_double),
    ]


def places() -> List[Path]:
    """Returns where the library is looked for."""
    chosen = os.environ.get("LOSSD_LIBRARY")
    if chosen is not None:
        return [Path(chosen)]
    here = Path(__file__).resolve().parent
    # The wheel and the Debian package install it here. It must not have the name of this module,
    # because `import` prefers .so to .py.
    found = [here / "lossd-local.so"]
    if here.parts[-4:] == ("clients", "python", "src", "lossd"):
        found.append(here.parents[3] / "build" / "lossd-local.so")
    return found


def is_installed() -> bool:
    """Returns True if there is a library to load."""
    return any(place.is_file() for place in places())


_library: Optional[Any] = None
_lock = ModuleLock()


def library() -> Any:
    """Returns the library, which is loaded on first use.

    Raises:
        ImportError: it is not installed, or of another version.
    """
    global _library
    with _lock.current:
        if _library is None:
            _library = load()
        return _library


def load() -> Any:
    place = next((place for place in places() if place.is_file()), None)
    if place is None:
        raise ImportError(
            "the library for evaluations in this process is not installed; looked for"
            f" {' and '.join(map(str, places()))}. `make` builds it as build/lossd-local.so;"
            " LOSSD_LIBRARY can name it"
        )
    try:
        found = ctypes.CDLL(str(place))  # releases the GIL during calls
        declare(found)
    except (OSError, AttributeError) as error:
        raise ImportError(f"{place} cannot be loaded: {error}") from error
    version = found.lossd_local_version().decode()
    if version != __version__:
        raise ImportError(
            f"{place} has version {version}, this package {__version__}; they must be equal"
        )
    return found


def declare(found: Any) -> None:
    """Sets the types of the functions."""
    call, error = ctypes.POINTER(Call), ctypes.POINTER(Error)
    operands = ctypes.POINTER(Operands)
    text = ctypes.c_char_p
    for name, result, arguments in (
        ("version", text, []),
        ("losses", text, []),
        ("plan", call, [text, text, operands, error]),
        ("plan_several", call, [text, ctypes.c_size_t, operands, error]),
        ("run", ctypes.c_int, [call]),
        ("start", ctypes.c_int, [call, ctypes.c_int, ctypes.c_int]),
        ("wait", ctypes.c_int, [call, ctypes.c_int]),
        ("free", None, [call]),
    ):
        function = getattr(found, f"lossd_local_{name}")
        function.restype, function.argtypes = result, arguments
