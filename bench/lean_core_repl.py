"""The Lean REPL's protocol on top of a plain ``lean``, which keeps no state.

An environment is the text so far; every request elaborates it again. ``lean_core.py`` runs this script with the path of
a ``lean``.
"""

import json
import subprocess
import sys


def serve(lean: str) -> None:
    """Answers requests until standard input ends."""
    texts: list[str] = []
    for line in sys.stdin:
        if not line.strip():
            continue
        request = json.loads(line)
        before = texts[request["env"]] if "env" in request else ""
        texts.append(f"{before}{request['cmd']}\n")
        said = subprocess.run([lean, "--json", "--stdin"], input=texts[-1], capture_output=True, text=True, check=False)
        own = [item for item in map(json.loads, said.stdout.splitlines()) if item["pos"]["line"] > before.count("\n")]
        severities = {"information": "info"}
        messages = [
            {"severity": severities.get(item["severity"], item["severity"]), "data": item["data"]} for item in own
        ]
        print(json.dumps({"env": len(texts) - 1, "messages": messages}) + "\n", flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
