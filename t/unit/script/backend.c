/* Scripted backends: sockets of this test, whose behaviour the script sets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "t/unit/script/script.h"

enum { CONNECTIONS = 16 };

struct connection {
    int fd; /* -1: closed */
    unsigned served;
    char bytes[SCRIPT_TEXT];
    size_t n;
};

struct script_backend script_backend[SCRIPT_BACKENDS];

static uint32_t n_backends;
static struct socket {
    int listener; /* -1: refuses */
    int filler;   /* a connection that fills the listener's queue; -1: it accepts */
    struct sockaddr_in address;
    struct connection at[CONNECTIONS];
    unsigned n;
} sockets[SCRIPT_BACKENDS];

static const char *const names[SCRIPT_BACKENDS] = {"pas1", "pas2", "pas3", "pas4"};

/* ---- opening and closing */

static int listen_at(struct sockaddr_in *at, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1, small = 4096; /* a deaf backend takes little */
    socklen_t len = sizeof *at;

    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    CHECK(bind(fd, (struct sockaddr *)at, sizeof *at) == 0 && listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)at, &len) == 0);
    return fd;
}

void script_backends_open(uint32_t n)
{
    n_backends = n;
    for (uint32_t i = 0; i < n; i++) {
        struct socket *s = &sockets[i];

        script_backend[i] = (struct script_backend){.name = names[i]};
        s->address = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        s->listener = listen_at(&s->address, CONNECTIONS);
        s->filler = -1;
        s->n = 0;
    }
}

static void shut(int *fd, bool reset)
{
    const struct linger now = {.l_onoff = 1};

    if (*fd < 0)
        return;
    if (reset)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(*fd);
    *fd = -1;
}

void script_backends_close(void)
{
    for (uint32_t i = 0; i < n_backends; i++) {
        shut(&sockets[i].listener, false);
        shut(&sockets[i].filler, true);
        for (unsigned k = 0; k < sockets[i].n; k++)
            shut(&sockets[i].at[k].fd, true);
    }
    n_backends = 0;
}

struct sockaddr_in script_backend_address(uint32_t i)
{
    return sockets[i].address;
}

void script_refuse(uint32_t i)
{
    shut(&sockets[i].listener, false);
}

/* A full queue of a listener: the kernel drops every further SYN. */
void script_accept_none(uint32_t i)
{
    struct socket *s = &sockets[i];

    shut(&s->listener, false);
    s->listener = listen_at(&s->address, 0);
    s->filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(s->filler, (struct sockaddr *)&s->address, sizeof s->address) == 0);
}

/* ---- requests */

/* Length of the request at the front; 0: it is not complete. */
static size_t request_length(struct connection *c)
{
    char *end, *length;
    size_t head;

    c->bytes[c->n] = '\0';
    end = strstr(c->bytes, "\r\n\r\n");
    if (!end)
        return 0;
    head = (size_t)(end + 4 - c->bytes);
    if (strcasestr(c->bytes, "\r\nTransfer-Encoding: chunked")) {
        end = strstr(end + 2, "\r\n0\r\n\r\n");
        return end ? (size_t)(end + 7 - c->bytes) : 0;
    }
    length = strcasestr(c->bytes, "\r\nContent-Length: ");
    if (length)
        head += strtoul(length + 18, NULL, 10);
    return c->n >= head ? head : 0;
}

static void say(const struct connection *c, const char *bytes)
{
    CHECK(send(c->fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
}

static void serve(const struct connection *c, const char *name)
{
    say(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    say(c, name);
}

static void react(struct script_backend *b, struct connection *c)
{
    enum script_does does = b->does;
    bool first = c->served++ == 0;

    if (b->only_kept && first)
        does = BACKEND_SERVES;
    else if (b->does != BACKEND_SERVES && b->times && --b->times == 0)
        b->does = BACKEND_SERVES;
    switch (does) {
    case BACKEND_SERVES:
        serve(c, b->name);
        return;
    case BACKEND_SAYS:
        say(c, b->says);
        return;
    case BACKEND_SAYS_AND_CLOSES:
    case BACKEND_SAYS_AND_RESETS:
        say(c, b->says);
        shut(&c->fd, does == BACKEND_SAYS_AND_RESETS);
        return;
    case BACKEND_CLOSES:
    case BACKEND_RESETS:
        shut(&c->fd, does == BACKEND_RESETS);
        return;
    case BACKEND_WAITS:
        return;
    }
}

static void read_requests(struct script_backend *b, struct connection *c)
{
    size_t n;

    while (c->fd >= 0 && (n = request_length(c)) > 0) {
        b->requests++;
        memcpy(b->last, c->bytes, n);
        b->last[n] = '\0';
        memmove(c->bytes, c->bytes + n, c->n - n);
        c->n -= n;
        react(b, c);
    }
}

/* ---- events */

static bool accept_all(struct script_backend *b, struct socket *s)
{
    bool did = false;
    int fd, yes = 1;

    while (s->listener >= 0 && s->filler < 0 && (fd = accept(s->listener, NULL, NULL)) >= 0) {
        CHECK(s->n < CONNECTIONS);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* all at once */
        s->at[s->n].fd = fd;
        s->at[s->n].served = 0;
        s->at[s->n++].n = 0;
        b->connections++;
        did = true;
    }
    return did;
}

static bool read_all(struct script_backend *b, struct connection *c)
{
    ssize_t got;

    if (c->fd < 0 || b->deaf)
        return false;
    got = recv(c->fd, c->bytes + c->n, sizeof c->bytes - 1 - c->n, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        shut(&c->fd, false);
        return true;
    }
    c->n += (size_t)got;
    read_requests(b, c);
    return true;
}

bool script_backends_turn(void)
{
    bool did = false;

    for (uint32_t i = 0; i < n_backends; i++) {
        did |= accept_all(&script_backend[i], &sockets[i]);
        for (unsigned k = 0; k < sockets[i].n; k++)
            did |= read_all(&script_backend[i], &sockets[i].at[k]);
    }
    return did;
}

bool script_any_ready(int ms)
{
    struct pollfd fds[1 + SCRIPT_BACKENDS * (1 + CONNECTIONS)];
    nfds_t n = 0;

    fds[n++] = (struct pollfd){.fd = script_worker.loop.epfd, .events = POLLIN};
    for (uint32_t i = 0; i < n_backends; i++) {
        const struct socket *s = &sockets[i];

        if (s->filler < 0)
            fds[n++] = (struct pollfd){.fd = s->listener, .events = POLLIN};
        for (unsigned k = 0; k < s->n && !script_backend[i].deaf; k++)
            fds[n++] = (struct pollfd){.fd = s->at[k].fd, .events = POLLIN};
    }
    return poll(fds, n, ms) > 0;
}

/* ---- what the test lets it do */

static struct connection *newest(uint32_t i)
{
    struct socket *s = &sockets[i];
    unsigned k = s->n;

    while (k > 0 && s->at[k - 1].fd < 0)
        k--;
    CHECK(k > 0);
    return &s->at[k - 1];
}

void script_say(uint32_t i, const char *bytes)
{
    say(newest(i), bytes);
}

void script_close(uint32_t i)
{
    shut(&newest(i)->fd, false);
}

void script_reset(uint32_t i)
{
    shut(&newest(i)->fd, true);
}

unsigned script_open(uint32_t i)
{
    unsigned n = 0;

    for (unsigned k = 0; k < sockets[i].n; k++)
        n += sockets[i].at[k].fd >= 0;
    return n;
}
