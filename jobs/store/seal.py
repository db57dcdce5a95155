"""A seal: the SHA-256 of an object, kept inside the object, so that one flipped bit anywhere in it is found.

Page checksums guard the pages of a Parquet file but not its footer, which says what the columns mean. The digest is
taken over the whole object with zeros in the digest's place. It has the length of those zeros, so nothing moves.
"""

import hashlib
import re

BLANK = "0" * 64  # stands in the digest's place: the value of the last key "sha256" in the object
_SEAL = re.compile(rb'"sha256": "([0-9a-f]{64})"')


def seal(data: bytes) -> bytes:
    """Returns ``data`` with its digest in place of the last BLANK in it."""
    at = data.rfind(BLANK.encode())
    assert at >= 0, "nothing to seal: the object has no BLANK"
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + len(BLANK) :]


def is_whole(data: bytes) -> bool:
    """Returns whether every bit of a sealed object is as it was written; False if there is no seal."""
    at = data.rfind(b'"sha256": "')
    found = _SEAL.match(data, at) if at >= 0 else None
    if found is None or found[1] == BLANK.encode():
        return False
    view, (start, end) = memoryview(data), found.span(1)
    digest = hashlib.sha256(view[:start])
    digest.update(BLANK.encode())
    digest.update(view[end:])
    return digest.hexdigest().encode() == found[1]
