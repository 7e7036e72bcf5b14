"""What one test (or one module) has started, and its end in the right order."""
import os
import shutil
import tempfile

from .mta import ScriptedMta, assert_one_reading
from .tap import Smtptap


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="smtptap-test-")
        os.chmod(self.dir, 0o755)
        self.taps, self.mtas, self.children, self.cleanups = [], [], [], []
        self.n = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def workdir(self):
        self.n += 1
        path = self.path(f"run{self.n}")
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def mta(self, *args, **stages):
        mta = ScriptedMta(*args, **stages)
        self.mtas.append(mta)
        return mta

    def tap(self, upstream, config=None, ready=True, **options):
        tap = Smtptap(self.workdir(), upstream, config, **options)
        self.taps.append(tap)
        if ready:
            tap.ready()
        return tap

    def child(self, child):
        self.children.append(child)
        return child

    def defer(self, function):
        self.cleanups.append(function)

    def end(self, failed):
        """Clients go first, then the upstreams, so that the program can end at once; its books are checked last."""
        errors = []

        def attempt(function, *args, **keys):
            try:
                function(*args, **keys)
            except Exception as e:  # all is cleaned up, then the first error is raised
                errors.append(e)
            except AssertionError as e:
                errors.append(e)

        for tap in self.taps:
            for client in tap.clients:
                client.close()
        for function in reversed(self.cleanups):
            attempt(function)
        for mta in self.mtas:
            attempt(mta.stop)
        for tap in self.taps:
            if not hasattr(tap, "child"):
                continue
            attempt(tap.kill if failed else tap.stop)
            tap.kill()
        for child in self.children:
            attempt(child.end)
        if not failed:
            for mta in self.mtas:
                for session in mta.sessions:
                    attempt(assert_one_reading, session)
        shutil.rmtree(self.dir, ignore_errors=True)
        if errors:
            raise errors[0]
