"""How a site describes its device to a generic register map: places, types, scales, units, what there is at all."""

from typing import Any, Final

from drivers.base import DriverError, Option, Options
from drivers.register_table import FULL_SCALE, RegisterMap
from metrology.declaration import unknown

SITE_OPTIONS: Final = {
    "base_address": Option(("whole number",), "added to every address of the map", 0),
    "table": Option(("text",), "table of all registers: holding or input; empty: as in the map", ""),
    "word_order": Option(("text",), "order of 32-bit values: ABCD, CDAB, BADC or DCBA; empty: as in the map", ""),
    "only": Option(("list of texts",), "what the device has, by the names of the map; empty: all of it", []),
    "addresses": Option(
        ("list of texts",), 'single addresses, not moved by base_address: "so2=100"; empty: as in the map', []
    ),
    "types": Option(("list of texts",), 'single types: "so2=i16"; empty: as in the map', []),
    "scales": Option(("list of texts",), 'what raw numbers are multiplied by: "so2=0.1"; empty: as in the map', []),
    "units": Option(("list of texts",), 'units of registers: "so2=umol/mol"; empty: the catalogue\'s', []),
}  # fmt: skip
_EXAMPLES: Final = {"addresses": "so2=100", "types": "so2=i16", "scales": "so2=0.1", "units": "so2=umol/mol"}


def listed(options: Options, name: str) -> list[str]:
    """An option that is a list of texts."""
    found = options[name]
    assert isinstance(found, list), "settled options"
    return found


def pairs(options: Options, name: str, example: str) -> dict[str, str]:
    """The entries `name=value` of an option. Raises `DriverError` for one that is none, or comes twice."""
    found: dict[str, str] = {}
    for entry in listed(options, name):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or not value or key in found:
            raise DriverError(f'{name}: write "{example}", each name once, instead of {entry!r}')
        found[key] = value
    return found


def number(name: str, text: str) -> float:
    """A number in an entry of the option `name`. Raises `DriverError`."""
    try:
        return float(text)
    except ValueError:
        raise DriverError(f"{name}: {text!r} is no number") from None


def _of_known(options: Options, name: str, known: set[str]) -> dict[str, str]:
    found = pairs(options, name, _EXAMPLES[name])
    for key in found:
        if key not in known:
            raise unknown(f"register in {name}", key, known)
    return found


def _with_addresses(places: dict[str, Any], options: Options) -> None:
    base = options["base_address"]
    given = _of_known(options, "addresses", set(places))
    for name, place in places.items():
        if name in given and not given[name].isdecimal():
            raise DriverError(f'addresses: write "so2=100" instead of {name}={given[name]!r}')
        place["address"] = int(given[name]) if name in given else place["address"] + base


def _with_forms(places: dict[str, Any], options: Options) -> None:
    for name, type_ in _of_known(options, "types", set(places)).items():
        places[name]["type"] = type_
    for name, scale in _of_known(options, "scales", set(places)).items():
        places[name]["scale"] = number("scales", scale)
    for name, unit in _of_known(options, "units", set(places)).items():
        places[name]["stated"] = unit
    for place in places.values():
        if options["table"] and place["table"] in ("holding", "input"):
            place["table"] = options["table"]
        if options["word_order"]:
            place["word_order"] = options["word_order"]


def _leave(shape: dict[str, Any], keep: set[str]) -> None:
    """Take out what the device does not have."""
    shape["registers"] = [register for register in shape["registers"] if register["measurand"] in keep]
    shape["status"] = [word for word in shape["status"] if word["name"] in keep]
    left = {register["measurand"] for register in shape["registers"]}
    for register in shape["registers"]:
        if register["measurand"] + FULL_SCALE not in keep:
            register["full_scale"] = None
    for word in shape["status"]:
        for signs in ("bits", "codes"):
            word[signs] = [_of_left(sign, left) for sign in word[signs] if not sign["of"] or left & set(sign["of"])]


def _of_left(sign: dict[str, Any], left: set[str]) -> dict[str, Any]:
    return sign | {"of": [measurand for measurand in sign["of"] if measurand in left]}


def placed(table: RegisterMap, options: Options) -> RegisterMap:
    """The map as the site's options describe the device. Raises `DriverError`."""
    shape = table.model_dump()
    places: dict[str, Any] = {}
    for register in shape["registers"]:
        places[register["measurand"]] = register
        if register["full_scale"] is not None:
            places[register["measurand"] + FULL_SCALE] = register["full_scale"]
    places |= {word["name"]: word for word in shape["status"]}
    keep = listed(options, "only")
    for name in keep:
        if name not in places:
            raise unknown("register in only", name, places)
    _with_addresses(places, options)
    _with_forms(places, options)
    if keep:
        _leave(shape, set(keep))
    try:
        return RegisterMap.model_validate(shape)
    except ValueError as error:
        raise DriverError(f"options of {table.maker} {table.model} do not fit: {error}") from None
