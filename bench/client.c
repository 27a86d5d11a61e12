/* The part of the benchmark's load that redis-benchmark cannot give: filling with data that does not compress, a probe
 * whose schedule does not wait for the server, and connections that say hello and go.
 *
 *   client fill PORT COUNT WORD...           sends the command COUNT times, many at once; in its words {n} is the number in
 *                                            24 digits, {k} in 12, {x} 64 letters that follow from it
 *   client probe PORT KEYS INTERVAL_US SECONDS [COMMAND]
 *                                            a GET of one of KEYS sessions each interval, for so long, or from COMMAND,
 *                                            which starts a snapshot, to that one's end; prints how many, the seconds,
 *                                            and p50, p99, p99.9 and the greatest latency in microseconds
 *   client connects PORT COUNT PARALLEL      connects, HELLO 3, one GET, closes, COUNT times; prints the seconds
 *
 * A latency counts from when a request was due, not from when it could be sent: otherwise a server that stands still
 * for 50 ms would spoil one sample where it spoils 500. The probe spins, so that timers add nothing to what it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 256,                /* commands that fill sends before it reads */
    BUFFER_BYTES = 1 << 20,     /* room for a batch, or for what a read brings */
    IN_FLIGHT_MAX = 1 << 17,    /* requests of the probe without an answer: 13 s at 10,000 a second */
    SOURCES = 64,               /* addresses that connections come from, so that closed ones do not use up the ports */
    REPLY_MAX = 4096,           /* bytes of a reply to HELLO or GET */
    STUCK_S = 30,               /* a server that says nothing for so long has failed */
    WATCH_PAUSE_NS = 200000000, /* between two INFO, each of which holds up a GET: less than one sample of 1,000 */
};

static void fail(const char *format, ...) {
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int open_socket(int port, uint32_t source, int flags) {
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), one = 1;
    if (fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    return fd;
}

static void send_all(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0) fail("send: %s", strerror(errno));
        bytes += sent;
        length -= sent;
    }
}

/* Bytes of the first whole reply of either protocol, 0 if it is not yet all there. */
static size_t reply_length(const char *bytes, size_t length) {
    size_t at = 0;
    for (long missing = 1; missing > 0; missing--) {
        const char *end = memchr(bytes + at, '\n', length - at);
        if (!end) return 0;
        char kind = bytes[at];
        long count = atol(bytes + at + 1);
        at = end - bytes + 1;
        if (kind == '-') fail("the server says %.*s", (int)(end - bytes), bytes);
        if (count > 0 && (kind == '*' || kind == '~' || kind == '>')) missing += count;
        if (count > 0 && kind == '%') missing += 2 * count;
        if (count >= 0 && (kind == '$' || kind == '=')) at += count + 2;
        if (at > length) return 0;
    }
    return at;
}

/* --- fill ---------------------------------------------------------------------------------------------------------- */

/* Writes a word with its placeholders filled in; gives its length. */
static size_t expand(char *out, const char *word, uint64_t number) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *at = out;
    uint64_t state = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    while (*word) {
        if (strncmp(word, "{n}", 3) == 0) {
            at += sprintf(at, "%024llu", (unsigned long long)number);
            word += 3;
        } else if (strncmp(word, "{k}", 3) == 0) {
            at += sprintf(at, "%012llu", (unsigned long long)number);
            word += 3;
        } else if (strncmp(word, "{x}", 3) == 0) {
            for (int i = 0; i < 64; i++) *at++ = letters[random_next(&state) >> 58];
            word += 3;
        } else {
            *at++ = *word++;
        }
    }
    return at - out;
}

static void read_line_replies(int fd, int count) {
    static char buffer[1 << 16];
    int at_start = 1;
    while (count > 0) {
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0) fail("the server ended the connection");
        for (ssize_t i = 0; i < got; i++) {
            if (at_start && buffer[i] != '+' && buffer[i] != ':') fail("refused: %.*s", (int)(got - i), buffer + i);
            at_start = buffer[i] == '\n';
            count -= at_start;
        }
    }
}

static void fill(int port, uint64_t count, int words, char **word) {
    static char out[BUFFER_BYTES], expanded[1 << 12];
    int fd = open_socket(port, 0, 0);
    for (uint64_t number = 0; number < count;) {
        size_t length = 0;
        int sent = 0;
        for (; sent < BATCH && number < count && length < BUFFER_BYTES / 2; sent++, number++) {
            length += sprintf(out + length, "*%d\r\n", words);
            for (int i = 0; i < words; i++) {
                size_t bytes = expand(expanded, word[i], number);
                length += sprintf(out + length, "$%zu\r\n", bytes);
                memcpy(out + length, expanded, bytes);
                length += bytes;
                length += sprintf(out + length, "\r\n");
            }
        }
        send_all(fd, out, length);
        read_line_replies(fd, sent);
    }
    close(fd);
}

/* --- probe --------------------------------------------------------------------------------------------------------- */

struct probe {
    int fd;
    uint64_t keys, random, asked, answered, latency_room;
    int64_t *due_ns, *latency_ns;
    char in[1 << 16], out[1 << 16];
    size_t in_bytes, out_bytes;
};

static void probe_ask(struct probe *probe, int64_t due_ns) {
    probe->due_ns[probe->asked++ % IN_FLIGHT_MAX] = due_ns;
    unsigned long long key = random_next(&probe->random) % probe->keys;
    probe->out_bytes += sprintf(probe->out + probe->out_bytes, "*2\r\n$3\r\nGET\r\n$32\r\nsession:%024llu\r\n", key);
}

static void probe_answered(struct probe *probe, int64_t now) {
    if (probe->answered == probe->latency_room) {
        probe->latency_room = probe->latency_room ? 2 * probe->latency_room : 1 << 16;
        probe->latency_ns = realloc(probe->latency_ns, probe->latency_room * sizeof *probe->latency_ns);
        if (!probe->latency_ns) fail("out of memory");
    }
    probe->latency_ns[probe->answered] = now - probe->due_ns[probe->answered % IN_FLIGHT_MAX];
    probe->answered++;
}

static void probe_exchange(struct probe *probe) {
    if (probe->out_bytes) {
        ssize_t sent = send(probe->fd, probe->out, probe->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
        if (sent > 0) memmove(probe->out, probe->out + sent, probe->out_bytes -= sent);
    }
    ssize_t got = recv(probe->fd, probe->in + probe->in_bytes, sizeof probe->in - probe->in_bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) fail("the server ended the connection");
    if (got < 0) return;
    probe->in_bytes += got;
    int64_t now = now_ns();
    size_t at = 0, length;
    while ((length = reply_length(probe->in + at, probe->in_bytes - at))) {
        probe_answered(probe, now);
        at += length;
    }
    memmove(probe->in, probe->in + at, probe->in_bytes -= at);
}

/* A second connection, which starts the snapshot and asks now and then whether it is written. */
struct watch {
    int fd, waits, done;
    int64_t next_ns;
    char in[1 << 14];
    size_t in_bytes;
};

static void watch_say(struct watch *watch, const char *command) {
    char out[64];
    send_all(watch->fd, out, sprintf(out, "%s\r\n", command));
    watch->waits = 1;
}

static void watch_step(struct watch *watch, int64_t now) {
    if (!watch->waits) {
        if (now >= watch->next_ns) watch_say(watch, "INFO persistence");
        return;
    }
    ssize_t got = recv(watch->fd, watch->in + watch->in_bytes, sizeof watch->in - 1 - watch->in_bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) fail("the server ended the connection");
    if (got > 0) watch->in_bytes += got;
    if (!reply_length(watch->in, watch->in_bytes)) return;
    watch->in[watch->in_bytes] = 0;
    int begun = watch->in[0] == '+';
    watch->done = !begun && !strstr(watch->in, "_in_progress:1") && !strstr(watch->in, "_scheduled:1");
    watch->in_bytes = watch->waits = 0;
    watch->next_ns = now + WATCH_PAUSE_NS;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void probe_print(struct probe *probe, double seconds) {
    uint64_t count = probe->answered;
    double share[] = {0.5, 0.99, 0.999, 1};
    qsort(probe->latency_ns, count, sizeof *probe->latency_ns, by_size);
    printf("%llu %.3f", (unsigned long long)count, seconds);
    for (int i = 0; i < 4; i++) printf(" %.1f", probe->latency_ns[(uint64_t)(share[i] * (count - 1))] / 1e3);
    puts("");
}

static void probe_run(int port, uint64_t keys, int64_t interval_ns, double seconds, const char *command) {
    static struct probe probe;
    static struct watch watch;
    probe.fd = open_socket(port, 0, 0);
    probe.keys = keys;
    probe.random = 88172645463325252u;
    probe.due_ns = calloc(IN_FLIGHT_MAX, sizeof *probe.due_ns);
    watch.fd = open_socket(port, 0, 0);
    if (command) watch_say(&watch, command);
    int64_t began = now_ns(), due = began, ended = 0;
    while (!ended || probe.answered < probe.asked) {
        int64_t now = now_ns();
        while (!ended && due <= now && probe.out_bytes < sizeof probe.out - 128 &&
               probe.asked - probe.answered < IN_FLIGHT_MAX) {
            probe_ask(&probe, due);
            due += interval_ns;
        }
        probe_exchange(&probe);
        /* Quiet is asked the same questions, so that they cost the same. */
        if (!ended) watch_step(&watch, now);
        if (!ended && (command ? watch.done : now - began > seconds * 1e9)) ended = now;
        if (ended && now - ended > STUCK_S * INT64_C(1000000000)) fail("no answer in %d s", STUCK_S);
    }
    probe_print(&probe, (ended - began) / 1e9);
}

/* --- connects ------------------------------------------------------------------------------------------------------ */

static const char *const said[] = {"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n"};

struct connection {
    int fd, step;
    size_t bytes;
    char reply[REPLY_MAX];
};

static void connection_open(struct connection *connection, int epoll, int port, uint64_t number) {
    *connection = (struct connection){.fd = open_socket(port, number % SOURCES, SOCK_NONBLOCK)};
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

/* Goes one step on; says whether the connection has ended. */
static int connection_step(struct connection *connection, int epoll) {
    if (connection->step == 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
    } else {
        char *to = connection->reply + connection->bytes;
        ssize_t got = recv(connection->fd, to, REPLY_MAX - connection->bytes, 0);
        if (got <= 0) fail("the server ended a connection: %s", got ? strerror(errno) : "closed");
        connection->bytes += got;
        if (!reply_length(connection->reply, connection->bytes)) return 0;
        connection->bytes = 0;
    }
    if (connection->step == 2) {
        close(connection->fd);
        return 1;
    }
    send_all(connection->fd, said[connection->step], strlen(said[connection->step]));
    connection->step++;
    return 0;
}

static void connects(int port, uint64_t count, uint64_t parallel) {
    if (parallel > count) parallel = count;
    struct connection *connections = calloc(parallel, sizeof *connections);
    struct epoll_event events[64];
    int epoll = epoll_create1(0);
    int64_t began = now_ns();
    uint64_t opened = 0, closed = 0;
    while (opened < parallel) {
        connection_open(&connections[opened], epoll, port, opened);
        opened++;
    }
    while (closed < count) {
        int ready = epoll_wait(epoll, events, 64, STUCK_S * 1000);
        if (ready <= 0) fail("no answer in %d s", STUCK_S);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection_step(connection, epoll)) continue;
            closed++;
            if (opened < count) connection_open(connection, epoll, port, opened++);
        }
    }
    printf("%.6f\n", (now_ns() - began) / 1e9);
}

int main(int arguments, char **argument) {
    const char *mode = arguments > 1 ? argument[1] : "";
    if (strcmp(mode, "fill") == 0 && arguments > 4) {
        fill(atoi(argument[2]), atoll(argument[3]), arguments - 4, argument + 4);
    } else if (strcmp(mode, "probe") == 0 && arguments >= 6) {
        const char *command = arguments > 6 ? argument[6] : NULL;
        probe_run(atoi(argument[2]), atoll(argument[3]), atoll(argument[4]) * 1000, atof(argument[5]), command);
    } else if (strcmp(mode, "connects") == 0 && arguments == 5) {
        connects(atoi(argument[2]), atoll(argument[3]), atoll(argument[4]));
    } else {
        fail("see the head of client.c");
    }
    return 0;
}
