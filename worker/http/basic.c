#include "worker/http/basic.h"

#include <string.h>

/* 0..63; -1: not of base64 (RFC 4648 section 4). */
static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padding may be left out, but what there is must be right; bits that no byte has must be 0.
 * Returns the bytes, or -1. */
static int base64_decode(struct str text, char *out, size_t cap)
{
    unsigned bits = 0, have = 0;
    size_t n = 0, pad = 0;

    if (text.n % 4 == 0)
        while (pad < 2 && text.n && text.p[text.n - 1] == '=') {
            text.n--;
            pad++;
        }
    for (size_t i = 0; i < text.n; i++) {
        int six = sextet(text.p[i]);

        if (six < 0)
            return -1;
        bits = bits << 6 | (unsigned)six;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (n == cap)
            return -1;
        out[n++] = (char)(bits >> have);
        bits &= (1U << have) - 1;
    }
    return have < 6 && bits == 0 ? (int)n : -1;
}

bool basic_decode(struct str value, char buf[BASIC_MAX], struct str *user, struct str *password)
{
    size_t colon;
    int n;

    if (!str_starts_case(value, STR("basic ")))
        return false;
    value = str_skip(value, 6);
    while (value.n && value.p[0] == ' ')
        value = str_skip(value, 1);
    n = base64_decode(value, buf, BASIC_MAX);
    if (n <= 0 || memchr(buf, '\0', (size_t)n))
        return false;
    colon = str_index(str_make(buf, (size_t)n), ':');
    *user = str_make(buf, colon);
    if (colon == (size_t)n || !colon || colon > BASIC_USER_MAX)
        return false;
    for (size_t i = 0; i < colon; i++)
        if (buf[i] <= ' ' || buf[i] >= 0x7f)
            return false;
    *password = str_make(buf + colon + 1, (size_t)n - colon - 1);
    return password->n <= BASIC_PASSWORD_MAX;
}
