#include "healthd/restarter/mask.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "healthd/restarter/tail.h"

enum { LINE = 512 }; /* bytes of a line that are looked at; more than is ever shown */

/* A bounded text that only grows. */
struct line {
    char text[LINE];
    size_t n;
};

static void add(struct line *to, const char *bytes, size_t n)
{
    if (n > sizeof to->text - to->n)
        n = sizeof to->text - to->n;
    if (n)
        memcpy(to->text + to->n, bytes, n);
    to->n += n;
}

static void add_dots(struct line *to)
{
    add(to, "...", 3);
}

bool mask_is_secret(const char *name, size_t n)
{
    static const char *const words[] = {"passw",      "passphrase", "pwd",           "secret",
                                        "token",      "cookie",     "credential",    "apikey",
                                        "api_key",    "api-key",    "authorization", "bearer",
                                        "httpsession"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);

        for (size_t at = 0; at + length <= n; at++)
            if (strncasecmp(name + at, words[i], length) == 0)
                return true;
    }
    return false;
}

/* "http://user:password@host:8810/path?query" -> "http://host:8810/..." */
static void add_url(struct line *to, struct str word, const char *slashes)
{
    const char *end = word.p + word.n, *host = slashes + 3, *at = host;
    const char *path;

    while (at < end && !strchr("/?#;'`)>", *at))
        at++;
    path = at;
    for (const char *p = host; p < path; p++)
        if (*p == '@')
            host = p + 1;
    add(to, word.p, (size_t)(slashes + 3 - word.p));
    add(to, host, (size_t)(path - host));
    if (path < end) {
        add(to, "/", 1);
        add_dots(to);
    }
}

/* Adds one word. true: the next one belongs to it and may be a secret. */
static bool add_word(struct line *to, struct str word)
{
    const char *slashes = memmem(word.p, word.n, "://", 3);
    const char *equals = memchr(word.p, '=', word.n);

    if (slashes && !(equals && equals < slashes)) {
        add_url(to, word, slashes);
        return false;
    }
    if (equals) {
        add(to, word.p, (size_t)(equals + 1 - word.p));
        add_dots(to);
        return false;
    }
    if (word.n > 1 && word.p[0] == '-' && (word.p[1] < '0' || word.p[1] > '9')) {
        add(to, "-", 1);
        add_dots(to);
        return true;
    }
    add(to, word.p, word.n);
    return mask_is_secret(word.p, word.n);
}

static bool has_value(struct str word)
{
    for (size_t i = 0; i < word.n; i++)
        if (ascii_is_alpha((unsigned char)word.p[i]) ||
            ascii_is_digit((unsigned char)word.p[i]))
            return true;
    return false;
}

/* Adds the word that follows one which announced a secret. true: the next one may be, too: this
 * was only a "=" or ":", or a name itself, as in "-H Authorization: Basic ...". */
static bool add_secret(struct line *to, struct str word)
{
    add_dots(to);
    return !has_value(word) || mask_is_secret(word.p, word.n);
}

/* Where the text goes on behind a word: behind the closing quote of NAME='two words'. */
static size_t end_of(const char *text, size_t n, size_t from, size_t i)
{
    const char *quote = memmem(text + from, i - from, "='", 2), *end;

    if (!quote || memchr(quote + 2, '\'', (size_t)(text + i - (quote + 2))))
        return i;
    end = memchr(text + i, '\'', n - i);
    return end ? (size_t)(end + 1 - text) : n;
}

char *mask_line(char *out, size_t cap, const char *text, size_t n)
{
    static const char blank[] = " \t\r\n\v\f";
    struct line line = {.n = 0};
    bool secret = false;

    for (size_t i = 0; i < n;) {
        size_t from = i;

        if (memchr(blank, text[i], sizeof blank - 1)) {
            add(&line, text + i++, 1);
        } else if (text[i] == '"') {
            const char *end = memchr(text + i + 1, '"', n - i - 1);

            add(&line, "\"...\"", 5);
            i = end ? (size_t)(end + 1 - text) : n;
            secret = false;
        } else {
            while (i < n && text[i] != '"' && !memchr(blank, text[i], sizeof blank - 1))
                i++;
            struct str word = str_make(text + from, i - from);

            secret = secret ? add_secret(&line, word) : add_word(&line, word);
            i = end_of(text, n, from, i);
            /* "Authorization: Basic ...", "Cookie: a; b": values of more than one word. */
            if (secret && text[i - 1] == ':') {
                add(&line, " ...", 4);
                break;
            }
        }
    }
    return tail_plain(out, cap, line.text, line.n);
}
