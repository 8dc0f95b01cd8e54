/* Who gets the descriptors of a worker. */
#include "worker/descriptors.h"

#include "t/unit/tap.h"

int main(void)
{
    enum { OWN = 140, CONNECTIONS = 16384 };
    struct descriptors d = descriptors_share(1048576, OWN, CONNECTIONS);

    is_int(d.clients, CONNECTIONS, "plenty: as many clients as are configured");
    is_int(d.upstreams, 1048576 - OWN - DESCRIPTORS_STATUS - CONNECTIONS,
           "the rest for backends");
    d = descriptors_share(1024, OWN, CONNECTIONS);
    is_int(d.clients, (1024 - OWN - DESCRIPTORS_STATUS) / 3 * 2, "few: two thirds for clients");
    ok(d.clients + d.upstreams + OWN + DESCRIPTORS_STATUS <= 1024,
       "and no more than there are");
    ok(d.upstreams >= 1024 / 4, "with enough for backends: %u", d.upstreams);
    d = descriptors_share(1024, OWN, 100);
    is_int(d.clients, 100, "fewer are configured");
    d = descriptors_share(64, OWN, CONNECTIONS);
    ok(d.clients > 0 && d.upstreams > 0, "hardly any: some of each");
    d = descriptors_share(UINT64_MAX, OWN, CONNECTIONS);
    is_int(d.clients, CONNECTIONS, "no limit");
    for (uint64_t limit = 0; limit < 70000; limit += 7) {
        d = descriptors_share(limit, OWN, CONNECTIONS);
        if (limit > 400 && d.clients + d.upstreams + OWN + DESCRIPTORS_STATUS > limit)
            fail("%d are shared out as more", (int)limit);
    }
    return done();
}
