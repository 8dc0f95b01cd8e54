/* What a DNS server answers: whatever comes, the readers end, and what they say is bounded and
 * plain. */
#include "acmed/net/dns.h"
#include "acmed/net/caa.h"
#include "acmed/net/dns_read.h"
#include "acmed/net/ipc.h"
#include "t/fuzz/fuzz.h"

static void check_caa(const uint8_t *reply, size_t n, bool wildcard)
{
    char why[CAA_TEXT];
    enum caa_verdict verdict = caa_judge(reply, n, "ca.test, other.test", wildcard, why);
    size_t shown = strnlen(why, sizeof why);

    HOLDS(shown < sizeof why && fuzz_one_line(str_make(why, shown)));
    HOLDS((verdict == CAA_FORBIDS) == (shown > 0));
}

static void check_addresses(const uint8_t *reply, size_t size)
{
    char out[DNS_ADDRESSES][DNS_ADDRESS];
    size_t n = 0;

    for (int v6 = 0; v6 < 2; v6++) {
        dns_read_addresses(reply, size, v6, out, &n);
        HOLDS(n <= DNS_ADDRESSES);
    }
    for (size_t i = 0; i < n; i++)
        HOLDS(strnlen(out[i], DNS_ADDRESS) < DNS_ADDRESS && strpbrk(out[i], ".:"));
}

static void check_records(const uint8_t *reply, size_t size)
{
    char servers[DNS_SERVERS][DNS_NAME], name[DNS_NAME];
    size_t n = dns_read_servers(reply, size, servers);

    HOLDS(n <= DNS_SERVERS);
    for (size_t i = 0; i < n; i++)
        HOLDS(ipc_is_host(str_from(servers[i])));
    HOLDS(dns_read_says(reply, size) != DNS_SAYS_ELSEWHERE || n > 0);
    if (dns_read_cname(reply, size, "a.test", name) > 0)
        HOLDS(ipc_is_host(str_from(name)));
    dns_read_txt(reply, size, "text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = (uint8_t *)fuzz_copy(data, size);

    check_caa(copy, size, false);
    check_caa(copy, size, true);
    check_addresses(copy, size);
    check_records(copy, size);
    free(copy);
    return 0;
}
