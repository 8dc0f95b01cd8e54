/* The watched configuration files (supervisor/watch.h) in a busy directory: its events are read
 * in rounds, and they neither hasten nor hold up that a change is noticed. */
#include "supervisor/watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "t/unit/tap.h"

enum {
    EVENT_BYTES = 4096, /* at most, by one read */
    FLOOD = 1200,       /* events of 272 bytes: five rounds */
    PATIENCE_MS = 20 * 1000,
};

static char root[] = "/tmp/pasgate-watch-XXXXXX";
static char files[2][64], aside[64];
static char busy[2][320]; /* long names, so that few events fill a buffer */
static struct loop loop;
static struct watch watch;

/* ---- what was reported */

static int reports;
static char reported[64];
static uint64_t reported_ms, written_ms;

static void on_changed(struct watch *from, const char *path)
{
    (void)from;
    reports++;
    snprintf(reported, sizeof reported, "%s", path);
    reported_ms = clock_mono_ms();
}

/* ---- the directory */

static void touch(const char *path)
{
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* Each text has its own length: two changes of the same moment look different. */
static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    written_ms = clock_mono_ms();
    if (out) {
        fputs(text, out);
        fclose(out);
    }
}

/* Two names in turn: the kernel joins equal events that follow each other. */
static void noise(int n)
{
    for (int i = 0; i < n; i++)
        touch(busy[i % 2]);
}

static void set_up(void)
{
    struct conf_file read[2];

    if (!mkdtemp(root) || loop_init(&loop) < 0)
        exit(1);
    for (int i = 0; i < 2; i++) {
        snprintf(files[i], sizeof files[i], "%s/%d.conf", root, i);
        snprintf(busy[i], sizeof busy[i], "%s/%0250d", root, i);
        touch(files[i]);
        touch(busy[i]);
        read[i].path = files[i];
        if (stat(files[i], &read[i].seen) < 0)
            exit(1);
    }
    snprintf(aside, sizeof aside, "%s/aside", root);
    watch_init(&watch, &loop, on_changed);
    watch_files(&watch, read, 2);
    watch_set(&watch, true);
}

static void clean_up(void)
{
    watch_release(&watch);
    loop_release(&loop);
    for (int i = 0; i < 2; i++) {
        unlink(files[i]);
        unlink(busy[i]);
    }
    rmdir(root);
}

/* ---- rounds */

struct other {
    struct loop_source source; /* readable all the time */
    int turns;
};

static void on_other(struct loop_source *source, uint32_t events)
{
    (void)events;
    container_of(source, struct other, source)->turns++;
}

static int left(void)
{
    int n = -1;

    ioctl(watch.events.fd, FIONREAD, &n);
    return n;
}

static void test_rounds(void)
{
    struct other other = {.source.ready = on_other};
    int ready[2], turns = 0, most = 0, before;

    if (!ok(pipe(ready) == 0 && write(ready[1], "", 1) == 1 &&
                loop_add(&loop, &other.source, ready[0], EPOLLIN) == 0,
            "another source, always readable"))
        return;
    noise(FLOOD);
    int all = left();
    ok(all > 3 * WATCH_READS * EVENT_BYTES, "the events of a busy directory: %d bytes", all);
    for (; (before = left()) > 0 && turns < FLOOD; turns++) {
        loop_once(&loop, 0);
        if (before - left() > most)
            most = before - left();
    }
    ok(most > 0 && most <= WATCH_READS * EVENT_BYTES,
       "one turn takes no more than its share: %d bytes", most);
    is_int(left(), 0, "the next turns take the rest");
    is_int(other.turns, turns, "and others have their turn each time");
    is_int(reports, 0, "nothing of ours has changed");
    loop_close(&loop, &other.source);
    close(ready[1]);
}

/* ---- a change is noticed when it has settled, and not before */

/* Events all the time, until there are n reports or until time has passed. */
static void busy_until(int n, uint64_t limit_ms)
{
    uint64_t end_ms = clock_mono_ms() + limit_ms;

    while (reports < n && clock_mono_ms() < end_ms) {
        noise(2);
        loop_once(&loop, 5);
    }
}

static void is_settled(const char *how)
{
    uint64_t after_ms = reported_ms - written_ms;

    ok(reports > 0 && after_ms >= WATCH_SETTLE_MS, "%s: after %d ms", how, (int)after_ms);
}

static void test_settles(void)
{
    reports = 0;
    put(files[0], "1");
    busy_until(1, PATIENCE_MS);
    is_str(reported, files[0], "a change in a busy directory is noticed");
    is_settled("when the file has settled");

    reports = 0;
    put(files[0], "12");
    busy_until(1, WATCH_SETTLE_MS / 2);
    int early = reports; /* of the first change, on a host that was busy for so long */
    put(files[0], "123");
    busy_until(early + 1, PATIENCE_MS);
    is_int(reports, early + 1, "a file that changes again");
    is_settled("settles again");

    reports = 0;
    put(files[0], "1234");
    busy_until(1, WATCH_SETTLE_MS / 2);
    early = reports;
    put(files[1], "1");
    busy_until(early + 1, PATIENCE_MS);
    is_int(reports, early + 1, "two files that change");
    is_settled("are noticed together, when both have settled");
}

/* The file comes back as it was before the change has settled. */
static void test_comes_back(void)
{
    reports = 0;
    rename(files[0], aside);
    put(files[0], "12345");
    noise(2);
    loop_once(&loop, 0);
    rename(aside, files[0]);
    busy_until(1, 2 * WATCH_SETTLE_MS);
    is_int(reports, 0, "a file that is as it was has not changed");
    put(files[1], "12");
    busy_until(1, PATIENCE_MS);
    is_str(reported, files[1], "another one has");
    busy_until(2, 2 * WATCH_SETTLE_MS);
    is_int(reports, 1, "which is noticed once");
}

int main(void)
{
    set_up();
    test_rounds();
    test_settles();
    test_comes_back();
    clean_up();
    return done();
}
