"""Looking at JSON as bytes: which text exactly stands for a member."""

import json

_decoder = json.JSONDecoder()
_SPACE = " \t\r\n"


def members(text):
    """The top-level members of a JSON object as {name: raw text}, in their order.

    A delivery must carry `data` byte for byte as the producer wrote it; comparing parsed values
    would not see 1.0 become 1, or keys change places.
    """
    text = text.decode() if isinstance(text, bytes) else text
    at = _skip(text, 0)
    assert text[at] == "{", f"not an object: {text[:100]!r}"
    at, found = _skip(text, at + 1), {}
    while text[at] != "}":
        name, at = _decoder.raw_decode(text, at)
        assert name not in found, f"{name!r} stands there twice"
        at = _skip(text, at)
        assert text[at] == ":"
        begin = _skip(text, at + 1)
        _, end = _decoder.raw_decode(text, begin)
        found[name] = text[begin:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    assert text[at + 1:].strip(_SPACE) == "", "text after the object"
    return found


def _skip(text, at):
    while text[at] in _SPACE:
        at += 1
    return at
