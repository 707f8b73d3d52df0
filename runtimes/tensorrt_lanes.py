"""What one call of a TensorRT engine needs: a context, a stream, buffers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Any

import numpy as np

from edge_tx.errors import SessionFailed
from edge_tx.runtimes.cuda import Cuda, DeviceMemory, PinnedMemory
from edge_tx.runtimes.tensorrt_api import Engine
from edge_tx.runtimes.tensorrt_profiles import Profile
from edge_tx.tensors import Array, TensorSpec

__all__ = ["Lane", "Lanes", "Tensor"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of an engine.

    Attributes:
        spec: Name, type and shape.
        is_input: Which of the two.
    """

    spec: TensorSpec
    is_input: bool


@dataclass(frozen=True, slots=True)
class _Buffer:
    name: str
    dtype: np.dtype[Any]
    device: DeviceMemory
    host: PinnedMemory


class Lane:
    """An execution context of one profile, with all the memory its largest shape needs.

    Nothing is allocated after this: a call copies into pinned memory, starts the copy to the
    device, the engine and the copies back on one stream, and waits once.

    Args:
        engine: The engine.
        cuda: The device; bound to the calling thread.
        tensors: The engine's inputs and outputs.
        index: Of the profile.
        profile: The profile.
        log: What the engine reports to; has ``worst()``.

    Raises:
        SessionFailed: There is not enough memory, or the engine does not take the profile.
    """

    def __init__(
        self,
        engine: Engine,
        cuda: Cuda,
        tensors: Sequence[Tensor],
        index: int,
        profile: Profile,
        log: Any,
    ) -> None:
        self._cuda = cuda
        self._log = log
        self._buffers: list[_Buffer] = []
        context = engine.create_execution_context()
        if context is None:
            raise SessionFailed(f"no memory on the GPU for profile {index}: {log.worst()}")
        self._context = context
        self._stream = cuda.stream()
        self._names = [t.spec.name for t in tensors if t.is_input]
        self._shape: tuple[int, ...] = ()
        try:
            self._need(context.set_optimization_profile_async(index, self._stream), "set profile")
            cuda.synchronize(self._stream)
            self._set_shape((profile.batch.max, profile.seq.max))
            self._inputs = {t.spec.name: self._buffer(t) for t in tensors if t.is_input}
            self._outputs = [self._buffer(t) for t in tensors if not t.is_input]
            self._shapes = self._output_shapes()
        except BaseException:
            self.close()
            raise

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the engine.

        Args:
            feeds: By input name, of the engine's types, C-contiguous, all of one shape
                ``[batch, seq]`` that the profile holds.

        Returns:
            Arrays by output name, owned by the caller.

        Raises:
            SessionFailed: TensorRT or CUDA failed.
        """
        cuda, stream = self._cuda, self._stream
        shape = feeds[self._names[0]].shape
        if shape != self._shape:
            self._set_shape(shape)
            self._shapes = self._output_shapes()
        for name, array in feeds.items():
            buffer = self._inputs[name]
            buffer.host.view[: array.nbytes] = array.reshape(-1).view(np.uint8)
            cuda.upload(buffer.device, buffer.host, array.nbytes, stream)
        self._need(self._context.execute_async_v3(stream), "run the engine")
        sizes = [math.prod(s) * b.dtype.itemsize for b, s in self._answers()]
        for (buffer, _), size in zip(self._answers(), sizes, strict=True):
            cuda.download(buffer.host, buffer.device, size, stream)
        cuda.synchronize(stream)
        return {
            buffer.name: buffer.host.view[:size].view(buffer.dtype).reshape(out).copy()
            for (buffer, out), size in zip(self._answers(), sizes, strict=True)
        }

    def close(self) -> None:
        """Frees its memory."""
        for buffer in self._buffers:
            self._cuda.free(buffer.device)
            self._cuda.unpin(buffer.host)
        self._buffers.clear()
        self._cuda.destroy_stream(self._stream)

    def _answers(self) -> zip[tuple[_Buffer, tuple[int, ...]]]:
        return zip(self._outputs, self._shapes, strict=True)

    def _set_shape(self, shape: tuple[int, ...]) -> None:
        self._shape = ()
        for name in self._names:
            self._need(self._context.set_input_shape(name, shape), f"set '{name}' to {shape}")
        self._shape = shape

    def _output_shapes(self) -> list[tuple[int, ...]]:
        return [tuple(self._context.get_tensor_shape(b.name)) for b in self._outputs]

    def _buffer(self, tensor: Tensor) -> _Buffer:
        """Allocates for the shape that is set, the profile's largest."""
        name, dtype = tensor.spec.name, tensor.spec.dtype.numpy
        shape = tuple(self._context.get_tensor_shape(name))
        self._need(min(shape, default=0) >= 0, f"tell the shape of '{name}' ({shape})")
        size = max(1, math.prod(shape) * dtype.itemsize)
        device = self._cuda.allocate(size)
        try:
            buffer = _Buffer(name, dtype, device, self._cuda.pin(size))
        except BaseException:
            self._cuda.free(device)
            raise
        self._buffers.append(buffer)
        self._need(self._context.set_tensor_address(name, device.address), f"place '{name}'")
        return buffer

    def _need(self, done: bool, what: str) -> None:
        if not done:
            raise SessionFailed(f"TensorRT could not {what}: {self._log.worst()}")


class Lanes:
    """The lanes of one profile, made when first needed, up to a number.

    Args:
        make: Makes a lane of a profile.
        index: Of the profile.
        most: How many there may be; further callers wait.
    """

    def __init__(self, make: Callable[[int], Lane], index: int, most: int) -> None:
        self._make = make
        self._index = index
        self._most = most
        self._room = Semaphore(most)
        self._lock = Lock()
        self._idle: list[Lane] = []
        self._closed = False

    def take(self) -> Lane:
        """A lane of one's own, once there is one.

        Raises:
            SessionFailed: It cannot be made, or the session was closed meanwhile.
        """
        self._room.acquire()
        try:
            with self._lock:
                if self._closed:
                    raise SessionFailed("the session is closed: open it again")
                if self._idle:
                    return self._idle.pop()
            return self._make(self._index)
        except BaseException:
            self._room.release()
            raise

    def give(self, lane: Lane) -> None:
        """Gives a lane back."""
        with self._lock:
            self._idle.append(lane)
        self._room.release()

    def close(self) -> None:
        """Frees all lanes, once their calls are done."""
        with self._lock:
            self._closed = True
        for _ in range(self._most):
            self._room.acquire()
        for lane in self._idle:
            lane.close()
        self._idle.clear()
        self._room.release(self._most)
