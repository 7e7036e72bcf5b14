"""log.headers: what stands in the record of header fields that anybody may have written; each line is parsed strictly."""
import base64

import pytest


def b64(raw, charset="utf-8"):
    return f"=?{charset}?b?{base64.b64encode(raw).decode()}?=".encode()


ROWS = [
    (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    (b"=?UTF-8?Q?a?= =?utf-8?q?b?=", "ab"),
    (b"=?iso-8859-1?q?f=FCr?=", "für"),
    (b64('x","tnx":"forged","y":"'.encode()), 'x","tnx":"forged","y":"'),
    (b64(b"a\r\nX-Injected: 1\r\n\r\nbody"), None),
    (b64(b"a\0b\x1b[2J"), None),
    (b64(b"\xff\xfe\xc3"), None),
    (b"=?x-unknown?q?a=FF?=", None),
    (b"=?utf-8?b?!!!?=", None),
    (b"=?utf-8?q?=?=", None),
    (b"=?utf-8?q?" + b"=41" * 400 + b"?=", None),
    (b"raw \xc3\xbc and \xff", None),
    (b"folded\r\n\t over\r\n lines", "folded\t over lines"),
    (b"", ""),
    (b"x" * 900, "x" * 900),
    (b"=?" * 300, None),
]


SHARED_CONFIG = {"log": {"headers": ["message-id", "subject", "to", "x-note"]}}


@pytest.mark.parametrize("raw,want", ROWS, ids=lambda x: repr(x)[:24])
def test_values(tap, raw, want):
    c = tap.client()
    c.ehlo()
    text = b"Message-ID: <1@x.example>\r\nSubject: " + raw + b"\r\nTo: " + raw + b"\r\nX-Note: " + raw + b"\r\n\r\nbody\r\n"
    got = c.deliver(text)
    c.quit()
    tap.closed(c)
    assert got.code == 250
    record, = [r for r in tap.session(c) if r["tnx"] == "message"]
    assert not tap.log.bad and record["message_id"] == "<1@x.example>"
    subject = record["subject"]
    assert isinstance(subject, str) and isinstance(record["headers"]["to"], str)
    assert "body" not in record["headers"] and set(record["headers"]) <= {"to", "x-note"}
    if want is not None:
        assert subject == want and record["headers"]["x-note"] == want
