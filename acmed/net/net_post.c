#include "acmed/net/net_post.h"

#include <stdio.h>

#include "base/clock.h"

enum {
    BAD_NONCE_MAX = 5,     /* signed again at once; then a pause and a new nonce */
    BAD_NONCE_ROUNDS = 12, /* some CAs have phases of this */
    RESEND_MAX = 4,        /* no reply, 5xx, 429 */
    WAIT_SHORT_S = 60,     /* a longer Retry-After ends the job */
    POLL_MAX_S = 600,      /* between two polls of an object, whatever the CA says */
};

/* ---- waiting */

/* 1, 2, 4, 8, 10, 10, ... seconds. */
static uint64_t growing_ms(unsigned tries)
{
    static const uint64_t seconds[] = {1, 2, 4, 8, 10};

    return 1000 * seconds[tries < 5 ? tries : 4];
}

static bool sleep_before(struct net *net, uint64_t ms)
{
    uint64_t now = clock_mono_ms();

    if (now + ms >= net_begin(net)->deadline_ms)
        return net_fail(net, "net.deadline", "the CA took too long");
    net_sleep(net, ms);
    return true;
}

bool net_wait(struct net *net, unsigned tries, uint64_t expires_wall_ms)
{
    uint64_t ms = growing_ms(tries);
    int64_t then;

    if (net->reply.has_retry_after && net->reply.retry_after_s > 0)
        ms = UINT64_C(1000) *
             (net->reply.retry_after_s < POLL_MAX_S ? net->reply.retry_after_s : POLL_MAX_S);
    /* Expired only if it is by both the CA's clock and ours: either may be wrong. */
    then = (int64_t)(clock_wall_ms() + ms);
    if (net->clock_off_ms < 0)
        then += net->clock_off_ms;
    if (expires_wall_ms && then >= (int64_t)expires_wall_ms)
        return net_fail(net, "net.deadline", "it expired at the CA");
    return sleep_before(net, ms);
}

/* ---- requests */

static void keep_nonce(struct net *net, const char *nonce)
{
    if (nonce[0] == '\0')
        return;
    if (net->n_nonces == NET_NONCES) { /* drop the oldest */
        memmove(net->nonces[0], net->nonces[1], sizeof net->nonces - sizeof *net->nonces);
        net->n_nonces--;
    }
    snprintf(net->nonces[net->n_nonces++], TRANSPORT_NONCE_SIZE, "%s", nonce);
}

/* Sends any request. false: no response; transport_error() says why. */
static bool send_request(struct net *net, enum transport_method method, const char *url,
                         const char *body)
{
    bool got = transport_send(net->transport, method, url, body, &net->reply);

    keep_nonce(net, net->reply.nonce);
    if (got && net->reply.date_wall_ms)
        net->clock_off_ms = (int64_t)net->reply.date_wall_ms - (int64_t)clock_wall_ms();
    net->problem = (struct acme_problem){0};
    if (got && !net_succeeded(net) && method != TRANSPORT_HEAD)
        acme_json_problem(net->reply.body, &net->problem);
    return got;
}

static bool fail_connect(struct net *net, const char *url)
{
    struct str host = str_skip(str_from(url), strlen("https://"));
    const char *why = transport_error(net->transport), *hint = "";
    char now[CLOCK_ISO_SIZE];

    host = str_head(host, str_index(host, '/'));
    if (transport_blames_clock(net->transport))
        hint = "; is the clock of this host right? It says ";
    return net_fail(net, "net.connect", "%.*s: %s%s%s", STR_ARG(host), why, hint,
                    *hint ? clock_iso(now, clock_wall_ms()) : "");
}

/* Whether to send again, after a pause. false: there is a response to judge, or the job
 * failed. */
static bool net_post_again(struct net *net, bool got, bool safe, unsigned *tries,
                           const char *url)
{
    uint64_t ms = growing_ms(*tries);
    bool asked = got && net->reply.has_retry_after &&
                 (net->reply.status == 429 || net->reply.status == 503);

    if (got && !net_not_now(net))
        return false;
    /* 429 and 503 with Retry-After mean that nothing was done. With other errors that is
     * unknown. */
    if ((!safe && !asked) || *tries >= RESEND_MAX ||
        (asked && net->reply.retry_after_s > WAIT_SHORT_S) ||
        (got && net->reply.status == 429 && !asked)) {
        if (!got)
            fail_connect(net, url);
        return false;
    }
    if (asked && UINT64_C(1000) * net->reply.retry_after_s > ms)
        ms = UINT64_C(1000) * net->reply.retry_after_s;
    ++*tries;
    if (!got && clock_mono_ms() + ms >= net_begin(net)->deadline_ms)
        return fail_connect(net, url); /* more specific than a missed deadline */
    return sleep_before(net, ms);
}

bool net_get(struct net *net, const char *url)
{
    unsigned tries = 0;
    bool got;

    do
        got = send_request(net, TRANSPORT_GET, url, NULL);
    while (net_post_again(net, got, true, &tries, url));
    return got && net->failed.type[0] == '\0';
}

static bool fresh_nonce(struct net *net)
{
    unsigned tries = 0;
    bool got;

    while (net->n_nonces == 0) {
        do
            got = send_request(net, TRANSPORT_HEAD, net->directory.new_nonce, NULL);
        while (net_post_again(net, got, true, &tries, net->directory.new_nonce));
        if (!got || net->failed.type[0])
            return false;
        if (net->n_nonces == 0)
            return net_fail(net, "net.response", "the CA sent no nonce (status %u)",
                            net->reply.status);
    }
    return true;
}

/* Signs and sends once. *got: there is a response. false: failed. */
static bool sign_and_send(struct net *net, enum ipc_how how, const char *url,
                          const char *payload, bool *got)
{
    struct ipc_message question = {.type = IPC_SIGN};
    struct ipc_reply reply;

    if (!fresh_nonce(net))
        return false;
    question.sign = (struct ipc_sign){
        .how = how,
        .url = str_from(url),
        .nonce = str_from(net->nonces[--net->n_nonces]),
        .kid = how == IPC_WITH_KID ? str_from(net->account_url) : STR_EMPTY,
        .payload = str_from(payload),
    };
    if (!net_ask(net, &question, &reply))
        return net_fail(net, "net.config", "there is no key to sign with");
    net->in[reply.bytes.p - net->in + (ptrdiff_t)reply.bytes.n] = '\0';
    *got = send_request(net, TRANSPORT_POST, url, reply.bytes.p);
    return true;
}

static bool is_bad_nonce(const struct net *net)
{
    return !net_succeeded(net) && strcmp(net->problem.type, "badNonce") == 0;
}

bool net_post(struct net *net, enum ipc_how how, const char *url, const char *payload,
              enum net_resend resend)
{
    unsigned tries = 0, bad = 0, rounds = 0;
    bool got = false;

    for (;;) {
        if (!sign_and_send(net, how, url, payload, &got))
            return false;
        if (got && is_bad_nonce(net)) {
            /* The nonce of this very response is the newest one, and used next. */
            if (++bad <= BAD_NONCE_MAX)
                continue;
            if (rounds == BAD_NONCE_ROUNDS)
                return net_fail_by_ca(net);
            net->n_nonces = 0;
            bad = 0;
            if (!sleep_before(net, growing_ms(rounds++)))
                return false;
            continue;
        }
        if (!net_post_again(net, got, resend == NET_SAFE, &tries, url))
            return got && net->failed.type[0] == '\0';
    }
}
