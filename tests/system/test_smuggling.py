"""Table N: what stands for a line end, in each mode, cut at each border; the upstream's bytes have one reading only."""
import pytest

from harness.client import Gone
from harness.mta import assert_one_reading
from harness.world import World

MODES = ("normalize", "reject", "accept")
INJECTED = b"MAIL FROM:<smuggled@x.example>"

ROWS = [  # name, bytes after 354 (the true end is appended), the content that `normalize` makes of it (None: only that it
    # has one reading), what `accept` does otherwise: (content, commands behind it), whether `reject` takes it
    ("clean", b"a\r\nb\r\n", b"a\r\nb\r\n", None, True),
    ("lf", b"a\nb\r\n", b"a\r\nb\r\n", None, False),
    ("lf-dot-lf", b"a\n.\nb\r\n", b"a\r\n.\r\nb\r\n", (b"a\r\n", [b"b", b"."]), False),
    ("lf-dot-crlf", b"a\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n", (b"a\r\n", [b"b", b"."]), False),
    ("crlf-dot-lf", b"a\r\n.\nb\r\n", b"a\r\n.\r\nb\r\n", (b"a\r\n", [b"b", b"."]), False),
    ("cr-dot-cr", b"a\r.\rb\r\n", b"a . b\r\n", None, False),
    ("lf-dot-cr", b"a\n.\rb\r\n", None, None, False),
    ("cr-dot-crlf", b"a\r.\r\nb\r\n", b"a .\r\nb\r\n", None, False),
    ("crlf-dot-cr", b"a\r\n.\rb\r\n", None, None, False),
    ("cr-dot-lf", b"a\r.\nb\r\n", b"a .\r\nb\r\n", None, False),
    ("crcrlf-dot", b"a\r\r\n.\r\r\nb\r\n", None, None, False),
    ("crcrlf", b"a\r\r\nb\r\n", b"a \r\nb\r\n", None, False),
    ("nul-dot", b"a\r\n\0.\r\nb\r\n", b"a\r\n\0.\r\nb\r\n", None, False),
    ("dot-nul", b"a\r\n.\0\r\nb\r\n", b"a\r\n\0\r\nb\r\n", None, False),
    ("nul", b"a\0b\r\n", b"a\0b\r\n", None, False),
    ("lf-lf-dot", b"a\n\n.\r\n\r\nb\r\n", b"a\r\n\r\n.\r\n\r\nb\r\n", (b"a\r\n\r\n", [b"", b"b", b"."]), False),
    ("lf-dotdot-lf", b"a\n..\nb\r\n", b"a\r\n.\r\nb\r\n", None, False),
    ("smtp-in-lf", b"a\n.\n" + INJECTED + b"\nDATA\r\n", b"a\r\n.\r\n" + INJECTED + b"\r\nDATA\r\n",
     (b"a\r\n", [INJECTED, b"DATA", b"."]), False),
    ("smtp-in-cr", b"a\r.\r" + INJECTED + b"\r\n", b"a . " + INJECTED + b"\r\n", None, False),
    ("first-lf", b"\n.\nb\r\n", b"\r\n.\r\nb\r\n", (b"\r\n", [b"b", b"."]), False),
    ("first-dot-lf", b".\nb\r\n", b".\r\nb\r\n", (b"", [b"b", b"."]), False),
    ("first-dot-cr", b".\rb\r\n", None, None, False),
]


def stuffed(content):
    return b"".join((b"." if line.startswith(b".") else b"") + line for line in content.splitlines(keepends=True))


@pytest.fixture(scope="module")
def modes():
    worlds = {}

    def get(mode):
        if mode not in worlds:
            w = worlds[mode] = World()
            w.up = w.mta()
            w.proxy = w.tap(w.up, {"server": {"bare_newline": mode}, "limits": {"max_unrecognized_commands": 1000}})
        return worlds[mode]

    yield get
    errors = []
    for w in worlds.values():
        try:
            w.end(False)
        except (AssertionError, Exception) as e:
            errors.append(e)
    if errors:
        raise errors[0]


def one_reading(up):
    for i, s in enumerate(list(up.sessions)):
        up.wait_ended(i)
        assert_one_reading(s)


def check(up, before, mode, row, reply):
    name, sent, normal, accept, clean = row
    got = [m for s in up.sessions for m in s.messages][before:]
    if mode == "reject" and not clean:
        assert (reply.code, reply.enhanced) == (550, "5.5.2")
        assert not got, "the end of data went upstream"
        return
    assert reply.code == 250, reply
    assert len(got) == 1, f"one message was sent, the upstream has {got}"
    content = accept[0] if mode == "accept" and accept else normal
    if content is not None:
        want = stuffed(content)
        assert got[0]["raw"] == want, f"{name}: {got[0]['raw']!r} instead of {want!r}"
    assert b"\r" not in got[0]["raw"].replace(b"\r\n", b"") and b"\n" not in got[0]["raw"].replace(b"\r\n", b"")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda r: r[0])
def test_n_data_cut_everywhere(modes, row, mode):
    w = modes(mode)
    tap, up = w.proxy, w.up
    c = tap.client()
    c.ehlo()
    first = len(tap.records("message", cid=tap.cid_of(c)))
    assert first == 0
    body = row[1] + b".\r\n"
    early = mode == "accept" and row[3]
    n, clients = 0, [c]
    for cut in [None, *range(1, len(body)), "bytes"]:
        if n and n % 8 == 0:  # a session may have only so many messages refused
            c.quit()
            c = tap.client()
            clients.append(c)
            c.ehlo()
        before = len(up.messages)
        c.begin()
        if cut is None:
            c.send(body)
        elif cut == "bytes":
            for i in range(len(body)):
                c.send(body[i:i + 1])
        else:
            c.send_cut(body, cut)
        reply = c.reply()
        n += 1
        check(up, before, mode, row, reply)
        if early:
            for line in row[3][1]:
                answer = c.reply()
                expected = {b"": (500,), b"DATA": (503,), INJECTED: (250,)}.get(line, (500,))
                assert answer.code in expected, f"{line!r}: {answer}"
            c.cmd("RSET", 250)
    c.quit()
    one_reading(up)
    records = [r for c in clients for r in tap.session(c) if r["tnx"] == "message"]
    stray = row[0] != "clean"
    if not early:
        assert len(records) == n
        if stray and mode != "accept":
            odd = {a for r in records for a in r.get("anomalies", [])}
            want = set()
            text = row[1].replace(b"\r\n", b"")
            if b"\n" in text:
                want.add("bare_lf")
            if b"\r" in text:
                want.add("bare_cr")
            if b"\0" in text:
                want.add("nul")
            assert want <= odd, f"{odd} lacks some of {want}"


@pytest.mark.parametrize("mode", MODES)
def test_n_no_second_message_and_no_injected_command(modes, mode):
    """The classic: a second message inside the first, with each wrong end of data."""
    w = modes(mode)
    tap, up = w.proxy, w.up
    ends = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\n", b"\n.\r", b"\r\n\0.\r\n",
            b"\r\n.\0\r\n", b"\r\r\n.\r\r\n", b"\0\r\n.\n"]
    inner = b"MAIL FROM:<smuggled@x.example>\r\nRCPT TO:<v@x.example>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n"
    for end in ends:
        before = len(up.messages)
        lf_ends = mode == "accept" and (b"\n.\n" in end or end == b"\n.\r\n")
        c = tap.client()
        c.ehlo()
        c.begin("good@client.example")
        c.send(b"Subject: good\r\n\r\nx" + end + inner + b".\r\n")
        c.reply()
        if lf_ends:  # what follows are commands, as any LF-reader would see them
            assert [c.reply().code for _ in range(4)] == [250, 250, 354, 250]
        c.quit()
        tap.closed(c)
        senders = [m["sender"].split(b">")[0] for m in up.messages[before:]]
        if mode == "reject":
            assert senders == [], (end, senders)
        elif not lf_ends:
            assert senders == [b"<good@client.example"], (end, senders)
    one_reading(up)


COMMANDS = [  # bytes, normalize, reject, accept: codes, "close" where the session ends
    (b"NOOP\nNOOP\r\n", [250, 250], [550, "close"], [250, 250]),
    (b"NOOP\n", [250], [550, "close"], [250]),
    (b"NO\rOP\r\nNOOP\r\n", [500, 250], [500, 250], [500, 250]),
    (b"NOOP\r\r\nNOOP\r\n", [500, 250], [500, 250], [500, 250]),
    (b"NOOP x\ry\r\nNOOP\r\n", [500, 250], [500, 250], [500, 250]),
    (b"NOOP\0\r\nNOOP\r\n", [500, 250], [500, 250], [500, 250]),
    (b"MAIL FROM:<a\0b@x.example>\r\nNOOP\r\n", [500, 250], [500, 250], [500, 250]),
    (b"MAIL FROM:<a@b.example>\rRCPT TO:<c@d.example>\r\nNOOP\r\n", [500, 250], [500, 250], [500, 250]),
    (b"MAIL FROM:<a@b.example>\nRSET\r\n", [250, 250], [550, "close"], [250, 250]),
    (b"VRFY a\nVRFY b\nNOOP\r\n", [252, 252, 250], [550, "close"], [252, 252, 250]),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", COMMANDS, ids=lambda r: repr(r[0][:24])[2:-1])
def test_n_commands_cut_everywhere(modes, row, mode):
    w = modes(mode)
    tap = w.proxy
    data, expected = row[0], row[1 + MODES.index(mode)]
    for cut in [0, *range(1, len(data))]:
        c = tap.client()
        c.ehlo()
        c.send_cut(data, cut)
        for want in expected:
            if want == "close":
                c.eof()
            else:
                got = c.expect(want)
                if want in (500, 550):
                    assert got.enhanced == "5.5.2"
        if expected[-1] != "close":
            c.quit()
        records = tap.session(c)
        begun = {r["tid"] for r in records if "tid" in r}
        ended = {r["tid"] for r in records if r["tnx"] == "message"}
        assert begun == ended, f"{data!r} cut at {cut}: {[r['msg'] for r in records]}"


@pytest.mark.parametrize("mode", MODES)
def test_n_dot_line_right_after_data(modes, mode):
    """The CR LF of the DATA line counts as the first of the end of data; a LF does not, but with `accept`."""
    w = modes(mode)
    tap = w.proxy
    c = tap.client()
    c.ehlo()
    before = len(w.up.messages)
    c.begin()
    c.cmd(b".", 250)
    assert w.up.messages[before]["raw"] == b""
    c.quit()


def test_n_lf_after_data_in_normalize(modes):
    w = modes("normalize")
    c = w.proxy.client()
    c.ehlo()
    c.mail()
    c.rcpt()
    before = len(w.up.messages)
    c.send(b"DATA\n")
    c.expect(354)
    c.send(b".\r\nb\r\n.\r\n")
    first = c.reply()
    assert first.code == 250
    try:
        c.cmd("RSET")
    except Gone:
        pytest.fail("the session broke")
    c.quit()
    one_reading(w.up)
    assert len(w.up.messages) == before + 1


@pytest.mark.parametrize("address", [b"a\r\nRCPT TO:<evil@x.example>", b"\"a\r\n.\r\nb\"", b"a\nMAIL FROM:<b@c>",
                                     b"\"\\\r\n\"", b"a+0D+0Ab"])
@pytest.mark.parametrize("mode", MODES)
def test_n_addresses_carry_no_line_end(modes, mode, address):
    w = modes(mode)
    c = w.proxy.client()
    c.ehlo()
    c.send(b"MAIL FROM:<" + address + b"@x.example>\r\nRSET\r\n")
    c.reply()
    c.close()
    w.proxy.closed(c)
    one_reading(w.up)
    for s in w.up.sessions:
        assert not any(b"evil" in x for x in s.commands)


@pytest.mark.parametrize("xtext", [b"ENVID=a+0D+0AQUIT", b"ENVID=a+0Ab", b"ENVID=a+00b"])
def test_p9_decoded_xtext_carries_no_control_characters(modes, xtext):
    c = modes("normalize").proxy.client()
    c.ehlo()
    c.cmd(b"MAIL FROM:<a@b.example> " + xtext, 501)
