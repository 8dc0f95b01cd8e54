#include "worker/http/h1.h"
#include "worker/http/h1_line.h"

/* Names that a trailer must not have, in addition to all that http_field_lookup() knows: they
 * control framing, routing, or how a message is processed, or identify its sender. */
static const struct str refused[] = {
    STR_INIT("Age"),           STR_INIT("Authentication-Info"),
    STR_INIT("Cache-Control"), STR_INIT("Clear-Site-Data"),
    STR_INIT("Expires"),       STR_INIT("Max-Forwards"),
    STR_INIT("Pragma"),        STR_INIT("Refresh"),
    STR_INIT("Vary"),          STR_INIT("Via"),
    STR_INIT("Warning"),       STR_INIT("WWW-Authenticate"),
};
static const struct str refused_families[] = {
    STR_INIT("Access-Control-"), STR_INIT("Alt-"), STR_INIT("If-"),
    STR_INIT("Proxy-"),          STR_INIT("Sec-"), STR_INIT("X-Forwarded-"),
};
/* Of Content-*, only these may be known after the content. */
static const struct str allowed_content[] = {STR_INIT("Content-Digest"),
                                             STR_INIT("Content-MD5")};

static bool h1_trailers_is_among(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_case(name, names[i]))
            return true;
    return false;
}

#define IS_AMONG(name, names) \
    h1_trailers_is_among((name), (names), sizeof(names) / sizeof((names)[0]))

static bool may_pass(const struct http_field *field)
{
    struct str name = field->name;

    if (field->id != HTTP_F_OTHER || IS_AMONG(name, refused))
        return false;
    for (size_t i = 0; i < sizeof refused_families / sizeof refused_families[0]; i++)
        if (str_starts_case(name, refused_families[i]))
            return false;
    return !str_starts_case(name, STR("Content-")) || IS_AMONG(name, allowed_content);
}

size_t h1_trailers(struct http_field *out, size_t room, const char *in, size_t n)
{
    const char *p = in, *end = in + n;
    size_t used = 0;

    while (p < end) {
        enum h1_error error;
        struct http_field field;
        unsigned classes;
        const char *next = h1_field_line(p, end, &field, &classes, &error);

        if (!next || !field.name.p)
            return 0;
        if (may_pass(&field)) {
            if (used == room)
                return 0;
            out[used++] = field;
        }
        p = next;
    }
    return used;
}
