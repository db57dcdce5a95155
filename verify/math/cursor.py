"""A cursor over the tokens of a formula: the base of the parser."""

from abc import ABC, abstractmethod

from verify.math.tokens import Token
from verify.math.tree import ORDERS, RELATIONS, Node, Unknown

MAX_DEPTH = 90


class Cursor(ABC):
    """Tokens, a place in them, and the depth of brackets there."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens, self.at, self.depth, self.bars = found, 0, 0, 0
        self.ordered = any(token.text in ("<", ">") or RELATIONS.get(token.text) in ORDERS for token in found)

    @abstractmethod
    def sequence(self, closers: tuple[str, ...]) -> Node:
        """Parses items up to a closing bracket or the end."""

    @abstractmethod
    def item(self) -> Node:
        """Parses one item of a list."""

    @abstractmethod
    def sum(self) -> Node:
        """Parses terms with signs between them."""

    @abstractmethod
    def factor(self) -> Node:
        """Parses an atom with its powers and indices."""

    @abstractmethod
    def starts_factor(self) -> bool:
        """Returns True if the next token starts a factor, so that a product goes on."""

    @abstractmethod
    def next_to(self, node: Node) -> Node:
        """Parses a factor behind ``node`` without a sign between them."""

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
