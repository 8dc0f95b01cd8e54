#include "worker/local.h"

#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "worker/core.h"
#include "worker/exchange.h"
#include "worker/peer.h"
#include "worker/status_page.h"

void local_options(struct exchange *x)
{
    struct rewrite_own_info info = {
        .status = 204, .allow = STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")};

    exchange_answer_own(x, &info);
}

static bool find_challenge(const struct worker *worker, struct str token,
                           struct challenge_row *found)
{
    for (int i = 0; i < TABLE_CHALLENGES; i++)
        if (challenge_read(&worker->table->challenge[i], found) && found->kind == 1 &&
            found->expires_ms > worker->loop.now_ms && str_eq(str_from(found->token), token))
            return true;
    return false;
}

static void answer_challenge(struct exchange *x, struct str token)
{
    struct rewrite_own_info info = {.status = 404};
    struct challenge_row found;

    if (token.n && find_challenge(x->worker, token, &found)) {
        info.status = 200;
        info.body = str_from(found.key_authorization);
        info.content_type = STR("application/octet-stream");
    }
    exchange_answer_own(x, &info);
}

static void answer_redirect(struct exchange *x, struct str path)
{
    const struct http_request *r = x->request;
    bool plain_get = r->method == HTTP_GET || r->method == HTTP_HEAD;
    struct rewrite_own_info info = {.status = plain_get ? 301 : 308};
    char location[HTTP_TARGET_MAX + CONF_HOST_LEN + 32];
    ssize_t n;

    /* An ABL client takes any 3xx for an error that it does not explain: better
     * to be told plainly, and to tell the operator (PAS.md section 1). */
    if (route_class_of(path) == ROUTE_CLASS_APSV) {
        static struct log_gate gate;

        if (log_gate_open(&gate))
            log_warn("APSV over plain http from %s refused: connect with https", x->peer->ip);
        info.status = 403;
        info.body = STR("APSV is served over https only\n");
        exchange_answer_own(x, &info);
        return;
    }
    n = rewrite_https_location(location, sizeof location, r, x->peer->listen->redirect_port);
    if (n < 0) {
        exchange_fail(x, 400, EXCHANGE_END_CLIENT, NULL, "no host to redirect to");
        return;
    }
    info.location = str_make(location, (size_t)n);
    exchange_answer_own(x, &info);
}

static void answer_status(struct exchange *x, struct str path)
{
    struct rewrite_own_info info = {0};
    const char *type = "text/plain";
    char name[64];
    char *page = malloc(STATUS_PAGE_MAX);
    int status = 500;
    ssize_t n = -1;

    str_copy(name, sizeof name, path);
    if (page)
        n = status_page_render(x->worker->table, name, page, STATUS_PAGE_MAX, &type, &status);
    if (n < 0) {
        exchange_fail(x, 500, EXCHANGE_END_PROXY, "proxy_internal_error",
                      "no memory for a page");
    } else {
        info.status = (uint16_t)status;
        info.content_type = str_from(type);
        info.body = str_make(page, (size_t)n);
        exchange_answer_own(x, &info);
    }
    free(page);
}

bool local_request(struct exchange *x, struct str path)
{
    struct str token;

    if (route_acme_token(path, &token))
        answer_challenge(x, token);
    else if (x->peer->listen->serve == CONF_SERVE_STATUS)
        answer_status(x, path);
    else if (x->peer->listen->redirect == CONF_REDIRECT_HTTPS)
        answer_redirect(x, path);
    else
        return false;
    return true;
}
