#include "worker/upstream/silence.h"

void silence_add(struct silence_record *record, const uint64_t now[TABLE_LATENCY],
                 const uint64_t before[TABLE_LATENCY])
{
    for (int i = 0; i < TABLE_LATENCY; i++)
        if (now[i] > before[i])
            record->n[i] += (uint32_t)(now[i] - before[i]);
}

void silence_join(struct silence_record *sum, const struct silence_record *part)
{
    for (int i = 0; i < TABLE_LATENCY; i++)
        sum->n[i] += part->n[i];
}

void silence_part(struct silence_record *sum, const struct silence_record *part)
{
    for (int i = 0; i < TABLE_LATENCY; i++)
        sum->n[i] -= part->n[i];
}

uint64_t silence_total(const struct silence_record *record)
{
    uint64_t total = 0;

    for (int i = 0; i < TABLE_LATENCY; i++)
        total += record->n[i];
    return total;
}

bool silence_is_over(uint64_t total, uint64_t lasted_ms)
{
    return total >= SILENCE_ENOUGH && lasted_ms >= SILENCE_PERIOD_MS;
}

/* The time within which 99 of 100 had their first byte. In fewer the slowest one does not count
 * either: a single one proves nothing. */
static uint64_t p99_us(const struct silence_record *record, uint64_t total)
{
    uint64_t wanted = (total * 99 + 99) / 100, below = 0;

    if (wanted == total && total > 1)
        wanted--;
    for (int i = 0; i < TABLE_LATENCY; i++) {
        uint64_t n = record->n[i];

        if (n && below + n >= wanted) {
            uint64_t low = i ? UINT64_C(1) << i : 0;
            uint64_t width = (UINT64_C(2) << i) - low;

            return low + width * (wanted - below) / n;
        }
        below += n;
    }
    return 0;
}

uint32_t silence_delay_ms(const struct silence_record *others)
{
    uint64_t total = silence_total(others);
    uint64_t least = total < SILENCE_FEW ? SILENCE_FEW_MS : SILENCE_LEAST_MS;
    uint64_t ms = p99_us(others, total) * SILENCE_TIMES / 1000;

    ms -= ms > SILENCE_ASK_MS ? SILENCE_ASK_MS : ms;
    return (uint32_t)(ms > least ? ms : least);
}

enum silence_verdict silence_judge(uint64_t sent_us, const struct silence_view *view,
                                   uint64_t now_us)
{
    uint64_t served = view->served_us;

    /* What another backend served meanwhile was no long request. As long as it serves nothing
     * later, that is also true of what was sent earlier. */
    if (view->confirmed_us && served <= view->confirmed_us)
        return SILENCE_FOUND;
    if (served > sent_us)
        return SILENCE_ALIVE;
    if (!view->asked_us || served > view->asked_us)
        return SILENCE_ASK;
    if (sent_us >= view->asked_us || now_us - view->asked_us >= SILENCE_ASK_MS * UINT64_C(1000))
        return SILENCE_FOUND;
    return SILENCE_WAIT;
}

uint32_t silence_again_ms(uint64_t waited_ms)
{
    uint64_t ms = waited_ms / SILENCE_AGAIN_SHARE;

    return ms > SILENCE_AGAIN_MS ? (uint32_t)ms : SILENCE_AGAIN_MS;
}
