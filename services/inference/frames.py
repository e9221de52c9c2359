"""What waits to be sent to one gateway: the news of one engine step, or of several when the gateway reads slowly.

Deltas are put straight into the message that will be sent. While one frame is on the wire the next one gathers, so a
slow reader gets fewer, larger frames, in the same order, up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable

from capstan.inference.v1 import inference_pb2


class Frames:
    """The frame that is gathering. Pure but for `wake`."""

    def __init__(self, wake: Callable[[], None], *, limit: int) -> None:
        """`wake` is called when there is news after there was none. `limit`: deltas that may wait."""
        self._wake = wake
        self._limit = limit
        self._gathering = inference_pb2.SessionResponse()
        self._deltas = self._gathering.deltas
        self._count = 0

    @property
    def waiting(self) -> int:
        """Deltas that wait."""
        return self._count

    @property
    def overflowed(self) -> bool:
        """Whether more wait than may: the gateway does not read."""
        return self._count > self._limit

    def add(self, slot: int, choice: int, text: str, token_count: int) -> inference_pb2.Delta:
        """Add a delta, and answer it, so that what is rare can be filled in."""
        if not self._count:
            self._wake()
        self._count += 1
        return self._deltas.add(slot=slot, choice=choice, text=text, token_count=token_count)

    def take(self) -> inference_pb2.SessionResponse:
        """Take what has gathered, in the order of its making."""
        frame = self._gathering
        self._gathering = inference_pb2.SessionResponse()
        self._deltas = self._gathering.deltas
        self._count = 0
        return frame
