"""A private Dovecot that delivers: LMTP on a unix socket and on a port. alice and bob have mailboxes, full has one with
no room, nobody else is known."""
import glob
import os

from .dovecot import Dovecot
from .util import free_port

CONF = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
instance_name = {name}
protocols = lmtp
listen = 127.0.0.1
ssl = no
hostname = mda.example
postmaster_address = postmaster@box.example
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
mail_location = maildir:{dir}/mail/%n
mail_plugins = quota
lmtp_save_to_detail_mailbox = no
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {dir}/users
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
}}
service lmtp {{
  unix_listener {dir}/lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class DovecotLmtp(Dovecot):
    def __init__(self):
        super().__init__({})
        self.port = free_port()
        self.socket = f"{self.dir}/lmtp"

    @property
    def tcp(self):
        return f"127.0.0.1:{self.port}"

    def set_users(self, users):
        with open(f"{self.dir}/users", "w") as f:
            for name, rule in (("alice", "*:storage=100M"), ("bob", "*:storage=100M"), ("full", "*:bytes=10")):
                f.write(f"{name}::65534:65534::{self.dir}/home/{name}::userdb_quota_rule={rule}\n")
        os.chmod(f"{self.dir}/users", 0o644)
        for name in ("mail", "home"):
            os.mkdir(f"{self.dir}/{name}")
            os.chmod(f"{self.dir}/{name}", 0o777)

    def configuration(self):
        return CONF.format(dir=self.dir, name=os.path.basename(self.dir), port=self.port)

    def mailbox(self, name):
        """The messages of name, as bytes with LF."""
        out = []
        for path in sorted(glob.glob(f"{self.dir}/mail/{name}/new/*")):
            with open(path, "rb") as f:
                out.append(f.read().replace(b"\r\n", b"\n"))
        return out
