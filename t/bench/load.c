/*
 * load.c: the load generator of the benchmark. One thread, one epoll loop, closed loop: each
 * connection has one request under way. The same program drives every case, so what it costs
 * itself is the same for each proxy.
 *
 *   load -p PORT [-c CONNECTIONS] [-d SECONDS] [-n REQUESTS] [-u PATH] [-b UPLOAD] [-H] [-I]
 *
 *   -d  run so long (5), or until -n requests were answered
 *   -b  POST a body of so many bytes
 *   -H  a new connection, and a full TLS handshake, for each request
 *   -I  one request on each connection, then say "idle" and keep them all open until
 *       standard input ends; to weigh the memory of an idle connection
 *
 * TLS 1.3 with TLS_AES_128_GCM_SHA256 and X25519 only, no resumption: every server ends up
 * with the same key exchange and cipher. Prints one line of JSON; exit 1 when anything failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "t/tools/histogram.h"

enum {
    READ_SIZE = 64 * 1024,
    HEAD_MAX = 8 * 1024, /* of a response's head; the servers are ours */
    TROUBLE_SHOWN = 5,   /* failures that are told one by one */
};

enum body { BODY_LENGTH, BODY_CHUNK_SIZE, BODY_CHUNK, BODY_CHUNK_END, BODY_LAST };

struct conn {
    int fd;
    SSL *ssl;
    bool served;  /* has had an answer */
    size_t sent;  /* of the request */
    bool in_body; /* the head was read */
    enum body body;
    uint64_t left; /* of the body or the chunk */
    unsigned line; /* bytes in the line being read, between chunks */
    int status;
    uint64_t started; /* ns */
    char head[HEAD_MAX];
    size_t head_n;
};

static struct {
    int port, conns;
    double seconds;
    uint64_t requests, upload;
    const char *path;
    bool handshakes, idle;
} opt = {.conns = 16, .seconds = 5, .requests = UINT64_MAX, .path = "/"};

static int epfd, open_conns;
static SSL_CTX *ctx;
static char *request;
static size_t request_n;
static uint64_t begun, deadline, responded, failed, bytes;
static struct histogram latencies;
static bool stopping;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(2);
}

/* ---- a connection */

static void watch(struct conn *c, uint32_t events, int op)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (epoll_ctl(epfd, op, c->fd, &e) != 0)
        die("epoll_ctl");
}

static void conn_begin(struct conn *c)
{
    c->sent = c->head_n = 0;
    c->in_body = false;
    c->line = 0;
    c->started = now_ns();
}

static void conn_open(struct conn *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)opt.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    conn_begin(c);
    c->served = false;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
        die("connect");
    c->ssl = SSL_new(ctx);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
        die("SSL_new");
    SSL_set_connect_state(c->ssl);
    SSL_set_tlsext_host_name(c->ssl, "localhost");
    watch(c, EPOLLOUT | EPOLLIN, EPOLL_CTL_ADD);
    open_conns++;
}

static void conn_close(struct conn *c)
{
    struct linger now = {.l_onoff = 1}; /* no TIME_WAIT: ports would run out */

    if (!c->ssl)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
    open_conns--;
}

static void conn_failed(struct conn *c, const char *what)
{
    if (failed++ < TROUBLE_SHOWN) {
        fprintf(stderr, "load: %s (answer %d, errno %s)\n", what, c->status, strerror(errno));
        ERR_print_errors_fp(stderr);
    }
    ERR_clear_error();
    conn_close(c);
    if (!stopping)
        conn_open(c);
}

/* The answer is complete: count it, and ask again. */
static void conn_answered(struct conn *c)
{
    uint64_t now = now_ns();

    histogram_add(&latencies, (now - c->started) / 1000);
    responded++;
    c->served = true;
    if (c->status != 200) {
        conn_failed(c, "not a 200");
        return;
    }
    if (now >= deadline || responded >= opt.requests)
        stopping = true;
    if (opt.idle) {
        if (responded >= (uint64_t)opt.conns)
            stopping = true;
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
    } else if (opt.handshakes && !stopping) {
        conn_close(c);
        conn_open(c);
    } else if (!stopping) {
        conn_begin(c);
    }
}

/* Takes n bytes of an answer's body. Returns how many, fewer at its end; *end tells. */
static size_t body_feed(struct conn *c, const char *p, size_t n, bool *end)
{
    size_t at = 0;

    *end = false;
    while (at < n || c->body == BODY_LENGTH) {
        if (c->body == BODY_LENGTH || c->body == BODY_CHUNK) {
            size_t take = n - at < c->left ? n - at : (size_t)c->left;

            at += take;
            c->left -= take;
            if (c->left > 0)
                return at;
            if (c->body == BODY_LENGTH) {
                *end = true;
                return at;
            }
            c->body = BODY_CHUNK_END;
            continue;
        }
        char ch = p[at++];
        if (c->body == BODY_CHUNK_SIZE && ch != '\r' && ch != '\n') {
            char digit[2] = {ch, 0};

            c->left = c->left * 16 + strtoul(digit, NULL, 16);
        } else if (ch == '\n') {
            if (c->body == BODY_LAST) {
                if (c->line == 0) {
                    *end = true;
                    return at;
                }
                c->line = 0;
            } else if (c->body == BODY_CHUNK_END) {
                c->body = BODY_CHUNK_SIZE;
                c->left = 0;
            } else {
                c->body = c->left ? BODY_CHUNK : BODY_LAST;
                c->line = 0;
            }
        } else if (ch != '\r') {
            c->line++;
        }
    }
    return at;
}

/* Finds the end of the head in what was read so far. Returns false when it is malformed. */
static bool head_feed(struct conn *c, const char *p, size_t n, size_t *used)
{
    size_t before = c->head_n;
    size_t take = n < HEAD_MAX - 1 - before ? n : HEAD_MAX - 1 - before;
    char *end, *field;

    memcpy(c->head + before, p, take);
    c->head_n += take;
    c->head[c->head_n] = '\0';
    *used = take;
    end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return c->head_n < HEAD_MAX - 1;
    *used = (size_t)(end + 4 - c->head) - before;
    end[2] = '\0';
    c->status = atoi(c->head + 9);
    if ((field = strcasestr(c->head, "\r\nContent-Length:"))) {
        c->body = BODY_LENGTH;
        c->left = strtoull(field + 17, NULL, 10);
    } else if (strcasestr(c->head, "\r\nTransfer-Encoding:")) {
        c->body = BODY_CHUNK_SIZE;
        c->left = 0;
    } else {
        return false;
    }
    c->in_body = true;
    return true;
}

/* Sends what is left of the request. Returns false when the connection is gone. */
static bool conn_write(struct conn *c)
{
    while (c->sent < request_n) {
        int n = SSL_write(c->ssl, request + c->sent, (int)(request_n - c->sent));

        if (n <= 0) {
            int e = SSL_get_error(c->ssl, n);

            return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
        }
        c->sent += (size_t)n;
        if (c->sent == request_n)
            watch(c, EPOLLIN, EPOLL_CTL_MOD);
    }
    return true;
}

static void conn_read(struct conn *c)
{
    static char buf[READ_SIZE];

    for (;;) {
        int n = SSL_read(c->ssl, buf, sizeof(buf));
        size_t at = 0, used;
        bool end = false;

        if (n <= 0) {
            int e = SSL_get_error(c->ssl, n);

            if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
                return;
            if (opt.idle && c->served)
                conn_failed(c, "an idle connection was closed");
            else if (c->served && c->head_n == 0) {
                conn_close(c); /* between two requests: the server's right */
                if (!stopping)
                    conn_open(c);
            } else {
                conn_failed(c, "closed inside an answer");
            }
            return;
        }
        bytes += (size_t)n;
        if (!c->in_body) {
            if (!head_feed(c, buf, (size_t)n, &at)) {
                conn_failed(c, "unreadable answer");
                return;
            }
            if (!c->in_body)
                continue;
        }
        used = body_feed(c, buf + at, (size_t)n - at, &end);
        (void)used;
        if (end) {
            SSL *same = c->ssl;
            bool closes = strcasestr(c->head, "\r\nConnection: close") != NULL;

            conn_answered(c);
            if (closes && c->ssl == same && !stopping && !opt.idle) {
                conn_close(c);
                conn_open(c);
            }
            if (c->ssl != same || stopping || opt.idle)
                return;
            if (!conn_write(c)) {
                conn_failed(c, "cannot send");
                return;
            }
            if (c->sent < request_n)
                watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        }
    }
}

/* ---- the whole */

static void make_request(void)
{
    char head[1024];
    int n;

    if (opt.upload)
        n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: load\r\n"
                     "Content-Type: application/octet-stream\r\nContent-Length: %" PRIu64
                     "\r\n\r\n",
                     opt.path, opt.port, opt.upload);
    else
        n = snprintf(head, sizeof(head),
                     "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: load\r\n"
                     "Accept: */*\r\n\r\n",
                     opt.path, opt.port);
    request_n = (size_t)n + opt.upload;
    request = malloc(request_n + 1);
    if (!request)
        die("malloc");
    memcpy(request, head, (size_t)n);
    memset(request + n, 'x', opt.upload);
}

static void make_context(void)
{
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") ||
        !SSL_CTX_set1_groups_list(ctx, "X25519"))
        die("TLS");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
}

static void parse_options(int argc, char **argv)
{
    int o;

    while ((o = getopt(argc, argv, "p:c:d:n:u:b:HI")) != -1) {
        switch (o) {
        case 'p':
            opt.port = atoi(optarg);
            break;
        case 'c':
            opt.conns = atoi(optarg);
            break;
        case 'd':
            opt.seconds = atof(optarg);
            break;
        case 'n':
            opt.requests = strtoull(optarg, NULL, 10);
            break;
        case 'u':
            opt.path = optarg;
            break;
        case 'b':
            opt.upload = strtoull(optarg, NULL, 10);
            break;
        case 'H':
            opt.handshakes = true;
            break;
        case 'I':
            opt.idle = true;
            break;
        default:
            exit(64);
        }
    }
    if (opt.port <= 0 || opt.conns <= 0) {
        fputs("usage: load -p PORT [-c CONNECTIONS] [-d SECONDS] ...\n", stderr);
        exit(64);
    }
}

/* Runs until the end of the time. In idle mode a part of the connections is opened at a time:
 * the listen queue is short. */
static void run(struct conn *conns)
{
    struct epoll_event ev[256];
    int opened = 0, at_once = opt.idle ? 10 : opt.conns;

    begun = now_ns();
    deadline = begun + (uint64_t)(opt.seconds * 1e9);
    while (!stopping) {
        while (opened < opt.conns && (uint64_t)opened < responded + failed + (uint64_t)at_once)
            conn_open(&conns[opened++]);
        int n = epoll_wait(epfd, ev, 256, 100);

        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;

            if (!c->ssl)
                continue;
            if (c->sent < request_n && !conn_write(c))
                conn_failed(c, "cannot send");
            else if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                conn_read(c);
        }
        if (now_ns() > deadline)
            stopping = true;
    }
}

int main(int argc, char **argv)
{
    struct rlimit files = {65536, 65536};
    struct conn *conns;
    double took;

    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &files);
    make_context();
    make_request();
    conns = calloc((size_t)opt.conns, sizeof(*conns));
    epfd = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || epfd < 0)
        die("start");
    run(conns);
    took = (double)(now_ns() - begun) / 1e9;
    if (opt.idle && responded < (uint64_t)opt.conns)
        failed++;
    printf("{\"requests\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.3f,\"rps\":%.1f,"
           "\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"open\":%d}\n",
           responded, failed, took, (double)responded / took,
           histogram_percentile(&latencies, 0.5), histogram_percentile(&latencies, 0.99), bytes,
           open_conns);
    fflush(stdout);
    if (opt.idle)
        while (getchar() != EOF)
            continue;
    for (int i = 0; i < opt.conns; i++)
        conn_close(&conns[i]);
    SSL_CTX_free(ctx);
    free(conns);
    free(request);
    return failed ? 1 : 0;
}
