#include "shm/client_cells.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define IPV4 (UINT64_C(0xffffffff) << 32)

const char *client_limit_name(enum client_limit limit)
{
    static const char *const names[CLIENT_LIMITS] = {
        [CLIENT_CONNECTIONS] = "connections",
        [CLIENT_CONNECTION_RATE] = "connection_rate",
        [CLIENT_REQUESTS] = "requests",
        [CLIENT_REQUEST_RATE] = "request_rate",
        [CLIENT_BYTES] = "bytes",
        [CLIENT_OFFENCES] = "offences",
    };

    CHECK(limit < CLIENT_LIMITS);
    return names[limit];
}

uint64_t client_id(const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    uint64_t id = 0;

    if (address->sa_family == AF_INET)
        return IPV4 | ntohl(four->sin_addr.s_addr);
    if (address->sa_family != AF_INET6)
        return 0;
    for (int i = 0; i < 8; i++)
        id = id << 8 | six->sin6_addr.s6_addr[i];
    return id ? id : 1; /* ::1 */
}

char *client_text(char out[CLIENT_TEXT], uint64_t client)
{
    char text[INET6_ADDRSTRLEN];

    if (client >= IPV4) {
        struct in_addr four = {htonl((uint32_t)client)};

        inet_ntop(AF_INET, &four, text, sizeof text);
        snprintf(out, CLIENT_TEXT, "%s", text);
    } else {
        struct in6_addr six = {{{0}}};

        for (int i = 0; i < 8; i++)
            six.s6_addr[i] = (uint8_t)(client >> (56 - 8 * i));
        inet_ntop(AF_INET6, &six, text, sizeof text);
        snprintf(out, CLIENT_TEXT, "%s/64", client == 1 ? "::" : text);
    }
    return out;
}

static uint64_t client_at(const struct client_set *set, int i)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&set->client[i],
                                memory_order_acquire);
}

#define READ(field) \
    atomic_load_explicit(&((struct client_cell *)(uintptr_t)cell)->field, memory_order_relaxed)

static void client_add(struct client_sum *to, const struct client_set *set, int i,
                       uint64_t client)
{
    const struct client_cell *cell = &set->cell[i];
    struct client_sum has = {
        .connections = READ(connections),
        .requests = READ(requests),
        .bytes = READ(bytes),
        .connected = READ(connected),
        .requested = READ(requested),
        .offences = READ(offences),
        .refused = READ(refused),
        .refused_until_ms = READ(refused_until_ms),
    };

    atomic_thread_fence(memory_order_acquire);
    if (client_at(set, i) != client)
        return;
    to->connections += has.connections;
    to->requests += has.requests;
    to->bytes += has.bytes;
    to->connected += has.connected;
    to->requested += has.requested;
    to->offences += has.offences;
    to->refused += has.refused;
    if (has.refused_until_ms > to->refused_until_ms)
        to->refused_until_ms = has.refused_until_ms;
}

static void client_add_set(struct client_sum *to, const struct client_set *set, uint64_t client)
{
    for (int i = 0; i < TABLE_CLIENT_SET; i++)
        if (client_at(set, i) == client) {
            client_add(to, set, i, client);
            return;
        }
}

void client_sum(const struct table *table, const struct cap_rows *live, uint32_t set,
                uint64_t client, struct client_sum *to)
{
    *to = (struct client_sum){0};
    /* What this worker has just written is seen by another one that writes, then reads. */
    atomic_thread_fence(memory_order_seq_cst);
    for (int i = 0; i < live->n; i++)
        client_add_set(to, &table->worker[live->rows[i]].clients[set], client);
}

/* ---- the status */

static bool is_above(const struct client_top *a, const struct client_top *b)
{
    if (a->sum.refused != b->sum.refused)
        return a->sum.refused > b->sum.refused;
    return a->sum.connections > b->sum.connections;
}

static bool is_there(const struct client_top *top, uint32_t n, uint64_t client)
{
    for (uint32_t i = 0; i < n; i++)
        if (top[i].client == client)
            return true;
    return false;
}

/* Its place in every row is the same. */
static void client_look(const struct table *table, const struct cap_rows *live, uint32_t set,
                        uint64_t client, struct client_top top[CLIENT_TOP], uint32_t *n)
{
    struct client_top one = {.client = client};
    uint32_t at;

    if (!client || is_there(top, *n, client))
        return;
    client_sum(table, live, set, client, &one.sum);
    if (*n == CLIENT_TOP && !is_above(&one, &top[*n - 1]))
        return;
    if (*n < CLIENT_TOP)
        ++*n;
    for (at = *n - 1; at > 0 && is_above(&one, &top[at - 1]); at--)
        top[at] = top[at - 1];
    top[at] = one;
}

uint32_t client_top(const struct table *table, struct client_top top[CLIENT_TOP])
{
    struct cap_rows live = {.n = 0};
    uint32_t n = 0;

    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(table, r))
            live.rows[live.n++] = r;
    for (int l = 0; l < live.n; l++)
        for (uint32_t set = 0; set < TABLE_CLIENTS / TABLE_CLIENT_SET; set++)
            for (int i = 0; i < TABLE_CLIENT_SET; i++)
                client_look(table, &live, set,
                            client_at(&table->worker[live.rows[l]].clients[set], i), top, &n);
    return n;
}
