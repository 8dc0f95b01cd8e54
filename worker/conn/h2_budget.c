#include "worker/conn/h2_budget.h"

void h2_budget_init(struct h2_budget *b, uint64_t now_ms)
{
    *b = (struct h2_budget){.since_ms = now_ms, .frames = H2_BUDGET_FRAMES};
}

static void earn(struct h2_budget *b, uint64_t frames)
{
    uint64_t room = (uint64_t)(H2_BUDGET_FRAMES - b->frames);

    b->frames += (int32_t)(frames < room ? frames : room);
}

/* Time passes: resets are forgiven, frames earned. */
static void h2_budget_age(struct h2_budget *b, uint64_t now_ms)
{
    uint64_t ms = now_ms > b->since_ms ? now_ms - b->since_ms : 0;
    uint64_t forgiven = ms * H2_BUDGET_RESETS * 1000 / H2_BUDGET_RESETS_MS;
    uint64_t decoded = ms * H2_BUDGET_DECODED / H2_BUDGET_RESETS_MS;
    uint64_t frames = ms * H2_BUDGET_FRAMES_S / 1000;

    if (!frames) /* too short to count */
        return;
    b->since_ms = now_ms;
    b->resets -= forgiven < b->resets ? (uint32_t)forgiven : b->resets;
    b->decoded -= decoded < b->decoded ? decoded : b->decoded;
    earn(b, frames);
}

bool h2_budget_reset(struct h2_budget *b, uint64_t now_ms)
{
    h2_budget_age(b, now_ms);
    b->resets += 1000;
    return b->resets <= H2_BUDGET_RESETS * 1000;
}

bool h2_budget_frame(struct h2_budget *b, uint64_t now_ms)
{
    if (b->frames > 0) {
        b->frames--;
        return true;
    }
    h2_budget_age(b, now_ms);
    if (b->frames <= 0)
        return false;
    b->frames--;
    return true;
}

bool h2_budget_decoded(struct h2_budget *b, uint64_t now_ms, uint64_t bytes)
{
    h2_budget_age(b, now_ms);
    b->decoded += bytes;
    return b->decoded <= H2_BUDGET_DECODED;
}

void h2_budget_request(struct h2_budget *b)
{
    earn(b, H2_BUDGET_FRAMES_OF_REQUEST);
}

void h2_budget_bytes(struct h2_budget *b, uint64_t bytes)
{
    uint64_t all = b->bytes + bytes;

    earn(b, all / H2_BUDGET_BYTES_OF_FRAME);
    b->bytes = (uint32_t)(all % H2_BUDGET_BYTES_OF_FRAME);
}
