#include "worker/http/affinity.h"

static const char digits[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { TOKEN_BYTES = 12 }; /* 4 for the backend, 8 for the hash: no bits left over in base64 */

/* ---- tokens */

struct affinity_key affinity_key(const uint8_t bytes[AFFINITY_KEY])
{
    return (struct affinity_key){siphash_key(bytes), siphash_key(bytes + SIPHASH_KEY)};
}

/* The first byte separates the different uses of the second key. */
static uint64_t hash_of(const struct affinity_key *key, char what, struct str s)
{
    struct siphash h;

    siphash_begin(&h, &key->name);
    siphash_add(&h, &what, 1);
    siphash_add(&h, s.p, s.n);
    return siphash_end(&h);
}

uint32_t affinity_id(const struct affinity_key *key, struct str name)
{
    return (uint32_t)hash_of(key, 'n', name);
}

uint64_t affinity_handle(const struct affinity_key *key, struct str handle)
{
    uint64_t hash = hash_of(key, 'h', handle);

    return hash ? hash : 1;
}

static void put_be(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t get_be(const uint8_t *from, int bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes; i++)
        value = value << 8 | from[i];
    return value;
}

static uint64_t mac_of(const struct affinity_key *key, uint32_t id, struct str about)
{
    uint8_t head[4];
    struct siphash h;

    put_be(head, id, 4);
    siphash_begin(&h, &key->tag);
    siphash_add(&h, head, sizeof head);
    siphash_add(&h, about.p, about.n);
    return siphash_end(&h);
}

void affinity_token(char out[AFFINITY_TOKEN], const struct affinity_key *key, uint32_t id,
                    struct str purpose)
{
    uint8_t bytes[TOKEN_BYTES];

    put_be(bytes, id, 4);
    put_be(bytes + 4, mac_of(key, id, purpose), 8);
    for (int i = 0; i < TOKEN_BYTES; i += 3) {
        uint32_t bits = (uint32_t)get_be(bytes + i, 3);

        for (int k = 0; k < 4; k++)
            *out++ = digits[bits >> (18 - 6 * k) & 63];
    }
}

static int digit_value(unsigned char c)
{
    if (ascii_is_alpha(c))
        return c >= 'a' ? c - 'a' + 26 : c - 'A';
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool affinity_token_check(const struct affinity_key *key, struct str token, struct str purpose,
                          uint32_t *id)
{
    uint8_t bytes[TOKEN_BYTES];

    if (token.n != AFFINITY_TOKEN)
        return false;
    for (int i = 0; i < AFFINITY_TOKEN; i += 4) {
        uint32_t bits = 0;

        for (int k = 0; k < 4; k++) {
            int value = digit_value((unsigned char)token.p[i + k]);

            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        put_be(bytes + i / 4 * 3, bits, 3);
    }
    *id = (uint32_t)get_be(bytes, 4);
    return get_be(bytes + 4, 8) == mac_of(key, *id, purpose);
}

void affinity_tag(char out[AFFINITY_TAG], const struct affinity_key *key, uint32_t id,
                  struct str value)
{
    out[0] = '~';
    affinity_token(out + 1, key, id, value);
}

bool affinity_untag(const struct affinity_key *key, struct str value, struct str *bare,
                    uint32_t *id)
{
    if (value.n < AFFINITY_TAG || value.p[value.n - AFFINITY_TAG] != '~')
        return false;
    *bare = str_head(value, value.n - AFFINITY_TAG);
    return affinity_token_check(key, str_skip(value, bare->n + 1), *bare, id);
}

/* ---- where values are */

static struct str affinity_unquoted(struct str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return str_make(s.p + 1, s.n - 2);
    return s;
}

/* "name=value", with white space allowed around both. */
static bool is_cookie(struct str pair, struct str name, struct str *value)
{
    size_t equals = str_index(pair, '=');

    if (equals == pair.n || !str_eq(str_trim(str_head(pair, equals)), name))
        return false;
    *value = affinity_unquoted(str_trim(str_skip(pair, equals + 1)));
    return true;
}

static size_t leading_space(struct str s)
{
    size_t n = 0;

    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
        n++;
    return n;
}

bool affinity_next_cookie(struct str *cookies, struct str name, struct affinity_cookie *cookie)
{
    struct str rest = *cookies;

    while (rest.n) {
        struct str at = str_skip(rest, leading_space(rest));
        size_t end = str_index(at, ';');
        struct str pair = str_head(at, end);

        rest = str_skip(at, end < at.n ? end + 1 : end);
        rest = str_skip(rest, leading_space(rest));
        if (is_cookie(pair, name, &cookie->value)) {
            cookie->whole = str_head(at, at.n - rest.n);
            *cookies = rest;
            return true;
        }
    }
    return false;
}

bool affinity_set_cookie(struct str field, struct str name, struct str *value)
{
    return is_cookie(str_head(field, str_index(field, ';')), name, value);
}

bool affinity_next_param(struct str *path, struct str *value)
{
    static const struct str name = STR_INIT(";jsessionid=");
    struct str rest = *path;

    while (rest.n) {
        size_t n = 0;

        while (n < rest.n && rest.p[n] != ';' && rest.p[n] != '?' && rest.p[n] != '#')
            n++;
        rest = str_skip(rest, n);
        if (rest.n == 0 || rest.p[0] != ';')
            return false;
        if (!str_starts(rest, name)) {
            rest = str_skip(rest, 1);
            continue;
        }
        rest = str_skip(rest, name.n);
        n = 0;
        while (n < rest.n && !memchr(";/?#", rest.p[n], 4))
            n++;
        *value = str_head(rest, n);
        *path = str_skip(rest, n);
        return true;
    }
    return false;
}

struct str affinity_argument(struct str query, struct str name)
{
    while (query.n) {
        struct str pair = str_skip(query, 1); /* after the '?' or a '&' */
        size_t end = str_index(pair, '&');

        query = str_skip(pair, end);
        pair = str_head(pair, end);
        if (str_starts(pair, name) && pair.n > name.n && pair.p[name.n] == '=')
            return str_skip(pair, name.n + 1);
    }
    return STR_EMPTY;
}

struct str affinity_route(struct str value, bool last)
{
    size_t at = str_index(value, '.');

    if (at == value.n)
        return STR_EMPTY;
    for (size_t i = at + 1; last && i < value.n; i++)
        if (value.p[i] == '.')
            at = i;
    return str_skip(value, at + 1);
}
