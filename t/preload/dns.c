/* For LD_PRELOAD: name servers that a program asks at port 53 are asked at port $TEST_DNS_PORT
 * instead, so that tests need no privilege and do not share that port. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <resolv.h>
#include <stdlib.h>

enum { DNS_PORT = 53 };

typedef int sender(res_state state, const unsigned char *query, int n, unsigned char *reply,
                   int size);

static in_port_t port; /* 0: as they are */

__attribute__((constructor)) static void read_port(void)
{
    const char *text = getenv("TEST_DNS_PORT");

    port = text ? htons((uint16_t)atoi(text)) : 0;
}

int res_nsend(res_state state, const unsigned char *query, int n, unsigned char *reply,
              int size)
{
    sender *send_it = (sender *)dlsym(RTLD_NEXT, "res_nsend");

    for (int i = 0; port && i < state->nscount; i++)
        if (state->nsaddr_list[i].sin_port == htons(DNS_PORT))
            state->nsaddr_list[i].sin_port = port;
    return send_it ? send_it(state, query, n, reply, size) : -1;
}
