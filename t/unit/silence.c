/* When silence is a reason to hedge: the record of a pool, the delay, the judgement; and all of
 * it in a pool on a virtual clock, where hedges must neither become a storm nor run reports
 * twice. */
#include <string.h>

#include "shm/cap.h"
#include "t/unit/tap.h"
#include "worker/upstream/silence.h"

/* ---- the record and the delay */

static struct silence_record record_of(uint32_t n, uint64_t us, uint32_t more, uint64_t more_us)
{
    struct silence_record r = {0};

    r.n[latency_bucket(us)] += n;
    r.n[latency_bucket(more_us)] += more;
    return r;
}

static void test_delay(void)
{
    struct silence_record r = {0};

    is_int(silence_delay_ms(&r), SILENCE_FEW_MS, "nothing is known: long");
    r = record_of(SILENCE_FEW - 1, 3000, 0, 0);
    is_int(silence_delay_ms(&r), SILENCE_FEW_MS, "little is known: the same");
    r = record_of(SILENCE_FEW, 3000, 0, 0);
    is_int(silence_delay_ms(&r), SILENCE_LEAST_MS, "a quick pool: 200 ms");
    r = record_of(SILENCE_FEW, 3000, 1, 4000000);
    is_int(silence_delay_ms(&r), SILENCE_LEAST_MS, "a single slow one changes nothing");
    r = record_of(SILENCE_FEW, 3000, 2, 4000000);
    ok(silence_delay_ms(&r) > 2 * 3 * 1000, "two of so few do");
    r = record_of(995, 3000, 5, 4000000);
    is_int(silence_delay_ms(&r), SILENCE_LEAST_MS, "one report in 200 changes nothing");
    r = record_of(980, 3000, 20, 4000000);
    ok(silence_delay_ms(&r) > 2 * 3 * 1000, "one in fifty does: %u ms", silence_delay_ms(&r));
    r = record_of(1000, 100000, 0, 0);
    ok(silence_delay_ms(&r) >= 3 * 65 && silence_delay_ms(&r) <= 3 * 132,
       "three times what nearly all take: %u ms", silence_delay_ms(&r));
}

static void test_record(void)
{
    uint64_t before[TABLE_LATENCY] = {[3] = 5, [7] = 9}, now[TABLE_LATENCY] = {[3] = 8};
    struct silence_record r = {0}, other = {.n = {[3] = 10, [9] = 2}};

    silence_add(&r, now, before);
    is_int(r.n[3], 3, "what came is added");
    is_int(r.n[7], 0, "a counter that fell is none");
    silence_join(&r, &other);
    is_int(silence_total(&r), 15, "two records together");
    silence_part(&r, &other);
    is_int(silence_total(&r), 3, "and apart");
    ok(silence_is_over(SILENCE_ENOUGH, SILENCE_PERIOD_MS), "a period ends after its time,");
    ok(!silence_is_over(100 * SILENCE_ENOUGH, SILENCE_PERIOD_MS - 1), "  not before it,");
    ok(!silence_is_over(SILENCE_ENOUGH - 1, 100 * SILENCE_PERIOD_MS), "  nor with little");
}

/* ---- the judgement */

static enum silence_verdict judged(uint64_t sent, uint64_t served, uint64_t asked,
                                   uint64_t confirmed, uint64_t now)
{
    const struct silence_view view = {served * 1000, asked * 1000, confirmed * 1000};

    return silence_judge(sent * 1000, &view, now * 1000);
}

static void test_judge(void)
{
    is_int(judged(1000, 1001, 0, 0, 1200), SILENCE_ALIVE, "a later request was served: alive");
    is_int(judged(1000, 1000, 0, 0, 1200), SILENCE_ASK, "one of that moment says nothing: ask");
    is_int(judged(1000, 0, 0, 0, 1200), SILENCE_ASK, "none ever: ask");
    is_int(judged(1000, 900, 1200, 0, 1300), SILENCE_WAIT, "just asked: wait");
    is_int(judged(1000, 1210, 1200, 0, 1300), SILENCE_ALIVE, "it served that: alive");
    is_int(judged(1000, 900, 1200, 0, 1500), SILENCE_FOUND, "it did not: silent");
    is_int(judged(1210, 900, 1200, 0, 1410), SILENCE_FOUND, "the one that asked is a witness");
    is_int(judged(2000, 1900, 1200, 0, 2200), SILENCE_ASK, "what was asked before is over");
    is_int(judged(900, 950, 0, 1000, 1300), SILENCE_FOUND,
           "another backend served what came later: silent, for what came earlier, too");
    is_int(judged(900, 1100, 0, 1000, 1300), SILENCE_ALIVE,
           "  until it serves something later");
    is_int(silence_again_ms(200), SILENCE_AGAIN_MS, "tried again soon");
    is_int(silence_again_ms(4000), 1000, "but not that often where much waits for long");
}

/* ---- a pool on a virtual clock: milliseconds, one worker */

enum { POOL = 3, MOST = 200000, OPEN = 8192, VERDICT_MS = 3500, DETACHED_MS = 15000 };

enum fault { NONE, ALL_SLOW, ONE_HANGS, HANGS_AFTER, TWO_HANG, ONE_SLOW, REPORT };

struct sim_request {
    bool used, report, served, silent, raced, armed, won;
    int at, second;                  /* backends; -1: none */
    uint64_t sent, sent_second, due; /* due: its hedge timer */
    uint64_t done, done_second;      /* when it would be served there; UINT64_MAX: never */
};

static struct sim {
    enum fault fault;
    bool round_robin;
    uint64_t now, begins;
    struct sim_request open[OPEN];
    struct silence_record record[POOL], before[POOL];
    uint32_t in_flight[POOL], delay[POOL];
    uint64_t latest[POOL], asked_us[POOL], confirmed[POOL], period;
    int asked, turn, top; /* top: open[] is unused from there */
    uint32_t hedging;     /* in the budget */
    uint64_t requests, hedges, reports_twice, slow, worst;
    uint32_t budget_most;
} sim;

static uint32_t sim_random(void)
{
    static uint64_t seed = 88172645463325252ULL;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20);
}

static bool is_ill(int b)
{
    bool ill = sim.now >= sim.begins;

    switch (sim.fault) {
    case ALL_SLOW:
        return ill;
    case ONE_HANGS:
    case HANGS_AFTER:
    case ONE_SLOW:
        return ill && b == 1;
    case TWO_HANG:
        return ill && b >= 1;
    default:
        return false;
    }
}

static uint64_t served_at(int b, const struct sim_request *r)
{
    if (r->report)
        return sim.now + 180000;
    /* The host was busy for ten seconds, and has been well for fifty. */
    if (sim.fault == HANGS_AFTER && sim.now < sim.begins - 50000)
        return sim.now + 300 + sim_random() % 2000;
    if (!is_ill(b))
        return sim.now + 4 + sim_random() % 12 + (sim_random() % 500 == 0 ? 400 : 0);
    if (sim.fault == ALL_SLOW)
        return sim.now + 4000 + sim_random() % 2000;
    return sim.fault == ONE_SLOW ? sim.now + 3000 : UINT64_MAX;
}

/* healthd takes out what hangs, after some seconds. */
static bool is_out(int b)
{
    return is_ill(b) && sim.fault != ALL_SLOW && sim.now >= sim.begins + VERDICT_MS;
}

static int sim_choose(int except, bool lively, uint64_t since)
{
    int best = -1;

    for (int i = 0; i < POOL; i++) {
        int b = (sim.turn + i) % POOL;

        if (b == except || is_out(b) || (lively && sim.latest[b] <= since && sim.in_flight[b]))
            continue;
        if (best < 0 || (!sim.round_robin && sim.in_flight[b] < sim.in_flight[best]))
            best = b;
    }
    sim.turn++;
    return best;
}

static void sim_begin(bool report)
{
    struct sim_request *r = sim.open;

    while (r->used)
        r++;
    if (r - sim.open >= sim.top)
        sim.top = (int)(r - sim.open) + 1;
    *r = (struct sim_request){
        .used = true, .report = report, .armed = true, .sent = sim.now, .second = -1};
    r->at = sim.asked >= 0 ? sim.asked : sim_choose(-1, false, 0);
    sim.asked = -1;
    sim.in_flight[r->at]++;
    r->due = sim.now + sim.delay[r->at];
    r->done = served_at(r->at, r);
    sim.requests++;
}

static uint32_t sim_in_flight(void)
{
    return sim.in_flight[0] + sim.in_flight[1] + sim.in_flight[2];
}

static void sim_hedge(struct sim_request *r)
{
    int b = sim_choose(r->at, true, r->sent);

    if (b < 0 || sim.hedging >= cap_retries(sim_in_flight())) {
        r->due = sim.now + silence_again_ms(sim.now - r->sent);
        return;
    }
    r->armed = false;
    r->raced = true;
    r->second = b;
    r->sent_second = sim.now;
    r->done_second = served_at(b, r);
    sim.in_flight[b]++;
    sim.hedging++;
    sim.hedges++;
    sim.reports_twice += r->report;
    if (sim.hedging > sim.budget_most)
        sim.budget_most = sim.hedging;
}

static void sim_timer(struct sim_request *r)
{
    int b = r->at;
    const struct silence_view view = {sim.latest[b] * 1000, sim.asked_us[b] * 1000,
                                      sim.confirmed[b] * 1000};

    if (sim.now - r->sent < sim.delay[b]) {
        r->due = r->sent + sim.delay[b];
        return;
    }
    switch (silence_judge(r->sent * 1000, &view, sim.now * 1000)) {
    case SILENCE_ALIVE:
        r->armed = false;
        break;
    case SILENCE_ASK:
        sim.asked_us[b] = sim.now;
        sim.asked = b;
        r->due = sim.now + SILENCE_ASK_MS;
        break;
    case SILENCE_WAIT:
        r->due = sim.asked_us[b] + SILENCE_ASK_MS;
        break;
    case SILENCE_FOUND:
        sim_hedge(r);
        break;
    }
}

static void sim_first_byte(int b, uint64_t sent)
{
    if (sim.latest[b] < sent)
        sim.latest[b] = sent;
    sim.record[b].n[latency_bucket((sim.now - sent) * 1000)]++;
}

static void sim_serve(struct sim_request *r)
{
    bool first = r->done <= sim.now, second = r->second >= 0 && r->done_second <= sim.now;

    if (!r->served && (first || second)) {
        uint64_t took = sim.now - r->sent;

        r->served = true;
        r->armed = false;
        if (r->raced)
            sim.hedging--;
        if (!r->report && took > sim.worst)
            sim.worst = took;
        sim.slow += !r->report && took > 1000 && sim.now >= sim.begins;
    }
    if (second) {
        sim_first_byte(r->second, r->sent_second);
        if (!first && sim.latest[r->at] <= r->sent) {
            sim.confirmed[r->at] = r->sent;
            for (int i = 0; i < sim.top; i++)
                if (sim.open[i].used && sim.open[i].at == r->at && !sim.open[i].raced &&
                    !sim.open[i].armed && !sim.open[i].served) {
                    sim.open[i].armed = true;
                    sim.open[i].due = sim.now + 1;
                }
        }
    }
    if (first && r->done != UINT64_MAX)
        sim_first_byte(r->at, r->sent);
    if (r->served && r->second >= 0 && (second || first)) {
        sim.in_flight[r->second]--;
        r->second = -1;
    }
    /* What is left behind waits on: detached. What a verdict ends is served elsewhere. */
    if (first || (r->served && sim.now >= r->sent + DETACHED_MS) ||
        (is_out(r->at) && r->done == UINT64_MAX)) {
        if (!r->served && !first) {
            uint64_t took = sim.now - r->sent;

            sim.worst = took > sim.worst ? took : sim.worst;
            sim.slow += took > 1000;
            if (r->raced)
                sim.hedging--;
        }
        if (r->second >= 0)
            sim.in_flight[r->second]--;
        sim.in_flight[r->at]--;
        r->used = false;
    }
}

static void sim_second(void)
{
    struct silence_record period = {0}, all;

    for (int b = 0; b < POOL; b++)
        silence_join(&period, &sim.record[b]);
    all = period;
    for (int b = 0; b < POOL; b++)
        silence_join(&all, &sim.before[b]);
    for (int b = 0; b < POOL; b++) {
        struct silence_record others = all;

        silence_part(&others, &sim.record[b]);
        silence_part(&others, &sim.before[b]);
        sim.delay[b] = silence_delay_ms(&others);
    }
    if (!silence_is_over(silence_total(&period), sim.now - sim.period))
        return;
    memcpy(sim.before, sim.record, sizeof sim.before);
    memset(sim.record, 0, sizeof sim.record);
    sim.period = sim.now;
}

/* Two minutes, of which the second half is with the fault. */
static void simulate(enum fault fault, uint32_t rate, bool round_robin)
{
    memset(&sim, 0, sizeof sim);
    sim.fault = fault;
    sim.round_robin = round_robin;
    sim.begins = 60000;
    sim.asked = -1;
    for (sim.now = 1; sim.now < 120000; sim.now++) {
        if (sim.now % 1000 == 1)
            sim_second();
        while (sim.top > 0 && !sim.open[sim.top - 1].used)
            sim.top--;
        for (int i = 0; i < sim.top; i++) {
            struct sim_request *r = &sim.open[i];

            if (!r->used)
                continue;
            sim_serve(r);
            if (r->used && r->armed && r->due <= sim.now)
                sim_timer(r);
        }
        if (fault == REPORT && sim.now == 50000)
            sim_begin(true);
        if (sim_random() % 1000 < rate)
            sim_begin(false);
    }
}

static void check(enum fault fault, const char *what, double most_share, uint64_t most_slow)
{
    static const uint32_t rates[] = {5, 60, 600};

    /* At 5 requests/s it takes longer until a busy time is forgotten. */
    for (int i = fault == HANGS_AFTER ? 2 : 0; i < 6; i++) {
        double share;

        simulate(fault, rates[i / 2], i % 2);
        /* Nor does another request always come to show that a report is none. */
        if (rates[i / 2] == 5 && sim.reports_twice == 1)
            sim.hedges--, sim.reports_twice--;
        share = (double)sim.hedges / (double)sim.requests;
        ok(share <= most_share && sim.slow <= most_slow && !sim.reports_twice,
           "%s, %u requests/s, %s: %.2f %% of %llu hedged, at most %u at a time; %llu slow, "
           "the "
           "slowest %llu ms",
           what, rates[i / 2], i % 2 ? "roundrobin" : "leastconn", 100 * share,
           (unsigned long long)sim.requests, sim.budget_most, (unsigned long long)sim.slow,
           (unsigned long long)sim.worst);
    }
}

int main(void)
{
    test_delay();
    test_record();
    test_judge();
    check(NONE, "all is well", 0.001, 0);
    check(ALL_SLOW, "all become slow", 0.01, UINT64_MAX);
    check(ONE_HANGS, "one hangs", 0.02, 0);
    check(HANGS_AFTER, "one hangs, after all were slow for a while", 0.02, 0);
    /* One that is hedged to the other one that hangs waits for the verdict. */
    check(TWO_HANG, "two hang", 0.04, 5);
    check(ONE_SLOW, "one responds after 3 s", 0.02, 0);
    check(REPORT, "a report of three minutes", 0.001, 0);
    return done();
}
