"""How much an object holds on to, found by walking what it refers to, kept exceptions with their frames among it."""

from collections import deque
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple

PLAIN: Final = (int, float, bool, type(None), type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)
CHANGING: Final = (list, dict, set, deque)
CONTAINERS: Final = (*CHANGING, Mapping, tuple, frozenset)


class Held(NamedTuple):
    """Bytes (text counts by character), items of the largest container, items of all that can change together."""

    size: int
    largest: int
    changing: int


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _inside(one: Any) -> list[Any]:
    if isinstance(one, Mapping):
        return [*one.keys(), *one.values()]
    if isinstance(one, CONTAINERS):
        return list(one)
    slots = [name for kind in type(one).__mro__ for name in _slots(kind)]
    found = [*getattr(one, "__dict__", {}).values(), *(getattr(one, name) for name in slots if hasattr(one, name))]
    if isinstance(one, BaseException):
        found += [*one.args, one.__context__]
        trace = one.__traceback__
        while trace is not None:
            found += trace.tb_frame.f_locals.values()
            trace = trace.tb_next
    return found


def held(root: object, shared: tuple[object, ...] = ()) -> Held:
    """Everything that `root` refers to, without what is `shared`."""
    seen = {id(one) for one in shared}
    size = largest = changing = 0
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if isinstance(one, PLAIN) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, bytes | bytearray | str | memoryview):
            size += len(one)
            continue
        if isinstance(one, CONTAINERS):
            largest = max(largest, len(one))
            changing += len(one) if isinstance(one, CHANGING) else 0
        waiting += _inside(one)
    return Held(size, largest, changing)
