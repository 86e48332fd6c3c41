"""Reads what callgrind wrote: how many instructions each function took itself, and who called whom.

The format is described in valgrind's manual ("Callgrind Format Specification"). Names are written
once, with a number that stands for them afterwards. A cost line behind `calls=` is what the called
function took, with all that it called.
"""

import collections
import re

NAME = re.compile(r"(ob|fl|fi|fe|fn|cob|cfi|cfl|cfn)=\((\d+)\)(?: (.*))?")
SPACE = {"ob": "object", "cob": "object", "fn": "function", "cfn": "function"}  # else a file
# What the compiler adds to a name when it makes a part or a variant of a function, and callgrind
# when a function calls itself.
SUFFIX = re.compile(r"(\.(isra|part|constprop|cold)(\.\d+)?|'\d+)+$")

Function = collections.namedtuple("Function", "object file name")


class Profile:
    """`cost`: Function -> instructions of its own; `calls`: (Function, object, name of the called) ->
    [how often, instructions with all that it called]."""

    def __init__(self, path):
        self.cost = collections.Counter()
        self.calls = collections.defaultdict(lambda: [0, 0])
        self._read(path)

    def _read(self, path):
        names, at, call, called = {}, {}, None, None
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name = NAME.match(line)
                if name:
                    kind, number, text = name.groups()
                    key = (SPACE.get(kind, "file"), number)
                    if text is not None:
                        names[key] = text.rstrip("\n")
                    at[kind] = names[key]
                    if kind == "fn":
                        caller = Function(at["ob"], at["fl"], SUFFIX.sub("", names[key]))
                elif line.startswith("calls="):
                    called = at.pop("cob", at["ob"]), SUFFIX.sub("", at["cfn"])
                    call = self.calls[(caller, *called)]
                    call[0] += int(line[len("calls="):].split()[0])
                elif line[0].isdigit() or line[0] in "+-*":
                    cost = int(line.split()[1])
                    if called:
                        call[1] += cost
                        called = None
                    else:
                        self.cost[caller] += cost
