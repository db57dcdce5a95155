"""Names of units: which words after a number are one, and which of them mean the same unit.

A unit never changes a value here. Words that could change what is said (``or``, ``if``, ``not``) are no unit.
"""

import re

_NAMES = """
m metre metres meter meters|cm centimetre centimetres centimeter centimeters|mm millimetre millimetres millimeter
millimeters|km kilometre kilometres kilometer kilometers|in inch inches|ft foot feet|yd yard yards|mi mile miles
|s sec secs second seconds|min mins minute minutes|h hr hrs hour hours|day days|week weeks|month months
|yr yrs year years|g gram grams|kg kilogram kilograms|mg milligram milligrams|lb lbs pound pounds|oz ounce ounces
|ton tons|l L litre litres liter liters|ml mL millilitre millilitres milliliter milliliters|gal gallon gallons
|USD dollar dollars|EUR euro euros|GBP|JPY yen|INR rupee rupees Rs|CNY RMB yuan|cent cents|mph|kmh kph kmph
|degree degrees deg|radian radians rad|unit units|N newton newtons|J joule joules|W watt watts|kW|kWh|V volt volts
|A amp amps ampere amperes|K kelvin|C|Pa kPa|Hz|kHz|MHz|GHz|mol|M|eV|keV|MeV|kJ|cal kcal|nm|um|sq square
|cubic|acre acres|hectare hectares|bit bits|byte bytes|KB|MB|GB
"""
_SAME = {
    name: words.split()[0] for words in _NAMES.replace("\n", " ").split("|") if words.split() for name in words.split()
}
BARE = frozenset(_SAME) - {"C", "M", "K", "in", "min", "sq", "unit"} | {"units"}  # as plain letters after a number
_DOUBT_WORDS = """
or and if not but is are was be when for where unless than least most more less fewer plus minus times mod
modulo wrong incorrect false maybe possibly either neither nor about between to from at up even odd all any no
none base million billion thousand hundred trillion dozen except without with i e x y z n k other another equals
equal first remainder r infinity undefined half twice double squared
"""
_DOUBT = frozenset(_DOUBT_WORDS.split())
_HALVES = frozenset({"am", "pm"})
_PHRASE = re.compile(r"[A-Za-z°'µμΩ.\-/ ]+(?:\^?[23])?")
_REMARK = re.compile(r"\((?:approx\w{0,12}\.?|rounded|exactly|exact)\)|approx\w{0,12}\.?")
_LISTED = re.compile(r"(?P<unit>[A-Za-z]+)(?:,? and [0-9]+ [A-Za-z]+)+")


def is_unit(word: str) -> bool:
    """Returns True for a word that is a unit even in plain letters: ``cm``, ``km``, ``dollars``."""
    return word in BARE


def unit_of(phrase: str) -> str | None:
    """Returns one spelling of the unit that a text after a number names; None where the text may say something else."""
    phrase = " ".join(phrase.strip(" ,;").split())
    if (half := re.sub(r"[. ]", "", phrase).lower()) in _HALVES:
        return half
    if _REMARK.fullmatch(phrase):
        return ""
    if phrase == "times":
        return phrase
    if listed := _LISTED.fullmatch(phrase):  # "5 apples and 3 pears": amounts of different things
        others = re.findall(r"[0-9]+ ([A-Za-z]+)", phrase)
        return listed["unit"] if listed["unit"] not in others else None
    if not _PHRASE.fullmatch(phrase) or len(phrase) > 60:
        return None
    words = re.findall(r"[A-Za-z]+|[^A-Za-z\s]", phrase)
    if any(word.lower() in _DOUBT and word not in _SAME for word in words):
        return None
    return " ".join(_SAME.get(word, _SAME.get(word.lower(), word.lower())) for word in words if word != ".")


def contradict(left: str | None, right: str | None) -> bool:
    """Returns True for two known units that differ (metres, kilometres), and where only one is a half of the day."""
    if left == right:
        return False
    return bool(_HALVES & {left, right}) or (_known(left) and _known(right))


def _known(unit: str | None) -> bool:
    words = re.findall(r"[A-Za-z]+", unit or "")
    return bool(words) and all(word in _SAME or word == "per" for word in words)
