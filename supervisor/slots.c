#include "supervisor/slots.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static int find_name(const struct slots *slots, const char *name)
{
    for (uint32_t i = 0; i < slots->n; i++)
        if (strcmp(slots->slot[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* Prefers a slot that was never used to one whose name may come back. */
static int find_free(const struct slots *slots)
{
    if (slots->n < TABLE_BACKENDS)
        return (int)slots->n;
    for (uint32_t i = 0; i < slots->n; i++)
        if (slots->slot[i].refs == 0)
            return (int)i;
    return -1;
}

bool slots_acquire(struct slots *slots, const char *const names[], uint32_t n, uint16_t out[])
{
    struct slots copy = *slots;

    /* Known names first: new names must not get their old slots. */
    for (uint32_t i = 0; i < n; i++) {
        int s = find_name(&copy, names[i]);

        out[i] = s < 0 ? TABLE_BACKENDS : (uint16_t)s;
        if (s >= 0)
            copy.slot[s].refs++;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (out[i] < TABLE_BACKENDS)
            continue;
        int s = find_free(&copy);

        if (s < 0)
            return false;
        if ((uint32_t)s == copy.n)
            copy.n++;
        snprintf(copy.slot[s].name, sizeof copy.slot[s].name, "%s", names[i]);
        copy.slot[s].refs = 1;
        out[i] = (uint16_t)s;
    }
    *slots = copy;
    return true;
}

void slots_release(struct slots *slots, const uint16_t map[], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        CHECK(map[i] < slots->n && slots->slot[map[i]].refs > 0);
        slots->slot[map[i]].refs--;
    }
}

int slots_find(const struct slots *slots, const char *name)
{
    int s = find_name(slots, name);

    return s >= 0 && slots->slot[s].refs > 0 ? s : -1;
}
