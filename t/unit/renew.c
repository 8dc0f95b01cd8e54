/* When to renew: thirds and halves, ARI windows, asking again, starts. And the name of a
 * certificate in ARI. */
#include "acmed/order/renew.h"
#include "acmed/cert/ari.h"
#include "t/unit/tap.h"

static const uint64_t minute = 60000, hour = 3600000, day = 24 * 3600000;
static const uint64_t t0 = UINT64_C(1800000000000);

static void test_backstop(void)
{
    struct renew_life classic = {t0, t0 + 90 * day}, brief = {t0, t0 + 160 * hour};
    struct renew_life ten = {t0, t0 + 10 * day}, odd = {t0, t0 - day};

    is_int(renew_backstop(&classic) - t0, 60 * day, "90 days: a third is left");
    is_int(renew_backstop(&brief) - t0, 80 * hour, "160 hours: half is left");
    is_int(renew_backstop(&ten) - t0, ten.not_after - t0 - 10 * day / 3, "10 days: a third");
    is_int(renew_lifetime(&odd), 0, "ends before it begins: no lifetime");
    is_int(renew_backstop(&odd), odd.not_after, "  and nothing to subtract");
    ok(renew_choose(&odd, &(struct renew_window){0}, 12345) <= odd.not_after,
       "  no division by 0");
}

static void test_expiring(void)
{
    struct renew_life classic = {t0, t0 + 90 * day}, brief = {t0, t0 + 160 * hour};
    struct renew_life odd = {t0, t0 - day};

    ok(!renew_expiring(&classic, t0) && !renew_expiring(&classic, t0 - day), "a new one");
    ok(!renew_expiring(&classic, t0 + 60 * day), "90 days: not when it is to be renewed");
    ok(!renew_expiring(&classic, t0 + 75 * day), "  nor when half of the third is left");
    ok(renew_expiring(&classic, t0 + 75 * day + 1), "  but from then on");
    ok(renew_expiring(&classic, t0 + 91 * day), "  also when it has expired");
    ok(!renew_expiring(&brief, t0 + 120 * hour), "160 hours: not before a quarter is left");
    ok(renew_expiring(&brief, t0 + 120 * hour + 1), "  but from then on");
    ok(!renew_expiring(&odd, t0 - day) && renew_expiring(&odd, t0), "no lifetime: by its end");
}

static void test_choose(void)
{
    struct renew_life life = {t0, t0 + 90 * day};
    struct renew_window none = {0}, good = {t0 + 50 * day, t0 + 52 * day};
    struct renew_window late = {t0 + 70 * day, t0 + 80 * day};
    struct renew_window across = {t0 + 59 * day, t0 + 89 * day};
    struct renew_window empty = {t0 + 50 * day, t0 + 50 * day}, turned = {t0 + 9, t0};
    struct renew_window past = {t0 - 2 * day, t0 - day};
    uint64_t least = UINT64_MAX, most = 0, latest = 0;

    for (uint64_t i = 0; i < 50000; i++) {
        uint64_t r = i * UINT64_C(0x9e3779b97f4a7c15), at = renew_choose(&life, &good, r);

        least = at < least ? at : least;
        most = at > most ? at : most;
        at = renew_choose(&life, &across, r);
        latest = at > latest ? at : latest;
    }
    ok(least >= good.start && most < good.end, "in the window");
    ok(least < good.start + hour && most > good.end - hour, "all over it");
    ok(latest <= renew_backstop(&life), "never after the backstop");
    ok(renew_choose(&life, &late, 77) <= renew_backstop(&life), "even if the CA wants that");
    ok(renew_choose(&life, &past, 77) < t0, "a window in the past: at once");
    is_int(renew_choose(&life, &empty, 0), renew_backstop(&life), "an empty window is none");
    is_int(renew_choose(&life, &turned, 0), renew_backstop(&life), "one turned round too");
    is_int(renew_choose(&life, &none, 0), renew_backstop(&life), "none: the backstop");
    ok(renew_choose(&life, &none, day) == renew_backstop(&life) - day, "or somewhat earlier");
    ok(renew_choose(&life, &none, UINT64_MAX) >= renew_backstop(&life) - 2 * day,
       "two days at most");
}

static void test_ask(void)
{
    is_int(renew_ask_after(0, 0, 0), 6 * hour, "it said nothing: in 6 h");
    is_int(renew_ask_after(1000, 0, 0), minute, "a second is a minute");
    is_int(renew_ask_after(2 * hour, 0, 0), 2 * hour, "2 h are 2 h");
    is_int(renew_ask_after(900 * day, 0, 0), day, "900 days are one");
    ok(renew_ask_after(0, 1, 1) <= 2 * minute, "first failure: soon");
    is_int(renew_ask_after(0, UINT32_MAX, 0), 6 * hour, "many: every 6 h");
    is_int(renew_ask_after(10 * hour, 3, 0), 10 * hour, "a 503 with Retry-After");
}

static void test_start(void)
{
    struct renew_life life = {t0, t0 + 90 * day};
    uint64_t most = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t at = renew_start_delay(&life, t0 + 65 * day, i * 7919777);

        most = at > most ? at : most;
    }
    ok(most > 50 * minute && most <= hour, "overdue at a start: within an hour");
    is_int(renew_start_delay(&life, t0 + 84 * day, 999), 0, "soon over: at once");
    is_int(renew_start_delay(&life, t0 + 91 * day, 999), 0, "over: at once");
}

static void test_ari_id(void)
{
    struct ari_parts parts = {
        .key_id = {0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3,
                   0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4},
        .n_key_id = 20,
        .serial = {0x00, 0x87, 0x65, 0x43, 0x21},
        .n_serial = 5,
    };
    char out[ARI_ID_SIZE];

    is_str(ari_id(out, &parts), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
           "the vector of RFC 9773");
    parts.n_key_id = ARI_PART;
    parts.n_serial = ARI_PART;
    is_int(strlen(ari_id(out, &parts)), 54 + 1 + 54, "the longest fits");
    parts.n_key_id = 0;
    is_str(ari_id(out, &parts), "", "no key identifier: no name");
}

int main(void)
{
    test_backstop();
    test_expiring();
    test_choose();
    test_ask();
    test_start();
    test_ari_id();
    return done();
}
