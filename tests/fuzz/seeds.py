"""Seeds for fuzzers, and their findings; a test feeds all of them to all targets."""

from __future__ import annotations

import struct

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

#: HTTP/2's HEADERS frame with status 200 and text/event-stream.
HEADERS_FRAME = b"\0\0\x0f\1\4\0\0\0\1\x88_\x8cI|\xa5\x82\xf7-IY\t\xb0\xa3\xa7"

SEEDS: dict[str, list[bytes]] = {
    "frames": [
        b"\x81\x04LT-1",
        b"\x82\x02\x00\xff\x81\x00",
        b"\x01\x02ab\x00\x02cd\x80\x01e",
        b"\x89\x04ping\x8a\x00\x88\x06\x03\xe8done",
        b"\x81\x84abcd\x00\x00\x00\x00",
        b"\x81\x7e\x00\x80" + b"x" * 128,
        b"\x81\x7f" + struct.pack("!Q", 1 << 62),
        b"\xc1\x01x",
    ],
    "deflated": [
        b"\x0e\xc1\x07\xf2H\xcd\xc9\xc9\x07\x00" + b"\xc1\x05\xf2\x00\x11\x00\x00",
        b"\x0fA\x03\xf2H\xcd\x89\x00\x80\x04\xc9\xc9\x07\x00",
        b"\x00\xc1\x08\xf3H\xcd\xc9\xc9\x07\x00\x00",
        b"\x0f\xc2\x09bbd`\xa4\x03\x00\x00\x00\x81\x01x",
    ],
    "extensions": [
        b"permessage-deflate",
        b'permessage-deflate; server_max_window_bits="9"; client_no_context_takeover',
        b"permessage-deflate; client_max_window_bits=8, ",
    ],
    "events": [
        b"data: LT-1\n\n",
        b"\xef\xbb\xbfid: 1\r\nevent: code\r\ndata: a\r\ndata: b\r\n\r\n",
        b": ping\n\nretry: 1000\n\ndata\n\n",
        b"data:a\rdata:b\r\r",
    ],
    "bodies": [
        b"c\r\ndata: LT-1\n\n\r\n0\r\n\r\n",
        b"6;x=y\r\ndata: \r\n6 \r\nLT-1\n\n\r\n0\r\nA: b\r\n\r\n",
        b"data: a\n\n",
    ],
    "contents": [
        bytes.fromhex("1f8b08000000000002034b492c49b452f009d135e4e20200004413760c000000"),
        bytes.fromhex("789c4b492c49b452f009d135e4e2020018590307"),
        bytes.fromhex("8b0580646174613a204c542d310a0a03"),
    ],
    "streams": [
        HEADERS_FRAME + b"\0\0\x09\0\0\0\0\0\1data: a\n\n",
        b"\0\0\0\4\0\0\0\0\0" + HEADERS_FRAME + b"\0\0\x0a\0\x09\0\0\0\1\0data: a\n\n",
        b"\0\0\4\3\0\0\0\0\1\0\0\0\2",
        b"\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1",
        b"\0\0\x08\6\0\0\0\0\0pingpong",
    ],
    "heads": [
        OK + b"\r\ndata: x\n\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 10\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n",
    ],
    "packets": [
        b'0{"sid":"a","pingInterval":25000,"pingTimeout":20000}',
        b'40{"sid":"b"}',
        b'42["new_code",{"code":"LT-1"}]',
        b'42/events,12["new_code",{"code":"LT-1"}]',
        b'451-["b",{"_placeholder":true,"num":0}]\n\nbytes',
        b'44{"message":"no such user 12345"}',
        b"2",
        b"41/events,",
    ],
    "payloads": [
        b'40/events,{"sid":"b"}\x1e2\x1ebAAEC',
        b'24:0{"sid":"a","upgrades":[]}2:40',
        b"\x00\x02\xff40\x01\x03\xff\x04ab",
        bytes.fromhex("83a474797065 02a464617461 92a46e657763 c403000102 a36e7370 a12f"),
        b'{"code":1,"message":"Session ID unknown"}',
    ],
    "codes": [b"LT-abc123-1-dwz0s2t4b1c", b"000001", b"adwz0s2t4b1cb1", b"abc123:001"],
    "profiles": [
        b'{"code":"LT-1","type":"connected"}',
        b'42["new_code",{"code":"LT-1"}]',
        b'{"identifier":"{\\"channel\\":\\"x\\"}","message":{"code":"LT-1"}}',
        b'["1","1","room:x","new_code",{"code":"LT-1"}]',
        b'{"event":"new_code","data":"{\\"code\\":\\"LT-1\\"}"}',
        b'{"push":{"channel":"x","pub":{"data":{"code":"LT-1"}}}}\n{}',
        b"MESSAGE\ndestination:/x\n\nLT-1\0",
        b"[" * 500,
    ],
}

#: Inputs that were once handled incorrectly, by target.
FOUND: dict[str, list[bytes]] = {
    # Data within a block of headers.
    "streams": [
        HEADERS_FRAME
        + b"\0\0\x09\0\0\0\0\0\1data: a\n\n"
        + HEADERS_FRAME[:4]
        + b"\0"
        + HEADERS_FRAME[5:]
        + b"\0\0\x09\0\0\0\0\0\1data: b\n\n"
    ],
    # Brotli that goes on after its end
    "contents": [bytes.fromhex("3f2e851f8b08000000000002034b492c49b452f009d135e4")],
    # The size of a block included its comments only if it arrived in one piece.
    "events": [b"data:" + b"a" * 150 + b"\n: " + b"b" * 100 + b"\ndata: c\n\n"],
}
