/* conf/users.c - the lines of a file of users; see conf/users.h. */
#include "base/conf/users.h"

#include <string.h>

#include "base/conf/conf.h"

static bool all_of(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alpha((unsigned char)s.p[i]) && !ascii_is_digit((unsigned char)s.p[i]) &&
            (!s.p[i] || !strchr(more, s.p[i])))
            return false;
    return true;
}

/* Digits up to the end; -1: none, or too many. */
static long users_number(struct str s)
{
    long value = 0;

    if (!s.n || s.n > 9)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_is_digit((unsigned char)s.p[i]))
            return -1;
        value = value * 10 + (s.p[i] - '0');
    }
    return value;
}

/* "$2y$10$" and 53 characters */
static const char *bcrypt_fault(struct str hash)
{
    long cost = hash.n == 60 && hash.p[6] == '$' ? users_number(str_make(hash.p + 4, 2)) : -1;

    if (cost < 4 || !all_of(str_skip(hash, 7), "./"))
        return "its bcrypt hash is damaged; write it with htpasswd -B";
    if (cost > CONF_BCRYPT_MAX)
        return "its bcrypt hash has a cost above 14, and would take seconds; write a lower one";
    return NULL;
}

/* "$6$", perhaps "rounds=5000$", a salt of 1 to 16, "$", and 43 or 86 characters */
static const char *sha_fault(struct str hash)
{
    size_t digest = hash.p[1] == '5' ? 43 : 86;
    struct str rest = str_skip(hash, 3), salt;

    if (str_starts_case(rest, STR("rounds="))) {
        struct str rounds = str_head(str_skip(rest, 7), str_index(str_skip(rest, 7), '$'));
        long n = users_number(rounds);

        if (n > CONF_SHA_ROUNDS_MAX)
            return "its SHA-crypt hash has more than 1000000 rounds, and would take seconds; "
                   "write fewer";
        if (n < 1000 || 7 + rounds.n == rest.n) /* nothing behind them */
            return "its SHA-crypt hash is damaged; write it with mkpasswd -m sha-512";
        rest = str_skip(rest, 7 + rounds.n + 1);
    }
    salt = str_head(rest, str_index(rest, '$'));
    if (!salt.n || salt.n > 16 || rest.n != salt.n + 1 + digest || !all_of(salt, "./") ||
        !all_of(str_skip(rest, salt.n + 1), "./"))
        return "its SHA-crypt hash is damaged; write it with mkpasswd -m sha-512";
    return NULL;
}

static const char *hash_fault(struct str hash)
{
    bool kind = hash.n > 4 && hash.p[0] == '$';

    if (kind && hash.p[1] == '2' && hash.p[3] == '$' && hash.p[2] && strchr("aby", hash.p[2]))
        return bcrypt_fault(hash);
    if (kind && (hash.p[1] == '5' || hash.p[1] == '6') && hash.p[2] == '$')
        return sha_fault(hash);
    return "its hash is neither bcrypt nor SHA-crypt; write one with htpasswd -B, or with "
           "mkpasswd -m sha-512";
}

static bool is_user_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
            return false;
    return name.n > 0 && name.n <= CONF_USER_LEN;
}

enum conf_users_line conf_users_line(struct str line, struct str *name, struct str *hash,
                                     const char **why)
{
    size_t colon;

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (!line.n || line.p[0] == '#')
        return CONF_USERS_NONE;
    colon = str_index(line, ':');
    *why = NULL;
    if (colon == line.n)
        *why = "has no colon; write NAME:HASH";
    *name = str_head(line, colon);
    *hash = str_skip(line, colon < line.n ? colon + 1 : colon);
    if (!*why && !is_user_name(*name))
        *why = "has no name of 1 to 64 printable ASCII characters before its colon; write one";
    if (!*why)
        *why = hash_fault(*hash);
    return *why ? CONF_USERS_BAD : CONF_USERS_USER;
}
