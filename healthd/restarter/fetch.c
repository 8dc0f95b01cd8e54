#include "healthd/restarter/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "healthd/check/backend_curl.h"

enum {
    HEADER_MAX = 64 * 1024, /* bytes of a response's header */
    BODY_FIRST = 4096,      /* initial size; doubled up to max_body */
};

struct running {
    CURL *easy;
    struct curl_slist *fields;
    uint64_t began_ms;
    size_t room, n_header;
    struct backend_curl way;
};

static char empty[1]; /* the body of a response without one */

static bool fetch_make_room(struct fetch *fetch, struct running *run, size_t n)
{
    size_t want = run->room ? run->room : BODY_FIRST;
    char *body;

    if (n <= run->room)
        return true;
    while (want < n)
        want *= 2;
    if (!(body = realloc(run->room ? fetch->body : NULL, want + 1)))
        return false;
    fetch->body = body;
    run->room = want;
    return true;
}

static size_t fetch_on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct fetch *fetch = arg;
    struct running *run = fetch->running;
    size_t take = fetch->max_body - fetch->n_body;
    long status = 0;

    (void)one;
    curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &status);
    if (fetch->sink && status / 100 == 2) {
        fetch->sink(fetch->arg, bytes, n);
        return n;
    }
    if (n < take)
        take = n;
    if (!fetch_make_room(fetch, run, fetch->n_body + take))
        take = 0;
    if (take) {
        memcpy(fetch->body + fetch->n_body, bytes, take);
        fetch->n_body += take;
        fetch->body[fetch->n_body] = '\0';
    }
    if (take == n)
        return n;
    fetch->cut = true; /* ends the transfer */
    return 0;
}

static size_t fetch_on_header(char *bytes, size_t one, size_t n, void *arg)
{
    struct running *run = ((struct fetch *)arg)->running;

    (void)bytes, (void)one;
    run->n_header += n;
    return run->n_header <= HEADER_MAX ? n : 0;
}

static struct curl_slist *fetch_make_fields(const struct fetch *fetch)
{
    struct curl_slist *fields = curl_slist_append(NULL, "Accept: application/json, */*;q=0.5");
    char host[320];

    /* libcurl would send the type of a body that does not exist. */
    if (fetch->post)
        fields = curl_slist_append(fields, "Content-Type:");
    if (fetch->host) {
        snprintf(host, sizeof host, "Host: %s", fetch->host);
        fields = curl_slist_append(fields, host);
    }
    return fields;
}

static int fetch_set_options(CURL *easy, struct fetch *fetch, struct running *run)
{
    curl_easy_setopt(easy, CURLOPT_URL, fetch->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    if (fetch->to && backend_curl_set(&run->way, easy, fetch->to, fetch->backend, false,
                                      fetch->at, fetch->port, fetch->path) < 0)
        return -1;
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)fetch->limit_ms);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, run->fields);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "pasgate-restarter/" PASGATE_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, fetch_on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, fetch_on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    if (fetch->socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, fetch->socket);
    if (fetch->login) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERPWD, fetch->login);
    }
    if (fetch->post) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    return 0;
}

static bool fetch_start(CURLM *multi, struct fetch *fetch)
{
    struct running *run = calloc(1, sizeof *run);

    fetch->body = empty;
    fetch->running = run;
    if (!run)
        return false;
    run->easy = curl_easy_init();
    run->fields = fetch_make_fields(fetch);
    run->began_ms = clock_mono_ms();
    if (!run->easy || !run->fields || fetch_set_options(run->easy, fetch, run) < 0)
        return false;
    return curl_multi_add_handle(multi, run->easy) == CURLM_OK;
}

static void fetch_tell_trouble(struct fetch *fetch, CURLcode code)
{
    struct running *run = fetch->running;
    const char *tls = backend_curl_tls_text(&run->way, run->easy, code);
    long error = 0;

    if (tls) {
        snprintf(fetch->trouble, sizeof fetch->trouble, "no TLS connection: %s", tls);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        fetch->cut = fetch->status != 0;
        snprintf(fetch->trouble, sizeof fetch->trouble, "no %s within %u ms",
                 fetch->cut ? "complete response" : "response", fetch->took_ms);
    } else if (code == CURLE_COULDNT_CONNECT) {
        curl_easy_getinfo(((struct running *)fetch->running)->easy, CURLINFO_OS_ERRNO, &error);
        fetch->error = (int)error;
        snprintf(fetch->trouble, sizeof fetch->trouble, "no connection: %s",
                 error ? strerror((int)error) : "failed");
    } else if (code == CURLE_GOT_NOTHING) {
        snprintf(fetch->trouble, sizeof fetch->trouble, "connection closed without a response");
    } else {
        snprintf(fetch->trouble, sizeof fetch->trouble, "%s", curl_easy_strerror(code));
    }
}

static void fetch_finish(CURLM *multi, struct fetch *fetch, CURLcode code)
{
    struct running *run = fetch->running;

    if (run->easy) {
        fetch->took_ms = (uint32_t)(clock_mono_ms() - run->began_ms);
        curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &fetch->status);
        if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && fetch->cut))
            fetch_tell_trouble(fetch, code);
        curl_multi_remove_handle(multi, run->easy);
        curl_easy_cleanup(run->easy);
    }
    curl_slist_free_all(run->fields);
    backend_curl_release(&run->way);
    free(run);
    fetch->running = NULL;
}

/* Handles the requests that have ended; returns how many. */
static size_t reap(CURLM *multi)
{
    struct CURLMsg *msg;
    size_t n = 0;
    int left;

    while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
        CURLcode code = msg->data.result;
        char *private = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        fetch_finish(multi, (struct fetch *)private, code);
        n++;
    }
    return n;
}

void fetch_all(struct fetch *fetch, size_t n, uint32_t limit_ms)
{
    uint64_t deadline = clock_mono_ms() + limit_ms, now;
    CURLM *multi = NULL;
    size_t open = 0;
    int running;

    if (curl_global_init(CURL_GLOBAL_NOTHING) == 0)
        multi = curl_multi_init();
    for (size_t i = 0; i < n; i++) {
        if (multi && fetch_start(multi, &fetch[i])) {
            open++;
            continue;
        }
        fetch[i].body = empty;
        snprintf(fetch[i].trouble, sizeof fetch[i].trouble, "no memory");
        if (fetch[i].running)
            fetch_finish(multi, &fetch[i], CURLE_OUT_OF_MEMORY);
    }
    while (open > 0 && (now = clock_mono_ms()) < deadline) {
        curl_multi_perform(multi, &running);
        open -= reap(multi);
        if (open > 0)
            curl_multi_poll(multi, NULL, 0, (int)(deadline - now), NULL);
    }
    for (size_t i = 0; i < n; i++)
        if (fetch[i].running)
            fetch_finish(multi, &fetch[i], CURLE_OPERATION_TIMEDOUT);
    curl_multi_cleanup(multi);
    curl_global_cleanup();
}

void fetch_release(struct fetch *fetch)
{
    if (fetch->body != empty)
        free(fetch->body);
    fetch->body = NULL;
}
