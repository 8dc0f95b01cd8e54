/*
 * Faults on command, and the record of received requests (the book).
 *
 *   /ctl?mode=M[&ms=N][&s=N][&n=N][&code=N]   set a mode, for N seconds or N requests
 *       [&ping=ok]       the mode does not apply to the ping
 *   /ctl?health=0.4      the score that /health reports
 *   /ctl                 the mode and the counters
 *   /ctl/requests        every request received: id (X-Request-Id), method, target; ?brief
 *   /ctl/connections     counters of connections
 *   /ctl/reset           mode ok, counters and book empty
 */
#include "httpbin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    BOOK_SIZE = 1 << 17, /* requests; the oldest are overwritten */
};

struct entry {
    char id[64], method[8], target[56];
};

static const char *const mode_names[MODE_COUNT] = {
    [MODE_OK] = "ok",
    [MODE_REFUSE] = "refuse",
    [MODE_HANG] = "hang",
    [MODE_SLOW] = "slow",
    [MODE_RESET] = "reset",
    [MODE_500] = "500",
    [MODE_CUT] = "cut",
    [MODE_EMPTY] = "empty",
    [MODE_SLOWPING] = "slowping",
    [MODE_PINGFAIL] = "pingfail",
    [MODE_GARBAGE] = "garbage",
    [MODE_HANGAPP] = "hangapp",
    [MODE_HALF] = "half",
    [MODE_TRICKLE] = "trickle",
};

struct counters counters;

static enum mode mode;
static uint64_t mode_ms = 3000, until; /* until: ms of the clock, 0: no end */
static unsigned mode_left, mode_code;  /* mode_left: requests, 0: no end */
static double health = 1;
static bool healed, ping_spared;
static struct book {
    uint64_t booked;
    struct entry entry[BOOK_SIZE];
} * book;

static void set_mode(enum mode m, const struct conn *except)
{
    if (mode != m)
        healed = true; /* held connections continue, whatever mode comes next */
    mode = m;
    until = 0;
    mode_left = 0;
    ping_spared = false;
    listener_set(m != MODE_REFUSE, except);
}

bool ctl_healed(void)
{
    bool was = healed;
    healed = false;
    return was;
}

void ctl_expire(void)
{
    if (until && now_ms() >= until)
        set_mode(MODE_OK, NULL);
}

int ctl_expire_in(void)
{
    if (!until)
        return -1;
    return until <= now_ms() ? 0 : (int)(until - now_ms());
}

enum mode ctl_mode(bool ping)
{
    enum mode m = mode;

    if (m == MODE_OK || (ping && (m == MODE_HANGAPP || ping_spared)) ||
        (!ping && (m == MODE_SLOWPING || m == MODE_PINGFAIL)))
        return MODE_OK;
    if (mode_left && --mode_left == 0) {
        mode = MODE_OK; /* not set_mode(): the mode still applies to this last request */
        until = 0;
    }
    return m;
}

uint64_t ctl_mode_ms(void)
{
    return mode_ms;
}

unsigned ctl_mode_code(void)
{
    return mode_code;
}

double ctl_health(void)
{
    return health;
}

static void copy(char *to, size_t size, struct str s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    if (n)
        memcpy(to, s.p, n);
    to[n] = 0;
}

void ctl_book_open(void)
{
    /* shared with a file, if there is one, so that the record survives SIGKILL */
    int fd = settings.book ? open(settings.book, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (settings.book && (fd < 0 || ftruncate(fd, sizeof *book) < 0)) {
        perror(settings.book);
        exit(1);
    }
    /* pages that are never touched use no memory: a quiet process stays small */
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE,
                (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_NORESERVE, fd, 0);
    if (book == MAP_FAILED)
        abort();
    if (fd >= 0)
        close(fd);
}

void ctl_record(const struct req *r)
{
    counters.requests++;
    if (settings.quiet)
        return;
    struct entry *e = &book->entry[book->booked++ % BOOK_SIZE];
    copy(e->id, sizeof e->id, req_header(r, "x-request-id"));
    copy(e->method, sizeof e->method, r->method);
    copy(e->target, sizeof e->target, r->target);
}

static void put(struct buf *b, const char *name, uint64_t v)
{
    buf_puts(b, b->n && b->p[b->n - 1] == '{' ? "\"" : ",\"");
    buf_puts(b, name);
    buf_puts(b, "\":");
    buf_num(b, v);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->id, ((const struct entry *)b)->id);
}

/* Requests that came more than once, by id; requests without an id are ignored. */
static uint64_t duplicates(uint64_t n)
{
    uint64_t dup = 0;
    struct entry *all = malloc((n + 1) * sizeof *all);

    if (!all)
        abort();
    memcpy(all, book->entry, n * sizeof *all);
    qsort(all, n, sizeof *all, by_id);
    for (uint64_t i = 1; i < n; i++)
        dup += all[i].id[0] && strcmp(all[i].id, all[i - 1].id) == 0;
    free(all);
    return dup;
}

static void put_requests(struct buf *b, bool brief)
{
    uint64_t booked = book->booked, n = booked < BOOK_SIZE ? booked : BOOK_SIZE;

    buf_puts(b, "{");
    put(b, "total", booked);
    put(b, "kept", n);
    put(b, "duplicates", n ? duplicates(n) : 0);
    buf_puts(b, ",\"requests\":[");
    for (uint64_t i = booked - n; !brief && i < booked; i++) {
        const struct entry *e = &book->entry[i % BOOK_SIZE];
        buf_puts(b, i == booked - n ? "{\"id\":" : ",\n{\"id\":");
        buf_json(b, (struct str){e->id, strlen(e->id)});
        buf_puts(b, ",\"method\":");
        buf_json(b, (struct str){e->method, strlen(e->method)});
        buf_puts(b, ",\"target\":");
        buf_json(b, (struct str){e->target, strlen(e->target)});
        buf_puts(b, "}");
    }
    buf_puts(b, "]}");
}

static void put_connections(struct buf *b)
{
    buf_puts(b, "{");
    put(b, "accepted", counters.accepted);
    put(b, "open", counters.open);
    put(b, "max_open", counters.max_open);
    put(b, "closed_idle", counters.closed_idle);
    put(b, "closed_limit", counters.closed_limit);
    put(b, "aborted", counters.aborted);
    put(b, "requests", counters.requests);
    buf_puts(b, "}");
}

static void put_status(struct buf *b)
{
    buf_puts(b, "{\"instance\":");
    buf_json(b, (struct str){settings.instance, strlen(settings.instance)});
    buf_puts(b, ",\"mode\":\"");
    buf_puts(b, mode_names[mode]);
    buf_puts(b, "\"");
    put(b, "ms", mode_ms);
    put(b, "calls", counters.calls);
    put(b, "pings", counters.pings);
    put(b, "requests", counters.requests);
    put(b, "open", counters.open);
    buf_puts(b, "}");
}

static void reset(const struct conn *except)
{
    uint64_t open = counters.open;

    set_mode(MODE_OK, except);
    mode_ms = 3000;
    mode_code = 0;
    health = 1;
    book->booked = 0;
    counters = (struct counters){.open = open, .max_open = open};
}

/* Applies the arguments. False: no such mode. */
static bool apply(const struct conn *c, const struct req *r)
{
    const char *name = req_arg(r, "mode"), *score = req_arg(r, "health");

    if (*score)
        health = strtod(score, NULL);
    if (!*name)
        return true;
    for (int m = 0; m < MODE_COUNT; m++) {
        if (strcmp(name, mode_names[m]) != 0)
            continue;
        set_mode((enum mode)m, c);
        mode_ms = req_arg_num(r, "ms", 3000);
        mode_left = (unsigned)req_arg_num(r, "n", 0);
        mode_code = (unsigned)req_arg_num(r, "code", 0);
        ping_spared = strcmp(req_arg(r, "ping"), "ok") == 0;
        uint64_t s = req_arg_num(r, "s", 0);
        until = s ? now_ms() + s * 1000 : 0;
        return true;
    }
    return false;
}

void ctl_answer(struct conn *c, const struct req *r)
{
    static struct buf b;

    b.n = 0;
    if (str_is(r->path, "/ctl/requests")) {
        put_requests(&b, str_is(r->query, "brief"));
    } else if (str_is(r->path, "/ctl/connections")) {
        put_connections(&b);
    } else if (str_is(r->path, "/ctl/reset") || str_is(r->path, "/ctl")) {
        if (str_is(r->path, "/ctl/reset")) {
            reset(c);
        } else if (!apply(c, r)) {
            answer_error(c, r, 400, "no such mode");
            return;
        }
        put_status(&b);
    } else {
        answer_error(c, r, 404, "not found");
        return;
    }
    buf_puts(&b, "\n");
    answer(c, r, 200, "application/json", NULL, &b);
}
