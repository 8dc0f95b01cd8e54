/* Counters that outlive their workers: what is taken over, once, what is not, another backend
 * in a slot, and readers beside it all. */
#include "shm/counters.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/status/status.h"
#include "t/unit/tap.h"

enum { NBACKENDS = 8, SLOT = 5, STRESS_MS = 400, STRESS_ROWS = 4 };

static struct table *table;

static void *shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        exit(1);
    return p;
}

static void set_state(int r, enum child_state state, uint32_t incarnation)
{
    struct child_row child = {
        .kind = KIND_WORKER, .state = (uint8_t)state, .incarnation = incarnation};

    child_publish(&table->child[r], &child);
}

static void begin(int r, uint32_t incarnation)
{
    set_state(r, CHILD_RUNNING, incarnation);
    worker_row_reset(&table->worker[r], incarnation, TABLE_BACKENDS);
}

static void work(int r, uint64_t n)
{
    struct worker_row *w = &table->worker[r];

    count_add(&w->exchanges_total, n);
    count_add(&w->status[2], n);
    count_add(&w->be[SLOT].completed, n);
    count_add(&w->be[SLOT].latency[10], n);
}

static struct status_cell cell(int slot)
{
    static struct status_backend b;

    ok(status_backend_read(table, slot, &b), "slot %d is read", slot);
    return b.sum;
}

static uint64_t served(void)
{
    struct row_counters all;

    counters_read(table, &all);
    return all.exchanges_total;
}

static uint64_t completed(int slot)
{
    struct cell_counters all;

    counters_read_backend(table, slot, &all);
    return all.completed;
}

static void test_taken(void)
{
    struct backend_row row = {.used = 1, .configured = 1, .name = "pas"};
    struct status_service service;

    backend_publish(&table->backend[SLOT], &row);
    is_int(served(), 0, "nothing at first");
    begin(0, 1);
    begin(1, 1);
    work(0, 100);
    work(1, 20);
    atomic_store(&table->worker[1].in_flight[SLOT], 3);
    atomic_store(&table->worker[1].be[SLOT].idle, 4);
    atomic_store(&table->worker[1].connections, 5);
    is_int(cell(SLOT).completed, 120, "live workers count");
    set_state(1, CHILD_BACKOFF, 1);
    is_int(cell(SLOT).completed, 120, "a dead one's counters count until they are taken");
    is_int(cell(SLOT).in_flight + cell(SLOT).idle, 0, "its gauges do not");
    counters_take(table, 1, 1, NBACKENDS);
    is_int(cell(SLOT).completed, 120, "and after");
    counters_take(table, 1, 1, NBACKENDS);
    is_int(cell(SLOT).completed, 120, "they are taken once");
    set_state(1, CHILD_STARTING, 2);
    counters_take(table, 1, 2, NBACKENDS);
    is_int(cell(SLOT).completed, 120,
           "a successor that died before its first step left nothing");
    set_state(1, CHILD_STARTING, 3);
    is_int(cell(SLOT).completed, 120, "the next one, before it has claimed the row");
    begin(1, 3);
    is_int(cell(SLOT).completed, 120, "and after");
    work(1, 7);
    struct status_cell c = cell(SLOT);
    is_int(c.completed, 127, "it adds to what was");
    is_int(c.latency_count, 127, "the histogram too");
    is_int(c.latency[10], 127, "in its bucket");
    ok(status_service_read(table, &service), "the service is read");
    is_int(service.exchanges_total, 127, "the same of the service");
    is_int(service.status[2], 127, "and of its answers");
    is_int(service.connections, 0, "but not of what is open");
}

static void test_every_field(void)
{
    uint64_t *words;
    struct cell_counters c;
    struct row_counters all;
    struct worker_row *w = &table->worker[2];

    begin(2, 1);
#define FILL(field)     atomic_store(&w->be[3].field, ++n);
#define FILL_ROW(field) atomic_fetch_add(&w->field, ++n);
    uint64_t n = 0;
    CELL_COUNTERS(FILL)
    for (int i = 0; i < TABLE_LATENCY; i++)
        FILL(latency[i])
    counters_take(table, 2, 1, NBACKENDS);
    counters_read_backend(table, 3, &c);
    words = (uint64_t *)&c;
    for (uint64_t i = 0; i < n; i++)
        if (words[i] != i + 1)
            fail("word %d of a cell is %d", (int)i, (int)words[i]);
    is_int(sizeof c / sizeof *words, n, "each counter of a cell is taken");

    begin(2, 2);
    counters_read(table, &all);
    uint64_t before = all.logins_limited;
    n = 0;
    ROW_COUNTERS(FILL_ROW)
    counters_take(table, 2, 2, NBACKENDS);
    counters_read(table, &all);
    is_int(all.connections_total, 1, "each counter of a row is taken: the first");
    is_int(all.logins_limited - before, n, "and the last");
}

static void test_bounds(void)
{
    begin(3, 1);
    atomic_store(&table->worker[3].be[NBACKENDS].completed, 9);
    counters_take(table, 3, 1, NBACKENDS);
    is_int(completed(NBACKENDS), 0, "a slot that the supervisor does not know is not taken");
    begin(3, 2);
    work(3, 50);
    uint64_t before = served();
    atomic_store(&table->worker[3].incarnation, 77);
    counters_take(table, 3, 2, NBACKENDS);
    is_int(served(), before, "a claim that is not the supervisor's is not taken");
    atomic_store(&table->worker[3].incarnation, 0);
}

static void test_clear(void)
{
    uint32_t old[TABLE_WORKERS] = {[0] = 1};
    uint64_t other = completed(3);

    work(1, 13); /* of the new generation */
    uint64_t of_new = count_read(&table->worker[1].be[SLOT].completed);
    counters_clear(table, SLOT, old, NBACKENDS);
    is_int(completed(SLOT), of_new, "another backend: without what old workers have counted");
    work(0, 2);
    is_int(completed(SLOT), of_new + 2, "what they finish is counted");
    counters_take(table, 0, 1, NBACKENDS);
    is_int(completed(SLOT), of_new + 2, "and stays when they end");
    is_int(completed(3), other, "other slots are untouched");
    counters_clear(table, SLOT, (uint32_t[TABLE_WORKERS]){0}, NBACKENDS);
    is_int(completed(SLOT), of_new, "cleared with only new workers alive");
}

/* ---- readers beside it */

struct stress {
    _Atomic uint64_t sent; /* raised before it is counted */
    _Atomic uint32_t stop, deaths;
};

static void live_and_die(struct stress *stress)
{
    uint32_t incarnation[STRESS_ROWS];
    uint64_t end = clock_mono_ms() + STRESS_MS;

    for (int r = 0; r < STRESS_ROWS; r++)
        begin(r, incarnation[r] = 100);
    while (clock_mono_ms() < end) {
        int r = (int)(atomic_fetch_add(&stress->deaths, 1) % STRESS_ROWS);

        for (int i = 0; i < 200; i++) {
            atomic_fetch_add(&stress->sent, 1);
            work(i % STRESS_ROWS, 1);
        }
        set_state(r, CHILD_BACKOFF, incarnation[r]);
        counters_take(table, r, incarnation[r], NBACKENDS);
        begin(r, ++incarnation[r]);
    }
    atomic_store(&stress->stop, 1);
}

/* How often a sum fell, or was more than there can have been. */
static int watch(struct stress *stress)
{
    uint64_t last = 0, last_all = 0;
    int wrong = 0;

    while (!atomic_load(&stress->stop)) {
        uint64_t now = completed(SLOT), all = served();
        uint64_t most = atomic_load(&stress->sent);

        wrong += now < last || now > most || all < last_all || all > most;
        last = now;
        last_all = all;
    }
    return wrong < 100 ? wrong : 100;
}

static void test_readers(void)
{
    struct stress *stress = shared(sizeof *stress);
    pid_t reader[2];

    table = shared(sizeof *table);
    for (int i = 0; i < 2; i++) {
        reader[i] = fork();
        if (reader[i] == 0)
            _exit(watch(stress));
    }
    live_and_die(stress);
    for (int i = 0; i < 2; i++) {
        int status;

        waitpid(reader[i], &status, 0);
        is_int(status, 0, "reader %d: never less than before, never more than was sent", i);
    }
    diag("%u ends of workers", atomic_load(&stress->deaths));
    is_int(completed(SLOT), atomic_load(&stress->sent), "at last all of it");
    is_int(served(), atomic_load(&stress->sent), "of the service too");
}

int main(void)
{
    table = shared(sizeof *table);
    header_publish(&table->header, &(struct header_row){.pid = 1});
    test_taken();
    test_every_field();
    test_bounds();
    test_clear();
    test_readers();
    return done();
}
