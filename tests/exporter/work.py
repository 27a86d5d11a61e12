"""Work that moves what the exporter reads: the same commands, in the same order, on either server."""

import socket

from servers import LIMIT_S, until

KEYS = 20_000
VALUE = b"v" * 1000
NEVER_ZERO = ("used_memory_rss", "allocator_allocated", "allocator_resident", "total_system_memory")


class Connection:
    """Enough of a client for the work: commands out, replies counted in."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self.input = self.socket.makefile("rb")

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def call(self, *words):
        self.send(*words)
        return self.reply()

    def reply(self):
        line = self.input.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$" and rest != b"-1":
            return self.input.read(int(rest) + 2)[:-2]
        if kind == b"*" and rest != b"-1":
            return [self.reply() for _ in range(int(rest))]
        return line[:-2]

    def close(self):
        self.socket.close()


def resident(connection):
    text = connection.call("INFO", "memory").decode()
    return int(text.split("used_memory_rss:")[1].split()[0])


class Work:
    def __init__(self, port):
        self.port = port
        self.connections = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()

    def connect(self):
        self.connections.append(Connection(self.port))
        return self.connections[-1]

    def unknown_at_first(self):
        """Those fields of the first INFO that are 0 and cannot be."""
        lines = self.connect().call("INFO", "everything").decode().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return {field for field in NEVER_ZERO if float(fields[field]) == 0}

    def do(self):
        """All of it. What is refreshed now and then has been refreshed after it."""
        c = self.connect()
        self.data(c)
        self.errors(c)
        self.expiry(c)
        self.others(c)
        self.stream(c)
        c.call("EVAL", "return redis.call('INCR', KEYS[1])", 1, "counted")
        c.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
        c.call("PING")
        c.call("CONFIG", "SET", "slowlog-log-slower-than", -1)
        c.call("PUBLISH", "news", "x")
        c.call("SELECT", 0)
        until(lambda: resident(c) >= KEYS * len(VALUE), "memory that holds the data")

    def data(self, c):
        for number in range(KEYS):
            c.send("SET", f"user:{number}", VALUE)
        for _ in range(KEYS):
            c.reply()
        c.call("SET", "checked-number", 42)
        c.call("RPUSH", "checked-list", "a", "b", "c")
        c.call("HSET", "checked-hash", "f", "v", "g", "w")
        c.call("ZADD", "checked-zset", 1, "a")
        c.call("SADD", "checked-set", "a", "b")
        for number in range(7):
            c.call("GET", f"user:{number}")
        for number in range(3):
            c.call("GET", f"nobody:{number}")
        c.call("MULTI")
        c.call("INCR", "counted")
        c.call("EXEC")

    def errors(self, c):
        c.call("NOSUCH")
        c.call("GET")
        c.call("LPUSH", "checked-number", "x")
        c.call("INCR", "checked-list")
        c.call("INCR", "user:1")

    def expiry(self, c):
        for number in range(4):
            c.call("SET", f"brief:{number}", "x", "PX", 1)
        for number in range(5):
            c.call("SET", f"long:{number}", "x", "EX", 1000)
        # Due keys that nobody looks at go by themselves.
        until(lambda: b"expired_keys:4\r" in c.call("INFO", "stats"), "the expiry of four keys")

    def stream(self, c):
        c.call("SELECT", 3)
        for number in range(1, 4):
            c.call("XADD", "stream", f"{number}-0", "f", "v")
        c.call("XGROUP", "CREATE", "stream", "group", 0)
        c.call("XREADGROUP", "GROUP", "group", "consumer", "COUNT", 2, "STREAMS", "stream", ">")

    def others(self, c):
        """Connections that stay: one that blocks, one that subscribes, one that watches."""
        blocked = self.connect()
        c.call("RPUSH", "something", "x")
        blocked.call("BLPOP", "something", 0)
        blocked.send("BLPOP", "nothing", 0)
        subscriber = self.connect()
        subscriber.call("SUBSCRIBE", "news")
        subscriber.call("PSUBSCRIBE", "n*")
        self.connect().call("WATCH", "user:1")
        until(lambda: b"blocked_clients:1\r" in c.call("INFO", "clients"), "a blocked client")
