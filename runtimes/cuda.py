"""Memory and streams of an NVIDIA GPU, by CUDA's driver API.

The driver's own library is the one piece of CUDA that every machine with a working GPU has,
desktop or Jetson, whichever toolkit or wheel is installed beside it or none; so it is called
directly, and no version of a runtime library can be the wrong one. Signatures follow ``cuda.h``.
TensorRT uses the device's primary context, and so does this.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Mapping
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_tx.errors import DeviceUnavailable, SessionFailed

__all__ = ["Cuda", "DeviceMemory", "Driver", "Gpu", "PinnedMemory"]

Bytes = npt.NDArray[np.uint8]
Driver = Any
"""The driver's library, or whatever answers to the names in ``_PROTOTYPES``."""

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the legacy default stream

# Function -> argument types; all return CUresult. CUdevice is an int, CUdeviceptr 64 bits wide,
# contexts and streams are pointers.
_PROTOTYPES: Mapping[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """What an engine is tied to, beside TensorRT itself.

    Attributes:
        name: E.g. ``"Orin"``.
        compute_capability: E.g. 87 for 8.7.
        driver: CUDA version of the driver, e.g. ``"12.6"``.
    """

    name: str
    compute_capability: int
    driver: str


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """A buffer on the device.

    Attributes:
        address: Device pointer.
        size: Bytes.
    """

    address: int
    size: int


@dataclass(frozen=True, slots=True)
class PinnedMemory:
    """A buffer of the host that the device reads and writes by itself.

    Attributes:
        address: Pointer.
        size: Bytes.
        view: The same memory, ``uint8[size]``. Dangling once it is freed.
    """

    address: int
    size: int
    view: Bytes


class Cuda:
    """A device's primary context. Made by :meth:`open`; safe to share between threads.

    Args:
        driver: The driver's library.
        device: The device's handle.
        context: Its primary context, retained.
    """

    def __init__(self, driver: Driver, device: int, context: int) -> None:
        self._driver = driver
        self._device = device
        self._context = context
        self._closed = False
        self._bound = threading.local()

    @classmethod
    def open(cls, ordinal: int = 0, driver: Driver | None = None) -> Cuda:
        """Opens a device.

        Args:
            ordinal: Which of the visible devices (``CUDA_VISIBLE_DEVICES``).
            driver: The driver's library; that of the system if not given.

        Raises:
            DeviceUnavailable: There is no driver or no such device.
        """
        lib = load_driver() if driver is None else driver
        _check(lib, "cuInit", lib.cuInit(0), DeviceUnavailable)
        count = _int(lib, "cuDeviceGetCount")
        if ordinal >= count:
            raise DeviceUnavailable(
                f"the NVIDIA driver sees {count} devices: there is no device {ordinal}"
            )
        device = _int(lib, "cuDeviceGet", ordinal)
        context = c_void_p()
        code = lib.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
        _check(lib, "cuDevicePrimaryCtxRetain", code, DeviceUnavailable)
        cuda = cls(lib, device, context.value or 0)
        cuda.bind()
        return cuda

    def gpu(self) -> Gpu:
        """Describes the device."""
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), self._device)
        major = _int(self._driver, "cuDeviceGetAttribute", _MAJOR, self._device)
        minor = _int(self._driver, "cuDeviceGetAttribute", _MINOR, self._device)
        version = _int(self._driver, "cuDriverGetVersion")  # 12060 is 12.6
        return Gpu(
            name=name.value.decode("utf-8", "replace"),
            compute_capability=10 * major + minor,
            driver=f"{version // 1000}.{version % 1000 // 10}",
        )

    def bind(self) -> None:
        """Makes the context the calling thread's own; it must be, for every other call."""
        if not getattr(self._bound, "done", False):
            self._call("cuCtxSetCurrent", self._context)
            self._bound.done = True

    def allocate(self, size: int) -> DeviceMemory:
        """Allocates memory of the device.

        Raises:
            SessionFailed: There is not enough.
        """
        address = c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), size)
        return DeviceMemory(address.value, size)

    def free(self, memory: DeviceMemory) -> None:
        """Frees memory of the device."""
        self._call("cuMemFree_v2", memory.address)

    def pin(self, size: int) -> PinnedMemory:
        """Allocates pinned memory of the host.

        Raises:
            SessionFailed: There is not enough.
        """
        pointer = c_void_p()
        self._call("cuMemHostAlloc", ctypes.byref(pointer), size, 0)
        address = pointer.value or 0
        view = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return PinnedMemory(address, size, view)

    def unpin(self, memory: PinnedMemory) -> None:
        """Frees pinned memory of the host."""
        self._call("cuMemFreeHost", memory.address)

    def stream(self) -> int:
        """Makes a stream."""
        handle = c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), _NON_BLOCKING)
        return handle.value or 0

    def destroy_stream(self, stream: int) -> None:
        """Ends a stream."""
        self._call("cuStreamDestroy_v2", stream)

    def upload(self, to: DeviceMemory, host: PinnedMemory, size: int, stream: int) -> None:
        """Copies the first bytes of a buffer to the device, in the stream's turn."""
        self._call("cuMemcpyHtoDAsync_v2", to.address, host.address, size, stream)

    def download(self, host: PinnedMemory, source: DeviceMemory, size: int, stream: int) -> None:
        """Copies the first bytes of a buffer from the device, in the stream's turn."""
        self._call("cuMemcpyDtoHAsync_v2", host.address, source.address, size, stream)

    def synchronize(self, stream: int) -> None:
        """Waits for all that was started on a stream.

        Raises:
            SessionFailed: Something of it failed.
        """
        self._call("cuStreamSynchronize", stream)

    def close(self) -> None:
        """Lets go of the device. Closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    def _call(self, name: str, *args: Any) -> None:
        code = getattr(self._driver, name)(*args)
        if code:
            _check(self._driver, name, code, SessionFailed)


def load_driver(library: str = "") -> Driver:
    """Loads the driver's library and declares its functions.

    Args:
        library: Its name; the system's own if empty.

    Raises:
        DeviceUnavailable: It is not here, so there is no NVIDIA GPU that works.
    """
    library = library or _LIBRARY
    try:
        lib = ctypes.CDLL(library)
        for name, arguments in _PROTOTYPES.items():
            function = getattr(lib, name)
            function.argtypes, function.restype = arguments, c_int
    except (OSError, AttributeError) as exc:
        raise DeviceUnavailable(
            f"no NVIDIA driver here ({library} does not load: {exc}): install it, and in a "
            "container start with --gpus all or --runtime nvidia"
        ) from exc
    return lib


def _int(lib: Driver, name: str, *args: int) -> int:
    value = c_int()
    function: Callable[..., int] = getattr(lib, name)
    _check(lib, name, function(ctypes.byref(value), *args), DeviceUnavailable)
    return value.value


def _check(
    lib: Driver, name: str, code: int, error: type[DeviceUnavailable | SessionFailed]
) -> None:
    if code:
        text = c_char_p()
        lib.cuGetErrorString(code, ctypes.byref(text))
        reason = (text.value or b"unknown error").decode("utf-8", "replace")
        raise error(f"CUDA: {name} failed: {reason} (error {code})")
