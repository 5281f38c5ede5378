"""Signs of UCUM codes (UCUM 2.1, print symbols), with the words that differ by language."""

from __future__ import annotations

_SIGNS = {
    "": "",
    "1": "",
    "%": "%",
    "Cel": "°C",
    "[degF]": "°F",
    "K": "K",
    "bar": "bar",
    "mbar": "mbar",
    "Pa": "Pa",
    "kPa": "kPa",
    "MPa": "MPa",
    "[psi]": "psi",
    "m": "m",
    "mm": "mm",
    "um": "µm",
    "km": "km",
    "m2": "m²",
    "m3": "m³",
    "L": "l",
    "L/min": "l/min",
    "L/s": "l/s",
    "m3/h": "m³/h",
    "m3/s": "m³/s",
    "kg": "kg",
    "t": "t",
    "kg/h": "kg/h",
    "t/h": "t/h",
    "mg/L": "mg/l",
    "ug/m3": "µg/m³",
    "[ppm]": "ppm",
    "A": "A",
    "mA": "mA",
    "V": "V",
    "kV": "kV",
    "W": "W",
    "kW": "kW",
    "MW": "MW",
    "V.A": "VA",
    "kV.A": "kVA",
    "var": "var",
    "W.h": "Wh",
    "kW.h": "kWh",
    "MW.h": "MWh",
    "kW.h/m3": "kWh/m³",
    "Hz": "Hz",
    "kHz": "kHz",
    "{rpm}": "1/min",
    "/min": "1/min",
    "mm/s": "mm/s",
    "m/s": "m/s",
    "m/s2": "m/s²",
    "[g]": "g",
    "s": "s",
    "ms": "ms",
    "min": "min",
    "h": "h",
    "d": "d",
    "[pH]": "pH",
    "{NTU}": "NTU",
    "[NTU]": "NTU",
    "uS/cm": "µS/cm",
    "mJ/cm2": "mJ/cm²",
    "N": "N",
    "N.m": "Nm",
    "kN": "kN",
    "J": "J",
    "deg": "°",
    "dB": "dB",
    "lx": "lx",
}
_WORDS = {"de": {"d": "Tage", "{count}": "Stück"}, "en": {"d": "days", "{count}": "pieces"}}


def unit_label(code: str, language: str = "en") -> str:
    """What to show for a UCUM code; an annotation such as "{piece}" loses its braces."""
    word = _WORDS.get(language, _WORDS["en"]).get(code)
    if word is not None:
        return word
    return _SIGNS.get(code, code.strip("{}"))


def known_units(language: str = "en") -> dict[str, str]:
    """Every code that has a sign or a word of its own, and what is shown for it."""
    return {code: unit_label(code, language) for code in (*_SIGNS, *_WORDS["en"])}
