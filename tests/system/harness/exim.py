"""A private Exim: setup.sh puts its program under build/peers, for it can't be installed beside Postfix."""
import os
import pwd
import shutil
import signal
import tempfile

from .util import ROOT, Child, free_port, listening, wait_until

EXIM = os.path.join(ROOT, "build", "peers", "exim", "usr", "sbin", "exim4")
CONF = """
exim_user = nobody
exim_group = nogroup
exim_path = {exim}
primary_hostname = exim.example
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
never_users =
host_lookup =
rfc1413_query_timeout = 0s
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
accept_8bitmime = true
tls_advertise_hosts =
keep_environment =
acl_smtp_rcpt = rcpt
acl_smtp_data = data
message_size_limit = 300M
syslog_timestamp = false
log_selector = +received_recipients +8bitmime +smtp_confirmation
begin acl
rcpt:
  deny local_parts = no5
       message = 5.1.1 No such user here
  defer local_parts = no4
       message = 4.2.0 Greylisted
  accept
data:
  deny condition = ${{if match{{$message_body}}{{EICAR}}}}
       message = 5.7.1 Content refused
  accept
begin routers
box:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = {dir}/mail/all
  maildir_format
  create_directory
  user = nobody
  group = nogroup
begin retry
* * F,2h,15m
"""


class Exim:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="smtptap-exim-")
        os.chmod(self.dir, 0o755)
        self.port, self.child = free_port(), None
        # It starts itself again as another user, who may not be let into the folder that the checkout is in.
        self.program = shutil.copy(EXIM, self.dir)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        nobody = pwd.getpwnam("nobody")
        for name in ("spool", "log", "mail"):
            os.mkdir(f"{self.dir}/{name}")
            os.chown(f"{self.dir}/{name}", nobody.pw_uid, nobody.pw_gid)
        with open(f"{self.dir}/conf", "w") as f:
            f.write(CONF.format(dir=self.dir, port=self.port, exim=self.program))
        try:
            with open(f"{self.dir}/out", "ab") as out:
                self.child = Child([self.program, "-C", f"{self.dir}/conf", "-bdf"], stdout=out, stderr=out)
            wait_until(lambda: listening(self.port), self.trouble, 20)
        except BaseException:
            self.stop()
            raise
        return self

    def trouble(self):
        said = ""
        for name in ("out", "log/mainlog", "log/paniclog"):
            if os.path.exists(f"{self.dir}/{name}"):
                with open(f"{self.dir}/{name}", errors="replace") as f:
                    said += f.read()[-2000:]
        return "Exim: " + said

    def log(self, queue_id):
        """Its lines about a message."""
        with open(f"{self.dir}/log/mainlog", errors="replace") as f:
            return [line for line in f if f" {queue_id} " in line]

    def wait_log(self, queue_id, word):
        return wait_until(lambda: any(word in line for line in self.log(queue_id)) and self.log(queue_id), self.trouble)

    def delivered(self, message_id):
        """The delivered copies of a message, as bytes with LF."""
        new = f"{self.dir}/mail/all/new"
        out = []
        for f in sorted(os.listdir(new)) if os.path.isdir(new) else []:
            with open(os.path.join(new, f), "rb") as h:
                out.append(h.read())
        return [x for x in out if message_id in x]

    def stop(self):
        if self.child:
            self.child.end(signal.SIGTERM)
            self.child = None
        shutil.rmtree(self.dir, ignore_errors=True)


def why_not():
    """Why a private Exim can't be had here, or None."""
    if not os.path.exists(EXIM):
        return "Exim is not under build/peers: deploy/setup.sh test"
    try:
        pwd.getpwnam("Debian-exim")
    except KeyError:
        return "there is no user Debian-exim, which the program asks for"
    return "a private Exim needs root" if os.geteuid() != 0 else None
