"""Kafka without a broker: the mock cluster of librdkafka, in a process of its own, and a consumer, by ctypes."""
import ctypes
import ctypes.util
import subprocess
import sys
import time

from .util import DEADLINE, Timeout

HOST = """
import ctypes, sys
k = ctypes.CDLL("librdkafka.so.1")
for f in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
    getattr(k, f).restype = ctypes.c_void_p
k.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
why = ctypes.create_string_buffer(256)
conf = ctypes.c_void_p(k.rd_kafka_conf_new())
k.rd_kafka_conf_set(conf, b"bootstrap.servers", b"127.0.0.1:1", why, 256)
k.rd_kafka_conf_set_log_cb(conf, None)
rk = k.rd_kafka_new(0, conf, why, 256)
cluster = k.rd_kafka_mock_cluster_new(ctypes.c_void_p(rk), int(sys.argv[1]))
cluster = ctypes.c_void_p(cluster)
assert cluster, why.value
assert k.rd_kafka_mock_topic_create(cluster, sys.argv[2].encode(), int(sys.argv[3]), 1) == 0
print(k.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
for line in sys.stdin:
    word, *args = line.split()
    if word == "down":
        k.rd_kafka_mock_broker_set_down(cluster, int(args[0]))
    elif word == "up":
        k.rd_kafka_mock_broker_set_up(cluster, int(args[0]))
    elif word == "slow":
        k.rd_kafka_mock_broker_set_rtt(cluster, int(args[0]), int(args[1]))
    elif word == "errors":  # of the next requests: the kind, then codes
        codes = [ctypes.c_int(int(a)) for a in args[1:]]
        k.rd_kafka_mock_push_request_errors(cluster, ctypes.c_int16(int(args[0])), ctypes.c_size_t(len(codes)), *codes)
    print("done", flush=True)
"""


def available():
    try:
        ctypes.CDLL("librdkafka.so.1")
        return True
    except OSError:
        return False


class MockKafka:
    def __init__(self, topic="log", brokers=1, partitions=3):
        self.topic, self.partitions, self.brokers = topic, partitions, brokers
        self.process = subprocess.Popen([sys.executable, "-c", HOST, str(brokers), topic, str(partitions)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the mock cluster did not start"
        self.k = None

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def down(self):
        for i in range(self.brokers):
            self.tell("down", i + 1)

    def up(self):
        for i in range(self.brokers):
            self.tell("up", i + 1)

    def consumer(self):
        k = self.k = ctypes.CDLL("librdkafka.so.1")
        for f in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_topic_partition_list_new",
                  "rd_kafka_topic_partition_list_add"):
            getattr(k, f).restype = ctypes.c_void_p
        k.rd_kafka_consumer_poll.restype = ctypes.POINTER(Message)
        why = ctypes.create_string_buffer(256)
        conf = ctypes.c_void_p(k.rd_kafka_conf_new())
        for name, value in (("bootstrap.servers", self.address), ("group.id", "tests"), ("auto.offset.reset", "earliest")):
            assert k.rd_kafka_conf_set(conf, name.encode(), value.encode(), why, 256) == 0, why.value
        self.rk = ctypes.c_void_p(k.rd_kafka_new(1, conf, why, 256))
        assert self.rk, why.value
        k.rd_kafka_poll_set_consumer(self.rk)
        parts = ctypes.c_void_p(k.rd_kafka_topic_partition_list_new(self.partitions))
        for i in range(self.partitions):
            entry = ctypes.cast(k.rd_kafka_topic_partition_list_add(parts, self.topic.encode(), i),
                                ctypes.POINTER(Partition))
            entry.contents.offset = -2  # from the beginning
        assert k.rd_kafka_assign(self.rk, parts) == 0
        k.rd_kafka_topic_partition_list_destroy(parts)

    def read(self, done, timeout=None):
        """(partition, key, value) of the messages, until done(them)."""
        if not self.k:
            self.consumer()
        found, end = [], time.monotonic() + (timeout or 2 * DEADLINE)
        while not done(found):
            if time.monotonic() > end:
                raise Timeout(f"waited in vain for messages in the topic; it had {len(found)}: {found[-3:]}")
            m = self.k.rd_kafka_consumer_poll(self.rk, 100)
            if not m:
                continue
            if m.contents.err == 0:
                key = ctypes.string_at(m.contents.key, m.contents.key_len) if m.contents.key else None
                found.append((m.contents.partition, key, ctypes.string_at(m.contents.payload, m.contents.len)))
            self.k.rd_kafka_message_destroy(m)
        return found

    def stop(self):
        if self.k:
            self.k.rd_kafka_destroy_flags(self.rk, 8)
            self.k = None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("rkt", ctypes.c_void_p), ("partition", ctypes.c_int32),
                ("payload", ctypes.c_void_p), ("len", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_len", ctypes.c_size_t), ("offset", ctypes.c_int64), ("private", ctypes.c_void_p)]


class Partition(ctypes.Structure):
    _fields_ = [("topic", ctypes.c_char_p), ("partition", ctypes.c_int32), ("offset", ctypes.c_int64)]
