"""Made rows in the column layouts in which benchmarks are published, with gold answers that must pass.

The texts are the tests' own; the columns and their types are those of the data sets' cards on the hub.
"""

import base64
import json
import pickle
import zlib
from typing import Any

AIME_2024 = {  # HuggingFaceH4/aime_2024
    "id": 60, "problem": "Find the number of dots on twelve dice, less 48.",
    "solution": "A die has 21 dots, so $12 \\cdot 21 - 48 = \\boxed{204}$.", "answer": "204",
    "url": "https://example.org/60", "year": "2024",
}  # fmt: skip
AIME_OTHERS = [
    {"ID": "2024-II-4", "Problem": "What is $3 \\cdot 11$?", "Solution": "It is 33.", "Answer": 33},  # Maxwell-Jia
    {"question": "What is $10 \\cdot 7$?", "answer": "70"},  # opencompass/AIME2025
    {"problem": "What is $600 - 12$?", "answer": "588", "id": "1"},  # math-ai/aime25
    {"id": 67, "problem": "What is $5^2$ minus 4?", "solution": "\\boxed{021}", "url": "u"},  # math-ai/aime24
    {"problem_idx": 1, "answer": 70, "problem": "What is $7 \\cdot 10$?", "problem_type": ["Algebra"]},  # MathArena
]
OLYMPIAD = {  # Hothan/OlympiadBench, OE_TO_maths_en_COMP
    "id": 1606, "question": "Solve $x^2 = 5x - 6$.", "solution": ["Factor it: $(x-2)(x-3) = 0$."],
    "final_answer": ["2,3"], "context": None, "image_1": None, "image_2": None, "modality": "Text-only",
    "difficulty": "Competition", "is_multiple_answer": True, "unit": None, "answer_type": "Numerical", "error": None,
    "question_type": "Open-ended", "subfield": "Algebra", "subject": "Math", "language": "English",
}  # fmt: skip
OLYMPIAD_PHYSICS = {
    **OLYMPIAD, "id": 964, "context": "A stone falls from rest for one second.", "question": "How far does it fall?",
    "final_answer": ["$4.9$"], "is_multiple_answer": False, "unit": "m", "error": "1e-1",
}  # fmt: skip
OLYMPIAD_FORMULA = {**OLYMPIAD, "id": 7, "question": "Half of $\\sqrt{2}$?", "final_answer": ["$\\frac{\\sqrt{2}}{2}$"]}
GPQA = {  # Idavidrein/gpqa, gpqa_diamond.csv has 70 more columns of how it was made
    "Pre-Revision Question": "?", "Question": "Which of these is a noble gas?\n", "Correct Answer": "argon\n",
    "Incorrect Answer 1": "chlorine", "Incorrect Answer 2": "oxygen", "Incorrect Answer 3": "both A and B",
    "Explanation": "It has a full shell.", "Subdomain": "Chemistry (general)", "High-level domain": "Chemistry",
    "Record ID": "rec06pnAkLOr2t2mp", "Canary String": "",
}  # fmt: skip
MMLU_PRO = {  # TIGER-Lab/MMLU-Pro
    "question_id": 70, "question": "What is two thirds of 12?",
    "options": ["4", "6", "8", "9", "N/A", "N/A", "N/A", "N/A", "N/A", "N/A"], "answer": "C", "answer_index": 2,
    "cot_content": "", "category": "math", "src": "ori_mmlu-elementary_mathematics",
}  # fmt: skip
IFEVAL = {  # google/IFEval
    "key": 1000, "prompt": "Describe the sea in at least five words and without a comma.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [
        {"num_words": None, "relation": None, "num_highlights": None},
        {"num_words": 5, "relation": "at least", "num_highlights": None},
    ],
}  # fmt: skip
HUMANEVAL_PLUS = {  # evalplus/humanevalplus
    "task_id": "HumanEval/900", "prompt": 'def half(x):\n    """Half of x."""\n', "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "test": "import numpy as np\n\ndef is_floats(x) -> bool:\n    return isinstance(x, float)\n\n"
            "def assertion(out, exp, atol):\n    if atol == 0 and is_floats(exp):\n        atol = 1e-6\n"
            "    if out != exp and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n"
            "        assert out == exp, f'out: {out}, exp: {exp}'\n\n\ndef check(candidate):\n"
            "    inputs = [[n] for n in range(500)]\n    results = [n / 2 for n in range(500)]\n"
            "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
            "        assertion(candidate(*inp), exp, 0)\n",
}  # fmt: skip
MBPP_PLUS = {  # evalplus/mbppplus
    "task_id": 2, "code": "\ndef shared(a, b):\n    return tuple(set(a) & set(b))\n",
    "prompt": "Write a function to find the elements that two lists share.", "source_file": "Benchmark Questions.ipynb",
    "test_imports": [], "test_list": ["assert set(shared((3, 4), (4, 5))) == set((4,))"],
    "test": "import numpy as np\nfrom math import inf\n\ndef is_floats(x) -> bool:\n    return isinstance(x, float)\n\n"
            "def assertion(out, exp, atol):\n    exact_match = set(out) == set(exp)\n    if not exact_match:\n"
            "        assert False\n\ninputs = [[(3, 4), (4, 5)], [(1, 2, inf), (inf, 2)]]\n"
            "results = [(4,), (2, inf)]\nfor i, (inp, exp) in enumerate(zip(inputs, results)):\n"
            "    assertion(shared(*inp), exp, 0)\n",
}  # fmt: skip
BIGCODE = {  # bigcode/bigcodebench
    "task_id": "BigCodeBench/2000",
    "complete_prompt": 'import csv\nimport io\n\ndef task_func(rows):\n    """Rows as CSV, with their sum last."""\n',
    "instruct_prompt": "Write rows as CSV, and their sum last.\nYou should write self-contained code starting with:\n"
                       "```\nimport csv\nimport io\ndef task_func(rows):\n```",
    "canonical_solution": "    import numpy as np\n    out = io.StringIO()\n    csv.writer(out).writerows(rows)\n"
                          "    return out.getvalue(), float(np.sum(rows))\n",
    "code_prompt": "import csv\nimport io\ndef task_func(rows):\n",
    "test": "import unittest\nfrom unittest.mock import patch\n\nclass TestCases(unittest.TestCase):\n"
            "    def setUp(self):\n        self.rows = [[1, 2], [3, 4]]\n"
            "    def test_text(self):\n        self.assertEqual(task_func(self.rows)[0], '1,2\\r\\n3,4\\r\\n')\n"
            "    @patch('csv.writer')\n    def test_writer(self, writer):\n        task_func(self.rows)\n"
            "        writer.assert_called_once()\n"
            "    def test_sum(self):\n        self.assertEqual(task_func(self.rows)[1], 10.0)\n",
    "entry_point": "task_func", "doc_struct": "{}", "libs": "['csv', 'io', 'numpy']",
}  # fmt: skip


def packed(tests: list[dict[str, str]], protocol: int = 4) -> str:
    """Returns tests as LiveCodeBench publishes them: base64 of zlib of a pickle of JSON."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests), protocol))).decode()


def livecode(kind: str, starter: str, public: tuple[str, str], private: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Returns a row of livecodebench/code_generation_lite."""
    first, second = ({"input": pair[0], "output": pair[1], "testtype": kind} for pair in (public, private))
    return {
        "question_title": "Twice", "question_content": "Print twice the number.", "platform": "atcoder",
        "question_id": "abc900_a", "contest_id": "abc900", "contest_date": "2025-01-04T00:00:00",
        "starter_code": starter, "difficulty": "easy", "public_test_cases": json.dumps([first]),
        "private_test_cases": packed([second]), "metadata": "{}", **more,
    }  # fmt: skip


STDIN = livecode("stdin", "", ("1\n", "2\n"), ("21\n", "42\n"))
FUNCTIONAL = livecode(
    "functional", "class Solution:\n    def pairs(self, nums: List[int], k: int) -> List[int]:\n        ",
    ("[1, 2, 3]\n2", "[3, 5]"), ("[5]\n2", "[]"), question_id="3900", platform="leetcode",
    question_content="Return the sums of neighbours.", metadata='{"func_name": "pairs"}',
)  # fmt: skip
