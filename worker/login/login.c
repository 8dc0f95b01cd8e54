#include "worker/login/login.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "base/container.h"
#include "base/log.h"
#include "worker/core/core.h"
#include "worker/login/login_cache.h"
#include "worker/login/login_limit.h"
#include "worker/login/verifier.h"

/* One that waits. Those with the same mac wait for the same answer: a browser sends the same
 * password on several connections at once. */
struct login_wait {
    bool used;
    void *owner; /* NULL: gone */
    uint64_t id; /* of the question; 0: another one has asked it */
    uint64_t who;
    uint64_t since_ms, cache_ms;
    struct login_mac mac;
};

struct login {
    struct loop_source source;
    struct worker *worker;
    uint64_t last_id;
    struct login_cache cache;
    struct login_limit limit;
    struct login_wait wait[LOGIN_WAITS];
};

/* All that wait for this answer. */
static void answer(struct login *login, struct login_mac mac, enum login_result result)
{
    for (size_t i = 0; i < LOGIN_WAITS; i++) {
        struct login_wait *wait = &login->wait[i];
        void *owner = wait->owner;

        if (!wait->used || !login_cache_same(wait->mac, mac))
            continue;
        *wait = (struct login_wait){0};
        if (owner)
            login->worker->login_ended(owner, result);
    }
}

static void answered(struct login *login, const struct verifier_answer *a)
{
    uint64_t now_ms = login->worker->loop.now_ms;

    for (size_t i = 0; i < LOGIN_WAITS; i++) {
        struct login_wait *wait = &login->wait[i];

        if (!wait->used || !wait->id || wait->id != a->id)
            continue;
        if (!a->right)
            login_limit_failed(&login->limit, wait->who, now_ms);
        else if (wait->cache_ms)
            login_cache_add(&login->cache, wait->mac, now_ms + wait->cache_ms);
        answer(login, wait->mac, a->right ? LOGIN_RIGHT : LOGIN_WRONG);
        return;
    }
}

static void verifier_ready(struct loop_source *source, uint32_t events)
{
    struct login *login = container_of(source, struct login, source);
    struct verifier_answer a;
    ssize_t got;

    (void)events;
    while ((got = recv(source->fd, &a, sizeof a, MSG_DONTWAIT)) == (ssize_t)sizeof a)
        answered(login, &a);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    log_error(
        "the process that verifies passwords has ended: whoever is not remembered gets 503 "
        "until a reload or restart");
    loop_close(&login->worker->loop, source);
    source->fd = -1;
}

int login_init(struct worker *worker)
{
    int fd = verifier_take();
    struct login *login;

    if (fd < 0)
        return 0;
    login = calloc(1, sizeof *login);
    if (!login || getrandom(&login->cache.key, sizeof login->cache.key, 0) < 0 ||
        getrandom(&login->limit.key, sizeof login->limit.key, 0) < 0) {
        free(login);
        close(fd);
        return -1;
    }
    login->worker = worker;
    login->source.ready = verifier_ready;
    login->source.fd = -1;
    worker->login = login;
    return loop_add(&worker->loop, &login->source, fd, EPOLLIN);
}

/* ---- questions */

/* A free place; NULL: all, or all that one address may have, are taken. *asked: the same
 * question waits for its answer already. */
static struct login_wait *find_place(struct login *login, uint64_t who, struct login_mac mac,
                                     bool *asked)
{
    struct login_wait *place = NULL;
    unsigned own = 0;

    *asked = false;
    for (size_t i = 0; i < LOGIN_WAITS; i++) {
        struct login_wait *wait = &login->wait[i];

        if (!wait->used && !place)
            place = wait;
        own += wait->used && wait->who == who;
        *asked |= wait->used && login_cache_same(wait->mac, mac);
    }
    return own < LOGIN_WAITS_OF ? place : NULL;
}

static bool ask(struct login *login, uint64_t id, uint32_t set, struct str user,
                struct str password)
{
    struct verifier_question q = {
        .id = id, .set = set, .user_n = (uint16_t)user.n, .password_n = (uint16_t)password.n};
    ssize_t sent;

    if (login->source.fd < 0)
        return false;
    memcpy(q.bytes, user.p, user.n);
    if (password.n)
        memcpy(q.bytes + user.n, password.p, password.n);
    sent = send(login->source.fd, &q, sizeof q, MSG_DONTWAIT | MSG_NOSIGNAL);
    explicit_bzero(&q, sizeof q);
    return sent == (ssize_t)sizeof q;
}

enum login_result login_check(struct worker *worker, const struct conf_route *route,
                              const struct sockaddr *client, struct str user,
                              struct str password, void *owner, struct login_wait **wait)
{
    struct login *login = worker->login;
    struct login_wait *place;
    struct login_mac mac;
    uint64_t who;
    bool asked;

    if (!login)
        return LOGIN_BUSY;
    mac = login_cache_mac(&login->cache, route->index, user, password);
    if (login_cache_has(&login->cache, mac, worker->loop.now_ms))
        return LOGIN_RIGHT;
    who = login_limit_who(&login->limit, client);
    if (login_limit_left(&login->limit, who, worker->loop.now_ms))
        return LOGIN_LIMITED;
    place = find_place(login, who, mac, &asked);
    if (!place)
        return LOGIN_BUSY;
    if (!asked && !ask(login, login->last_id + 1, route->index, user, password))
        return LOGIN_BUSY;
    *place = (struct login_wait){.used = true,
                                 .owner = owner,
                                 .id = asked ? 0 : ++login->last_id,
                                 .who = who,
                                 .since_ms = worker->loop.now_ms,
                                 .cache_ms = route->basic.cache_ms,
                                 .mac = mac};
    *wait = place;
    return LOGIN_WAITING;
}

void login_cancel(struct login_wait *wait)
{
    if (wait)
        wait->owner = NULL; /* the answer still counts */
}

uint32_t login_retry_s(const struct worker *worker, const struct sockaddr *client)
{
    const struct login *login = worker->login;
    uint64_t ms = login
                      ? login_limit_left(&login->limit, login_limit_who(&login->limit, client),
                                         worker->loop.now_ms)
                      : 0;

    return (uint32_t)(ms / 1000) + 1;
}

void login_tick(struct worker *worker)
{
    struct login *login = worker->login;

    for (size_t i = 0; login && i < LOGIN_WAITS; i++) {
        struct login_wait *wait = &login->wait[i];
        void *owner = wait->owner;

        if (!wait->used || worker->loop.now_ms - wait->since_ms < LOGIN_WAIT_MS)
            continue;
        *wait = (struct login_wait){0};
        if (owner)
            worker->login_ended(owner, LOGIN_BUSY);
    }
}
