#include "worker/http/h2_head.h"

#include <string.h>

#include "worker/http/h1_chars.h"

static const struct str h2_head_names[H2_HEAD_PSEUDOS] = {
    [H2_HEAD_METHOD] = STR_INIT(":method"),       [H2_HEAD_SCHEME] = STR_INIT(":scheme"),
    [H2_HEAD_AUTHORITY] = STR_INIT(":authority"), [H2_HEAD_PATH] = STR_INIT(":path"),
    [H2_HEAD_PROTOCOL] = STR_INIT(":protocol"),
};

void h2_head_init(struct h2_head *h, char *text, size_t cap, char *side, size_t side_cap)
{
    memset(h, 0, sizeof *h);
    h->text = text;
    h->cap = cap;
    h->side = side;
    h->side_cap = side_cap;
}

static void breaks(struct h2_head *h, const char *why)
{
    if (!h->broken)
        h->broken = why;
}

/* ---- text */

static void write(struct h2_head *h, struct str s)
{
    if (s.n > h->cap - h->n) {
        h->over = true;
        return;
    }
    if (s.n)
        memcpy(h->text + h->n, s.p, s.n);
    h->n += s.n;
}

static void h2_head_line(struct h2_head *h, struct str name, struct str value)
{
    write(h, name);
    write(h, STR(": "));
    write(h, value);
    write(h, STR("\r\n"));
}

/* Keeps bytes that are written later. */
static struct str keep(struct h2_head *h, struct str s)
{
    char *at = h->side + h->nside;

    if (s.n > h->side_cap - h->nside) {
        h->over = true;
        return STR_EMPTY;
    }
    if (s.n)
        memcpy(at, s.p, s.n);
    h->nside += s.n;
    return str_make(at, s.n);
}

static bool has(const struct h2_head *h, enum h2_head_pseudo which)
{
    return h->seen >> which & 1;
}

/* ---- the pseudo-headers, of which a request line and Host are made */

static bool is_class(struct str s, unsigned class)
{
    return s.n && h1_scan_class(s.p, s.p + s.n, class) == s.p + s.n;
}

static void write_start(struct h2_head *h, struct str method, struct str target)
{
    write(h, method);
    write(h, STR(" "));
    write(h, target);
    write(h, STR(" HTTP/1.1\r\n"));
    if (has(h, H2_HEAD_AUTHORITY))
        h2_head_line(h, STR("host"), h->pseudo[H2_HEAD_AUTHORITY]);
}

/* CONNECT: without :protocol, it has no :path and no :scheme (RFC 9113 8.5), and the parser
 * refuses it. */
static void begin_connect(struct h2_head *h)
{
    struct str protocol = h->pseudo[H2_HEAD_PROTOCOL];

    if (!has(h, H2_HEAD_PROTOCOL)) {
        if (has(h, H2_HEAD_PATH) || has(h, H2_HEAD_SCHEME) || !has(h, H2_HEAD_AUTHORITY))
            breaks(h, "CONNECT with other pseudo-headers than :method and :authority");
        write_start(h, STR("CONNECT"), h->pseudo[H2_HEAD_AUTHORITY]);
        return;
    }
    if (!h->key.n) {
        breaks(h, ":protocol, which was not offered");
    } else if (!has(h, H2_HEAD_AUTHORITY)) {
        breaks(h, "extended CONNECT without :authority");
    } else if (!str_eq_case(protocol, STR("websocket"))) {
        write_start(h, STR("CONNECT"), STR("/")); /* no such protocol: 405 */
    } else {
        h->websocket = true;
        write_start(h, STR("GET"), h->pseudo[H2_HEAD_PATH]);
        write(h, STR("connection: Upgrade\r\nupgrade: websocket\r\n"));
        h2_head_line(h, STR("sec-websocket-key"), h->key);
    }
}

static bool is_path(const struct h2_head *h)
{
    struct str path = h->pseudo[H2_HEAD_PATH];

    if (str_eq(path, STR("*")))
        return str_eq(h->pseudo[H2_HEAD_METHOD], STR("OPTIONS"));
    return path.n && path.p[0] == '/';
}

static void check_path(struct h2_head *h)
{
    struct str scheme = h->pseudo[H2_HEAD_SCHEME];

    if (!has(h, H2_HEAD_SCHEME) || !has(h, H2_HEAD_PATH))
        breaks(h, "a pseudo-header is missing");
    else if (!str_eq(scheme, STR("https")) && !str_eq(scheme, STR("http")))
        breaks(h, ":scheme is not http or https");
    else if (!is_path(h))
        breaks(h, ":path does not begin with a slash");
}

static void begin_text(struct h2_head *h)
{
    struct str method = h->pseudo[H2_HEAD_METHOD];
    bool connect = str_eq(method, STR("CONNECT"));

    h->begun = true;
    h->cookies_at = h->nside;
    if (!connect || has(h, H2_HEAD_PROTOCOL))
        check_path(h);
    if (!is_class(method, H1_C_TOKEN))
        breaks(h, ":method is missing, or not a token");
    else if (!connect && has(h, H2_HEAD_PROTOCOL))
        breaks(h, ":protocol without CONNECT");
    else if (connect)
        begin_connect(h);
    else
        write_start(h, method, h->pseudo[H2_HEAD_PATH]);
}

static void take_pseudo(struct h2_head *h, struct str name, struct str value)
{
    for (unsigned i = 0; i < H2_HEAD_PSEUDOS; i++) {
        if (!str_eq(name, h2_head_names[i]))
            continue;
        if (h->begun)
            breaks(h, "a pseudo-header behind a field");
        else if (has(h, i))
            breaks(h, "a pseudo-header twice");
        else if (!h->broken)
            h->pseudo[i] = keep(h, value);
        h->seen |= (uint8_t)(1U << i);
        return;
    }
    breaks(h, "an unknown pseudo-header");
}

/* ---- fields */

bool h2_head_of_connection(struct str name)
{
    static const struct str names[] = {STR_INIT("connection"), STR_INIT("keep-alive"),
                                       STR_INIT("proxy-connection"),
                                       STR_INIT("transfer-encoding"), STR_INIT("upgrade")};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

/* Is it a token in lower case (RFC 9113 8.2.1)? */
static bool is_name(struct str name)
{
    if (!is_class(name, H1_C_TOKEN))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            return false;
    return true;
}

/* RFC 9113 8.2.1. Other control bytes are left to the parser, which refuses them, too. */
static bool is_value(struct str v)
{
    if (!v.n)
        return true;
    if (v.p[0] == ' ' || v.p[0] == '\t' || v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t')
        return false;
    for (const char *p = v.p, *end = v.p + v.n; (p = h1_scan_value(p, end)) < end; p++)
        if (*p == '\0' || *p == '\r' || *p == '\n')
            return false;
    return true;
}

/* Crumbs are joined behind all other fields (8.2.3). */
static void take_cookie(struct h2_head *h, struct str value)
{
    if (!value.n)
        return;
    if (h->nside > h->cookies_at)
        keep(h, STR("; "));
    keep(h, value);
}

static void take_host(struct h2_head *h, struct str value)
{
    if (!has(h, H2_HEAD_AUTHORITY))
        h2_head_line(h, STR("host"), value);
    else if (!str_eq_case(value, h->pseudo[H2_HEAD_AUTHORITY]))
        breaks(h, "Host differs from :authority");
}

static void take_field(struct h2_head *h, struct str name, struct str value)
{
    if (!h->begun)
        begin_text(h);
    if (!is_name(name))
        breaks(h, "a field name that is empty, or not a token in lower case");
    else if (h2_head_of_connection(name))
        breaks(h, "a field of the connection");
    else if (str_eq(name, STR("te")) && !str_eq_case(value, STR("trailers")))
        breaks(h, "TE with another value than trailers");
    else if (h->broken)
        return;
    else if (str_eq(name, STR("cookie")))
        take_cookie(h, value);
    else if (str_eq(name, STR("host")))
        take_host(h, value);
    else if (!h->websocket || !str_eq(name, STR("sec-websocket-key")))
        h2_head_line(h, name, value);
}

void h2_head_field(struct h2_head *h, struct str name, struct str value)
{
    h->decoded += name.n + value.n + H2_HEAD_ENTRY;
    h->over |= ++h->nfields > H2_HEAD_FIELDS;
    if (h->broken || h->over)
        return;
    if (!is_value(value))
        breaks(h, "a field value with CR, LF or NUL, or with white space at its ends");
    else if (name.n && name.p[0] == ':')
        take_pseudo(h, name, value);
    else
        take_field(h, name, value);
}

size_t h2_head_end(struct h2_head *h)
{
    if (!h->begun)
        begin_text(h);
    if (h->nside > h->cookies_at)
        h2_head_line(h, STR("cookie"),
                     str_make(h->side + h->cookies_at, h->nside - h->cookies_at));
    write(h, STR("\r\n"));
    return h->broken || h->over ? 0 : h->n;
}
