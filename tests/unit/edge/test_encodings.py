"""Compressed bodies cost a bounded number of bytes and a bounded time of a core (S8)."""

import gzip
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding
from app.edge.encodings import SECONDS, SECONDS_PER_BYTE, SLICE_OUT, Decompressor

MEBIBYTE = 1024 * 1024


async def unpacked(body: bytes, *, encoding: str = "gzip", limit: int = 4 * MEBIBYTE, piece: int = 65_536) -> bytes:
    """As a server gives a body: in pieces."""
    decompressor = Decompressor(encoding, limit)
    starts = range(0, max(len(body), 1), piece)
    return b"".join([await decompressor.feed(body[at : at + piece], last=at == starts[-1]) for at in starts])


@given(body=st.binary(max_size=2000), piece=st.integers(1, 50), encoding=st.sampled_from(["gzip", "x-gzip", "deflate"]))
async def test_what_was_packed_comes_out_whatever_the_pieces(body: bytes, piece: int, encoding: str) -> None:
    packed = zlib.compress(body) if encoding == "deflate" else gzip.compress(body)
    assert await unpacked(packed, encoding=encoding, piece=piece) == body


@given(body=st.binary(min_size=1, max_size=300))
async def test_bytes_that_are_no_gzip_are_the_callers_error(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await unpacked(body)


async def test_an_empty_body_stays_empty() -> None:
    assert await unpacked(b"") == b""


@pytest.mark.parametrize("piece", [1, 7, 65_536])
async def test_a_gzip_body_of_several_members_is_one_text(piece: int) -> None:
    """RFC 1952, 2.2. `pigz` and writers that flush by ending a member make them."""
    parts = [b'{"model": ', b"", b'"smart"}']
    assert await unpacked(b"".join(map(gzip.compress, parts)), piece=piece) == b"".join(parts)


@pytest.mark.parametrize(
    ("encoding", "packed", "more"),
    [
        ("gzip", gzip.compress(b"{}"), b"\0\0\0"),
        ("gzip", gzip.compress(b"{}"), b"{}{}"),
        ("gzip", gzip.compress(b"{}") * 2, zlib.compress(b"{}")),
        ("deflate", zlib.compress(b"{}"), zlib.compress(b"{}")),
    ],
    ids=["zeros", "text", "another encoding", "deflate has no members"],
)
async def test_a_body_that_goes_on_after_its_end_is_refused(encoding: str, packed: bytes, more: bytes) -> None:
    for piece in (1, 65_536):
        with pytest.raises(InvalidRequest, match="goes on after the end"):
            await unpacked(packed + more, encoding=encoding, piece=piece)


async def test_a_member_that_is_cut_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="ends within"):
        await unpacked(gzip.compress(b"{}") + gzip.compress(b"{}")[:-4])


async def test_members_that_hold_nothing_are_as_dear_as_a_bomb() -> None:
    """Nothing comes out of them, so the count of bytes sees nothing; the time of the core does."""
    began = time.thread_time()
    with pytest.raises(InvalidRequest, match="too long for its size"):
        await unpacked(gzip.compress(b"") * 200_000)
    assert time.thread_time() - began < 20 * SECONDS


async def test_the_limit_counts_what_comes_out_of_all_members() -> None:
    with pytest.raises(BodyTooLarge):
        await unpacked(gzip.compress(b"x" * 600) * 2, limit=1000)


@pytest.mark.parametrize("more", [0, 1])
async def test_the_limit_counts_what_comes_out_to_the_byte(more: int) -> None:
    body = gzip.compress(b"x" * (1000 + more))
    if more:
        with pytest.raises(BodyTooLarge):
            await unpacked(body, limit=1000)
    else:
        assert len(await unpacked(body, limit=1000)) == 1000


async def test_a_bomb_never_takes_more_memory_than_the_limit_and_a_step() -> None:
    bomb = gzip.compress(b"0" * (300 * MEBIBYTE), 1)
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        await unpacked(bomb, limit=MEBIBYTE)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * (MEBIBYTE + SLICE_OUT)


def blocks_without_content(count: int) -> bytes:
    """Headers of dynamic blocks, each of which builds its tables and ends at once."""
    dynamic = _dynamic_block()
    bits = "".join(dynamic for _ in range(count))
    packed = bytes(int(bits[at : at + 8].ljust(8, "0")[::-1], 2) for at in range(0, len(bits), 8))
    return b"\x78\x9c" + packed


def _dynamic_block() -> str:
    """One dynamic block, bit by bit: two literal codes in use, one distance, then its end (RFC 1951, 3.2.7)."""

    def number(value: int, width: int) -> str:
        return format(value, f"0{width}b")[::-1]

    # code lengths in their own order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15: 18 and 1 have codes of one bit
    lengths = {18: 1, 1: 1}
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]
    head = "0" + number(2, 2) + number(0, 5) + number(0, 5) + number(len(order) - 4, 4)
    head += "".join(number(lengths.get(symbol, 0), 3) for symbol in order)
    one, run = "0", "1"  # canonical: symbol 1 before 18
    # literal 0 has length 1, then 138 and 117 zeros, then the end of block has length 1, and the distance
    body = one + run + number(138 - 11, 7) + run + number(117 - 11, 7) + one + one
    return head + body + "1"  # the end of the block


async def test_a_body_that_costs_more_time_than_its_size_is_refused() -> None:
    """Nothing comes out, so the count of bytes sees nothing; the time of the core does."""
    body = blocks_without_content(300_000)
    began = time.thread_time()
    with pytest.raises(InvalidRequest, match="too long for its size"):
        await unpacked(body, encoding="deflate")
    assert time.thread_time() - began < 10 * SECONDS


async def test_ordinary_json_is_far_from_the_limit_of_time() -> None:
    body = (b'{"role": "user", "content": "A sentence of an ordinary conversation, number %d."},' % 7) * 40_000
    began = time.thread_time()
    assert await unpacked(gzip.compress(body)) == body
    assert time.thread_time() - began < SECONDS + SECONDS_PER_BYTE * len(body)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, deflate", "compress", "\n"])
async def test_another_encoding_is_refused_with_those_that_are_accepted(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="gzip, deflate") as refused:
        Decompressor(encoding, 1000)
    assert ("enable_request_compression=false" in refused.value.message) == (encoding == "zstd")  # SaladDay/cc-switch-cli#469
