"""The lower layer of the parser: numbers, names, brackets, commands, functions and matrices."""

from verify.math.cursor import Cursor
from verify.math.tokens import FUNCTIONS, Token
from verify.math.tree import JOINS, Node, Unknown, signed

MAX_DIGITS = 1_000
_OPENS = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "\\langle": ("\\rangle",), "\\lbrace": ("\\rbrace",)}
_DOTS = ("\\ldots", "\\dots", "\\cdots")
MAX_PERIOD = 30  # digits
_BARS = {"|": "|", "\\lvert": "\\rvert", "\\vert": "\\vert"}
_ROUND = {"\\lfloor": ("\\rfloor", "floor"), "\\lceil": ("\\rceil", "ceil")}
_GREEK_NAMES = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau
upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar
"""
GREEK = frozenset(_GREEK_NAMES.split())
_ACCENT_NAMES = "vec hat bar overline dot tilde widehat overrightarrow angle triangle mathbf mathbb mathcal"
ACCENTS = frozenset(_ACCENT_NAMES.split())
_MATRICES = {"pmatrix": "matrix", "bmatrix": "matrix", "matrix": "matrix", "array": "matrix", "vmatrix": "det"}
_COLUMNS = frozenset({"cases", "aligned", "gathered"})
APPLIED = frozenset("fghFGHP")
_ITEM_STARTS = JOINS | {"=", "(", "[", "{", "\\{", "&", "\\\\"}
_ITEM_ENDS = JOINS | {")", "]", "}", "\\}", "&", "\\\\"}


class Atoms(Cursor):
    """Parses what has no operator at its outside."""

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
        if token.kind == "bold":
            return Node("name", text=f"{'unit' if token.text in 'ijk' else 'bold'} {token.text}")
        if token.kind == "roman":
            return Node("name", text=token.text)
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
        last = self.token() is None or self.peek() in _ITEM_ENDS or (first and self.peek() in ("=", "\\approx"))
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
        if self.peek() in _DOTS and "." in text:
            return self.going_on(text)
        if text.endswith("."):
            self.expect("(")
            self.at -= 1
            return self.repeating(text)
        return Node("number", text=text)

    def going_on(self, text: str) -> Node:
        """Parses ``0.1666\\ldots``, whose last digits repeat at least twice (a single digit three times)."""
        self.at += 1
        digits = text.partition(".")[2]
        for size in range(1, min(len(digits) // 2, MAX_PERIOD) + 1):
            block = digits[-size:]
            times = 3 if size == 1 else 2
            if digits.endswith(block * times):
                return Node("repeating", text=f"{text}|{block}")
        raise Unknown

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
        return name in APPLIED or (number is not None and number.kind == "number" and closer in (")", ","))

    def group(self, opener: str) -> Node:
        if opener in ("\\{", "\\lbrace") and self.accept("\\}", "\\rbrace"):
            return Node("group", (), "{}")
        closers = ("}",) if opener == "{" else _OPENS[opener]
        before = self.tokens[self.at - 2] if self.at > 1 else None
        if opener in ("\\{", "\\lbrace") and self.peek(1) in ("\\mid", ":", "|") and self.token() is not None:
            return self.builder()
        node = self.sequence(closers)
        closer = self.expect(*closers)
        if node.op == "list":
            if opener == "{" and "or" in node.text:
                raise Unknown
            return Node("group", node.args, _brackets(opener, closer))
        if opener in ("\\{", "\\lbrace", "\\langle") or (opener, closer) in (("(", "]"), ("[", ")")):
            return Node("group", (node,), _brackets(opener, closer))
        whole = (before is None or before.text in _ITEM_STARTS) and (not self.token() or self.peek() in _ITEM_ENDS)
        return Node("group", (node,), "[]") if opener == "[" and whole and node.op != "matrix" else node

    def builder(self) -> Node:
        """Parses the condition of ``\\{x \\mid x > 2\\}``, which says which set it is."""
        name = self.take()
        self.at += 1
        condition = self.sequence(("\\}", "\\rbrace"))
        self.expect("\\}", "\\rbrace")
        parts = condition.args if condition.op == "list" else (condition,)
        if name.kind != "letter" or any(part.op != "relation" or not names_in(part, name.text) for part in parts):
            raise Unknown
        return condition

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
        if token.kind == "command" and name in GREEK:
            return Node("name", text=name)
        if token.kind == "command" and name in ACCENTS:
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
        if name in ("hat", "vec", "mathbf") and letters in ("i", "j", "k"):
            return Node("name", text=f"unit {letters}")
        return Node("set", text=letters) if name == "mathbb" else Node("name", text=f"{name} {letters}")

    def function(self, name: str) -> Node:
        """Parses a function with its power and base: ``\\sin^2 x``, ``\\log_2(8)``, ``\\max(1, 2)``."""
        power = base = None
        while self.peek() in ("^", "_"):
            if self.take().text == "^":
                minus = self.accept("-")
                power = signed("-" if minus else None, self.atom())
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
        """Parses a cell, without the comma at its end and the "if" at its start that ``cases`` have."""
        self.deeper()
        if (token := self.token()) is not None and token.kind == "text" and token.text in ("if", "for", "when"):
            self.at += 1
        node = self.item()
        if self.peek() in (",", ".") and self.is_edge(1):
            self.at += 1
        self.depth -= 1
        return node

    def is_edge(self, ahead: int) -> bool:
        """Returns True if a cell, a row or the environment ends at a coming token."""
        token = self.token(ahead)
        return token is not None and (token.kind == "end" or token.text in ("&", "\\\\"))


def names_in(condition: Node, name: str) -> bool:
    """Returns True if one side of a relation is just this name."""
    return any(side == Node("name", text=name) for side in condition.args)


def _brackets(opener: str, closer: str) -> str:
    names = {"\\{": "{", "\\}": "}", "\\lbrace": "{", "\\rbrace": "}", "\\langle": "<", "\\rangle": ">"}
    return names.get(opener, opener) + names.get(closer, closer)
