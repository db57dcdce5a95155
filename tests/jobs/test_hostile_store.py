"""A store that somebody else may write to: a command meets any content in one line.

Every object of a small finished run is replaced by what is no JSON, by other JSON, and by its own JSON with one value
changed; where the object has a seal, it is sealed again, as a stranger with access to the store would do.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.store.sealed_parquet import BLANK, seal
from tests.conftest import Troop, WriteSweep

COMMANDS = (
    ("status",),
    ("report",),
    ("check",),
    ("export", "--out", "exported"),
    ("sql", "SELECT count(*) FROM verdicts"),
)
COMMANDS += (("verify",), ("plan", "--json"))
VALUES: tuple[object, ...] = (
    None,
    -1,
    2**70,
    1e308,
    "",
    "../../x",
    "x" * 5000,
    "\x1b[31m",
    [],
    {},
    [[]],
    {"a": 1},
    True,
)
WHOLE = (
    b"",
    b"\x00" * 40,
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"[" * 100_000,
    b"1e999",
    b'{"sha256": "' + b"0" * 64 + b'"}',
)


def finished_run(troop: Troop, write_sweep: WriteSweep) -> Path:
    sweep = write_sweep()
    assert troop("run", sweep, "--local", "--no-report").code == 0
    return next(path.parent for path in Path.cwd().rglob("plan.json"))


def changed(data: bytes, draw: random.Random) -> Iterator[bytes]:
    """Yields what a stranger might put in an object's place."""
    yield draw.choice(WHOLE)
    yield data[: draw.randrange(len(data))]
    at = draw.randrange(len(data))
    yield data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
    if data.startswith(b"PAR1"):
        yield of_parquet(data, draw)
    else:
        yield of_json(data, draw)


def of_json(data: bytes, draw: random.Random) -> bytes:
    """Returns the JSON of an object with one value changed, sealed again."""
    try:
        tree = json.loads(data)
    except ValueError:  # a page, or an object that holds a word
        return draw.randbytes(len(data))
    set_one(tree, draw)
    return (
        resealed(json.dumps(tree, indent=1).encode())
        if isinstance(tree, dict) and "sha256" in tree
        else json.dumps(tree).encode()
    )


def of_parquet(data: bytes, draw: random.Random) -> bytes:
    """Returns a Parquet object with one value of its footer changed, or a column dropped, sealed again."""
    import pyarrow as pa

    table = pq.read_table(pa.BufferReader(data))
    pairs = json.loads((table.schema.metadata or {}).get(b"troop", b"{}")) or {"schema": 1}
    if draw.random() < 0.5:
        set_one(pairs, draw)
    else:
        table = table.drop_columns([draw.choice(table.schema.names)])
    pairs["sha256"] = BLANK
    made = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"troop": json.dumps(pairs)}), made, store_schema=False)
    return resealed(made.getvalue().to_pybytes())


def resealed(data: bytes) -> bytes:
    at = data.rfind(b'"sha256": "')
    if at < 0:
        return data
    return seal(data[: at + 11] + BLANK.encode() + data[at + 75 :])


def set_one(tree: object, draw: random.Random) -> None:
    """Changes one value of a JSON tree, in place."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))  # type: ignore[arg-type]
        keys = [key for key in keys if key != "sha256"]
        if not keys:
            return
        key = draw.choice(keys)
        inner = tree[key]  # type: ignore[index]
        if not inner or not isinstance(inner, dict | list) or draw.random() < 0.2:
            tree[key] = draw.choice(VALUES)  # type: ignore[index]
            return
        tree = inner


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))])
def test_what_lies_in_a_store_ends_no_command_with_a_traceback(
    seed: int, troop: Troop, write_sweep: WriteSweep
) -> None:
    run, draw = finished_run(troop, write_sweep), random.Random(seed)
    keys = sorted(path.relative_to(run) for path in run.rglob("*") if path.is_file() and "report" not in path.parts)
    assert len(keys) > 4
    for key in keys:
        for made in changed((run / key).read_bytes(), draw):
            copy = Path("copies") / hashlib.sha256(made + str(key).encode()).hexdigest()[:12]
            shutil.copytree(run, copy, dirs_exist_ok=True)
            (copy / key).write_bytes(made)
            for first, *words in [draw.choice(COMMANDS), draw.choice(COMMANDS)]:
                done = troop(first, copy, *words)
                assert done.code in (0, 2, 3), (key, made[:300], first, done)
                said = [line for line in done.err.splitlines() if line.strip()]
                assert done.code == 0 or len(said) < 12, (key, first, said)
                assert "\x1b[31m" not in done.out + done.err, (key, first)
            shutil.rmtree(copy)
