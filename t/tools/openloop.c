/*
 * openloop: sends requests at a fixed rate, independent of the responses, and counts failures.
 * A closed loop would slow down together with the server, and so hide a stall; here each
 * request has its scheduled time, and a late response is a long latency.
 *
 *     openloop [-r per-second] [-d seconds] [-c connections] [-t timeout-ms] [-m METHOD]
 *              [-w slow-ms] [-s file] https://host:port/path
 *
 * Idle connections are reused, newest first; if none is idle, a new one is opened, up to -c. A
 * request whose kept connection was just closed by the server (no byte of a response received)
 * is sent once more on a new one, as browsers do; `resent` counts it. Every other request
 * without a complete 2xx response is a failure.
 *
 * `slow` counts successful requests that took longer than -w (1000 ms).
 *
 * -d 0 runs until SIGINT or SIGTERM. -s: a file to which the summary is written every second.
 * At the end it prints a line of JSON and exits with 0, or with 1 if a request failed:
 *     {"requests":N,"ok":N,"failed":N,"slow":N,"resent":N,"connections":N,"p50_ms":..,
 *      "p99_ms":..,"max_ms":..,"statuses":{"200":N},"instances":{"pas1":N},"errors":{"timeout":N},
 *      "first_errors":["12.345 s: ..."],
 *      "first_slow":["12.345 s: after 1200 ms, pas1"]}
 *
 * One process, one thread, epoll; libssl. Certificates are not verified: only for tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "t/tools/openloop_response.h"
#include "t/tools/openloop_result.h"
#include "t/tools/openloop_stream.h"
#include "t/tools/openloop_target.h"

enum {
    MAX_CONNS = 4096,
    IDLE_MS = 4000, /* a connection that was idle for longer is not reused */
};

enum state { FREE, CONNECTING, HANDSHAKE, SENDING, READING, IDLE };

struct conn {
    enum state state;
    struct stream stream;
    bool reused, resent;
    uint64_t since; /* us: when the request was due */
    uint64_t idle;  /* us: when it became idle */
    size_t sent;
    struct response in;
};

static struct {
    double rate, seconds;
    unsigned conns, timeout_ms, slow_ms;
    const char *method, *summary;
    struct target target;
} opt = {.rate = 200,
         .seconds = 10,
         .conns = 256,
         .timeout_ms = 10000,
         .slow_ms = 1000,
         .method = "GET"};

static struct conn *conns[MAX_CONNS];
static struct sockaddr_storage addr;
static socklen_t addr_len;
static SSL_CTX *ctx;
static int epfd;
static char request[2048];
static size_t request_n;
static volatile sig_atomic_t stop;

static uint64_t started;
static struct result result;

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "openloop: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void write_summary(void)
{
    char tmp[1100];

    snprintf(tmp, sizeof tmp, "%s.new", opt.summary);
    FILE *f = fopen(tmp, "w");
    if (!f)
        die(tmp);
    result_print(&result, f);
    if (fclose(f) != 0 || rename(tmp, opt.summary) < 0)
        die(opt.summary);
}

/* ---- a connection ---- */

static void conn_drop(struct conn *c)
{
    stream_close(&c->stream);
    c->state = FREE;
}

static void fail(struct conn *c, const char *why)
{
    result.failed++;
    result_count(result.errors, RESULT_ERRORS, why, strlen(why));
    if (result.n_errors < RESULT_FIRST_ERRORS)
        snprintf(result.first_errors[result.n_errors++], sizeof result.first_errors[0],
                 "%.3f s: %s%s%s, status %d, after %.0f ms", (double)(now_us() - started) / 1e6,
                 why, c->reused ? ", kept connection" : "", c->resent ? ", resent" : "",
                 c->in.status, (double)(now_us() - c->since) / 1000);
    conn_drop(c);
}

/* Closes with a reset, like a client that was killed: a FIN alone could be a half-close, after
 * which the client still waits for the response. */
static void give_up(struct conn *c)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->stream.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    fail(c, "timeout");
}

static void conn_connect(struct conn *c)
{
    int one = 1;

    c->reused = false;
    c->stream.fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->stream.fd < 0)
        die("socket");
    setsockopt(c->stream.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data = {.ptr = c}};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->stream.fd, &e) < 0)
        die("epoll");
    result.connections++;
    c->state = CONNECTING;
    if (connect(c->stream.fd, (struct sockaddr *)&addr, addr_len) < 0 && errno != EINPROGRESS)
        fail(c, "connect");
}

static void request_start(struct conn *c)
{
    c->sent = c->in.head_n = 0;
    c->in.in_body = c->in.chunked = c->in.close = false;
    c->in.status = 0;
    c->state = SENDING;
}

/* The connection ended or broke before the response was complete. */
static void conn_broken(struct conn *c, const char *why)
{
    if (c->reused && !c->resent && c->in.head_n == 0) {
        conn_drop(c);
        c->resent = true;
        result.resent++;
        conn_connect(c);
        return;
    }
    fail(c, why);
}

static void answer_done(struct conn *c)
{
    uint64_t us = now_us() - c->since;

    result.statuses[c->in.status]++;
    if (c->in.instance[0])
        result_count(result.instances, RESULT_INSTANCES, c->in.instance,
                     strlen(c->in.instance));
    if (c->in.status < 200 || c->in.status > 299) {
        char why[24];
        snprintf(why, sizeof why, "status %d", c->in.status);
        fail(c, why);
        return;
    }
    result.ok++;
    if (us > (uint64_t)opt.slow_ms * 1000) {
        if (result.slow < RESULT_FIRST_SLOW)
            snprintf(result.first_slow[result.slow], sizeof result.first_slow[0],
                     "%.3f s: after %.0f ms, %s", (double)(now_us() - started) / 1e6,
                     (double)us / 1000, c->in.instance);
        result.slow++;
    }
    histogram_add(&result.latencies, us);
    if (c->in.close) {
        conn_drop(c);
    } else {
        c->state = IDLE;
        c->idle = now_us();
    }
}

static bool conn_step_connect(struct conn *c)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int err = 0;
    socklen_t len = sizeof err;

    getsockopt(c->stream.fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) {
        fail(c, "connect");
        return false;
    }
    if (getpeername(c->stream.fd, (struct sockaddr *)&peer, &n) < 0)
        return false; /* not yet */
    if (!opt.target.tls) {
        request_start(c);
        return true;
    }
    c->stream.ssl = SSL_new(ctx);
    if (!c->stream.ssl || !SSL_set_fd(c->stream.ssl, c->stream.fd) ||
        !SSL_set_tlsext_host_name(c->stream.ssl, opt.target.host))
        die("SSL_new");
    c->state = HANDSHAKE;
    return true;
}

static bool conn_step_handshake(struct conn *c)
{
    int rc = SSL_connect(c->stream.ssl);

    if (rc == 1) {
        request_start(c);
        return true;
    }
    if (stream_result(&c->stream, rc) != -1)
        fail(c, "handshake");
    return false;
}

static bool conn_step_send(struct conn *c)
{
    ssize_t n = stream_write(&c->stream, request + c->sent, request_n - c->sent);

    if (n == -1)
        return false;
    if (n <= 0) {
        conn_broken(c, "send");
        return false;
    }
    c->sent += (size_t)n;
    if (c->sent == request_n)
        c->state = READING;
    return true;
}

static bool conn_step_read(struct conn *c)
{
    static char piece[65536];
    ssize_t n = stream_read(&c->stream, piece, sizeof piece);

    if (n == -1)
        return false;
    if (n <= 0) {
        if (c->in.in_body && c->in.left == -1 && n == 0) {
            c->in.close = true;
            answer_done(c);
        } else {
            conn_broken(c, c->in.head_n ? "cut answer" : "no answer");
        }
        return false;
    }
    if (response_feed(&c->in, piece, (size_t)n, strcmp(opt.method, "HEAD") == 0))
        answer_done(c);
    return c->state == READING || c->state == IDLE;
}

static void conn_run(struct conn *c)
{
    char byte;
    bool more = true;

    while (more) {
        switch (c->state) {
        case CONNECTING:
            more = conn_step_connect(c);
            break;
        case HANDSHAKE:
            more = conn_step_handshake(c);
            break;
        case SENDING:
            more = conn_step_send(c);
            break;
        case READING:
            more = conn_step_read(c);
            break;
        case IDLE: /* session tickets, or end of the connection */
            if (stream_read(&c->stream, &byte, 1) != -1)
                conn_drop(c);
            return;
        default:
            return;
        }
    }
}

/* ---- the schedule ---- */

static void request_fire(uint64_t due)
{
    struct conn *best = NULL, *unused = NULL;
    uint64_t now = now_us();

    result.requests++;
    for (unsigned i = 0; i < opt.conns; i++) {
        struct conn *c = conns[i];
        if (c->state == IDLE && now - c->idle > IDLE_MS * 1000)
            conn_drop(c);
        if (c->state == IDLE && (!best || c->idle > best->idle))
            best = c;
        if (c->state == FREE && !unused)
            unused = c;
    }
    struct conn *c = best ? best : unused;
    if (!c) {
        result.failed++;
        result_count(result.errors, RESULT_ERRORS, "no connection left", 18);
        return;
    }
    c->since = due;
    c->resent = false;
    c->in.status = 0;
    c->in.head_n = 0;
    if (best) {
        c->reused = true;
        request_start(c);
        conn_run(c);
    } else {
        conn_connect(c);
    }
}

/* Ends requests that take too long; returns how many are in flight. */
static unsigned sweep(void)
{
    unsigned busy = 0;
    uint64_t now = now_us();

    for (unsigned i = 0; i < opt.conns; i++) {
        struct conn *c = conns[i];
        if (c->state == FREE || c->state == IDLE)
            continue;
        if (now - c->since > (uint64_t)opt.timeout_ms * 1000)
            give_up(c);
        else
            busy++;
    }
    return busy;
}

static void run(void)
{
    struct epoll_event ev[256];
    uint64_t fired = 0, swept = 0, told = 0;
    bool firing = true;

    for (;;) {
        uint64_t now = now_us();
        double passed = (double)(now - started) / 1e6;
        if (stop || (opt.seconds > 0 && passed >= opt.seconds))
            firing = false;
        while (firing && (double)fired < passed * opt.rate)
            request_fire(started + (uint64_t)((double)fired++ / opt.rate * 1e6));
        if (now - swept > 20000) {
            swept = now;
            if (sweep() == 0 && !firing)
                return;
        }
        if (opt.summary && now - told > 1000000) {
            told = now;
            write_summary();
        }
        int wait = firing && opt.rate > 500 ? 1 : 4;
        int n = epoll_wait(epfd, ev, 256, wait);
        for (int i = 0; i < n; i++)
            conn_run(ev[i].data.ptr);
    }
}

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static void prepare(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
    int err = getaddrinfo(opt.target.host, opt.target.port, &hints, &ai);

    if (err) {
        fprintf(stderr, "openloop: %s: %s\n", opt.target.host, gai_strerror(err));
        exit(2);
    }
    memcpy(&addr, ai->ai_addr, ai->ai_addrlen);
    addr_len = ai->ai_addrlen;
    freeaddrinfo(ai);
    request_n =
        (size_t)snprintf(request, sizeof request,
                         "%s %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: openloop\r\n%s\r\n",
                         opt.method, opt.target.path, opt.target.host, opt.target.port,
                         strcmp(opt.method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        die("SSL_CTX_new");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < opt.conns; i++) {
        conns[i] = calloc(1, sizeof *conns[i]);
        if (!conns[i])
            die("calloc");
        conns[i]->stream.fd = -1;
    }
}

int main(int argc, char **argv)
{
    for (int o; (o = getopt(argc, argv, "r:d:c:t:m:s:w:")) != -1;) {
        switch (o) {
        case 'r':
            opt.rate = atof(optarg);
            break;
        case 'd':
            opt.seconds = atof(optarg);
            break;
        case 'c':
            opt.conns = (unsigned)atoi(optarg);
            break;
        case 't':
            opt.timeout_ms = (unsigned)atoi(optarg);
            break;
        case 'm':
            opt.method = optarg;
            break;
        case 's':
            opt.summary = optarg;
            break;
        case 'w':
            opt.slow_ms = (unsigned)atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc || opt.conns < 1 || opt.conns > MAX_CONNS || opt.rate <= 0) {
        fputs("usage: openloop [-r per-second] [-d seconds] [-c connections] [-t timeout-ms]\n"
              "                [-m METHOD] [-w slow-ms] [-s file] URL\n",
              stderr);
        return 2;
    }
    if (!target_parse(&opt.target, argv[optind])) {
        fprintf(stderr, "openloop: %s: not a URL\n", argv[optind]);
        return 2;
    }
    prepare();
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    started = now_us();
    run();
    if (opt.summary)
        write_summary();
    result_print(&result, stdout);
    return result.failed ? 1 : 0;
}
