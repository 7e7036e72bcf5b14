"""Real clients, each a function (address, sender, recipients, message with CRLF) -> exit status or reply code."""
import os
import shutil
import smtplib
import subprocess
import tempfile

from .util import DEADLINE, Child


def _run(argv, message=None):
    return subprocess.run(argv, input=message, capture_output=True, timeout=DEADLINE)


def _file(message):
    f = tempfile.NamedTemporaryFile(prefix="smtptap-msg-")
    f.write(message)
    f.flush()
    return f


def smtplib_send(address, sender, to, message):
    with smtplib.SMTP(*address, local_hostname="client.example", timeout=DEADLINE) as s:
        s.ehlo()
        try:
            s.sendmail(sender, to, message)
            return 0
        except smtplib.SMTPResponseException as e:
            return e.smtp_code
        except smtplib.SMTPRecipientsRefused as e:
            return max(code for code, _ in e.recipients.values())


def swaks_send(address, sender, to, message, *more):
    with _file(message) as f:
        r = _run(["swaks", "--server", f"{address[0]}:{address[1]}", "--from", sender, "--to", ",".join(to), "--helo",
                  "client.example", "--data", "@" + f.name, "--silent", "2", *more])
    return r.returncode


def swaks_pipeline(address, sender, to, message):
    return swaks_send(address, sender, to, message, "--pipeline")


def curl_send(address, sender, to, message):
    with _file(message) as f:
        argv = ["curl", "-q", "--silent", "--noproxy", "*", f"smtp://{address[0]}:{address[1]}/client.example",
                "--mail-from", sender, "--upload-file", f.name]
        for one in to:
            argv += ["--mail-rcpt", one]
        return _run(argv).returncode


def msmtp_send(address, sender, to, message):
    return _run(["msmtp", "--file=/dev/null", f"--host={address[0]}", f"--port={address[1]}", "--tls=off", "--auth=off",
                 "--domain=client.example", f"--from={sender}", "--set-date-header=off", "--set-msgid-header=off",
                 "--set-from-header=off", "--undisclosed-recipients=off", "--", *to],
                message.replace(b"\r\n", b"\n")).returncode


CLIENTS = {"smtplib": smtplib_send, "swaks": swaks_send, "swaks-pipeline": swaks_pipeline, "curl": curl_send,
           "msmtp": msmtp_send}


def program_of(client):
    return client.split("-")[0]


def installed(client):
    return client == "smtplib" or shutil.which(program_of(client)) is not None


SOURCE = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/libexec/postfix")
SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin:/usr/libexec/postfix")


def smtp_source(port, messages, sessions=50, length=1024, per_connection=False, **options):
    argv = [SOURCE, "-s", str(sessions), "-m", str(messages), "-l", str(length), "-f", "load@client.example", "-t",
            "rcpt@sink.example"]
    if not per_connection:
        argv.append("-d")
    return Child([*argv, f"127.0.0.1:{port}"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)


def smtp_sink(port, out, *more):
    return Child([SINK, "-c", *more, f"127.0.0.1:{port}", "4096"], stdout=out, stderr=subprocess.STDOUT,
                 user="nobody" if os.geteuid() == 0 else None)
