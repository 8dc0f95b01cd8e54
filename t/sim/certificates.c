/* A certificate's life through random histories, on a virtual clock: does anything lead to one
 * that is never renewed, or renewed without end?
 *
 *   simulate [-n HISTORIES] [-s SEED] [-v]
 *
 * History number i of seed s is history 0 of seed s + i, so that a failure can be replayed:
 * `make simulate SEED=...` runs that one alone, and prints each step. Everything that decides
 * is the program's own (plan, fallback, rate log, renew, backoff, options); what is made up is
 * the CA, the clock, and the moments at which acmed is killed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "t/sim/ca_world.h"
#include "t/sim/history_options.h"

/* ---- what acmed does */

static void issue(struct world *w, enum fallback_ca who)
{
    uint64_t apart = w->now - w->last_issue;

    w->live =
        (struct plan_live){.generation = w->live.generation + 1,
                           .from_ca = true,
                           .covers = true,
                           .can_ask = w->ari != ARI_NONE,
                           .life = {w->now - w->backdate, w->now - w->backdate + w->life}};
    w->live_ca = who;
    w->issued++;
    if (w->last_issue && !w->excused &&
        apart + second + w->life / (1000000 / DRIFT_PPM) < w->life / PLAN_PACE_PARTS)
        wrong(w, "two orders within a tenth of a lifetime");
    if (w->issued == 1 && w->only_unreached && w->reached_at &&
        w->now - w->reached_at > 2 * (w->reached_at - w->begun_at) + minute / 4)
        wrong(w, "the first one came long after its CA was there again");
    w->last_issue = w->now;
    w->excused = false;
    plan_issued(&w->state, our_clock(w));
    say(w, "issued by CA %d, number %" PRIu64, who, w->issued);
}

static void fail(struct world *w, enum fallback_ca who, const char *type, uint32_t status,
                 uint64_t retry_ms)
{
    struct job_problem problem = {.status = status,
                                  .retry_after_s = (uint32_t)(retry_ms / 1000)};

    snprintf(problem.type, sizeof problem.type, "%s", type);
    uint32_t unreached = w->state.fallback.ca_failures;

    w->failures++;
    w->excused = true;
    fallback_failed(&w->state.fallback, &w->ways, who, &problem);
    if (w->state.fallback.ca_failures == 0)
        plan_reached(&w->state, &w->live, unreached);
    w->only_unreached &= who == FALLBACK_FIRST && fallback_unreached(&problem);
    plan_failed(&w->state, &w->live, retry_ms, type, our_clock(w), rnd(w));
    if (fallback_unreached(&problem))
        plan_unreached(&w->state, &w->live, our_clock(w), rnd(w));
    say(w, "CA %d fails: %s, Retry-After %" PRIu64 " s; next try in %" PRId64 " s", who, type,
        retry_ms / 1000, (int64_t)(w->state.next_try - our_clock(w)) / 1000);
}

static void succeed(struct world *w, enum fallback_ca who, uint64_t begun_s)
{
    rate_log_success(&w->ca[who].rate_log, names, begun_s, our_clock(w) / 1000);
    if (fallback_succeeded(&w->state.fallback, who, JOB_HTTP_01)) {
        say(w, "staging dry run passed");
        plan_hurry(&w->state, 0, our_clock(w));
    } else {
        issue(w, who);
    }
}

static bool converse(struct world *w, struct ca *ca, enum fallback_ca who, struct options with)
{
    const struct options carried = with;
    const struct options_refusal *refusal;
    unsigned requests;

    refusal = refusals_converse(&ca->refusals, &with, w->now, rnd(w), &requests);
    for (int part = 1; part < OPTIONS_PARTS; part++)
        if (carried.carries[part] && !with.carries[part])
            say(w, "left out: %s", part_name[part]);
    if (requests > OPTIONS_PARTS)
        wrong(w, "no end of requests in one try");
    if (carried.carries[OPTIONS_PROFILE] && carried.profile_required &&
        !with.carries[OPTIONS_PROFILE])
        wrong(w, "ordered without the required profile");
    if (refusal) {
        w->only_unreached = false;
        fail(w, who, refusal->type[0] ? refusal->type : "net.response", refusal->status, 0);
    }
    return !refusal;
}

/* A conversation with a CA that can be reached: an account, unless there is one, and the
 * order. */
static void talk(struct world *w, enum fallback_ca who, uint64_t begun_s)
{
    struct ca *ca = &w->ca[who];
    bool replaces = w->live.from_ca && w->live.can_ask && w->live_ca == who;

    if (w->harsh && one_in(w, 20))
        ca->account = false; /* the CA lost it, or our key is a new one */
    if (!ca->account &&
        !converse(w, ca, who, (struct options){.carries = {[OPTIONS_CONTACT] = true}}))
        return;
    ca->account = true;
    if (converse(
            w, ca, who,
            (struct options){
                .carries = {[OPTIONS_REPLACES] = replaces, [OPTIONS_PROFILE] = ca->profile},
                .profile_required = ca->profile_required}))
        succeed(w, who, begun_s);
}

/* acmed is killed in its order. Without one that is open at the CA it begins like any other
 * that was not there; else it goes on with that. */
static void die(struct world *w, uint64_t begun_s)
{
    say(w, "killed in its order");
    w->kills++;
    w->only_unreached = false;
    w->killed_at = w->now;
    w->excused = true;
    w->state.begun = one_in(w, 2);
    w->order_begun_s = begun_s;
    if (!w->state.begun)
        plan_start(&w->state, &w->live, our_clock(w), rnd(w));
}

/* Goes on with the order that is open. false: the CA has lost it, and another one is due. */
static bool resume(struct world *w, enum fallback_ca who)
{
    struct ca *ca = &w->ca[who];

    if (ca->weather == FINE && one_in(w, 4)) {
        if (plan_resumes(&w->state, &w->live, our_clock(w))) {
            say(w, "its order is gone, and given up");
            plan_dropped(&w->state, our_clock(w));
            return true;
        }
        w->state.begun = 0;
        return false;
    }
    say(w, "goes on with its order");
    if (ca->weather == FINE)
        succeed(w, who, w->order_begun_s);
    else
        fail(w, who, ca->weather == DOWN ? "net.connect" : "serverInternal",
             ca->weather == DOWN ? 0 : 500, 0);
    return true;
}

static void order(struct world *w)
{
    enum fallback_ca who;
    struct ca *ca;
    uint64_t begun_s = our_clock(w) / 1000, wait;
    const char *why;

    struct rate_log_names these = names;

    these.life_s = w->live.from_ca ? w->life / 1000 : 0;
    w->ways.urgent = plan_urgent(&w->live, our_clock(w));
    who = fallback_ca(&w->state.fallback, &w->ways);
    ca = &w->ca[who];
    if (w->state.begun && resume(w, who))
        return;
    wait = w->ways.urgent
               ? 1000 * rate_log_wait_urgent(&ca->rate_log, these, begun_s, &why)
               : plan_limit_wait(
                     &w->live, 1000 * rate_log_wait(&ca->rate_log, these, false, begun_s, &why),
                     our_clock(w));
    if (wait) {
        say(w, "waits for %" PRIu64 " s: %s", wait / 1000, why);
        plan_postpone(&w->state, wait, why, our_clock(w));
        w->excused = true;
        w->only_unreached = false;
        return;
    }
    if (ca->weather == DOWN) {
        fail(w, who, "net.connect", 0, 0);
        return;
    }
    wait = w->state.wanted ? 0
                           : plan_clock_wait(&w->state, &w->live,
                                             -w->skew - w->drifted_us / 1000, our_clock(w));
    if (wait) {
        say(w, "held for %" PRIu64 " s: the clock", wait / 1000);
        plan_hold_by_clock(&w->state, wait, "clock", our_clock(w));
        return;
    }
    rate_log_attempt(&ca->rate_log, names, begun_s);
    if (w->harsh && one_in(w, 30)) {
        die(w, begun_s);
        return;
    }
    rate_log_order(&ca->rate_log, begun_s);
    if (ca->weather == LIMITED)
        fail(w, who, "rateLimited", 429, retry_after(w, ca));
    else if (ca->weather == ERRING)
        fail(w, who, "serverInternal", 500, retry_after(w, ca));
    else
        talk(w, who, begun_s);
}

static void ask(struct world *w)
{
    const struct renew_life *life = &w->live.life;
    struct renew_window window = {0};

    w->asks++;
    if (w->ca[FALLBACK_FIRST].weather != FINE) {
        plan_no_response(&w->state, 0, our_clock(w), rnd(w));
        return;
    }
    switch (w->ari) {
    case ARI_USUAL:
        window = (struct renew_window){life->not_before + w->life * 6 / 10,
                                       life->not_before + w->life * 7 / 10};
        break;
    case ARI_PAST:
        window = (struct renew_window){w->now - 2 * hour, w->now - hour};
        break;
    case ARI_LATE:
        window = (struct renew_window){life->not_after + day, life->not_after + 2 * day};
        break;
    default:
        break;
    }
    plan_responded(&w->state, &w->live, &window, one_in(w, 2) ? up_to(w, 100 * day) : 0,
                   our_clock(w), rnd(w));
}

/* ---- what must hold */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Since when the first CA issues what is required; in the future: it does not. */
static uint64_t fine_since(const struct world *w)
{
    const struct ca *ca = &w->ca[FALLBACK_FIRST];
    const struct refusals_part *profile = &ca->refusals.of[OPTIONS_PROFILE];

    return ca->profile_required && profile->as && w->now >= profile->from
               ? later(ca->fine_since, profile->until)
               : ca->fine_since;
}

/* Our clock has been right, the CA fine, and acmed alive, for the last tenth of its life. */
static void look_at_end(struct world *w)
{
    uint64_t tenth = w->life / 10, calm;
    bool expired = w->live.from_ca && w->now >= w->live.life.not_after;

    if (!expired)
        return;
    calm = later(later(w->jumped_at, w->killed_at), fine_since(w));
    if (w->ca[FALLBACK_FIRST].weather == FINE && w->skew == 0 && calm <= w->now &&
        w->now >= calm + tenth + second && w->now >= w->live.life.not_after + second)
        wrong(w, "it expired although its CA could be reached");
}

/* To the next moment at which anything can change. */
static void go_on(struct world *w, uint64_t until)
{
    uint64_t next = w->now + later(w->life / 4, second), ours = our_clock(w);
    uint64_t least = w->life < hour ? second / 4 : second;

    if (until > ours && until - ours < next - w->now)
        next = w->now + (until - ours);
    else if (until <= ours)
        next = w->now + least;
    for (int i = 0; i < FALLBACK_CAS && w->harsh; i++)
        if (w->ca[i].until < next)
            next = w->ca[i].until;
    if (w->harsh && w->jump_at < next)
        next = w->jump_at;
    pass(w, later(next, w->now + least) - w->now);
}

static void prune(struct world *w)
{
    for (int i = 0; i < FALLBACK_CAS; i++)
        if (w->ca[i].rate_log.n > 60) {
            size_t n;

            free(rate_log_print(&w->ca[i].rate_log, our_clock(w) / 1000, &n));
        }
}

static void live_until(struct world *w, uint64_t end)
{
    while (w->now < end && !w->failed) {
        uint64_t until = 0;

        if (++w->steps > 400000) {
            wrong(w, "no end of steps");
            return;
        }
        change_weather(w);
        change_clock(w);
        look_at_end(w);
        if (w->harsh && one_in(w, 300)) {
            say(w, "the operator wants a new one");
            w->state.wanted = 1;
            w->excused = true;
            w->only_unreached = false; /* his tries are closer to each other, and count */
        }
        switch (plan_next(&w->state, &w->live, our_clock(w), rnd(w), &until)) {
        case PLAN_ORDER:
            order(w);
            prune(w);
            pass(w, w->life < hour ? second / 4 : second);
            break;
        case PLAN_ASK:
            ask(w);
            break;
        case PLAN_WAIT:
            go_on(w, until);
            break;
        }
    }
}

/* ---- a history */

static uint64_t some_life(struct world *w)
{
    const uint64_t usual[] = {minute,     10 * minute, hour,     24 * hour,
                              160 * hour, 45 * day,    90 * day, 398 * day};

    return one_in(w, 2) ? usual[rnd(w) % 8]
                        : minute + up_to(w, UINT64_C(1) << (17 + rnd(w) % 18));
}

/* Each part that this CA refuses, or all of them: from the start or later, for some time or for
 * ever. */
static void refuse_parts(struct world *w, struct ca *ca)
{
    bool all = one_in(w, 3);

    for (enum options_part part = OPTIONS_REPLACES; part < OPTIONS_PARTS; part++)
        if (all || one_in(w, 2)) {
            struct refusals_part *of = &ca->refusals.of[part];

            of->as = refusals_choose(part, rnd(w));
            of->from = w->now + (one_in(w, 2) ? 0 : up_to(w, 10 * w->life));
            of->until = one_in(w, 2) ? UINT64_MAX : of->from + up_to(w, 10 * w->life);
        }
}

static void make_requests(struct world *w)
{
    for (int i = 0; i < FALLBACK_CAS; i++) {
        struct ca *ca = &w->ca[i];

        ca->profile = one_in(w, 2);
        ca->profile_required = ca->profile && one_in(w, 4);
        if (i == FALLBACK_STAGING) {
            ca->profile = w->ca[FALLBACK_FIRST].profile;
            ca->profile_required = w->ca[FALLBACK_FIRST].profile_required;
        }
        if (one_in(w, 2))
            refuse_parts(w, ca);
    }
}

static struct world make_world(uint64_t seed, bool verbose)
{
    struct world w = {.seed = seed,
                      .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
                      .verbose = verbose,
                      .now = UINT64_C(1800000000000),
                      .harsh = true};
    const struct conf_ca_limits none = {0};
    bool public_ca;

    for (int i = 0; i < 8; i++)
        rnd(&w);
    w.life = some_life(&w);
    w.backdate = one_in(&w, 2) ? 0 : up_to(&w, w.life / 6 < hour ? w.life / 6 : hour);
    w.ari = (enum ari)(rnd(&w) % ARIS);
    public_ca = w.life >= 6 * day && one_in(&w, 2);
    w.ways = (struct order_options){.staging = one_in(&w, 2),
                                    .second = one_in(&w, 3),
                                    .after = 1 + (uint32_t)(rnd(&w) % 4),
                                    .kinds = {JOB_HTTP_01, JOB_TLS_ALPN_01},
                                    .n_kinds = 2};
    for (int i = 0; i < FALLBACK_CAS; i++) {
        w.ca[i].fine_since = w.now;
        w.ca[i].until = w.now + up_to(&w, 2 * w.life);
        w.ca[i].rate_log.limits =
            rate_log_limits_of(public_ca ? "https://acme-v02.api.letsencrypt.org/directory"
                                         : "https://ca.test/dir",
                               &none);
    }
    make_requests(&w);
    w.begun_at = w.now;
    if (one_in(&w, 3)) {
        w.ca[FALLBACK_FIRST].weather = DOWN;
        w.ca[FALLBACK_FIRST].until = w.now + up_to(&w, one_in(&w, 2) ? 5 * minute : day);
        w.only_unreached = !w.ways.second;
    }
    w.jump_at = one_in(&w, 2) ? UINT64_MAX : w.now + up_to(&w, 10 * w.life);
    if (one_in(&w, 3))
        w.drift_ppm = (int64_t)up_to(&w, 2 * DRIFT_PPM + 1) - DRIFT_PPM;
    w.end = w.now + 30 * w.life;
    return w;
}

/* A required profile is issued from now on, except by a staging CA that does not have it: that
 * must not be in the way. What is optional may be refused for ever. */
static void end_refusals(struct world *w, enum fallback_ca who)
{
    struct ca *ca = &w->ca[who];
    struct refusals_part *profile = &ca->refusals.of[OPTIONS_PROFILE];

    if (ca->profile_required && profile->as &&
        !(who == FALLBACK_STAGING && strcmp(profile->as->type, "invalidProfile") == 0))
        profile->until = w->now;
}

/* Without a first one no lifetime is known: a CA that wants a day of peace gets it, and so does
 * the staging CA that fails in between. */
static uint64_t time_for_first(const struct world *w)
{
    const struct ca *staging = &w->ca[FALLBACK_STAGING];
    bool in_between = w->ways.staging && staging->profile_required &&
                      refusals_now(&staging->refusals, OPTIONS_PROFILE, w->now);

    return w->live.from_ca ? 0 : (in_between ? 2 : 1) * 27 * hour;
}

static bool run(uint64_t seed, bool verbose)
{
    struct world w = make_world(seed, verbose);
    uint64_t before;

    say(&w,
        "life %" PRIu64 " s, backdated %" PRIu64 " s, ARI %d, staging %d, second CA %d, drift "
        "%" PRId64 " ppm",
        w.life / 1000, w.backdate / 1000, (int)w.ari, w.ways.staging, w.ways.second,
        w.drift_ppm);
    live_until(&w, w.end);
    /* Then all is fine: every state has an end. */
    w.harsh = false;
    before = our_clock(&w);
    w.skew = w.drifted_us = w.drift_ppm = 0;
    clock_was_set(&w, before);
    for (int i = 0; i < FALLBACK_CAS; i++) {
        w.ca[i].weather = FINE;
        w.ca[i].fine_since = w.now;
        end_refusals(&w, (enum fallback_ca)i);
    }
    say(&w, "from here on all is fine");
    live_until(&w, w.now + 3 * w.life + (w.life >= 6 * day ? 9 * day : 2 * hour) +
                       time_for_first(&w));
    if (!w.failed && (!w.live.from_ca || w.now >= w.live.life.not_after))
        wrong(&w, "there is no good certificate although all has been fine");
    if (!w.failed && w.state.failures)
        wrong(&w, "there is still a failure although all has been fine");
    for (int i = 0; i < FALLBACK_CAS; i++)
        rate_log_release(&w.ca[i].rate_log);
    return !w.failed;
}

int main(int argc, char **argv)
{
    struct history_options opt = history_options(argc, argv);
    uint64_t bad = 0;

    for (uint64_t i = 0; i < opt.n && bad < 10; i++)
        bad += !run(opt.seed + i, opt.verbose);
    printf("certificates: %" PRIu64 " histories from seed %" PRIu64 ": %s\n", opt.n, opt.seed,
           bad ? "FAILED" : "good");
    return bad ? 1 : 0;
}
