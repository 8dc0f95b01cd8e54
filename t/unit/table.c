/* The table: makes, opens, refuses, seals, and sums over live workers. */
#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/heritage.h"
#include "shm/object.h"
#include "t/unit/tap.h"

static char name[TABLE_OBJECT_NAME];
static struct object object;
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

static const struct table *open_one(const struct object *from)
{
    struct object_trust trust = object_trust(NULL);
    size_t rank;
    int fd = object_open(from->name, &trust, &rank);
    const struct table *opened = fd >= 0 ? table_map(fd) : NULL;
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return opened;
}

static void test_open(void)
{
    struct object older;

    snprintf(object.name, sizeof object.name, "%s", name);
    errno = 0;
    ok(!open_one(&object) && errno == ENOENT, "nothing to open yet");
    table = table_create(&object, name);
    ok(table != NULL, "made");
    if (!table) {
        diag("%s: %s", name, strerror(errno));
        return;
    }
    is_str(object.name, name, "by the name that was asked for");
    const struct table *reader = open_one(&object);
    ok(reader != NULL, "opened");
    struct header_row row = {.pid = 42, .config_generation = 3}, copy;
    header_publish(&table->header, &row);
    ok(header_read(&reader->header, &copy) && copy.pid == 42 && copy.config_generation == 3,
       "a reader sees what the writer published");
    table->header.version++;
    ok(!open_one(&object) && errno == EPROTO, "another layout version is refused");
    table->header.version--;
    is_int(table_certs(reader), 0, "no row for a certificate yet");
    ok(table_certs_missing(3, 20) == 3 * sizeof(struct cert) + 20 * sizeof(struct challenge),
       "what three would take");
    is_int(table_reserve_certs(table, 3, 20), 0, "three");
    is_int(table_reserve_certs(table, 2, 10), 0, "and fewer after a reload");
    ok(table_certs(reader) == 3 && table_challenges(reader) == 20, "take none away");
    table->cert_rows = 7;
    table_repair_certs(table);
    is_int(table_certs(reader), 3, "a wrong number does not stay");

    older = object;
    struct table *fresh = table_create(&object, name);
    ok(fresh && header_read(&fresh->header, &copy) && copy.pid == 0, "a dead one is replaced");
    ok(header_read(&reader->header, &copy) && copy.pid == 42, "its readers keep theirs");
    table_close(reader);
    table_close(table);
    close(older.fd);
    table = fresh;
}

/* ---- rooms of worker rows */

static void test_room(void)
{
    struct row_room all = {TABLE_SESSION_WORDS, 100}, room = all, four = {4, 0}, none = {0, 0};
    size_t size = table_row_size(room), grew = 0;
    int steps = 0;

    while (table_room_shrink(&room)) {
        grew += table_row_size(room) > size;
        size = table_row_size(room);
        if (room.session_words < TABLE_SESSION_WORDS)
            grew += room.records != 0; /* records go first */
        steps++;
    }
    is_int(steps, 7 + 5, "100 records, then 16 words: steps to nothing");
    is_int(grew, 0, "each takes no more than the one before");
    ok(room.session_words == 0 && room.records == 0, "nothing optional is left");
    ok(table_row_size(none) < table_row_size(four) &&
           table_row_size(four) < table_row_size(all),
       "words take room, and so do records");

    is_int(table_reserve_row(5, none), 0, "a row without anything optional");
    ok(table_session_words(table, 5) == 0 && table->recent_rows[5] == 0, "and it says so");
    is_int(table_reserve_row(5, four), 0, "with four words");
    ok(table_session_words(table, 5) == 4 && table->recent_rows[5] == 0, "four");
    is_int(table_reserve_row(5, none), 0, "less after a reload takes nothing away");
    is_int(table_session_words(table, 5), 4, "still four");
    is_int(table_reserve_row(5, all), 0, "all");
    ok(table_session_words(table, 5) == TABLE_SESSION_WORDS && table->recent_rows[5] >= 100,
       "all");
    is_int(table_row_missing(5, all), 0, "nothing is missing then");
    table->session_words[5] = 7;
    table_repair_certs(table);
    is_int(table_session_words(table, 5), TABLE_SESSION_WORDS, "a wrong number does not stay");
}

/* ---- whose object it is */

/* What a child of ours finds out about our object: its holder. */
static pid_t holder_seen_by_another(void)
{
    int fds[2];
    pid_t seen = -1;

    if (pipe(fds) < 0)
        return -1;
    if (fork() == 0) {
        int fd = shm_open(object.name, O_RDONLY, 0);

        seen = object_holder(fd);
        _exit(write(fds[1], &seen, sizeof seen) != sizeof seen);
    }
    (void)!read(fds[0], &seen, sizeof seen);
    wait(NULL);
    close(fds[0]);
    close(fds[1]);
    return seen;
}

static void test_trust(void)
{
    const struct object_trust trust = object_trust(NULL);
    struct object_trust others = {.uid = {geteuid() + 1}, .n = 1};
    struct stat st;
    size_t rank;
    int fd;

    ok(fstat(object.fd, &st) == 0 && (st.st_mode & 07777) == 0600, "for us alone at first");
    is_int(holder_seen_by_another(), getpid(), "its lock says whose it is");
    ok(object_share(&object, getegid()) == 0 && fstat(object.fd, &st) == 0 &&
           (st.st_mode & 07777) == 0640,
       "a group may read it");
    fd = object_open(object.name, &trust, &rank);
    ok(fd >= 0, "ours is believed");
    ok(object_open(object.name, &others, &rank) < 0 && errno == EPERM,
       "by nobody who does not trust us");
    fchmod(object.fd, 0660);
    ok(object_open(object.name, &trust, &rank) < 0 && errno == EPERM,
       "nor one that others may write to");
    fchmod(object.fd, 0600);
    close(
        fd); /* POSIX: and with it our lock, which is why the supervisor opens no second one */
    is_int(holder_seen_by_another(), 0, "without a lock it is nobody's");
}

/* A folder cannot be removed like a file: as if a stranger had taken the name. */
static void test_taken(void)
{
    char path[OBJECT_NAME + 16];
    struct object second;

    snprintf(path, sizeof path, "/dev/shm%s-taken", name);
    ok(mkdir(path, 0700) == 0, "the name is taken");
    ok(object_create(&second, path + strlen("/dev/shm")) == 0, "one is made all the same");
    ok(strcmp(second.name, path + strlen("/dev/shm")) != 0 &&
           strncmp(second.name, path + strlen("/dev/shm"), strlen(name)) == 0,
       "by a name that begins so");
    object_remove(&second);
    is_str(second.name, "", "and is gone");
    rmdir(path);
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
        {"healthd's", offsetof(struct table, health),
         offsetof(struct table, acmed_heartbeat_ms) - 1, KIND_HEALTHD, 0},
        {"acmed's", offsetof(struct table, acmed_heartbeat_ms), worker - 1, KIND_ACMED, 0},
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
    atomic_store(&table->worker[r].in_flight[5], in_flight);
    atomic_store(&table->worker[r].queued[5], queued);
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
    atomic_store(&table->worker[0].be[5].failed_in_row, 10);
    worker_row_reset(&table->worker[0], 1, 4);
    is_int(atomic_load(&table->worker[0].in_flight[5]), 0, "reset clears the loads");
    is_int(atomic_load(&table->worker[0].be[5].failed_in_row), 10, "and cells in use");
    worker_row_reset(&table->worker[0], 1, 6);
    is_int(atomic_load(&table->worker[0].be[5].failed_in_row), 0, "up to the number given");

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

static void test_repair(void)
{
    static struct table fake;
    struct health_row row = {.state = HEALTH_UP, .reason = "as written"}, got;

    rows_forget();
    health_publish(&fake.health[3], &row);
    is_int(rows_repair(), 0, "a row as written needs no repair");
    fake.health[3].row.state = HEALTH_DOWN;
    ok(health_own(&fake.health[3])->state == HEALTH_UP, "its writer reads its own copy");
    is_int(rows_repair(), 1, "one is repaired");
    ok(health_read(&fake.health[3], &got) && got.state == HEALTH_UP, "it is as written");
    atomic_fetch_or(&fake.health[3].seq.n, 1);
    ok(!health_read(&fake.health[3], &got), "half-written: nobody can read it");
    is_int(rows_repair(), 1, "that is repaired too");
    ok(health_read(&fake.health[3], &got), "it can be read");
    rows_keep(&fake);
    fake.backend[9].row.used = 1;
    is_int(rows_repair(), 1, "one that was never published");
    ok(!fake.backend[9].row.used && health_own(&fake.health[3])->state == HEALTH_UP,
       "is empty again, and others stay");
    rows_forget();
    fake.health[3].row.state = HEALTH_DOWN;
    is_int(rows_repair(), 0, "what is forgotten is left alone");
}

int main(void)
{
    test_repair();
    test_name();
    test_open();
    test_room();
    if (table) {
        test_seal();
        test_sums();
        test_trust();
    }
    test_taken();
    test_latency();
    object_remove(&object);
    return done();
}
