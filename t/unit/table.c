/* The table: makes, opens, refuses, seals, and sums over live workers. */
#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/heritage.h"
#include "t/unit/tap.h"

static char name[TABLE_OBJECT_NAME];
static struct table *table;

static void test_name(void)
{
    char path[64], other[TABLE_OBJECT_NAME];

    snprintf(path, sizeof path, "/tmp/unit-table.%d.pid", (int)getpid());
    table_object_name(name, path);
    table_object_name(other, "/tmp/unit-other.pid");
    ok(name[0] == '/' && !strchr(name + 1, '/'), "a name for shm_open");
    ok(strcmp(name, other) != 0, "another pidfile, another name");
}

static void test_open(void)
{
    errno = 0;
    ok(!table_open(name) && errno == ENOENT, "nothing to open yet");
    table = table_create(name);
    ok(table != NULL, "made");
    if (!table) {
        diag("%s: %s", name, strerror(errno));
        return;
    }
    const struct table *reader = table_open(name);
    ok(reader != NULL, "opened");
    struct header_row row = {.pid = 42, .config_generation = 3}, copy;
    header_publish(&table->header, &row);
    ok(header_read(&reader->header, &copy) && copy.pid == 42 && copy.config_generation == 3,
       "a reader sees what the writer published");
    table->header.version++;
    ok(!table_open(name) && errno == EPROTO, "another layout version is refused");
    table->header.version--;

    struct table *fresh = table_create(name);
    ok(fresh && header_read(&fresh->header, &copy) && copy.pid == 0, "a dead one is replaced");
    ok(header_read(&reader->header, &copy) && copy.pid == 42, "its readers keep theirs");
    table_close(reader);
    table_close(table);
    table = fresh;
}

/* The signal that ends a child which seals and then writes one byte; 0: none. */
static int write_sealed(enum kind kind, int row, size_t offset)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own handler */
        if (table_seal(table, kind, row) < 0)
            _exit(1);
        ((volatile char *)table)[offset] = 1;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) ? -1 : 0;
}

static void test_seal(void)
{
    const size_t worker = offsetof(struct table, worker);
    const struct {
        const char *what;
        size_t first, last;
        enum kind kind;
        int row;
    } parts[] = {
        {"supervisor's", offsetof(struct table, header), offsetof(struct table, health) - 1,
         KIND_SUPERVISOR, 0},
        {"healthd's", offsetof(struct table, health), offsetof(struct table, cert) - 1,
         KIND_HEALTHD, 0},
        {"acmed's", offsetof(struct table, cert), worker - 1, KIND_ACMED, 0},
        {"worker 0's", worker, worker + sizeof(struct worker_row) - 1, KIND_WORKER, 0},
        {"worker 63's", worker + 63 * sizeof(struct worker_row),
         worker + 64 * sizeof(struct worker_row) - 1, KIND_WORKER, 63},
    };
    enum { PARTS = sizeof parts / sizeof *parts };

    for (int writer = 0; writer < PARTS; writer++)
        for (int part = 0; part < PARTS; part++) {
            int want = writer == part ? 0 : SIGSEGV;

            is_int(write_sealed(parts[writer].kind, parts[writer].row, parts[part].first), want,
                   "%s process, first byte of %s part", parts[writer].what, parts[part].what);
            is_int(write_sealed(parts[writer].kind, parts[writer].row, parts[part].last), want,
                   "%s process, last byte of %s part", parts[writer].what, parts[part].what);
        }
}

static void worker(int r, enum child_state state, uint32_t incarnation, uint32_t claimed,
                   uint32_t in_flight, uint32_t queued)
{
    struct child_row child = {
        .kind = KIND_WORKER, .state = (uint8_t)state, .incarnation = incarnation};

    child_publish(&table->child[r], &child);
    worker_row_reset(&table->worker[r], claimed, TABLE_BACKENDS);
    atomic_store(&table->worker[r].be[5].in_flight, in_flight);
    atomic_store(&table->worker[r].be[5].queued, queued);
}

static void test_sums(void)
{
    is_int(backend_in_flight(table, 5), 0, "nothing in flight at first");
    worker(0, CHILD_RUNNING, 1, 1, 10, 1);
    worker(1, CHILD_DRAINING, 7, 7, 20, 2);
    worker(2, CHILD_STARTING, 3, 3, 40, 4);
    worker(3, CHILD_BACKOFF, 1, 1, 80, 8);    /* dead */
    worker(4, CHILD_STARTING, 2, 1, 160, 16); /* its cells are of its predecessor */
    worker(5, CHILD_EMPTY, 1, 1, 320, 32);
    is_int(backend_in_flight(table, 5), 70, "in flight: live workers count, dead ones do not");
    is_int(backend_queued(table, 5), 7, "queued: the same");
    is_int(backend_in_flight(table, 4), 0, "another backend has its own");
    worker_row_reset(&table->worker[0], 1, 4);
    is_int(atomic_load(&table->worker[0].be[5].in_flight), 10, "reset clears what is in use");
    worker_row_reset(&table->worker[0], 1, 6);
    is_int(atomic_load(&table->worker[0].be[5].in_flight), 0, "up to the number given");

    seq_write_begin(&table->child[1].seq);
    ok(!worker_row_live(table, 1), "a half-written child row does not count");
    seq_write_end(&table->child[1].seq);
}

static void test_latency(void)
{
    is_int(latency_bucket(0), 0, "0 us");
    is_int(latency_bucket(1), 0, "1 us");
    is_int(latency_bucket(2), 1, "2 us");
    is_int(latency_bucket(1023), 9, "1023 us");
    is_int(latency_bucket(1024), 10, "1024 us");
    is_int(latency_bucket(UINT64_MAX), TABLE_LATENCY - 1, "the last bucket is open");
}

int main(void)
{
    test_name();
    test_open();
    if (table) {
        test_seal();
        test_sums();
    }
    test_latency();
    table_unlink(name);
    return done();
}
