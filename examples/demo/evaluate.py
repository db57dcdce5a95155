"""Samples a demo model on the demo's problems and prints coverage: ``python examples/demo/evaluate.py MODEL [-n N]``.

This is a quick check during training, without the sandbox. Completions are model output, so they are never executed:
they are parsed, and a closed list of node types is interpreted on bounded integers.
"""

import argparse
import ast
import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.demo.tokens import PROMPT_TOKENS
from sampling.problems import Problem, read_jsonl
from sampling.references import CallCase, PythonReference

PROBLEMS = Path(__file__).resolve().parent / "problems.jsonl"
BOUND = 10**12
BINARY: dict[type[ast.AST], Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
    ast.Gt: lambda a, b: a > b,
    ast.Lt: lambda a, b: a < b,
    ast.Eq: lambda a, b: a == b,
}
CALLS: dict[str, tuple[int, Any]] = {"abs": (1, abs), "min": (2, min), "max": (2, max)}


class Refused(ValueError):
    """Raised for a text that is not an expression of the demo's language, and for a value out of bounds."""


def interpret(node: ast.AST, x: int) -> Any:
    """Returns an expression's value at ``x``; raises Refused or ZeroDivisionError."""
    value = _value(node, x)
    if not isinstance(value, int) or abs(value) > BOUND:
        raise Refused("out of bounds")
    return value


def _value(node: ast.AST, x: int) -> Any:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Name(id="x"):
            return x
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _binary(op, interpret(left, x), interpret(right, x))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -interpret(operand, x)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return interpret(body if interpret(test, x) else orelse, x)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CALLS and len(args) == CALLS[name][0]:
            return CALLS[name][1](*(interpret(arg, x) for arg in args))
    raise Refused(type(node).__name__)


def _binary(op: ast.AST, left: int, right: int) -> Any:
    if type(op) not in BINARY:
        raise Refused(type(op).__name__)
    return BINARY[type(op)](left, right)


def passes(text: str, cases: tuple[CallCase, ...]) -> bool:
    """Returns True if an expression of ``x`` has the expected value in every case."""
    try:
        tree = ast.parse(text, mode="eval").body
        return all(interpret(tree, case.args[0]) == case.expected for case in cases)
    except (SyntaxError, Refused, ZeroDivisionError, RecursionError, MemoryError):
        return False


def cases_of(problem: Problem) -> tuple[CallCase, ...]:
    """Returns the cases of a demo problem."""
    assert isinstance(problem.reference, PythonReference)
    assert problem.reference.cases is not None
    return problem.reference.cases


def sample(model: Any, tokenizer: Any, prompt: str, n: int, temperature: float) -> list[str]:
    """Draws ``n`` completions of a prompt."""
    ids = torch.tensor([tokenizer(prompt).input_ids] * n)
    how = {"do_sample": True, "temperature": temperature, "top_k": 0, "max_new_tokens": 24}
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **how)
    return [str(text) for text in tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)]


def count_passes(texts: list[str], problem: Problem) -> int:
    """Counts the completions that pass; equal ones are judged once."""
    return sum(times for text, times in Counter(texts).items() if passes(text, cases_of(problem)))


def pass_at(k: int, n: int, right: list[int]) -> float:
    """Returns the mean over problems of the unbiased pass@k: 1 - C(n-c, k) / C(n, k)."""
    missed = [math.prod(1.0 - k / i for i in range(n - c + 1, n + 1)) if n - c >= k else 0.0 for c in right]
    return 1.0 - sum(missed) / len(missed)


def main() -> None:
    """Reads the command line and prints one JSON object."""
    parser = argparse.ArgumentParser(description="Coverage of a demo model, without a sandbox.")
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--problems", type=Path, default=PROBLEMS)
    given = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(given.model))
    model = LlamaForCausalLM.from_pretrained(str(given.model), dtype=torch.float32).eval()
    problems = read_jsonl(given.problems)
    assert all(len(tokenizer(p.prompt).input_ids) == PROMPT_TOKENS for p in problems)
    right = [count_passes(sample(model, tokenizer, p.prompt or "", given.n, given.temperature), p) for p in problems]
    coverage = {k: round(pass_at(k, given.n, right), 3) for k in (1, 3, 10, 30, 100, 300, 1000, 3000) if k <= given.n}
    print(json.dumps({"coverage": coverage, "right": dict(zip([p.id for p in problems], right, strict=True))}))


if __name__ == "__main__":
    main()
