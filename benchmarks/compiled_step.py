"""What a compiled program holds and sends, read from its text (HLO), which is that of one device of many.

Bytes sent are those of the usual ring algorithms on a group of g devices: of an array of n bytes an all-gather and a
reduce-scatter send n (g - 1) / g, an all-reduce twice as much, an all-to-all n (g - 1) / g, a permutation n; n is the
larger of what comes in and what goes out.
"""

import dataclasses
import math
import re

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
ARRAY = re.compile(r"\b([a-z]+[0-9]*)\[([\d,]*)\]")
CALL = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(?:-start)?\(")
PARAMETER = re.compile(r'= (\S+) parameter\(\d+\).*op_name="([^"]*)"')


@dataclasses.dataclass(frozen=True)
class Collective:
    """One operation of the program in which devices exchange arrays.

    Attributes:
      kind: One of `KINDS`.
      devices: g, how many exchange with one another.
      size: Bytes of the arrays that come out on each device.
    """

    kind: str
    devices: int
    size: int

    @property
    def sent(self) -> int:
        """Bytes that each device sends."""
        if self.kind == "collective-permute":
            return self.size
        whole = self.size * (self.devices if self.kind == "reduce-scatter" else 1)
        turns = 2 if self.kind == "all-reduce" else 1
        return turns * whole * (self.devices - 1) // self.devices


def collectives(text: str) -> list[Collective]:
    """All of a program, each once: those of a training program are those of one step."""
    found = []
    for line in text.splitlines():
        call = CALL.search(line)
        if call:
            found.append(Collective(call.group(2), _group(line), sum(array_bytes(call.group(1)))))
    return found


def array_bytes(shapes: str) -> list[int]:
    """Bytes of each array that a text names, such as `(f32[8,2], s32[])`: [64, 4]."""
    return [BYTES[kind] * _numbers(sizes) for kind, sizes in ARRAY.findall(shapes) if kind in BYTES]


def largest_made(text: str) -> int:
    """Bytes of the largest array that the program makes: all but what it is given."""
    made = (line.split(" = ", 1)[1] for line in text.splitlines() if " = " in line and not _is_given(line))
    return max(max(array_bytes(line.split("(")[0] if line[0] != "(" else ""), default=0) for line in made)


def given_bytes(text: str) -> dict[str, int]:
    """Name of each argument, such as `state.params['users']` -> bytes that each device has of it."""
    entry = text[text.index("\nENTRY ") :]
    found = (PARAMETER.search(line) for line in entry.splitlines())
    return {one.group(2).replace("\\'", "'"): sum(array_bytes(one.group(1))) for one in found if one}


def _is_given(line: str) -> bool:
    """Whether a line makes nothing: it names what is there."""
    return any(f" {word}(" in line for word in ("parameter", "get-tuple-element", "tuple", "while", "bitcast"))


def _numbers(sizes: str) -> int:
    return math.prod(int(size) for size in sizes.split(",") if size)


def _group(line: str) -> int:
    """Devices that exchange with one another; 1 where the line does not say."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(listed.group(1).split(","))
    if table := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(table.group(1))
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named.group(1)))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named.group(2)))
    return 1
