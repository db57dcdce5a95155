"""Parses an answer (LaTeX or typed mathematics) into a tree, or refuses it: no part of a formula is ever left out.

The grammar is closed. A token that it does not know, or that has no place, makes the whole formula unknown; then only
equal spelling decides. Depth and length are bounded, so parsing takes time in proportion to the length.
"""

import re
from dataclasses import dataclass

from verify.math.tokens import FUNCTIONS, NAMES, SCALES, Token, tokens
from verify.math.units import unit_of

MAX_DEPTH = 90
MAX_DIGITS = 1_000
RELATIONS = {
    **{"=": "=", "<": "<", ">": ">", "\\lt": "<", "\\gt": ">", "\\in": "in", "\\equiv": "==", "\\mid": "divides"},
    **{"\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">="},
    **{"\\ne": "!=", "\\neq": "!=", "\\approx": "~", "\\sim": "~~", "\\to": "->", "\\rightarrow": "->"},
}
ORDERS = frozenset({"<", ">", "<=", ">=", "!="})
_SETS = {"\\cup": "union", "\\cap": "both", "\\setminus": "without", "\\backslash": "without"}
_PRODUCTS = {"*": "mul", "\\cdot": "mul", "\\times": "mul", "\\ast": "mul", "/": "div", "\\div": "div"}
_JOINS = frozenset({",", ";", "\\lor", "\\vee", "\\land", "\\wedge", "and", "or"})
_OPENS = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "\\langle": ("\\rangle",), "\\lbrace": ("\\rbrace",)}
_BARS = {"|": "|", "\\lvert": "\\rvert", "\\vert": "\\vert"}
_ROUND = {"\\lfloor": ("\\rfloor", "floor"), "\\lceil": ("\\rceil", "ceil")}
_GREEK_NAMES = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau
upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar
"""
_GREEK = frozenset(_GREEK_NAMES.split())
_ACCENT_NAMES = "vec hat bar overline dot tilde widehat overrightarrow angle triangle mathbf mathbb mathcal"
_ACCENTS = frozenset(_ACCENT_NAMES.split())
_MATRICES = {"pmatrix": "matrix", "bmatrix": "matrix", "matrix": "matrix", "array": "matrix", "vmatrix": "det"}
_COLUMNS = frozenset({"cases", "aligned", "gathered"})
_WORDS = re.compile(r"[A-Za-z]{3,60}(?: [A-Za-z]{1,60}){0,20}")
_UNIT_FRACTION = ["\\frac", "{", "text", "}", "{", "text", "}"]
_APPLIED = frozenset("fghFGHP")
_ITEM_STARTS = _JOINS | {"=", "(", "[", "{", "\\{", "&", "\\\\"}
_ITEM_ENDS = _JOINS | {")", "]", "}", "\\}", "&", "\\\\"}


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a formula: an operation, what it is applied to, and its text (a number, a name, brackets)."""

    op: str
    args: tuple["Node", ...] = ()
    text: str = ""


class Unknown(Exception):
    """Raised where a formula is not understood, or where its value cannot be found within bounds."""


def parse(formula: str, *, units: bool = True) -> Node | None:
    """Returns the tree of the whole formula, or None. With ``units``, a unit in plain letters may end a value."""
    if (words := _WORDS.fullmatch(formula.strip())) and not set(words[0].split()) & NAMES:
        return Node("words", text=" ".join(words[0].split()))
    try:
        parser = _Parser(tokens(formula, units=units))
        node = parser.sequence(())
        return node if parser.at == len(parser.tokens) else None
    except (Unknown, RecursionError):
        return None


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens, self.at, self.depth, self.bars = found, 0, 0, 0
        self.ordered = any(token.text in ("<", ">") or RELATIONS.get(token.text) in ORDERS for token in found)

    # Tokens

    def peek(self, ahead: int = 0) -> str:
        """Returns the text of a coming token that has a meaning of its own; nothing for text, letters and numbers."""
        token = self.token(ahead)
        return token.text if token and token.kind in ("sign", "command", "word") else ""

    def token(self, ahead: int = 0) -> Token | None:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else None

    def take(self) -> Token:
        token = self.token()
        if token is None:
            raise Unknown
        self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        if self.peek() in texts and self.peek():
            self.at += 1
            return True
        return False

    def expect(self, *texts: str) -> str:
        found = self.peek()
        if not self.accept(*texts):
            raise Unknown
        return found

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unknown

    # Lists, relations, sets

    def sequence(self, closers: tuple[str, ...]) -> Node:
        """Parses ``item, item and item`` up to a closing bracket or the end; a single item stands for itself."""
        self.deeper()
        items, joins = [self.item()], set()
        while (join := self.join()) is not None:
            joins.add(join)
            items.append(self.item())
        if self.token() is not None and self.peek() not in closers:
            raise Unknown
        self.depth -= 1
        return items[0] if len(items) == 1 else Node("list", tuple(items), "or" if joins == {"or"} else "")

    def join(self) -> str | None:
        """Takes what separates two items, ``, and`` too; None where nothing does."""
        found = self.peek()
        if found not in _JOINS and not (self.ordered and not self.bars and found == "\\cup" and self.depth == 1):
            return None
        self.at += 1
        if found in (",", ";") and self.peek() in ("and", "or"):
            found = self.peek()
            self.at += 1
        return "or" if found in ("or", "\\lor", "\\vee", "\\cup") else found

    def item(self) -> Node:
        if self.peek() in ("\\ldots", "\\dots", "\\cdots"):
            self.at += 1
            return Node("dots")
        if self.accept("\\approx", "=") and not self.token():
            raise Unknown
        node = self.relation()
        if self.peek() in ("\\pmod", "\\mod", "\\bmod", "pmod", "mod", "("):
            node = self.congruence(node)
        return node

    def relation(self) -> Node:
        sides, signs = [self.ratio()], []
        while (sign := RELATIONS.get(self.peek())) is not None:
            self.at += 1
            if sign in "<>" and self.accept("="):
                sign += "="
            signs.append(sign)
            sides.append(self.ratio())
        return sides[0] if not signs else Node("relation", tuple(sides), " ".join(signs))

    def congruence(self, node: Node) -> Node:
        bracket = self.accept("(")
        self.expect("\\pmod", "\\mod", "\\bmod", "pmod", "mod")
        modulus = self.factor()
        if bracket:
            self.expect(")")
        return Node("congruence", (node, modulus))

    def ratio(self) -> Node:
        terms = [self.sets()]
        while self.accept(":"):
            terms.append(self.sets())
        return terms[0] if len(terms) == 1 else Node("ratio", tuple(terms))

    def sets(self) -> Node:
        node = self.quantity()
        while self.peek() in _SETS and not (self.ordered and self.depth == 1):
            op = _SETS[self.take().text]
            node = Node(op, (node, self.quantity()))
        return node

    def quantity(self) -> Node:
        """Parses a value with its scale (``million``) and unit."""
        node = self.sum()
        while (scale := self.scale()) is not None:
            node = Node("mul", (node, Node("number", text=str(10**scale))))
        unit = self.unit(node)
        return node if unit is None else Node("unit", (node,), unit)

    def scale(self) -> int | None:
        token = self.token()
        if token is None or token.kind not in ("text", "word"):
            return None
        name, _, rest = token.text.partition(" ")
        if name not in SCALES:
            return None
        self.tokens[self.at : self.at + 1] = [Token("text", rest, spaced=True)] if rest else []
        return SCALES[name]

    def unit(self, value: Node) -> str | None:
        """Takes the words after a value that are a unit, with powers and strokes; None where there are none."""
        token = self.token()
        word = token is not None and token.kind in ("text", "word", "roman") and self.peek() not in _JOINS
        micro = self.peek() == "\\mu" and token is not None and token.spaced and self.token(1) is not None
        if not (word or micro or self.unit_fraction()) or not _has_value(value):
            return None
        words = []
        if self.unit_fraction():
            words = [self.tokens[self.at + 2].text, "/", self.tokens[self.at + 5].text]
            self.at += 7
        while (token := self.token()) is not None:
            if token.kind in ("text", "roman") or (token.kind == "word" and token.text not in _JOINS):
                words.append(token.text)
            elif token.text in ("/", "\\cdot", "\\mu", "\\Omega") and token.kind in ("sign", "command"):
                words.append({"\\cdot": " ", "\\mu": "µ", "\\Omega": "Ω"}.get(token.text, token.text))
            elif token.kind == "letter" and words and words[-1] in ("/", "µ"):
                words.append(token.text)
            elif token.text == "^":
                self.at += 1
                words[-1] += f"^{self.unit_power()}"
                continue
            else:
                break
            self.at += 1
        unit = _joined_unit(words)
        if unit is None:
            raise Unknown
        return unit

    def unit_fraction(self) -> bool:
        """True before ``\\frac{\\text{m}}{\\text{s}}``."""
        coming = self.tokens[self.at : self.at + 7]
        return ["text" if token.kind in ("text", "roman") else token.text for token in coming] == _UNIT_FRACTION

    def unit_power(self) -> str:
        braced = self.accept("{")
        minus = "-" if self.accept("-") else ""
        power = self.take()
        if power.kind != "number" or power.text not in ("1", "2", "3"):
            raise Unknown
        if braced:
            self.expect("}")
        return minus + power.text

    # Arithmetic

    def sum(self) -> Node:
        sign = self.sign()
        node = _signed(sign, self.term())
        while (sign := self.sign()) is not None:
            right = self.term()
            if sign in ("\\pm", "\\mp"):
                node = Node("pm", (node, right), sign)
            else:
                node = Node("add", (node, _signed(sign, right)))
        return node

    def sign(self) -> str | None:
        return self.take().text if self.peek() in ("+", "-", "\\pm", "\\mp") else None

    def term(self) -> Node:
        node = self.factor()
        while True:
            if (op := _PRODUCTS.get(self.peek())) is not None and not self.unit_follows():
                self.at += 1
                minus = self.accept("-")
                right = self.factor()
                node = Node(op, (node, _signed("-" if minus else None, right)))
            elif self.starts_factor():
                node = self.next_to(node)
            else:
                return node

    def unit_follows(self) -> bool:
        """True for the stroke of ``5/\\text{s}``, which belongs to a unit."""
        token = self.token(1)
        return token is not None and token.kind == "text"

    def next_to(self, node: Node) -> Node:
        """Parses a factor without a sign before it: a product, or the fraction of a mixed number."""
        before, token = self.tokens[self.at - 1], self.token()
        assert token is not None
        right = self.factor()
        if token.kind == "number" and before.kind in ("number", "letter"):
            raise Unknown  # "7 8" and "x2" can mean many things
        whole = all(part.op == "number" and "." not in part.text for part in right.args) and "." not in before.text
        if before.kind == "number" and right.op == "div" and token.text == "\\frac" and whole:
            if node.op != "number" or int(right.args[0].text) >= int(right.args[1].text):
                raise Unknown
            return Node("add", (node, right), "mixed")
        return Node("mul", (node, right))

    def starts_factor(self) -> bool:
        token = self.token()
        if token is None or token.kind in ("text", "end", "roman"):
            return False
        if token.kind in ("number", "letter", "bold"):
            return True
        if token.kind == "word":
            return token.text in ("pi", "sqrt", "infinity", "inf") or token.text in FUNCTIONS
        if token.text in ("(", "{", "[", "\\{", "\\lfloor", "\\lceil", "\\lvert"):
            return not (token.text == "(" and self.peek(1) in ("\\mod", "\\bmod", "mod", "\\pmod"))
        if token.text == "|":
            return not self.bars
        name = token.text[1:]
        if (token.text == "\\mu" and token.spaced) or self.unit_fraction():
            return False
        return token.kind == "command" and (
            name in _GREEK or name in _ACCENTS or name in FUNCTIONS or name in ("frac", "sqrt", "pi", "binom", "infty")
        )

    def factor(self) -> Node:
        """Parses an atom with what is written behind it: powers, factorials, indices, percent and degree signs."""
        self.deeper()
        node = self.atom()
        while (sign := self.peek()) in ("^", "_", "!", "'", "%", "\\%"):
            self.at += 1
            if sign == "^":
                node = self.power(node)
            elif sign == "_":
                node = self.indexed(node)
            elif sign == "'":
                node = Node("name", text=f"{_name(node)}'")
            elif node.op == "factorial":
                raise Unknown  # "3!!" can mean two things
            else:
                node = Node("factorial" if sign == "!" else "percent", (node,))
        self.depth -= 1
        return node

    def power(self, base: Node) -> Node:
        if self.accept("\\circ"):
            return Node("degree", (base,))
        if self.peek() == "{" and self.peek(1) == "\\circ" and self.peek(2) == "}":
            self.at += 3
            return Node("degree", (base,))
        token = self.token()
        if token is not None and token.kind == "text" and token.text in ("st", "nd", "rd", "th"):
            self.at += 1
            return base
        minus = self.accept("-")
        exponent = _signed("-" if minus else None, self.atom())
        if self.peek() == "^":
            raise Unknown
        return Node("power", (base, exponent))

    def indexed(self, node: Node) -> Node:
        index = self.atom()
        if node.op == "number":
            if index.op != "number" or "." in node.text:
                raise Unknown
            return Node("based", (node, index))
        if index.op == "list" or _size(index) > 8:
            raise Unknown
        return Node("name", text=f"{_name(node)}_{written(index)}")

    def atom(self) -> Node:
        self.deeper()
        node = self.atom_of(self.take())
        self.depth -= 1
        return node

    def atom_of(self, token: Token) -> Node:
        if token.kind == "number":
            return self.number(token)
        if token.kind == "letter":
            return self.letter(token)
        if token.kind in ("bold", "roman"):
            return Node("name", text=f"{token.kind} {token.text}" if token.kind == "bold" else token.text)
        if token.kind == "begin":
            return self.environment(token.text)
        if token.kind == "text":
            return self.text(token)
        if token.text in _OPENS or token.text == "{":
            return self.group(token.text)
        if token.text in _BARS:
            return self.bars_of(token.text)
        if token.text in _ROUND:
            closer, op = _ROUND[token.text]
            node = self.sequence((closer,))
            self.expect(closer)
            return Node(op, (node,))
        return self.command(token.text.removeprefix("\\"), token)

    def text(self, token: Token) -> Node:
        """Parses words: they stand for themselves, and only where they are a whole item."""
        before = self.tokens[self.at - 2] if self.at > 1 else None
        first = before is None or before.text in _ITEM_STARTS or before.kind == "begin"
        last = self.token() is None or self.peek() in _ITEM_ENDS
        if not (first and last) or any(character in "0123456789\\$" for character in token.text):
            raise Unknown
        return Node("words", text=" ".join(token.text.split()))

    def number(self, token: Token) -> Node:
        if len(token.text) > MAX_DIGITS:
            raise Unknown
        text = token.text if token.text[0] != "." else f"0{token.text}"
        dot = self.peek() == "." and text.isdigit()
        if dot and self.peek(1) in ("\\overline", "\\bar", "\\dot", "("):
            self.at += 1
            text += "."
        if self.peek() in ("\\overline", "\\bar", "\\dot") and "." in text:
            self.at += 1
            return self.repeating(text)
        if text.endswith("."):
            self.expect("(")
            self.at -= 1
            return self.repeating(text)
        return Node("number", text=text)

    def repeating(self, text: str) -> Node:
        """Parses the digits under the bar of ``0.1\\overline{6}``."""
        closer = {"{": "}", "(": ")"}.get(self.peek(), "")
        self.at += bool(closer)
        digits = self.take()
        if digits.kind != "number" or not digits.text.isdigit() or len(digits.text) > 100:
            raise Unknown
        if closer:
            self.expect(closer)
        return Node("repeating", text=f"{text}|{digits.text}")

    def letter(self, token: Token) -> Node:
        if self.peek() == "_":
            return Node("name", text=token.text)
        if token.text in "ei" and self.peek() != "'":
            return Node("constant", text=token.text)
        after = self.token()
        if after is not None and after.text == "(" and not after.spaced and self.is_applied(token.text):
            self.at += 1
            argument = self.sequence((")",))
            self.expect(")")
            return Node("applied", (argument,), token.text)
        return Node("name", text=token.text)

    def is_applied(self, name: str) -> bool:
        """True where a name before a bracket is a function's: ``f(x)``, ``P(A)``, ``a(3)``; not in ``x(x+1)``."""
        number, closer = self.token(1), self.peek(2)
        return name in _APPLIED or (number is not None and number.kind == "number" and closer in (")", ","))

    def group(self, opener: str) -> Node:
        if opener in ("\\{", "\\lbrace") and self.accept("\\}", "\\rbrace"):
            return Node("group", (), "{}")
        closers = ("}",) if opener == "{" else _OPENS[opener]
        node = self.sequence(closers)
        closer = self.expect(*closers)
        if node.op == "list":
            if opener == "{" and "or" in node.text:
                raise Unknown
            return Node("group", node.args, _brackets(opener, closer))
        if opener in ("\\{", "\\lbrace", "\\langle") or (opener, closer) in (("(", "]"), ("[", ")")):
            return Node("group", (node,), _brackets(opener, closer))
        return node

    def bars_of(self, opener: str) -> Node:
        self.bars += 1
        if self.bars > 1 and opener == "|":
            raise Unknown
        node = self.sum()
        self.expect(_BARS[opener])
        self.bars -= 1
        return Node("abs", (node,))

    def command(self, name: str, token: Token) -> Node:
        if name in ("frac", "binom"):
            return Node("div" if name == "frac" else "binomial", (self.argument(), self.argument()))
        if name in ("pi", "infty", "infinity", "inf"):
            return Node("constant", text="pi" if name == "pi" else "oo")
        if name == "sqrt":
            return self.root()
        if name in FUNCTIONS:
            return self.function(name)
        if name in ("emptyset", "varnothing"):
            return Node("group", (), "{}")
        if token.kind == "command" and name in _GREEK:
            return Node("name", text=name)
        if token.kind == "command" and name in _ACCENTS:
            return self.accented(name)
        raise Unknown

    def argument(self) -> Node:
        """Parses one argument of a command: a group in braces, or one digit or letter."""
        token = self.token()
        if token is not None and token.kind == "number" and len(token.text) > 1:
            raise Unknown
        node = self.atom()
        if node.op in ("list", "relation"):
            raise Unknown
        return node

    def root(self) -> Node:
        degree = Node("number", text="2")
        if self.accept("["):
            degree = self.sum()
            self.expect("]")
        return Node("root", (self.argument() if self.peek() != "(" else self.atom(), degree))

    def accented(self, name: str) -> Node:
        """Parses ``\\vec{v}`` or ``\\angle ABC`` as one name; nothing but letters may be inside."""
        braced = self.accept("{")
        letters = ""
        while (
            (token := self.token()) is not None
            and token.kind in ("letter", "bold")
            and (braced or name == "angle" or not letters)
        ):
            letters += self.take().text
        if braced:
            self.expect("}")
        if not letters:
            raise Unknown
        return Node("set", text=letters) if name == "mathbb" else Node("name", text=f"{name} {letters}")

    def function(self, name: str) -> Node:
        """Parses a function with its power and base: ``\\sin^2 x``, ``\\log_2(8)``, ``\\max(1, 2)``."""
        power = base = None
        while self.peek() in ("^", "_"):
            if self.take().text == "^":
                minus = self.accept("-")
                power = _signed("-" if minus else None, self.atom())
            else:
                base = self.atom()
        if name in ("max", "min", "gcd", "lcm"):
            listed = self.atom()
            if listed.op != "group" or listed.text != "()" or power or base:
                raise Unknown
            return Node("function", listed.args, name)
        argument = self.function_argument()
        if base is not None and name != "log":
            raise Unknown
        if power == Node("negative", (Node("number", text="1"),)) and name in ("sin", "cos", "tan"):
            return Node("function", (argument,), f"arc{name}")
        node = Node("function", (argument, base) if base else (argument,), name)
        return Node("power", (node, power)) if power else node

    def function_argument(self) -> Node:
        if self.peek() in ("(", "{", "["):
            node = self.atom()
            if node.op in ("group", "list", "relation") or self.peek() == "^":
                raise Unknown
            return node
        node = self.factor()
        while (
            self.starts_factor() and self.peek() not in ("(", "[") and self.peek().removeprefix("\\") not in FUNCTIONS
        ):
            node = self.next_to(node)
        return node

    def environment(self, name: str) -> Node:
        """Parses the rows and cells of a matrix or of ``cases``."""
        if name not in _MATRICES and name not in _COLUMNS:
            raise Unknown
        rows: list[list[Node]] = [[]]
        while True:
            rows[-1].append(self.cell())
            token = self.take()
            if token.text == "\\\\":
                if (after := self.token()) is not None and after.kind == "end":
                    self.at += 1
                    break
                rows.append([])
            elif token.kind == "end" and token.text == name:
                break
            elif token.text != "&":
                raise Unknown
        if name in _MATRICES and len({len(row) for row in rows}) > 1:
            raise Unknown
        return Node(_MATRICES.get(name, name), tuple(Node("row", tuple(row)) for row in rows))

    def cell(self) -> Node:
        self.deeper()
        node = self.item()
        self.depth -= 1
        return node


def written(node: Node) -> str:
    """Returns a text that is the same for the same trees only."""
    return (
        f"{node.op}:{node.text}({','.join(map(written, node.args))})" if node.args or node.op != "number" else node.text
    )


def _signed(sign: str | None, node: Node) -> Node:
    if sign in ("\\pm", "\\mp"):
        return Node("pm", (Node("number", text="0"), node), sign)
    return Node("negative", (node,)) if sign == "-" else node


def _name(node: Node) -> str:
    if node.op not in ("name", "constant"):
        raise Unknown
    return node.text


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.args))


def _brackets(opener: str, closer: str) -> str:
    names = {"\\{": "{", "\\}": "}", "\\lbrace": "{", "\\rbrace": "}", "\\langle": "<", "\\rangle": ">"}
    return names.get(opener, opener) + names.get(closer, closer)


def _has_value(node: Node) -> bool:
    """Returns True for a value that a unit can follow: it ends in a number, or is a product, root or power."""
    if node.op == "relation" or node.op == "words":
        return False
    return node.op == "number" or any(map(_has_value, node.args)) or node.op == "constant"


def _joined_unit(words: list[str]) -> str | None:
    text = ""
    for word in words:
        text += word if word == "/" or text.endswith(("/", "µ")) or not text else f" {word}"
    pieces = [unit_of(piece.partition("^")[0]) for piece in text.replace("µ", "u").split("/")]
    if any(piece is None for piece in pieces):
        return None
    powers = [piece.partition("^")[2] for piece in text.split("/")]
    return "/".join(f"{piece}^{power}" if power else str(piece) for piece, power in zip(pieces, powers, strict=True))
