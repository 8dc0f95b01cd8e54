/* How slow a client may be (worker/conn/pace.h). */
#include "worker/conn/pace.h"

#include "t/unit/tap.h"

enum { GRACE = 30000, RATE = 500, T = 1000000 };

static void grace(void)
{
    struct pace p = {0};

    is_int(pace_left(&p, T, GRACE, RATE), GRACE, "before it is waited for, it has its grace");
    pace_wait(&p, T);
    is_int(pace_left(&p, T + 10000, GRACE, RATE), 20000, "which passes while it is");
    pace_wait(&p, T + 10000);
    is_int(pace_left(&p, T + 29999, GRACE, RATE), 1, "to be waited for twice is nothing new");
    is_int(pace_left(&p, T + 30000, GRACE, RATE), 0, "then it is too slow");
    is_int(pace_left(&p, T + 90000, GRACE, RATE), 0, "and remains so");
    is_int(pace_left(&p, T + 90000, GRACE, 0), UINT32_MAX, "with no minimum it never is");
}

static void bytes(void)
{
    struct pace p = {0};

    pace_wait(&p, T);
    pace_got(&p, T + 10000, 1000, RATE);
    is_int(pace_left(&p, T + 500000, GRACE, RATE), 22000,
           "1000 bytes are worth 2 s; what is not waited for costs nothing");
    pace_wait(&p, T + 500000);
    is_int(pace_left(&p, T + 521999, GRACE, RATE), 1, "then time passes again");
    is_int(pace_left(&p, T + 522000, GRACE, RATE), 0, "until it is used up");
    pace_got(&p, T + 522000, 1, RATE);
    is_int(pace_left(&p, T + 522000, GRACE, RATE), 2, "one byte is worth 2 ms");
}

/* A byte every 29 s, as slow attackers send them. */
static void drip(void)
{
    struct pace p = {0};
    uint64_t now = T;

    while (pace_left(&p, now, GRACE, RATE)) {
        pace_wait(&p, now);
        now += 29000;
        pace_got(&p, now, 1, RATE);
    }
    is_int(now - T, 58000, "one that drips is too slow at its second byte");
}

/* Much at once, then a byte every 10 s. */
static void burst(void)
{
    struct pace p = {0};
    uint64_t now = T;

    pace_got(&p, now, 200000, RATE);
    while (pace_left(&p, now, GRACE, RATE)) {
        pace_wait(&p, now);
        now += 10000;
        pace_got(&p, now, 1, RATE);
    }
    is_int(now - T, 50000, "a burst pays for 10 s, not for minutes");
}

/* Bursts with pauses between them, none longer than the grace. */
static void bursts(void)
{
    struct pace p = {0};
    uint64_t now = T;
    int late = 0;

    for (int i = 0; i < 100; i++) {
        pace_wait(&p, now);
        now += 29000;
        late += pace_left(&p, now, GRACE, RATE) == 0;
        pace_got(&p, now, 64 * 1024, RATE);
    }
    is_int(late, 0, "who pauses, and goes on at a good rate, is never too slow");
    is_int(pace_waited(&p, now), 2900000, "all the time for which it was waited is known");
}

/* 9600 bit/s, the slowest link that anybody has used for this. */
static void modem(void)
{
    struct pace p = {0};
    uint64_t now = T;
    int late = 0;

    for (int i = 0; i < 3600; i++) {
        pace_wait(&p, now);
        now += 1000;
        late += pace_left(&p, now, GRACE, RATE) == 0;
        pace_got(&p, now, 960, RATE);
    }
    is_int(late, 0, "a modem of 9600 bit/s never is");
}

static void huge(void)
{
    struct pace p = {0};

    pace_got(&p, T, UINT64_C(1) << 50, RATE);
    is_int(pace_left(&p, T, GRACE, RATE), GRACE + PACE_CREDIT_MS,
           "the largest message overflows nothing");
    is_int(pace_left(&p, T, UINT32_MAX, RATE), UINT32_MAX, "nor does the longest grace");
}

int main(void)
{
    grace();
    bytes();
    drip();
    burst();
    bursts();
    modem();
    huge();
    return done();
}
