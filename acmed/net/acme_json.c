#include "acmed/net/acme_json.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "acmed/net/ipc.h"

enum { DETAIL_MIN = 64 }; /* of a problem's detail, if a long URL is put behind it */

/* ---- the whole text */

/* jansson recurses, so the depth is checked before. Brackets in strings do not count. */
static bool shallow(struct str text)
{
    bool quoted = false;
    int depth = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > ACME_JSON_DEPTH)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* An object, or NULL. */
static json_t *acme_json_load(struct str text)
{
    json_t *root = NULL;

    if (text.n > 0 && text.n <= ACME_JSON_MAX && shallow(text))
        root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

/* ---- members */

static const char *acme_json_string(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

/* For people: truncated, and characters outside printable ASCII replaced by "?". */
static void acme_json_take_text(const json_t *object, const char *member, char *to, size_t size)
{
    size_t n = 0;

    for (const char *p = acme_json_string(object, member); *p && n < size - 1; p++)
        to[n++] = *p >= 0x20 && *p < 0x7f ? *p : '?';
    to[n] = '\0';
}

/* false: present, but not a URL that we would use. */
static bool take_url(const json_t *object, const char *member, char *to)
{
    const char *url = acme_json_string(object, member);

    to[0] = '\0';
    if (url[0] == '\0')
        return json_object_get(object, member) == NULL ||
               json_is_null(json_object_get(object, member)) ||
               json_is_string(json_object_get(object, member));
    if (!ipc_is_url(str_from(url)))
        return false;
    str_copy(to, JOB_URL_SIZE, str_from(url));
    return true;
}

static bool must_url(const json_t *object, const char *member, char *to)
{
    return take_url(object, member, to) && to[0] != '\0';
}

static bool take_status(const json_t *object, enum acme_status *to)
{
    static const char *const names[] = {
        [ACME_PENDING] = "pending",       [ACME_READY] = "ready",
        [ACME_PROCESSING] = "processing", [ACME_VALID] = "valid",
        [ACME_INVALID] = "invalid",       [ACME_DEACTIVATED] = "deactivated",
        [ACME_EXPIRED] = "expired",       [ACME_REVOKED] = "revoked",
    };
    const char *status = acme_json_string(object, "status");

    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], status) == 0) {
            *to = (enum acme_status)i;
            return true;
        }
    return false;
}

/* Exactly n digits; -1: other characters. */
static int digits(const char **at, int n)
{
    int value = 0;

    for (; n > 0; n--, (*at)++) {
        if (!ascii_is_digit((unsigned char)**at))
            return -1;
        value = 10 * value + (**at - '0');
    }
    return value;
}

static bool letter(const char **at, const char *any)
{
    return **at && strchr(any, **at) && (*at)++;
}

uint64_t acme_time_ms(const char *at)
{
    struct tm tm = {0};
    int sign = 0, hours = 0, minutes = 0;
    int64_t seconds;

    tm.tm_year = digits(&at, 4) - 1900;
    tm.tm_mon = letter(&at, "-") ? digits(&at, 2) - 1 : -1;
    tm.tm_mday = letter(&at, "-") ? digits(&at, 2) : -1;
    tm.tm_hour = letter(&at, "Tt ") ? digits(&at, 2) : -1;
    tm.tm_min = letter(&at, ":") ? digits(&at, 2) : -1;
    tm.tm_sec = letter(&at, ":") ? digits(&at, 2) : -1;
    if (letter(&at, "."))
        while (ascii_is_digit((unsigned char)*at))
            at++;
    if (*at == '+' || *at == '-') {
        sign = *at++ == '+' ? 1 : -1;
        hours = digits(&at, 2);
        minutes = letter(&at, ":") ? digits(&at, 2) : -1;
    } else if (!letter(&at, "Zz")) {
        return 0;
    }
    if (*at || tm.tm_year < 70 || tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 ||
        tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60 || hours < 0 || hours > 23 ||
        minutes < 0 || minutes > 59)
        return 0;
    seconds = (int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

static void take_detail(const json_t *problem, struct acme_problem *to)
{
    char text[sizeof to->detail + 1]; /* one more, so that a cut is noticed */

    acme_json_take_text(problem, "detail", text, sizeof text);
    str_fit(to->detail, sizeof to->detail, str_from(text));
}

/* Puts `more`, which is shorter than the detail may be, behind it; the detail is cut for it. */
static void behind_detail(struct acme_problem *to, const char *more)
{
    char detail[sizeof to->detail];
    size_t n;

    str_copy(detail, sizeof detail, str_from(to->detail));
    str_fit(to->detail, sizeof to->detail - strlen(more), str_from(detail));
    n = strlen(to->detail);
    str_copy(to->detail + n, sizeof to->detail - n, str_from(more));
}

/* Appends the URL that tells a person what to do (RFC 8555 sections 6.7 and 7.3.3). A longer
 * one is of no use, but it is said that there is one. */
static void take_instance(const json_t *problem, struct acme_problem *to)
{
    struct str url = str_from(acme_json_string(problem, "instance"));
    char more[sizeof to->detail - DETAIL_MIN];

    if (!ipc_is_url(str_head(url, JOB_URL_SIZE - 1)))
        return;
    if (url.n + sizeof "; see " <= sizeof more)
        snprintf(more, sizeof more, "; see %s", url.p);
    else
        snprintf(more, sizeof more, "; see %.300s ... (the first 300 of %zu bytes of a URL)",
                 url.p, url.n);
    behind_detail(to, more);
}

/* Uses the first subproblem: it names the identifier and is more specific. */
static void take_subproblem(const json_t *subs, struct acme_problem *to)
{
    const json_t *sub = json_array_get(subs, 0);
    size_t n, others = json_array_size(subs) - 1;
    char more[64];

    acme_json_take_text(json_object_get(sub, "identifier"), "value", to->name, sizeof to->name);
    if (acme_json_string(sub, "detail")[0])
        take_detail(sub, to);
    n = strlen(to->name);
    if (n && others)
        snprintf(to->name + n, sizeof to->name - n, " and %zu more", others);
    snprintf(more, sizeof more, "; and %zu more problem%s", others, str_plural(others));
    if (others)
        behind_detail(to, more);
}

static void take_problem(const json_t *problem, struct acme_problem *to)
{
    static const char prefix[] = "urn:ietf:params:acme:error:";
    const json_t *subs = json_object_get(problem, "subproblems");
    const json_t *sub = json_array_get(subs, 0), *status = json_object_get(problem, "status");
    char type[sizeof to->type + sizeof prefix];

    *to = (struct acme_problem){0};
    if (!json_is_object(problem))
        return;
    acme_json_take_text(problem, "type", type, sizeof type);
    if (json_is_object(sub) && strcmp(type, "urn:ietf:params:acme:error:compound") == 0)
        acme_json_take_text(sub, "type", type, sizeof type);
    str_copy(to->type, sizeof to->type,
             strncmp(type, prefix, sizeof prefix - 1) == 0 ? str_from(type + sizeof prefix - 1)
                                                           : str_from(type));
    if (to->type[0] == '\0')
        str_copy(to->type, sizeof to->type, STR("about:blank"));
    take_detail(problem, to);
    if (json_is_integer(status) && json_integer_value(status) > 0 &&
        json_integer_value(status) <= 999)
        to->status = (uint32_t)json_integer_value(status);
    if (json_is_object(sub))
        take_subproblem(subs, to);
    take_instance(problem, to);
}

/* ---- documents */

static void take_profiles(const json_t *profiles, struct acme_directory *to)
{
    const char *name;
    json_t *value;
    size_t n = 0;

    to->has_profiles = json_is_object(profiles);
    json_object_foreach((json_t *)(uintptr_t)profiles, name, value)
    {
        int more =
            snprintf(to->profiles + n, sizeof to->profiles - n, "%s%s", n ? ", " : "", name);

        if (more < 0 || (size_t)more >= sizeof to->profiles - n) {
            to->profiles[n] = '\0'; /* a name that does not fit is dropped */
            break;
        }
        n += (size_t)more;
    }
    for (char *p = to->profiles; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}

/* An item that does not fit is dropped, and so are those after it. */
static void take_list(const json_t *list, char *to, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        size_t more = text ? strlen(text) : 0;

        if (more == 0)
            continue;
        if (n + more + 3 > size)
            break;
        n += (size_t)snprintf(to + n, size - n, "%s%s", n ? ", " : "", text);
    }
    for (char *p = to; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}

bool acme_json_directory(struct str text, struct acme_directory *to)
{
    json_t *root = acme_json_load(text);
    const json_t *meta = json_object_get(root, "meta");
    bool good;

    *to = (struct acme_directory){0};
    good = root && must_url(root, "newNonce", to->new_nonce) &&
           must_url(root, "newAccount", to->new_account) &&
           must_url(root, "newOrder", to->new_order) &&
           take_url(root, "revokeCert", to->revoke_cert) &&
           take_url(root, "keyChange", to->key_change) &&
           take_url(root, "renewalInfo", to->renewal_info);
    acme_json_take_text(meta, "termsOfService", to->terms, sizeof to->terms);
    to->external_account_required =
        json_is_true(json_object_get(meta, "externalAccountRequired"));
    take_profiles(json_object_get(meta, "profiles"), to);
    take_list(json_object_get(meta, "caaIdentities"), to->caa, sizeof to->caa);
    json_decref(root);
    return good;
}

bool acme_has_profile(const struct acme_directory *directory, const char *profile)
{
    struct str list = str_from(directory->profiles), item;

    while (str_next_item(&list, &item))
        if (item.n && str_eq(item, str_from(profile)))
            return true;
    return false;
}

bool acme_json_account(struct str text, enum acme_status *status)
{
    json_t *root = acme_json_load(text);
    bool good = root && take_status(root, status);

    json_decref(root);
    return good;
}

static bool take_identifiers(const json_t *list, struct acme_order *to)
{
    to->n_identifiers = json_array_size(list);
    if (to->n_identifiers == 0 || to->n_identifiers > JOB_NAMES_MAX)
        return false;
    for (size_t i = 0; i < to->n_identifiers; i++)
        acme_json_take_text(json_array_get(list, i), "value", to->identifiers[i],
                            ACME_IDENTIFIER);
    return true;
}

static bool take_authorizations(const json_t *list, struct acme_order *to)
{
    to->n_authorizations = json_array_size(list);
    if (!json_is_array(list) || to->n_authorizations > JOB_NAMES_MAX)
        return false;
    for (size_t i = 0; i < to->n_authorizations; i++) {
        const char *url = json_string_value(json_array_get(list, i));

        if (!url || !ipc_is_url(str_from(url)))
            return false;
        str_copy(to->authorizations[i], JOB_URL_SIZE, str_from(url));
    }
    return true;
}

bool acme_json_order(struct str text, struct acme_order *to)
{
    json_t *root = acme_json_load(text);
    bool good;

    *to = (struct acme_order){0};
    good = root && take_status(root, &to->status) &&
           take_identifiers(json_object_get(root, "identifiers"), to) &&
           take_authorizations(json_object_get(root, "authorizations"), to) &&
           must_url(root, "finalize", to->finalize) &&
           take_url(root, "certificate", to->certificate);
    to->expires_wall_ms = acme_time_ms(acme_json_string(root, "expires"));
    take_problem(json_object_get(root, "error"), &to->error);
    json_decref(root);
    return good;
}

static enum job_challenge challenge_kind(const char *type)
{
    static const char *const names[JOB_CHALLENGE_KINDS] = {"", "http-01", "tls-alpn-01",
                                                           "dns-01"};

    for (int i = 1; i < JOB_CHALLENGE_KINDS; i++)
        if (strcmp(names[i], type) == 0)
            return (enum job_challenge)i;
    return 0;
}

/* false: a kind that we know, but unusable. */
static bool take_challenge(const json_t *from, struct acme_challenge *to)
{
    const char *token = acme_json_string(from, "token");

    *to = (struct acme_challenge){.kind = challenge_kind(acme_json_string(from, "type"))};
    if (to->kind == 0)
        return true;
    str_copy(to->token, sizeof to->token, str_from(token));
    take_problem(json_object_get(from, "error"), &to->error);
    return ipc_is_token(str_from(token)) && must_url(from, "url", to->url) &&
           take_status(from, &to->status);
}

bool acme_json_authorization(struct str text, struct acme_authorization *to)
{
    json_t *root = acme_json_load(text);
    const json_t *identifier = json_object_get(root, "identifier");
    const json_t *list = json_object_get(root, "challenges");
    bool good;

    *to = (struct acme_authorization){0};
    acme_json_take_text(identifier, "value", to->name, sizeof to->name);
    to->ip = strcmp(acme_json_string(identifier, "type"), "ip") == 0;
    to->wildcard = json_is_true(json_object_get(root, "wildcard"));
    to->expires_wall_ms = acme_time_ms(acme_json_string(root, "expires"));
    good = root && take_status(root, &to->status) && to->name[0] && json_is_array(list);
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        struct acme_challenge one;

        good = take_challenge(json_array_get(list, i), &one);
        if (good && one.kind && to->n_challenges < ACME_CHALLENGES)
            to->challenges[to->n_challenges++] = one;
    }
    json_decref(root);
    return good;
}

bool acme_json_renewal(struct str text, struct acme_renewal *to)
{
    json_t *root = acme_json_load(text);
    const json_t *window = json_object_get(root, "suggestedWindow");

    *to =
        (struct acme_renewal){.start_wall_ms = acme_time_ms(acme_json_string(window, "start")),
                              .end_wall_ms = acme_time_ms(acme_json_string(window, "end"))};
    acme_json_take_text(root, "explanationURL", to->explanation, sizeof to->explanation);
    json_decref(root);
    return to->start_wall_ms > 0 && to->end_wall_ms > to->start_wall_ms;
}

bool acme_json_problem(struct str text, struct acme_problem *to)
{
    json_t *root = acme_json_load(text);

    take_problem(root, to);
    json_decref(root);
    return to->type[0] != '\0';
}
