/* hostile_file.h: reads t/hostile/cases.txt, whose head tells the format. For tests only: it
 * ends the program when the file is malformed. hostile_free() takes what it gave. */
#ifndef T_UNIT_HOSTILE_FILE_H
#define T_UNIT_HOSTILE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define HOSTILE_FILE      "t/hostile/cases.txt"
#define HOSTILE_CASES_MAX 2000
#define HOSTILE_BYTES_MAX 8 /* values of one repeatable key */
#define HOSTILE_VALUE_MAX (512 * 1024)

struct hostile_bytes {
    struct str s[HOSTILE_BYTES_MAX];
    size_t n;
};

struct hostile_case {
    char *name, *expect, *reason, *by;
    bool tls, eof, backend_eof, has_backend, has_body, close, seen_nothing;
    struct str client, backend, body;
    struct hostile_bytes seen, unseen, got, ungot;
};

static inline void hostile_malformed(int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", HOSTILE_FILE, line, what);
    exit(1);
}

static inline const char *hostile_escape(const char *p, char *out, int line)
{
    switch (*p) {
    case 'r':
        *out = '\r';
        return p + 1;
    case 'n':
        *out = '\n';
        return p + 1;
    case 't':
        *out = '\t';
        return p + 1;
    case '\\':
        *out = '\\';
        return p + 1;
    case 'x':
        *out = (char)(ascii_hex((unsigned char)p[1]) << 4 | ascii_hex((unsigned char)p[2]));
        return p + 3;
    default:
        hostile_malformed(line, "unknown escape");
        return p;
    }
}

/* Bytes of an escaped text, freshly allocated to fit. */
static inline struct str hostile_unescape(const char *p, int line)
{
    static char buf[HOSTILE_VALUE_MAX];
    size_t n = 0, unit = 0, times = 0;

    while (*p && n < sizeof(buf)) {
        if (p[0] == '\\' && p[1] == '{') {
            char *star;
            times = strtoul(p + 2, &star, 10);
            unit = n;
            p = star + 1;
        } else if (*p == '}' && times) {
            size_t len = n - unit;
            if (unit + len * times > sizeof(buf))
                hostile_malformed(line, "too long");
            for (size_t i = 1; i < times; i++, n += len)
                memcpy(buf + n, buf + unit, len);
            times = 0;
            p++;
        } else if (*p == '\\') {
            p = hostile_escape(p + 1, &buf[n++], line);
        } else {
            buf[n++] = *p++;
        }
    }
    char *kept = malloc(n ? n : 1);
    memcpy(kept, buf, n);
    return str_make(kept, n);
}

static inline void hostile_add(struct hostile_bytes *b, const char *value, int line)
{
    if (b->n == HOSTILE_BYTES_MAX)
        hostile_malformed(line, "too many values");
    b->s[b->n++] = hostile_unescape(value, line);
}

static inline void hostile_key(struct hostile_case *c, const char *key, const char *value,
                               int line)
{
    if (!strcmp(key, "on"))
        c->tls = !strcmp(value, "tls");
    else if (!strcmp(key, "by"))
        c->by = strdup(value);
    else if (!strcmp(key, "eof"))
        c->eof = true;
    else if (!strcmp(key, "client"))
        c->client = hostile_unescape(value, line);
    else if (!strcmp(key, "backend"))
        c->backend = hostile_unescape(value, line), c->has_backend = true;
    else if (!strcmp(key, "backend-eof"))
        c->backend_eof = true;
    else if (!strcmp(key, "expect"))
        c->expect = strdup(value);
    else if (!strcmp(key, "seen") && !strcmp(value, "nothing"))
        c->seen_nothing = true;
    else if (!strcmp(key, "seen"))
        hostile_add(&c->seen, value, line);
    else if (!strcmp(key, "unseen"))
        hostile_add(&c->unseen, value, line);
    else if (!strcmp(key, "body"))
        c->body = hostile_unescape(value, line), c->has_body = true;
    else if (!strcmp(key, "got"))
        hostile_add(&c->got, value, line);
    else if (!strcmp(key, "ungot"))
        hostile_add(&c->ungot, value, line);
    else if (!strcmp(key, "close"))
        c->close = !strcmp(value, "yes");
    else if (!strcmp(key, "reason"))
        c->reason = strdup(value);
    else if (strcmp(key, "note"))
        hostile_malformed(line, "unknown key");
}

/* All cases of the file; *n is their number. */
static inline struct hostile_case *hostile_read(size_t *n)
{
    struct hostile_case *cases = calloc(HOSTILE_CASES_MAX, sizeof(*cases));
    static char text[HOSTILE_VALUE_MAX];
    FILE *in = fopen(HOSTILE_FILE, "r");

    *n = 0;
    if (!in)
        hostile_malformed(0, "cannot be opened");
    for (int line = 1; fgets(text, sizeof(text), in); line++) {
        text[strcspn(text, "\n")] = '\0';
        if (!*text || *text == '#')
            continue;
        char *value = strchr(text, ':');
        if (!value)
            hostile_malformed(line, "no colon");
        *value++ = '\0';
        value += *value == ' ';
        if (!strcmp(text, "case")) {
            if (*n == HOSTILE_CASES_MAX)
                hostile_malformed(line, "too many cases");
            cases[(*n)++].name = strdup(value);
        } else if (*n) {
            hostile_key(&cases[*n - 1], text, value, line);
        }
    }
    fclose(in);
    return cases;
}

static inline void hostile_forget(const struct hostile_bytes *b)
{
    for (size_t i = 0; i < b->n; i++)
        free((char *)b->s[i].p);
}

static inline void hostile_free(struct hostile_case *cases, size_t n)
{
    for (struct hostile_case *c = cases; c < cases + n; c++) {
        free(c->name);
        free(c->expect);
        free(c->reason);
        free(c->by);
        free((char *)c->client.p);
        free((char *)c->backend.p);
        free((char *)c->body.p);
        hostile_forget(&c->seen);
        hostile_forget(&c->unseen);
        hostile_forget(&c->got);
        hostile_forget(&c->ungot);
    }
    free(cases);
}

#endif
