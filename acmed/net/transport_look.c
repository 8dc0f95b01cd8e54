#include "acmed/net/transport_look.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct body {
    char text[LOOK_BODY_MAX];
    size_t n;
};

static size_t transport_look_on_body(char *p, size_t size, size_t n, void *arg)
{
    struct body *body = arg;

    n *= size;
    if (n > sizeof body->text - body->n)
        return 0; /* longer than the expected text */
    memcpy(body->text + body->n, p, n);
    body->n += n;
    return n;
}

static void options(CURL *curl, const struct look *look, struct curl_slist *to,
                    struct body *body)
{
    bool v6 = strchr(look->name, ':');
    char url[512];

    snprintf(url, sizeof url, "http://%s%s%s:%u%s", v6 ? "[" : "", look->name, v6 ? "]" : "",
             look->port, look->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, to);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* the CA does not use our proxy */
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)LOOK_CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)LOOK_TOTAL_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "pasgate/" PASGATE_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, transport_look_on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
}

static enum look_result transport_look_judge(CURL *curl, CURLcode code, const struct look *look,
                                             const struct body *body, char text[LOOK_TEXT])
{
    long status = 0, error = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
    snprintf(text, LOOK_TEXT, "status %ld", status);
    if (status / 100 == 3)
        return LOOK_REDIRECT;
    if (code == CURLE_OK && status == 200 && body->n == strlen(look->expected) &&
        memcmp(body->text, look->expected, body->n) == 0)
        return LOOK_FOUND;
    if (code == CURLE_OK || code == CURLE_WRITE_ERROR)
        return LOOK_OTHER;
    if (code == CURLE_COULDNT_CONNECT &&
        (error == ENETUNREACH || error == EADDRNOTAVAIL || error == EAFNOSUPPORT))
        return LOOK_NO_WAY;
    snprintf(text, LOOK_TEXT, "%s",
             code == CURLE_OPERATION_TIMEDOUT         ? "no response in time"
             : code == CURLE_COULDNT_CONNECT && error ? strerror((int)error)
                                                      : curl_easy_strerror(code));
    return LOOK_CLOSED;
}

enum look_result transport_look(const struct look *look, char text[LOOK_TEXT])
{
    bool v6 = strchr(look->address, ':');
    enum look_result result = LOOK_NO_WAY;
    struct body body = {.n = 0};
    struct curl_slist *to;
    char where[96];
    CURL *curl = curl_easy_init();

    snprintf(where, sizeof where, "::%s%s%s:%u", v6 ? "[" : "", look->address, v6 ? "]" : "",
             look->port);
    to = curl_slist_append(NULL, where);
    snprintf(text, LOOK_TEXT, "no memory");
    if (curl && to) {
        options(curl, look, to, &body);
        result = transport_look_judge(curl, curl_easy_perform(curl), look, &body, text);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(to);
    return result;
}
