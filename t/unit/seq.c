/* Sequence counters: a reader gets a whole row or none. */
#include "shm/seq.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "t/unit/tap.h"

enum { WORDS = 40, RUN_MS = 500 };

struct row {
    uint64_t word[WORDS];
};

struct shared {
    struct seq seq;
    struct row row;
};

static void write_row(struct shared *s, uint64_t value)
{
    seq_write_begin(&s->seq);
    for (int i = 0; i < WORDS; i++)
        ((volatile uint64_t *)s->row.word)[i] = value;
    seq_write_end(&s->seq);
}

static void test_states(void)
{
    static struct shared s;
    struct row copy;

    write_row(&s, 7);
    ok(seq_read(&s.seq, &copy, &s.row, sizeof copy) && copy.word[0] == 7, "a row is read");
    seq_write_begin(&s.seq);
    ok(!seq_read(&s.seq, &copy, &s.row, sizeof copy), "a half-written row is refused");
    seq_write_begin(&s.seq); /* the writer died; its successor writes the row anew */
    ok(!seq_read(&s.seq, &copy, &s.row, sizeof copy), "also while the successor writes");
    seq_write_end(&s.seq);
    ok(seq_read(&s.seq, &copy, &s.row, sizeof copy), "and is good again when that is done");
    atomic_store(&s.seq.n, UINT32_MAX - 1);
    write_row(&s, 9);
    ok(seq_read(&s.seq, &copy, &s.row, sizeof copy) && copy.word[0] == 9,
       "the counter may wrap around");
}

/* A writer in another process that never rests. */
static void test_race(void)
{
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long good = 0, torn = 0;
    struct row copy;
    pid_t pid = fork();

    if (pid == 0)
        for (uint64_t n = 1;; n++)
            write_row(s, n);
    uint64_t end = clock_mono_ms() + RUN_MS;
    while (clock_mono_ms() < end || (good == 0 && clock_mono_ms() < end + 10000)) {
        if (!seq_read(&s->seq, &copy, &s->row, sizeof copy))
            continue;
        good++;
        for (int i = 1; i < WORDS; i++)
            torn += copy.word[i] != copy.word[0];
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    is_int(torn, 0, "no torn row from a writer that never rests");
    ok(good > 0, "some reads succeed");
    diag("%ld good reads", good);
    munmap(s, sizeof *s);
}

int main(void)
{
    test_states();
    test_race();
    return done();
}
