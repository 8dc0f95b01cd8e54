/* Lists of clients: a rule that is taken is written in a form that reads back to the same rule,
 * and what a rule matches agrees with the order of the list. Lines of rules; the first 16 bytes
 * are the client's address. */
#include <netinet/in.h>

#include "base/conf/networks.h"
#include "base/conf/value.h"
#include "t/fuzz/fuzz.h"

enum { MOST = 32, TEXT = 64 };

static size_t read_list(char *text, struct conf_client list[MOST])
{
    char again[TEXT], *rest = text, *line;
    struct conf_client same;
    size_t n = 0;

    while (n < MOST && (line = strsep(&rest, "\n"))) {
        if (!conf_parse_client(line, &list[n]))
            continue;
        conf_format_client(&list[n], again, sizeof again);
        HOLDS(conf_parse_client(again, &same));
        HOLDS(same.all == list[n].all && same.allow == list[n].allow);
        HOLDS(memcmp(&same.net, &list[n].net, sizeof same.net) == 0);
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_in6 client = {.sin6_family = AF_INET6};
    const struct sockaddr *addr = (const struct sockaddr *)(const void *)&client;
    struct conf_client list[MOST];
    char *text;
    size_t n;

    if (size < sizeof client.sin6_addr)
        return 0;
    memcpy(&client.sin6_addr, data, sizeof client.sin6_addr);
    data += sizeof client.sin6_addr;
    size -= sizeof client.sin6_addr;
    text = malloc(size + 1);
    HOLDS(text);
    memcpy(text, data, size);
    text[size] = '\0';
    n = read_list(text, list);
    HOLDS(conf_networks_admit(list, 0, addr));
    for (size_t i = 0; i < n; i++) {
        struct conf_client two[] = {list[i], list[i]};

        HOLDS(conf_networks_hide(&list[i], &list[i]));
        two[1].allow = !two[1].allow;
        /* What the first one matches is decided by it alone. */
        if (conf_networks_admit(&list[i], 1, addr) == list[i].allow &&
            conf_networks_admit(two, 2, addr) != list[i].allow)
            HOLDS(!list[i].allow); /* it matched nothing: a lone deny admits the rest */
    }
    /* An entry that is hidden changes nothing. */
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (conf_networks_hide(&list[j], &list[i]) && list[i].allow == list[j].allow) {
                bool with = conf_networks_admit(list, i + 1, addr);

                HOLDS(with == conf_networks_admit(list, i, addr));
                break;
            }
    free(text);
    return 0;
}
