"""A private Dovecot that does nothing but authenticate: its auth socket, as Postfix and smtptap use it."""
import os
import shutil
import signal
import subprocess
import tempfile

from .util import Child, wait_until

DOVECOT = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
MECHANISMS = "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256"
CONF = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
instance_name = {name}
protocols =
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = {delay}
auth_verbose = yes
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """users: name -> password. socket: where Postfix or smtptap finds it (an absolute path)."""

    def __init__(self, users, mechanisms=MECHANISMS, socket=None, delay="0 secs"):
        self.dir = tempfile.mkdtemp(prefix="smtptap-dovecot-")
        os.chmod(self.dir, 0o755)
        self.socket = socket or f"{self.dir}/auth"
        self.mechanisms, self.delay, self.child = mechanisms, delay, None
        self.set_users(users)

    @property
    def address(self):
        return "unix:" + self.socket

    def set_users(self, users):
        with open(f"{self.dir}/users", "w") as f:
            for name, password in users.items():
                f.write(f"{name}:{{PLAIN}}{password}::::::\n")
        os.chmod(f"{self.dir}/users", 0o644)

    def configuration(self):
        return CONF.format(dir=self.dir, name=os.path.basename(self.dir), mechanisms=self.mechanisms, delay=self.delay,
                           socket=self.socket)

    def start(self):
        """Also again, after stop(keep=True)."""
        with open(f"{self.dir}/conf", "w") as f:
            f.write(self.configuration())
        try:
            with open(f"{self.dir}/start", "ab") as out:
                self.child = Child([DOVECOT, "-F", "-c", f"{self.dir}/conf"], stdout=out, stderr=out)
            wait_until(self.up, self.trouble, 20)
        except BaseException:
            self.stop()
            raise
        return self

    def up(self):
        assert self.child.returncode is None, self.trouble()
        return os.path.exists(self.socket) and os.path.exists(f"{self.dir}/run/master.pid")

    def trouble(self):
        said = ""
        for name in ("start", "log"):
            if os.path.exists(f"{self.dir}/{name}"):
                with open(f"{self.dir}/{name}", errors="replace") as f:
                    said += f.read()[-2000:]
        return "Dovecot: " + said

    def signal(self, number):
        """To the whole Dovecot, master and auth: STOP makes it hang."""
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def pids(self):
        out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.child.pid)], capture_output=True, text=True).stdout
        return [self.child.pid, *map(int, out.split())]

    def stop(self, keep=False):
        if self.child:
            self.child.end(signal.SIGTERM)
            self.child = None
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def why_not():
    """Why a private Dovecot can't be had here, or None."""
    if DOVECOT is None:
        return "Dovecot is not installed"
    return "a private Dovecot needs root" if os.geteuid() != 0 else None
