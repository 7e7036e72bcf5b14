"""A log output that nobody reads until told: a named pipe."""
import os

from .records import Log
from .util import Reader


class Pipe:
    def __init__(self, world):
        self.path = world.path("pipe")
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self.fd, True)
        self.log, self.reader = Log(), None
        world.defer(self.close)

    def read(self):
        if not self.reader:
            self.reader = Reader(self.fd, self.log.feed)
        return self

    def read_to_the_end(self):
        """All that is there, once nobody writes any more."""
        self.read()
        self.reader.join(10)
        assert not self.reader.is_alive()

    def close(self):
        self.read()
        self.reader.stop()
        os.close(self.fd)
