"""How much an object holds on to: bytes, and things in its largest container, found by walking what it refers to."""

from collections import deque
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

PLAIN: Final = (int, float, bool, type(None), type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)


def _inside(one: Any) -> list[Any]:
    if isinstance(one, Mapping):
        return [*one.keys(), *one.values()]
    if isinstance(one, list | tuple | set | frozenset | deque):
        return list(one)
    slots = [name for kind in type(one).__mro__ for name in _slots(kind)]
    return [*getattr(one, "__dict__", {}).values(), *(getattr(one, name) for name in slots if hasattr(one, name))]


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def held(root: object, shared: tuple[object, ...] = ()) -> tuple[int, int]:
    """Bytes (text counts by character) and the items of the largest container, without what is `shared`."""
    seen = {id(one) for one in shared}
    size = largest = 0
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if isinstance(one, PLAIN) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, bytes | bytearray | str | memoryview):
            size += len(one)
            continue
        inside = _inside(one)
        if isinstance(one, Mapping | list | tuple | set | frozenset | deque):
            largest = max(largest, len(one))
        waiting += inside
    return size, largest
