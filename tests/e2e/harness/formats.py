"""What the server keeps in Redis, read and written without the server: ids, hashes, msgpack, blobs.

A second implementation on purpose. The tests of the Lua scripts write with it and the invariant
checker reads with it, so that a change of a format in C shows itself here.
"""

import struct
from dataclasses import dataclass

import lz4.block

LANES = 256
MASK_BYTES = LANES // 8
PARTS_MAX = 63  # besides part 0
ID_BYTES = 20
OUTCOME_BYTES = 12
OUTCOMES = ("none", "sent", "cancelled", "duplicate")
EPOCH_S = 1_400_000_000

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MASK = 2**64 - 1


class FormatError(ValueError):
    """Bytes that are not what they should be."""


# ---- ids -------------------------------------------------------------------------------------------

def id_text(prefix, raw):
    """20 bytes as `msg_` and 27 digits."""
    number, digits = int.from_bytes(raw, "big"), ""
    for _ in range(27):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return f"{prefix}_{digits}"


def id_bytes(text, prefix):
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != 27 or not all(digit in _DIGITS for digit in digits):
        raise FormatError(f"not an id of {prefix}_: {text!r}")
    number = 0
    for digit in digits:
        number = number * 62 + _DIGITS.index(digit)
    if number >> 160:
        raise FormatError(f"more than 20 bytes: {text!r}")
    return number.to_bytes(ID_BYTES, "big")


def time_bytes(unix_ms):
    """The first five bytes of an id made at that time."""
    return struct.pack(">IB", unix_ms // 1000 - EPOCH_S, unix_ms % 1000 // 4)


def batch_of(event_id):
    """The name of the batch an event is in, and its place there."""
    raw = id_bytes(event_id, "msg")
    return (raw[:5] + raw[7:15]).hex(), int.from_bytes(raw[15:17], "big")


# ---- hashes ----------------------------------------------------------------------------------------

def hash_stable(data):
    """FNV-1a, 64 bits, finished as murmur3 does (src/base/hash.c)."""
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & _MASK
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & _MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return h ^ h >> 33


def lane_of(endpoint_id):
    return hash_stable(endpoint_id.encode()) % LANES


# ---- msgpack ---------------------------------------------------------------------------------------

_FIXED = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
          0xD3: ">q", 0xCA: ">f", 0xCB: ">d"}
_SIZED = {0xC4: (bytes, ">B"), 0xC5: (bytes, ">H"), 0xC6: (bytes, ">I"),
          0xD9: (str, ">B"), 0xDA: (str, ">H"), 0xDB: (str, ">I"),
          0xDC: (list, ">H"), 0xDD: (list, ">I"), 0xDE: (dict, ">H"), 0xDF: (dict, ">I")}


class Reader:
    """msgpack values one behind the other: str and bytes are told apart, extensions are refused."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def end(self):
        return self.at == len(self.data)

    def _take(self, count):
        if self.at + count > len(self.data):
            raise FormatError(f"msgpack ends too early, at byte {self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def _number(self, form):
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def value(self):
        tag = self._take(1)[0]
        if tag <= 0x7F or tag >= 0xE0:
            return tag if tag <= 0x7F else tag - 256
        if tag in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
        if tag in _FIXED:
            return self._number(_FIXED[tag])
        if tag in _SIZED:
            kind, form = _SIZED[tag]
            return self._many(kind, self._number(form))
        if tag <= 0x8F:
            return self._many(dict, tag & 15)
        if tag <= 0x9F:
            return self._many(list, tag & 15)
        if tag <= 0xBF:
            return self._many(str, tag & 31)
        raise FormatError(f"unknown msgpack tag {tag:#x}")

    def _many(self, kind, count):
        if kind is bytes:
            return bytes(self._take(count))
        if kind is str:
            return bytes(self._take(count)).decode("utf-8", "surrogateescape")
        if kind is list:
            return [self.value() for _ in range(count)]
        return {self.value(): self.value() for _ in range(count)}


def unpack(data):
    """One value that takes up all of the bytes."""
    reader = Reader(data)
    value = reader.value()
    if not reader.end():
        raise FormatError(f"{len(data) - reader.at} bytes behind the value")
    return value


def pack(value):
    """None, bool, numbers >= 0, str, bytes, and lists of them."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, (str, bytes)):
        tag, data = (b"\xdb", value.encode()) if isinstance(value, str) else (b"\xc6", value)
        return tag + struct.pack(">I", len(data)) + data
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))


# ---- events and batches ----------------------------------------------------------------------------

def pack_record(event_type, data, application="default", timestamp_ms=0, deliver_at_ms=0, uid=None,
                source=None, received=()):
    """An event's record (wire/event_record.h); `received`: what pack_received() gives."""
    return pack([1, application, event_type, timestamp_ms, deliver_at_ms, None, source, uid, None,
                 None, data, *received])


DATA_KINDS = ("json", "text", "bytes")


def pack_received(received_ms, kind="json", verified=True, content_type=None, headers=(),
                  duplicate_of=None):
    """The members that only a received event has; `headers`: (name, value)."""
    lines = "".join(f"{name}: {value}\0" for name, value in headers)
    return [received_ms, DATA_KINDS.index(kind), verified, content_type, lines or None, duplicate_of]


def read_record(value):
    if not isinstance(value, list) or len(value) < 11 or value[0] != 1:
        raise FormatError(f"not an event's record: {value!r:.80}")
    return {"application": value[1], "type": value[2], "timestamp_ms": value[3],
            "deliver_at_ms": value[4], "source": value[6], "uid": value[7], "data": value[10],
            "duplicate_of": value[16] if len(value) > 16 else None,
            "ordering_key": value[17] if len(value) > 17 else None}


@dataclass
class Event:
    """One event of a batch; its targets' ordinals begin with `first_ordinal`. `parts`: the part of the
    batch that each of them is of."""
    id: str
    record: dict
    targets: list
    first_ordinal: int
    parts: list


def pack_mask(lanes):
    """The lanes of one part, as the header of a blob has them."""
    mask = bytearray(MASK_BYTES)
    for lane in lanes:
        mask[lane // 8] |= 0x80 >> lane % 8
    return bytes(mask)


def part_of(masks, endpoint):
    """The part of a batch that deliveries to this endpoint are of; `masks`: from part 1 on."""
    lane = lane_of(endpoint)
    for number, mask in enumerate(masks, 1):
        if mask[lane // 8] & 0x80 >> lane % 8:
            return number
    return 0


def member_name(batch, part):
    """What a journal calls that part."""
    return f"{batch}.{part}" if part else batch


def member_of(member):
    """(batch, part) of a member of a journal."""
    batch, _, part = member.partition(".")
    return batch, int(part or 0)


def pack_batch(created_ms, events, masks=()):
    """A blob (core/batch.h) of (id, record's bytes, endpoints' ids)."""
    blob = pack([1, created_ms, b"".join(masks)] if masks else [1, created_ms])
    for event_id, record, targets in events:
        blob += pack(id_bytes(event_id, "msg")) + record
        blob += pack(b"".join(id_bytes(target, "ep") for target in targets))
    return blob


def _masks(name, head):
    if not isinstance(head, list) or len(head) not in (2, 3) or head[0] != 1:
        raise FormatError(f"batch {name} begins with {head!r:.80}")
    packed = head[2] if len(head) == 3 else b""
    count, rest = divmod(len(packed), MASK_BYTES)
    if not isinstance(packed, bytes) or rest or count > PARTS_MAX or (len(head) == 3) != (count > 0):
        raise FormatError(f"batch {name} has masks {packed!r:.80}")
    return [packed[at:at + MASK_BYTES] for at in range(0, len(packed), MASK_BYTES)]


def compress_batch(blob):
    """As a large blob is stored."""
    return pack([2, len(blob)]) + lz4.block.compress(blob, store_size=False)


def decompress_batch(name, stored):
    """The blob; a small one is stored as it is."""
    reader = Reader(stored)
    head = reader.value()
    if not isinstance(head, list) or len(head) != 2 or head[0] != 2:
        return stored
    try:
        blob = lz4.block.decompress(stored[reader.at:], uncompressed_size=head[1])
    except (lz4.block.LZ4BlockError, ValueError, OverflowError, TypeError) as error:
        raise FormatError(f"batch {name} cannot be decompressed: {error}") from error
    if len(blob) != head[1]:
        raise FormatError(f"batch {name} has {len(blob)} bytes instead of {head[1]}")
    return blob


def read_batch(name, stored):
    """The events of a batch; every one must know that it belongs to this batch."""
    reader = Reader(decompress_batch(name, stored))
    masks = _masks(name, reader.value())
    events, ordinal = [], 0
    while not reader.end():
        raw, record, packed = reader.value(), read_record(reader.value()), reader.value()
        event_id = id_text("msg", raw)
        if batch_of(event_id) != (name, len(events)):
            raise FormatError(f"event {len(events)} of batch {name} says it is {batch_of(event_id)}")
        if len(packed) % ID_BYTES:
            raise FormatError(f"{event_id} has {len(packed)} bytes of targets")
        targets = [id_text("ep", packed[at:at + ID_BYTES]) for at in range(0, len(packed), ID_BYTES)]
        parts = [part_of(masks, target) for target in targets] if masks else [0] * len(targets)
        events.append(Event(event_id, record, targets, ordinal, parts))
        ordinal += len(targets)
    if not events:
        raise FormatError(f"batch {name} has no events")
    return events


# ---- what became of deliveries ---------------------------------------------------------------------

def pack_outcome(status, attempts=1, status_code=0, duration_ms=0, at_ms=0):
    return struct.pack(">BBH3sIB", OUTCOMES.index(status), attempts, status_code,
                       duration_ms.to_bytes(3, "big"), at_ms // 1000, at_ms % 1000 // 4)


def read_outcome(data):
    status, attempts, status_code, duration, at_s, at_4ms = struct.unpack(">BBH3sIB", data)
    if status >= len(OUTCOMES):
        raise FormatError(f"outcome {status}")
    return {"status": OUTCOMES[status], "attempts": attempts, "status_code": status_code,
            "duration_ms": int.from_bytes(duration, "big"), "at_ms": at_s * 1000 + at_4ms * 4}


def pack_log(*numbers, error="timeout"):
    """The attempts of one delivery (core/attempt_log.h)."""
    return b"".join(pack([number, 1_760_000_000_000, 0, 10, error, b""]) for number in numbers)


def read_log(data):
    reader, attempts = Reader(data), []
    while not reader.end():
        value = reader.value()
        if not isinstance(value, list) or len(value) < 6 or not isinstance(value[5], bytes):
            raise FormatError(f"not an attempt: {value!r:.80}")
        attempts.append(dict(zip(("number", "at_ms", "status_code", "duration_ms", "error", "body"),
                                 value)))
    return attempts


def read_final(data):
    """What an event's hash keeps of a finished delivery: its outcome, and the log behind it."""
    if len(data) < OUTCOME_BYTES:
        raise FormatError(f"not an outcome: {data!r}")
    return {**read_outcome(data[:OUTCOME_BYTES]), "log": read_log(data[OUTCOME_BYTES:])}


STATE_MEMBERS = ("ordinal", "attempts", "replayed_at", "dead", "status_code", "error", "last_at_ms",
                 "accepted_at_ms")


def pack_state(ordinal, attempts=0, dead=False, error="", replayed_at=0, log=b"", order=b""):
    state = [1, ordinal, attempts, replayed_at, dead, 0, error, 0, 0, log]
    return pack(state + [order] if order else state)


def read_state(data):
    value = unpack(data)
    if not isinstance(value, list) or len(value) < 9 or value[0] != 1:
        raise FormatError(f"not a delivery's state: {value!r:.80}")
    order = value[10] if value[10:] else b""
    if not isinstance(order, bytes) or len(order) not in (0, ORDER_HASH_BYTES):
        raise FormatError(f"not the hash of an ordering key: {order!r:.80}")
    return {**dict(zip(STATE_MEMBERS, value[1:])), "log": read_log(value[9] if value[9:] else b""),
            "order": order}


ORDER_HASH_BYTES = 16  # all of them zero: the one queue of `ordering: endpoint`


def read_ordered(member):
    """(hash of the ordering key, sequence, event, when it is due in ms) of a member of `ord:`."""
    key, sequence = member[:ORDER_HASH_BYTES], member[ORDER_HASH_BYTES:24]
    event, due = member[24:55].decode(errors="replace"), member[55:]
    id_bytes(event, "msg")
    if not due.isdigit():
        raise FormatError(f"an ordered delivery is due at {due!r:.80}")
    return key, int.from_bytes(sequence, "big"), event, int(due)


def bits(bitmap):
    """The ordinals that are set in a Redis bitmap."""
    return {8 * at + bit for at, byte in enumerate(bitmap or b"")
            for bit in range(8) if byte & 0x80 >> bit}
