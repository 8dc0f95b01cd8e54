/* The bucket of a rate (base/bucket.h), on a virtual clock. */
#include "base/bucket.h"

#include "t/unit/tap.h"

enum { RATE = 10, BURST = 40, T = 5000000 };

/* How many of n events at one moment fit. */
static int admit(struct bucket *b, uint64_t now_ms, int n)
{
    int in = 0;

    for (int i = 0; i < n; i++) {
        bucket_leak(b, now_ms, RATE);
        if (!bucket_fits(b, BURST))
            continue;
        bucket_put(b, 1000);
        in++;
    }
    return in;
}

int main(void)
{
    struct bucket b = {0};
    int in = 0;

    is_int(admit(&b, T, 100), BURST, "a burst, and no more");
    is_int(bucket_wait_s(&b, BURST, RATE), 1, "there is room within a second");
    is_int(admit(&b, T + 99, 1), 0, "none within 99 ms");
    is_int(admit(&b, T + 100, 2), 1, "one after 100 ms");
    for (uint64_t ms = 100; ms <= 10000; ms += 10)
        in += admit(&b, T + ms, 5);
    is_int(in, 99, "then its rate: 10 a second");
    is_int(admit(&b, T + 100000, 100), BURST, "after a pause, a burst again");
    is_int(admit(&b, T, 1), 0, "a clock that goes back changes nothing");
    bucket_put(&b, -1500);
    is_int(b.level, 38500, "what is taken out");
    bucket_put(&b, -1000000);
    is_int(b.level, 0, "is never more than there is");
    bucket_put(&b, 100 * 1000);
    is_int(bucket_wait_s(&b, BURST, RATE), 7, "61 too many: seven seconds");
    bucket_put(&b, INT64_C(1) << 40);
    is_int(bucket_wait_s(&b, BURST, RATE), 3600,
           "nobody is told to wait for longer than an hour");
    bucket_leak(&b, UINT64_MAX, UINT32_MAX);
    is_int(b.level, 0, "no pause is too long");
    bucket_put(&b, 5000);
    bucket_leak(&b, UINT64_MAX, 0);
    is_int(b.level, 5000, "at a rate of 0 nothing leaves it");
    return done();
}
