/* What a client may make an HTTP/2 connection do: resets, frames of no use, decoded bytes. */
#include "worker/conn/h2_budget.h"
#include "t/unit/tap.h"

static struct h2_budget b;

static void test_resets(void)
{
    int n = 0;
    uint64_t now = 1000;

    h2_budget_init(&b, now);
    while (h2_budget_reset(&b, now) && n < 10000)
        n++;
    is_int(n, H2_BUDGET_RESETS, "so many resets at once");
    h2_budget_init(&b, now);
    for (n = 0; n < 3000 && h2_budget_reset(&b, now); n++)
        now += H2_BUDGET_RESETS_MS / H2_BUDGET_RESETS + 1;
    is_int(n, 3000, "evenly, without end");
    h2_budget_init(&b, now);
    for (n = 0; n < 10000 && h2_budget_reset(&b, now); n++)
        now += H2_BUDGET_RESETS_MS / H2_BUDGET_RESETS / 2;
    ok(n > H2_BUDGET_RESETS && n <= 2 * H2_BUDGET_RESETS + 2, "twice as fast: %d", n);
    h2_budget_init(&b, now);
    for (n = 0; n < 10000 && h2_budget_reset(&b, now); n++)
        now += n % 2;
    ok(n <= H2_BUDGET_RESETS * 3 / 2, "small steps of time are not lost or gained: %d", n);
}

static void test_frames(void)
{
    int n = 0;
    uint64_t now = 1000;

    h2_budget_init(&b, now);
    while (h2_budget_frame(&b, now) && n < 100000)
        n++;
    is_int(n, H2_BUDGET_FRAMES, "so many frames without use");
    ok(h2_budget_frame(&b, now + 1000), "time earns some");
    h2_budget_request(&b);
    for (n = 0; h2_budget_frame(&b, now + 1000) && n < 100000;)
        n++;
    is_int(n, H2_BUDGET_FRAMES_S - 1 + H2_BUDGET_FRAMES_OF_REQUEST, "and requests do");
    for (int i = 0; i < H2_BUDGET_BYTES_OF_FRAME; i++)
        h2_budget_bytes(&b, 1);
    ok(h2_budget_frame(&b, now + 1000), "and useful bytes, one by one");
    ok(!h2_budget_frame(&b, now + 1000), "but no more than one");
    h2_budget_bytes(&b, UINT32_MAX);
    for (n = 0; h2_budget_frame(&b, now + 1000) && n < 100000;)
        n++;
    is_int(n, H2_BUDGET_FRAMES, "the account is limited");
    h2_budget_init(&b, now);
    for (n = 0; n < 100000 && h2_budget_frame(&b, now); n++)
        h2_budget_bytes(&b, 1); /* a window opened byte by byte */
    ok(n < H2_BUDGET_FRAMES + H2_BUDGET_FRAMES / 100, "drips end: %d", n);
    h2_budget_init(&b, now);
    for (n = 0; n < 100000 && h2_budget_frame(&b, now); n++)
        h2_budget_bytes(&b, 16384);
    is_int(n, 100000, "a window update for each full frame is fine");
}

static void test_decoded(void)
{
    uint64_t now = 1000;

    h2_budget_init(&b, now);
    ok(h2_budget_decoded(&b, now, H2_BUDGET_DECODED), "so many bytes for nothing");
    ok(!h2_budget_decoded(&b, now, 1), "and no more");
    ok(h2_budget_decoded(&b, now + H2_BUDGET_RESETS_MS, 1), "until they are forgiven");
}

int main(void)
{
    test_resets();
    test_frames();
    test_decoded();
    return done();
}
