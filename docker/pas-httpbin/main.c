/* Options, listeners, the loop and timers; and the small client `pas-httpbin -C mode=...`. */
#include "httpbin.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    BACKLOG = 1024,
    ACCEPT_BURST = 64,
};

struct settings settings = {
    .bind = "127.0.0.1", .port = 8810, .ctl_port = 8899, .max_requests = 100, .idle_ms = 20000};

static int epfd, listen_fd = -1, ctl_fd = -1;
static uint64_t clock_ms;
static struct conn **heap;
static size_t heap_n, heap_size;

uint64_t now_ms(void)
{
    return clock_ms;
}

static void clock_update(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    clock_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *now_date(void)
{
    static char text[32];
    static time_t of;
    time_t now = time(NULL);

    if (now != of) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        of = now;
    }
    return text;
}

uint64_t random_u64(void)
{
    uint64_t v;
    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
        abort();
    return v;
}

/* ---- timers: a binary heap by due time ---- */

static void heap_put(size_t i, struct conn *c)
{
    heap[i] = c;
    c->heap_at = i;
}

static void heap_sift(size_t i)
{
    struct conn *c = heap[i];

    for (; i > 0 && heap[(i - 1) / 2]->due > c->due; i = (i - 1) / 2)
        heap_put(i, heap[(i - 1) / 2]);
    for (size_t k; (k = 2 * i + 1) < heap_n; i = k) {
        if (k + 1 < heap_n && heap[k + 1]->due < heap[k]->due)
            k++;
        if (heap[k]->due >= c->due)
            break;
        heap_put(i, heap[k]);
    }
    heap_put(i, c);
}

void timer_clear(struct conn *c)
{
    if (c->timer == TIMER_NONE)
        return;
    c->timer = TIMER_NONE;
    struct conn *last = heap[--heap_n];
    if (last != c) {
        heap_put(c->heap_at, last);
        heap_sift(c->heap_at);
    }
}

void timer_set(struct conn *c, enum timer kind, uint64_t ms)
{
    timer_clear(c);
    if (heap_n == heap_size) {
        heap_size = heap_size ? heap_size * 2 : 256;
        heap = realloc(heap, heap_size * sizeof(struct conn *));
        if (!heap)
            abort();
    }
    c->timer = kind;
    c->due = clock_ms + ms;
    heap_put(heap_n++, c);
    heap_sift(heap_n - 1);
}

static int timers_run(void)
{
    while (heap_n && heap[0]->due <= clock_ms)
        conn_timer(heap[0]);
    return heap_n ? (int)(heap[0]->due - clock_ms) : -1;
}

/* ---- sockets ---- */

void loop_add(int fd, struct conn *c)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data = {.ptr = c}};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) < 0)
        abort();
}

static void die(const char *what)
{
    fprintf(stderr, "pas-httpbin: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Listens; if *port is 0, stores the port that the kernel chose. */
static int listen_on(unsigned *port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST,
                             .ai_socktype = SOCK_STREAM},
                    *ai;
    char service[8];
    int one = 1, fd;

    snprintf(service, sizeof service, "%u", *port);
    int err = getaddrinfo(settings.bind, service, &hints, &ai);
    if (err) {
        fprintf(stderr, "pas-httpbin: %s: %s\n", settings.bind, gai_strerror(err));
        exit(1);
    }
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        die("listen");
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    getsockname(fd, (struct sockaddr *)&sa, &len);
    *port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                           : ((struct sockaddr_in *)&sa)->sin_port);
    freeaddrinfo(ai);
    return fd;
}

static void listener_watch(int fd, int *tag)
{
    struct epoll_event e = {.events = EPOLLIN, .data = {.ptr = tag}};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll");
}

void listener_set(bool on, const struct conn *except)
{
    if (on == (listen_fd >= 0))
        return;
    if (on) {
        listen_fd = listen_on(&settings.port);
        listener_watch(listen_fd, &listen_fd);
    } else {
        close(listen_fd);
        listen_fd = -1;
        conn_close_all(except);
    }
}

static void accept_burst(int fd, bool ctl)
{
    int one = 1;

    for (int i = 0; i < ACCEPT_BURST; i++) {
        int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s < 0)
            return;
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conn_open(s, ctl);
    }
}

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static _Noreturn void loop(void)
{
    static struct epoll_event ev[EVENTS];

    for (;;) {
        clock_update();
        ctl_expire();
        if (ctl_healed())
            conn_release_held();
        int wait = sooner(sooner(timers_run(), conn_sweep()), ctl_expire_in());
        conn_bury();
        int n = epoll_wait(epfd, ev, EVENTS, wait);
        clock_update();
        for (int i = 0; i < n; i++) {
            void *p = ev[i].data.ptr;
            if (p == &ctl_fd)
                accept_burst(ctl_fd, true);
            else if (p != &listen_fd)
                conn_event(p, ev[i].events);
            else if (listen_fd >= 0)
                accept_burst(listen_fd, false);
        }
    }
}

/* ---- the client: one GET to the control port ---- */

static int client(const char *query)
{
    char text[4096];
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)settings.ctl_port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        die("control port");
    bool path = *query == '/';
    int len = snprintf(text, sizeof text, "GET %s%s HTTP/1.1\r\nConnection: close\r\n\r\n",
                       path ? "" : "/ctl?", query);
    if (len >= (int)sizeof text || send(fd, text, (size_t)len, 0) != len)
        die("control port");
    struct buf b = {0};
    for (ssize_t n; (n = recv(fd, text, sizeof text, 0)) > 0;)
        buf_add(&b, text, (size_t)n);
    close(fd);
    buf_add(&b, "", 1);
    char *body = strstr(b.p, "\r\n\r\n");
    puts(body ? body + 4 : b.p);
    int rc = strncmp(b.p, "HTTP/1.1 200", 12) != 0;
    free(b.p);
    return rc;
}

static void on_term(int sig)
{
    (void)sig;
    _exit(0);
}

static unsigned env_num(const char *name, unsigned deflt)
{
    const char *v = getenv(name);
    return v && *v ? (unsigned)strtoul(v, NULL, 10) : deflt;
}

static _Noreturn void usage(int rc)
{
    fputs("usage: pas-httpbin [-p port] [-c control-port] [-b address] [-i instance]\n"
          "                   [-k requests-per-connection] [-t idle-ms] [-q | -B book]\n"
          "       pas-httpbin [-c control-port] -C 'mode=slow&ms=500' | -C /ctl/requests\n"
          "port 0 takes a free one; the line \"ready port=N ctl=N\" tells which.\n"
          "-k 0: no limit; -q keeps no list of requests, -B keeps it in a file, over a\n"
          "SIGKILL. Environment: PORT, CTL_PORT, BIND, INSTANCE_ID, MAX_KEEPALIVE,\n"
          "IDLE_TIMEOUT_MS, BOOK.\n",
          rc ? stderr : stdout);
    exit(rc);
}

int main(int argc, char **argv)
{
    static char host[256];
    const char *query = NULL;

    gethostname(host, sizeof host - 1);
    settings.instance = getenv("INSTANCE_ID") ? getenv("INSTANCE_ID") : host;
    settings.bind = getenv("BIND") ? getenv("BIND") : settings.bind;
    settings.port = env_num("PORT", settings.port);
    settings.ctl_port = env_num("CTL_PORT", settings.ctl_port);
    settings.max_requests = env_num("MAX_KEEPALIVE", settings.max_requests);
    settings.idle_ms = env_num("IDLE_TIMEOUT_MS", settings.idle_ms);
    settings.book = getenv("BOOK");
    for (int o; (o = getopt(argc, argv, "p:c:b:i:k:t:qB:C:h")) != -1;) {
        switch (o) {
        case 'p':
            settings.port = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            settings.ctl_port = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            settings.bind = optarg;
            break;
        case 'i':
            settings.instance = optarg;
            break;
        case 'k':
            settings.max_requests = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            settings.idle_ms = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'q':
            settings.quiet = true;
            break;
        case 'B':
            settings.book = optarg;
            break;
        case 'C':
            query = optarg;
            break;
        default:
            usage(o == 'h' ? 0 : 2);
        }
    }
    const char *name = strrchr(argv[0], '/');
    if (strcmp(name ? name + 1 : argv[0], "ctl") == 0) /* the link in the image */
        query = argc > 1 ? argv[1] : "";
    if (query)
        return client(query);

    /* the default action of SIGTERM does not end a process that is PID 1 */
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        die("epoll");
    pattern_init();
    ctl_book_open();
    clock_update();
    ctl_fd = listen_on(&settings.ctl_port);
    listener_watch(ctl_fd, &ctl_fd);
    listener_set(true, NULL);
    printf("ready port=%u ctl=%u instance=%s\n", settings.port, settings.ctl_port,
           settings.instance);
    fflush(stdout);
    loop();
}
