"""Removes what a chat format adds to an answer: thoughts, special tokens, and the turns after the model's own.

All verifiers read a completion through ``after_thought``. The rules are pure, and linear in the length of the text.
"""

import re
from collections import deque

from sampling.thoughts import CHANNEL, CLOSES, OPENS

# Ends of a model's turn: text after one is another turn. One in quotes is code that names the token.
_END_OF_TURN = re.compile(
    r"(?<![\"'`])(?:<\|(?:endoftext|im_end|eot_id|eom_id|end_of_text|EOT|eot|return|end|endofturn)\|>"
    r"|<[|｜]end▁of▁sentence[|｜]>|<end_of_turn>|\[EOS\])"
)
_TOKEN = re.compile(r"(?<![\"'`])(?:<\|[A-Za-z][A-Za-z_]{2,40}\|>|<｜[^｜<>\n]{1,40}｜>|<(?:end|start)_of_turn>)")
_EDGE = r"(?:</?s>|</?(?:eos|bos|pad|unk)>|\[/?INST\]|\[(?:EOS|BOS|PAD)\]|<\|[A-Za-z]{1,2}\|>)"
_FIRST, _LAST = re.compile(rf"\s{{0,99}}{_EDGE}"), re.compile(rf"{_EDGE}\s{{0,99}}\Z")
MAX_EDGES = 50

_BARE_CHANNEL = re.compile(r"\s{0,9}analysis(?=\S)")  # the same channels in text without special tokens
_BARE_FINAL = re.compile(r"assistantfinal(?=\S)")


def after_thought(text: str) -> str:
    """Returns the model's answer without its thoughts and special tokens; nothing where a thought is not finished.

    The answer begins after the last tag that closes a thought, or after the last ``final`` channel. It ends where a
    thought begins that is never closed, and at the first token that ends a turn.
    """
    return strip_special_tokens(_answer(text))


def unfinished_thought(text: str) -> bool:
    """Returns True if the text ends inside a thought, so that it has no answer."""
    channels = deque(CHANNEL.finditer(text), maxlen=1)
    if channels:
        return channels[0]["name"] != "final"
    closed = deque(CLOSES.finditer(text), maxlen=1)
    opened = OPENS.search(text, closed[0].end() if closed else 0)
    return bool(opened) and not _answer(text).strip()


def strip_special_tokens(text: str) -> str:
    """Returns the first turn of ``text`` without special tokens such as ``<|im_end|>`` or ``</s>``.

    Tokens that are also HTML or prose (``</s>``, ``[INST]``) are removed at the start and at the end only.
    """
    text = _without_edges(text)
    for end in _END_OF_TURN.finditer(text):
        if text[: end.start()].strip():
            text = text[: end.start()]
            break
    return _without_edges(_TOKEN.sub("", text)) if "<" in text else text


def _without_edges(text: str) -> str:
    for _ in range(MAX_EDGES):
        if not (found := _FIRST.match(text)):
            break
        text = text[found.end() :]
    for _ in range(MAX_EDGES):
        if not (found := _LAST.search(text, max(0, len(text) - 200))):
            break
        text = text[: found.start()]
    return text


def _answer(text: str) -> str:
    channels = deque(CHANNEL.finditer(text), maxlen=1)
    if channels:
        return text[channels[0].end() :] if channels[0]["name"] == "final" else ""
    if _BARE_CHANNEL.match(text) and (finals := deque(_BARE_FINAL.finditer(text), maxlen=1)):
        return text[finals[0].end() :]
    closed = deque(CLOSES.finditer(text), maxlen=1)
    answer = text[closed[0].end() :] if closed else text
    opened = OPENS.search(answer)
    return answer[: opened.start()] if opened else answer
