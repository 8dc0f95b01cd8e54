/* Where a TXT record belongs and whether it is there, before servers of our own: a resolver and
 * those of three zones, each at an address of the loopback. */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/net/dns_zone.h"
#include "t/unit/tap.h"

enum { RESOLVER, SHOP_1, SHOP_2, OTHER, BELOW, SERVERS }; /* at 127.0.0.1 and so on */

/* What each has; at ns_t_ns of a server of the zone above, a referral. */
static const struct record {
    int server;
    const char *name;
    int type;
    const char *data;
    bool late; /* only when shared->late_came */
} records[] = {
    {RESOLVER, "shop.test", ns_t_ns, "ns1.shop.test", false},
    {RESOLVER, "shop.test", ns_t_ns, "ns2.shop.test", false},
    {RESOLVER, "ns1.shop.test", ns_t_a, "127.0.0.2", false},
    {RESOLVER, "ns2.shop.test", ns_t_a, "127.0.0.3", false},
    {RESOLVER, "other.test", ns_t_ns, "ns.other.test", false},
    {RESOLVER, "ns.other.test", ns_t_a, "127.0.0.4", false},
    {RESOLVER, "ns.below.test", ns_t_a, "127.0.0.5", false},
    {RESOLVER, "dead.test", ns_t_ns, "ns.dead.test", false},
    {RESOLVER, "ns.dead.test", ns_t_a, "127.0.0.9", false},
    {RESOLVER, "_acme-challenge.dead.test", ns_t_txt, "of-the-resolver", false},
    {SHOP_1, "_acme-challenge.www.shop.test", ns_t_cname, "txt.other.test", false},
    {SHOP_2, "_acme-challenge.www.shop.test", ns_t_cname, "txt.other.test", false},
    {SHOP_1, "_acme-challenge.loop.shop.test", ns_t_cname, "_acme-challenge.loop.shop.test",
     false},
    {SHOP_1, "_acme-challenge.odd.shop.test", ns_t_cname, "$(id).test", false},
    {SHOP_1, "_acme-challenge.shop.test", ns_t_txt, "another", false},
    {SHOP_1, "_acme-challenge.shop.test", ns_t_txt, "the-text", false},
    {SHOP_2, "_acme-challenge.shop.test", ns_t_txt, "the-text", true},
    {SHOP_1, "_acme-challenge.del.shop.test", ns_t_ns, "ns.below.test", false},
    {SHOP_2, "_acme-challenge.del.shop.test", ns_t_ns, "ns.below.test", false},
    {BELOW, "_acme-challenge.del.shop.test", ns_t_txt, "below", false},
    {OTHER, "txt.other.test", ns_t_cname, "final.other.test", false},
    {OTHER, "final.other.test", ns_t_txt, "far away", false},
};

static struct {
    atomic_bool late_came;
    atomic_int asked_too_early; /* the resolver, for what may not be there yet */
} * shared;

/* ---- the servers */

static size_t put_name(uint8_t *out, const char *name)
{
    size_t n = 0;

    for (; *name; name += *name == '.') {
        size_t label = strcspn(name, ".");

        out[n++] = (uint8_t)label;
        memcpy(out + n, name, label);
        n += label;
        name += label;
    }
    out[n++] = 0;
    return n;
}

static size_t put_data(uint8_t *out, const struct record *r)
{
    struct in_addr v4;

    if (r->type == ns_t_a) {
        inet_pton(AF_INET, r->data, &v4);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    if (r->type == ns_t_txt) { /* in two strings, as long ones are */
        size_t n = strlen(r->data), half = n / 2;

        out[0] = (uint8_t)half;
        memcpy(out + 1, r->data, half);
        out[1 + half] = (uint8_t)(n - half);
        memcpy(out + 2 + half, r->data + half, n - half);
        return n + 2;
    }
    return put_name(out, r->data);
}

static size_t put_record(uint8_t *out, const struct record *r)
{
    size_t n = put_name(out, r->name), length;
    const uint8_t fixed[8] = {0, (uint8_t)r->type, 0, ns_c_in, 0, 0, 0, 60};

    memcpy(out + n, fixed, sizeof fixed);
    n += sizeof fixed;
    length = put_data(out + n + 2, r);
    out[n] = 0;
    out[n + 1] = (uint8_t)length;
    return n + 2 + length;
}

/* Answers, or else a referral with an address beside it, as servers do. */
static size_t reply_to(int server, uint8_t *packet, size_t n)
{
    char name[NS_MAXDNAME];
    ns_msg message;
    ns_rr question;
    size_t responses = 0, referrals = 0;

    if (ns_initparse(packet, (int)n, &message) < 0 ||
        ns_parserr(&message, ns_s_qd, 0, &question) < 0)
        return 0;
    snprintf(name, sizeof name, "%s", ns_rr_name(question));
    if (server == RESOLVER &&
        (strncmp(name, "_acme", 5) == 0 || strstr(name, "txt.") || strstr(name, "final.")))
        shared->asked_too_early++;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
            const struct record *r = &records[i];
            bool fits = (int)ns_rr_type(question) == r->type;
            bool refers = server != RESOLVER && r->type == ns_t_ns && responses == 0;

            if (r->server != server || strcasecmp(r->name, name) != 0 ||
                (r->late && !shared->late_came) || (pass == 0 ? !fits : !refers || fits))
                continue;
            n += put_record(packet + n, r);
            responses += pass == 0;
            referrals += pass == 1;
        }
    if (referrals) {
        const struct record glue = {0, "ns.below.test", ns_t_a, "127.0.0.5", false};

        n += put_record(packet + n, &glue);
    }
    packet[2] = (uint8_t)(0x80 | (server != RESOLVER && !referrals ? 4 : 0)); /* QR, AA */
    packet[3] = server == RESOLVER ? 0x80 : 0;                                /* RA */
    packet[7] = (uint8_t)responses;
    packet[9] = (uint8_t)referrals;
    packet[11] = referrals > 0;
    return n;
}

static _Noreturn void serve(const int sockets[SERVERS])
{
    uint8_t packet[2048];
    struct sockaddr_in from;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd fds[SERVERS];

        for (int i = 0; i < SERVERS; i++)
            fds[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
        poll(fds, SERVERS, -1);
        for (int i = 0; i < SERVERS; i++) {
            socklen_t size = sizeof from;
            ssize_t got = fds[i].revents ? recvfrom(sockets[i], packet, 512, 0,
                                                    (struct sockaddr *)&from, &size)
                                         : -1;
            size_t n = got > 0 ? reply_to(i, packet, (size_t)got) : 0;

            if (n)
                sendto(sockets[i], packet, n, 0, (struct sockaddr *)&from, size);
        }
    }
}

/* All at one port. 0: another service has it at one of the addresses. */
static uint16_t bind_all(int sockets[SERVERS])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;

    for (int i = 0; i < SERVERS; i++) {
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i);
        sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (bind(sockets[i], (struct sockaddr *)&at, sizeof at) < 0)
            return 0;
        getsockname(sockets[i], (struct sockaddr *)&at, &size);
    }
    return ntohs(at.sin_port);
}

/* ---- the tests */

static void test_target(struct dns_zone *zone)
{
    char target[DNS_NAME];

    ok(dns_zone_target(zone, "_acme-challenge.shop.test", target), "a name without a CNAME");
    is_str(target, "_acme-challenge.shop.test", "no CNAME: the name itself");
    ok(dns_zone_target(zone, "_acme-challenge.www.shop.test", target), "a chain of CNAMEs");
    is_str(target, "final.other.test", "two of them are followed, from zone to zone");
    ok(!dns_zone_target(zone, "_acme-challenge.odd.shop.test", target),
       "a CNAME that holds no host name is reported");
    is_str(target, "_acme-challenge.odd.shop.test", "one that is no host's is not");
    ok(!dns_zone_target(zone, "_acme-challenge.loop.shop.test", target),
       "so is a loop of CNAMEs");
    is_str(target, "_acme-challenge.loop.shop.test", "a loop ends");
}

static void test_seen(struct dns_zone *zone)
{
    const char *own = "_acme-challenge.shop.test";

    is_int(dns_zone_sees(zone, "final.other.test", "far away"), DNS_SEEN, "there, in pieces");
    is_int(dns_zone_sees(zone, "final.other.test", "far awa"), DNS_NOT_SEEN,
           "the beginning of a text is another one");
    is_int(dns_zone_sees(zone, own, "the-text"), DNS_NOT_SEEN, "one of two servers lacks it");
    is_str(zone->lacks, "127.0.0.3", "which is named");
    shared->late_came = true;
    is_int(dns_zone_sees(zone, own, "the-text"), DNS_SEEN, "now both have it");
    is_str(zone->lacks, "", "none lacks it");
    is_int(dns_zone_sees(zone, own, "nothing"), DNS_NOT_SEEN, "another text");
    is_int(dns_zone_sees(zone, "_acme-challenge.del.shop.test", "below"), DNS_SEEN,
           "in a zone below, to which the one above refers");
    is_int(shared->asked_too_early, 0, "the resolver was never asked for a record itself");
}

static void test_shut(struct dns_zone *zone)
{
    is_int(dns_zone_sees(zone, "_acme-challenge.dead.test", "of-the-resolver"), DNS_SEEN,
           "servers that do not answer: the resolver is asked");
    is_int(zone->n_shut, 1, "which is remembered");
    is_int(dns_zone_sees(zone, "_acme-challenge.dead.test", "other"), DNS_NOT_SEEN,
           "what it says, counts");
    is_int(zone->n_shut, 1, "they are not asked again");
}

int main(void)
{
    struct dns_zone zone = {0};
    int sockets[SERVERS];
    char server[32];
    pid_t pid;

    shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int tries = 0; tries < 20 && !zone.port; tries++)
        zone.port = bind_all(sockets);
    pid = fork();
    if (pid == 0)
        serve(sockets);
    snprintf(server, sizeof server, "127.0.0.1:%u", zone.port);
    zone.resolver = dns_new(server);
    ok(zone.port && pid > 0 && zone.resolver, "servers at port %u", zone.port);
    test_target(&zone);
    test_seen(&zone);
    test_shut(&zone);
    dns_free(zone.resolver);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return done();
}
