"""A private Postfix: own configuration, queue, log and ports; nothing outside its directory, no DNS.

One instance offers several SMTP services, each with its own rules, and one (out) whose smtp client sends all that it
takes to out_port, where a test puts the program under test."""
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

from .util import Child, free_port, listening, wait_until

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
smtpd_junk_command_limit = 1000
smtputf8_enable = yes
message_size_limit = 300000000
virtual_mailbox_limit = 0
maillog_file = {dir}/log/maillog
maillog_file_prefixes = {dir}
virtual_mailbox_domains = box.example
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:all/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
default_transport = discard
notify_classes =
minimal_backoff_time = 1s
"""
MASTER = """
127.0.0.1:{plain} inet n - n - - smtpd
127.0.0.1:{refuse} inet n - n - - smtpd
    -o smtpd_recipient_restrictions=check_recipient_access,regexp:{dir}/etc/recipients,permit
    -o smtpd_sender_restrictions=check_sender_access,regexp:{dir}/etc/senders
    -o cleanup_service_name=strict
127.0.0.1:{small} inet n - n - - smtpd
    -o message_size_limit=20000
127.0.0.1:{bare} inet n - n - - smtpd
    -o smtpd_discard_ehlo_keywords=pipelining,8bitmime,smtputf8,dsn,chunking,etrn,size,vrfy
127.0.0.1:{tls} inet n - n - - smtpd
    -o smtpd_tls_security_level=encrypt
    -o smtpd_tls_cert_file={dir}/tls/cert.pem
    -o smtpd_tls_key_file={dir}/tls/key.pem
    -o smtpd_tls_session_cache_database=
127.0.0.1:{sasl} inet n - n - - smtpd
    -o smtpd_tls_security_level=may
    -o smtpd_tls_cert_file={dir}/tls/cert.pem
    -o smtpd_tls_key_file={dir}/tls/key.pem
    -o smtpd_tls_auth_only=yes
    -o smtpd_sasl_auth_enable=yes
    -o smtpd_sasl_type=dovecot
    -o smtpd_sasl_path={dir}/auth
    -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{out} inet n - n - - smtpd
    -o content_filter=smtp:[127.0.0.1]:{out_port}
    -o receive_override_options=no_address_mappings
cleanup unix n - n - 0 cleanup
strict unix n - n - 0 cleanup
    -o header_checks=regexp:{dir}/etc/headers
    -o body_checks=regexp:{dir}/etc/bodies
pickup unix n - n 60 1 pickup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""
MAPS = {
    "recipients": "/^no5@/ 550 5.1.1 No such user here\n/^no4@/ 450 4.2.0 Greylisted, see http:..postgrey.example\n"
                  "/^full@/ 452 4.2.2 Mailbox full\n/^shut@/ 421 4.3.2 Going down\n",
    "senders": "/^bad@/ 553 5.1.8 Sender not wanted\n/^slow@/ 451 4.7.1 Sender greylisted\n",
    "headers": "/^Subject:.*viagra/ REJECT 5.7.1 Content refused by header\n",
    "bodies": "/EICAR/ REJECT 5.7.1 Content refused by body\n",
}
SERVICES = ("plain", "refuse", "small", "bare", "tls", "sasl", "out", "out_port")


class Postfix:
    def __init__(self, pair=None):
        """pair: certificate and key of the service `tls`."""
        self.pair = pair
        self.dir = tempfile.mkdtemp(prefix="smtptap-postfix-")
        self.ports = {name: free_port() for name in SERVICES}
        self.child = None

    @property
    def sasl_socket(self):
        """Where the service `sasl` asks a Dovecot, which the test has to start."""
        return f"{self.dir}/auth"

    def address(self, service="plain"):
        return f"127.0.0.1:{self.ports[service]}"

    def prepare(self):
        os.chmod(self.dir, 0o755)
        owner = pwd.getpwnam("postfix")
        for name in ("etc", "log", "spool", "data", "mail", "tls"):
            os.mkdir(f"{self.dir}/{name}", 0o755)
        for path, name in zip(self.pair or (), ("cert", "key")):
            shutil.copy(path, f"{self.dir}/tls/{name}.pem")
        os.chown(f"{self.dir}/data", owner.pw_uid, owner.pw_gid)
        nobody = pwd.getpwnam("nobody")
        os.chown(f"{self.dir}/mail", nobody.pw_uid, nobody.pw_gid)
        values = dict(self.ports, dir=self.dir, uid=nobody.pw_uid, gid=grp.getgrgid(nobody.pw_gid).gr_gid)
        for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
            with open(f"{self.dir}/etc/{name}", "w") as f:
                f.write(text.format(**values))
        for name, text in MAPS.items():
            with open(f"{self.dir}/etc/{name}", "w") as f:
                f.write(text)

    def start(self):
        self.prepare()
        try:
            with open(f"{self.dir}/log/start", "wb") as out:
                subprocess.run(["/usr/sbin/postfix", "-c", f"{self.dir}/etc", "check"], stdout=out, stderr=out,
                               check=True)
                self.child = Child(["/usr/lib/postfix/sbin/master", "-c", f"{self.dir}/etc", "-d"], stdout=out,
                                   stderr=out)
            wait_until(self.up, self.trouble, 20)
        except BaseException:
            self.stop()
            raise
        return self

    def up(self):
        assert self.child.returncode is None, self.trouble()
        return all(listening(port) for name, port in self.ports.items() if name != "out_port")

    def trouble(self):
        said = ""
        for name in ("start", "maillog"):
            if os.path.exists(f"{self.dir}/log/{name}"):
                with open(f"{self.dir}/log/{name}", errors="replace") as f:
                    said += f.read()[-2000:]
        return "Postfix: " + said

    def stop(self):
        if self.child:
            self.child.end(signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)

    # what it did

    def maillog(self):
        with open(f"{self.dir}/log/maillog", errors="replace") as f:
            return f.read()

    def entry(self, queue_id):
        """What the log says of a queue id once it is removed: from, to (status of each recipient), message_id, size."""
        def done():
            lines = [x for x in self.maillog().splitlines() if f" {queue_id}: " in x]
            return lines if any("removed" in x for x in lines) else None

        lines = wait_until(done, lambda: f"{queue_id} in the log of Postfix: {self.maillog()[-1500:]}")
        found = {"to": {}}
        for line in lines:
            if m := re.search(r"message-id=(.*)", line):
                found["message_id"] = m.group(1)
            if m := re.search(r"from=<([^>]*)>, size=(\d+), nrcpt=(\d+)", line):
                found["from"], found["size"], found["nrcpt"] = m.group(1), int(m.group(2)), int(m.group(3))
            if m := re.search(r" to=<([^>]*)>.*?(?:orig_to=<([^>]*)>.*?)?status=(\w+)", line):
                found["to"][m.group(2) or m.group(1)] = m.group(3)
        return found

    def refusals(self, text):
        return [x for x in self.maillog().splitlines() if "reject" in x and text in x]

    def mailbox(self, name):
        """The messages delivered to name@box.example, as bytes with LF."""
        new, out = f"{self.dir}/mail/all/new", []
        if not os.path.isdir(new):
            return []
        for f in sorted(os.listdir(new)):
            with open(os.path.join(new, f), "rb") as h:
                message = h.read()
            if f"\nDelivered-To: {name}@box.example\n".encode() in message:
                out.append(message)
        return out

    def wait_mailbox(self, name, count=1):
        return wait_until(lambda: len(self.mailbox(name)) >= count and self.mailbox(name),
                          lambda: f"{count} messages for {name}: {self.maillog()[-1500:]}")

    def queue_empty(self):
        out = subprocess.run(["/usr/sbin/postqueue", "-c", f"{self.dir}/etc", "-j"], capture_output=True, text=True)
        return out.stdout.strip() == ""


TRACE = (b"return-path:", b"delivered-to:", b"x-original-to:", b"received:")


def strip_trace(message):
    """Without the trace fields on top (RFC 5321, 4.4): what a relay may add and nothing else."""
    lines, i = message.split(b"\n"), 0
    while i < len(lines):
        if lines[i].lower().startswith(TRACE):
            i += 1
            while i < len(lines) and lines[i][:1] in (b" ", b"\t"):
                i += 1
        else:
            break
    return b"\n".join(lines[i:])
