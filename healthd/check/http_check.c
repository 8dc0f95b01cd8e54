#include "healthd/check/http_check.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"

enum { RETVAL_SHOWN = 120 }; /* bytes of _retVal in a reason: leaves room for our text */

/* A peer's text, fit for one line: no control bytes, no partial UTF-8 sequence at its end. */
static void http_check_plain(char *to, size_t cap, const char *from)
{
    size_t n = strnlen(from, cap - 1);

    if (from[n] != '\0')
        while (n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80)
            n--;
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? ' ' : from[i];
    to[n] = '\0';
}

bool http_check_judge_pasoe(const char *body, size_t n, char text[TABLE_REASON])
{
    json_error_t error;
    json_t *root = json_loadb(body, n, JSON_REJECT_DUPLICATES, &error);
    const json_t *value = json_object_get(json_object_get(root, "response"), "_retVal");
    bool good = false;

    if (!root) {
        snprintf(text, TABLE_REASON, "the ping response is not JSON");
    } else if (json_is_null(value)) { /* ABL's unknown value: nothing to report */
        good = true;
    } else if (!json_is_string(value)) {
        snprintf(text, TABLE_REASON, "the ping response has no response._retVal");
    } else if (json_string_length(value) > 0) {
        char said[RETVAL_SHOWN + 1];

        http_check_plain(said, sizeof said, json_string_value(value));
        snprintf(text, TABLE_REASON, "_retVal says \"%s\"", said);
    } else {
        good = true;
    }
    json_decref(root);
    return good;
}

static bool status_wanted(const struct conf_check *check, long status)
{
    for (size_t i = 0; i < check->n_status; i++)
        if (status >= check->status[i].low && status <= check->status[i].high)
            return true;
    return false;
}

/* "200-399, 401" */
static void tell_ranges(char *to, size_t cap, const struct conf_check *check)
{
    size_t n = 0;

    to[0] = '\0';
    for (size_t i = 0; i < check->n_status && n + 10 < cap; i++) {
        const struct conf_status_range *r = &check->status[i];

        n += (size_t)snprintf(to + n, cap - n, r->low == r->high ? "%s%u" : "%s%u-%u",
                              i ? ", " : "", r->low, r->high);
    }
}

static bool judge_http(const struct conf_check *check, long status, const char *body, size_t n,
                       bool cut, char text[TABLE_REASON])
{
    char want[64];

    if (!status_wanted(check, status)) {
        tell_ranges(want, sizeof want, check);
        snprintf(text, TABLE_REASON, "HTTP %ld, want %s", status, want);
        return false;
    }
    if (check->body[0] != '\0' && !memmem(body, n, check->body, strlen(check->body))) {
        http_check_plain(want, sizeof want, check->body);
        snprintf(text, TABLE_REASON, "HTTP %ld, but \"%s\" is not in its %s", status, want,
                 cut ? "first 64 KiB" : "body");
        return false;
    }
    return true;
}

/* What the ping's own handler means by its status codes. */
static const char *pasoe_meaning(long status)
{
    switch (status) {
    case 404:
        return " (no ping service at this path)";
    case 408:
        return " (ABL STOP condition)";
    case 415:
        return " (the ping response is not JSON)";
    case 500:
        return " (ABL error)";
    default:
        return "";
    }
}

bool http_check_judge(const struct conf_check *check, long status, const char *body, size_t n,
                      bool cut, char text[TABLE_REASON])
{
    if (check->type == CONF_CHECK_PASOE) {
        if (status != 200) {
            snprintf(text, TABLE_REASON, "HTTP %ld%s, want 200", status, pasoe_meaning(status));
            return false;
        }
        if (cut) {
            snprintf(text, TABLE_REASON, "the ping response is longer than 64 KiB");
            return false;
        }
        if (!http_check_judge_pasoe(body, n, text))
            return false;
    } else if (!judge_http(check, status, body, n, cut, text)) {
        return false;
    }
    snprintf(text, TABLE_REASON, "HTTP %ld", status);
    return true;
}

uint32_t http_check_score(const char *body, size_t n, char text[TABLE_REASON])
{
    json_t *root =
        n > 0 && *body == '{' ? json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *health = json_object_get(root, "health");
    uint32_t score = HTTP_CHECK_SCORE_FULL;
    size_t at = strlen(text);

    if (json_is_number(health)) {
        double value = json_number_value(health);

        if (value >= 0 && value <= 1) {
            score = (uint32_t)(value * HTTP_CHECK_SCORE_FULL + 0.5);
            snprintf(text + at, TABLE_REASON - at, ", health %.2f", value);
        }
    }
    json_decref(root);
    return score;
}
