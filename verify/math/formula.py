"""Parses an answer (LaTeX or typed mathematics) into a tree, or refuses it: no part of a formula is ever left out.

The grammar is closed. A token that it does not know, or that has no place, makes the whole formula unknown; then only
equal spelling decides. Depth and length are bounded, so parsing takes time in proportion to the length.
"""

import re

from verify.math.atoms import ACCENTS, APPLIED, GREEK, Atoms
from verify.math.tokens import FUNCTIONS, NAMES, SCALES, Token, tokens
from verify.math.tree import JOINS, RELATIONS, Node, Unknown, signed, written
from verify.math.units import unit_of

_SETS = {"\\cup": "union", "\\cap": "both", "\\setminus": "without", "\\backslash": "without"}
_PRODUCTS = {"*": "mul", "\\cdot": "mul", "\\times": "mul", "\\ast": "mul", "/": "div", "\\div": "div"}
_WORDS = re.compile(r"[A-Za-z]{3,60}(?: [A-Za-z]{1,60}){0,20}")
_UNIT_FRACTION = ["\\frac", "{", "text", "}", "{", "text", "}"]


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


class _Parser(Atoms):
    """The upper layer: lists, relations, sets, quantities, sums and products."""

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
        if items[-1].op == "congruence" and len(items) > 1:
            items = _with_modulus(items)
        return items[0] if len(items) == 1 else Node("list", tuple(items), _kind_of_list(joins))

    def join(self) -> str | None:
        """Takes what separates two items, ``, and`` too; None where nothing does."""
        found = self.peek()
        if found not in JOINS and not (self.ordered and not self.bars and found == "\\cup" and self.depth == 1):
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
        if self.accept("\\approx", "=", "\\sim") and not self.token():
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
        if len(terms) == 1 and self.accept("\\ratio"):
            return Node("ratio", (terms[0], self.sets()), "to")
        last = terms[-1]
        if len(terms) > 1 and last.op == "unit":  # "12:30 pm": the words belong to all of it
            return Node("unit", (Node("ratio", (*terms[:-1], last.args[0])),), last.text)
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
        word = token is not None and token.kind in ("text", "word", "roman") and self.peek() not in JOINS
        micro = (
            token is not None
            and token.spaced
            and (self.peek() == "\\Omega" or (self.peek() == "\\mu" and self.token(1) is not None))
        )
        if not (word or micro or self.unit_fraction()) or not _has_value(value):
            return None
        words = []
        if self.unit_fraction():
            words = [self.tokens[self.at + 2].text, "/", self.tokens[self.at + 5].text]
            self.at += 7
        while (token := self.token()) is not None:
            if token.kind in ("text", "roman") or (token.kind == "word" and token.text not in JOINS):
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

    def sum(self) -> Node:
        sign = self.sign()
        node = signed(sign, self.term())
        while (sign := self.sign()) is not None:
            if sign in ("+", "-") and self.accept("-"):  # "3 + -2"
                sign = "-" if sign == "+" else "+"
            right = self.term()
            if sign in ("\\pm", "\\mp"):
                node = Node("pm", (node, right), sign)
            else:
                node = Node("add", (node, signed(sign, right)))
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
                node = Node(op, (node, signed("-" if minus else None, right)))
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
        if token.kind == "number" and before.kind in ("number", "letter") and before.text != "i":
            raise Unknown  # "7 8" and "x2" can mean many things
        if before.kind == "number" and right.op == "percent" and right.args[0].op == "div":  # "33\\frac13\\%"
            return Node("percent", (self.beside(node, before, token, right.args[0]),))
        return self.beside(node, before, token, right)

    def beside(self, node: Node, before: Token, token: Token, right: Node) -> Node:
        """Returns a mixed number or a product of two factors that stand side by side."""
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
        if token.kind in ("number", "letter", "bold", "begin"):
            return True
        if token.kind == "word":
            return token.text in ("pi", "sqrt", "infinity", "inf") or token.text in FUNCTIONS
        if token.text in ("(", "{", "[", "\\{", "\\lfloor", "\\lceil", "\\lvert"):
            return not (token.text == "(" and self.peek(1) in ("\\mod", "\\bmod", "mod", "\\pmod"))
        if token.text == "|":
            return not self.bars
        name = token.text[1:]
        if (token.text in ("\\mu", "\\Omega") and token.spaced) or self.unit_fraction():
            return False
        return token.kind == "command" and (
            name in GREEK or name in ACCENTS or name in FUNCTIONS or name in ("frac", "sqrt", "pi", "binom", "infty")
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
                node = self.primed(node)
            elif node.op == "factorial":
                raise Unknown  # "3!!" can mean two things
            else:
                node = Node("factorial" if sign == "!" else "percent", (node,))
        self.depth -= 1
        return node

    def primed(self, node: Node) -> Node:
        """Parses ``f'`` and ``f'(x)``."""
        name = f"{_name(node)}'"
        if name[0] not in APPLIED or not self.accept("("):
            return Node("name", text=name)
        argument = self.sequence((")",))
        self.expect(")")
        return Node("applied", (argument,), name)

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
        exponent = signed("-" if minus else None, self.atom())
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


def _kind_of_list(joins: set[str]) -> str:
    if joins == {"or"}:
        return "or"
    return "and" if joins <= {"and", "\\land", "\\wedge"} else ""


def _with_modulus(items: list[Node]) -> list[Node]:
    """Returns items of ``n \\equiv 1, 3 \\pmod 8`` with the name and the modulus for each."""
    modulus = items[-1].args[1]
    first = items[0].args[0] if items[0].op == "congruence" else items[0]
    label = first.args[0] if first.op == "relation" and len(first.args) == 2 else None
    found = []
    for item in items:
        if item.op == "congruence" and item.args[1] != modulus:
            raise Unknown
        said = item.args[0] if item.op == "congruence" else item
        if said.op != "relation" and label is not None:
            said = Node("relation", (label, said), first.text)
        found.append(Node("congruence", (said, modulus)))
    return found


def _name(node: Node) -> str:
    if node.op not in ("name", "constant"):
        raise Unknown
    return node.text


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.args))


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
