/* The clients that limits.per_client concerns, for people. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "shm/client_cells.h"
#include "shm/status/status.h"
#include "shm/status/text.h"

void status_add_clients(struct text *out, const struct table *table)
{
    struct client_top top[CLIENT_TOP];
    uint32_t n = client_top(table, top);
    const char *between = "clients over their limits: ";
    char name[CLIENT_TEXT];

    for (uint32_t i = 0; i < n && i < STATUS_CLIENTS; i++) {
        const struct client_sum *s = &top[i].sum;

        if (!s->refused && s->refused_until_ms <= clock_mono_ms())
            continue;
        text_add(out,
                 "%s%s (%" PRIu64 " connection%s, %" PRIu64 " request%s, refused %u time%s%s)",
                 between, client_text(name, top[i].client), s->connections,
                 str_plural(s->connections), s->requests, str_plural(s->requests), s->refused,
                 str_plural(s->refused),
                 s->refused_until_ms > clock_mono_ms() ? ", now for its offences" : "");
        between = ", ";
    }
}
