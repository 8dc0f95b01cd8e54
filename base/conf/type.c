/* conf/type.c - how numbers and words are read and printed; see conf/type.h. */
#include "base/conf/type.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "base/conf/value.h"
#include "base/str.h"

#define FIELD(type, p) (*(type *)(p))

bool conf_wrong(struct conf_cell *cell, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cell->why, sizeof cell->why, fmt, ap);
    va_end(ap);
    return false;
}

bool conf_wrong_kind(struct conf_cell *cell, const char *text)
{
    return conf_wrong(cell, "\"%.*s\" is not %s; write %s", CONF_SHOWN, text,
                      cell->row->kind->name, cell->row->kind->syntax);
}

/* ---- numbers: one reader and one printer for counts, durations and sizes */

typedef bool number_parse(const char *text, uint64_t *out);
typedef char *number_format(uint64_t v, char out[static CONF_FORMAT_LEN]);

static char *format_count(uint64_t v, char out[static CONF_FORMAT_LEN])
{
    snprintf(out, CONF_FORMAT_LEN, "%" PRIu64, v);
    return out;
}

static bool number(struct conf_cell *cell, const char *text, number_parse *parse,
                   number_format *format, uint64_t *out)
{
    const struct conf_setting *row = cell->row;
    char low[CONF_FORMAT_LEN], high[CONF_FORMAT_LEN];
    uint64_t v = 0;

    if (row->zero && strcmp(text, row->zero) == 0) {
        *out = 0;
        return true;
    }
    bool parsed = parse(text, &v);
    if (!parsed && format != format_count) {
        if (row->zero)
            return conf_wrong(cell, "\"%.*s\" is not %s; write %s, or \"%s\"", CONF_SHOWN, text,
                              row->kind->name, row->kind->syntax, row->zero);
        return conf_wrong_kind(cell, text);
    }
    if (!parsed || (!(v == 0 && row->zero) && (v < row->min || v > row->max)))
        return conf_wrong(cell, "%.*s is %s; write %s to %s%s%s%s", CONF_SHOWN, text,
                          parsed ? "out of range" : "not a whole number", format(row->min, low),
                          format(row->max, high), row->zero ? ", or \"" : "",
                          row->zero ? row->zero : "", row->zero ? "\"" : "");
    *out = v;
    return true;
}

static void print_number(const struct conf_setting *row, uint64_t v, number_format *format,
                         FILE *out)
{
    char buf[CONF_FORMAT_LEN];
    if (v == 0 && row->zero)
        fprintf(out, "\"%s\"", row->zero);
    else if (format == format_count)
        fprintf(out, "%s%s", format(v, buf), v > INT_MAX ? "L" : "");
    else
        fprintf(out, "\"%s\"", format(v, buf));
}

#define NUMBER_KIND(id, type, parse, format)                                             \
    static bool read_##id(struct conf_cell *cell, const char *text, void *field)         \
    {                                                                                    \
        uint64_t v;                                                                      \
        if (!number(cell, text, parse, format, &v))                                      \
            return false;                                                                \
        FIELD(type, field) = (type)v;                                                    \
        return true;                                                                     \
    }                                                                                    \
    static void print_##id(const struct conf_setting *row, const void *field, FILE *out) \
    {                                                                                    \
        print_number(row, FIELD(const type, field), format, out);                        \
    }

NUMBER_KIND(count, uint32_t, conf_parse_count, format_count)
NUMBER_KIND(count64, uint64_t, conf_parse_count, format_count)
NUMBER_KIND(port, uint16_t, conf_parse_count, format_count)
NUMBER_KIND(ms, uint32_t, conf_parse_duration, conf_format_duration)
NUMBER_KIND(ms64, uint64_t, conf_parse_duration, conf_format_duration)
NUMBER_KIND(bytes, uint32_t, conf_parse_size, conf_format_size)

#define AS_NUMBER   ACCEPT_NUMBER | ACCEPT_STRING
#define AS_DURATION AS_NUMBER | ACCEPT_FRACTION
#define DURATION \
    "a duration", "\"200ms\", \"5s\", \"10m\", \"12h\", \"90d\" or a number of seconds"
#define SIZE "a size", "\"64k\", \"2m\", \"1g\" or a number of bytes"

const struct conf_kind conf_count = {"a number", "digits",   sizeof(uint32_t),
                                     AS_NUMBER,  read_count, print_count};
const struct conf_kind conf_count64 = {"a number", "digits",     sizeof(uint64_t),
                                       AS_NUMBER,  read_count64, print_count64};
const struct conf_kind conf_port = {
    "a port", "a number from 1 to 65535", sizeof(uint16_t), AS_NUMBER, read_port, print_port};
const struct conf_kind conf_ms = {DURATION, sizeof(uint32_t), AS_DURATION, read_ms, print_ms};
const struct conf_kind conf_ms64 = {DURATION, sizeof(uint64_t), AS_DURATION, read_ms64,
                                    print_ms64};
const struct conf_kind conf_bytes = {SIZE, sizeof(uint32_t), AS_NUMBER, read_bytes,
                                     print_bytes};

static bool read_bytes64(struct conf_cell *cell, const char *text, void *field)
{
    if (strcmp(text, "unlimited") != 0)
        return number(cell, text, conf_parse_size, conf_format_size, field);
    FIELD(uint64_t, field) = CONF_UNLIMITED;
    return true;
}

static void print_bytes64(const struct conf_setting *row, const void *field, FILE *out)
{
    uint64_t v = FIELD(const uint64_t, field);
    if (v == CONF_UNLIMITED)
        fputs("\"unlimited\"", out);
    else
        print_number(row, v, conf_format_size, out);
}

const struct conf_kind conf_bytes64 = {
    "a size",         "\"64k\", \"2m\", \"1g\", a number of bytes or \"unlimited\"",
    sizeof(uint64_t), AS_NUMBER,
    read_bytes64,     print_bytes64};

static bool read_hedge(struct conf_cell *cell, const char *text, void *field)
{
    size_t n;

    if (strcmp(text, "auto") == 0) {
        FIELD(uint32_t, field) = CONF_HEDGE_AUTO;
        return true;
    }
    if (read_ms(cell, text, field))
        return true;
    n = strlen(cell->why);
    snprintf(cell->why + n, sizeof cell->why - n, " or \"auto\"");
    return false;
}

static void print_hedge(const struct conf_setting *row, const void *field, FILE *out)
{
    if (FIELD(const uint32_t, field) == CONF_HEDGE_AUTO)
        fputs("\"auto\"", out);
    else
        print_ms(row, field, out);
}

const struct conf_kind conf_hedge = {
    "a duration",     "\"200ms\", \"5s\" or a number of seconds",
    sizeof(uint32_t), AS_DURATION,
    read_hedge,       print_hedge};

static bool read_workers(struct conf_cell *cell, const char *text, void *field)
{
    uint64_t v = 0;
    if (strcmp(text, "auto") != 0 && !conf_parse_count(text, &v))
        return conf_wrong_kind(cell, text);
    if (v > CONF_MAX_WORKERS || (v == 0 && ascii_is_digit((unsigned char)text[0])))
        return conf_wrong(cell, "%.*s is out of range; write 1 to %d, or \"auto\"", CONF_SHOWN,
                          text, CONF_MAX_WORKERS);
    FIELD(uint32_t, field) = (uint32_t)v;
    return true;
}

static void print_workers(const struct conf_setting *row, const void *field, FILE *out)
{
    const struct conf *conf =
        (const struct conf *)((const char *)field - offsetof(struct conf, workers));
    (void)row;
    if (conf->workers_auto)
        fputs("\"auto\"", out);
    else
        fprintf(out, "%" PRIu32, conf->workers);
}

const struct conf_kind conf_workers = {"a number of workers", "digits, or \"auto\"",
                                       sizeof(uint32_t),      AS_NUMBER,
                                       read_workers,          print_workers};

/* ---- words */

static bool read_bool(struct conf_cell *cell, const char *text, void *field)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return conf_wrong_kind(cell, text);
    FIELD(bool, field) = text[0] == 't';
    return true;
}

static void print_bool(const struct conf_setting *row, const void *field, FILE *out)
{
    (void)row;
    fputs(FIELD(const bool, field) ? "true" : "false", out);
}

const struct conf_kind conf_bool = {"true or false", "true or false, without quotes",
                                    sizeof(bool),    ACCEPT_BOOL | ACCEPT_STRING,
                                    read_bool,       print_bool};

void conf_choice_list(const struct conf_choice *choices, char *out, size_t cap)
{
    size_t used = 0, left = 0;
    for (const struct conf_choice *c = choices; c->name; c++)
        left += !(c->flags & SOON);
    for (const struct conf_choice *c = choices; c->name && used < cap; c++) {
        if (c->flags & SOON)
            continue;
        left--;
        used += (size_t)snprintf(out + used, cap - used, "\"%s\"%s", c->name,
                                 left > 1    ? ", "
                                 : left == 1 ? " or "
                                             : "");
    }
}

static bool read_choice(struct conf_cell *cell, const char *text, void *field)
{
    char list[200];

    conf_choice_list(cell->row->choices, list, sizeof list);
    for (const struct conf_choice *c = cell->row->choices; c->name; c++) {
        if (strcmp(c->name, text) != 0)
            continue;
        if (c->flags & SOON)
            return conf_wrong(cell, "\"%s\" is not supported yet; write %s", text, list);
        FIELD(unsigned, field) = c->value;
        return true;
    }
    for (const struct conf_choice *c = cell->row->choices; c->name; c++) {
        if (!(c->flags & SOON) && conf_distance(c->name, text) <= 2)
            return conf_wrong(cell, "\"%.*s\" is unknown; did you mean \"%s\"? Write %s",
                              CONF_SHOWN, text, c->name, list);
    }
    return conf_wrong(cell, "\"%.*s\" is unknown; write %s", CONF_SHOWN, text, list);
}

const char *conf_choice_name(const struct conf_choice *choices, unsigned value)
{
    for (; choices->name; choices++) {
        if (choices->value == value)
            return choices->name;
    }
    return "?";
}

static void print_choice(const struct conf_setting *row, const void *field, FILE *out)
{
    fprintf(out, "\"%s\"", conf_choice_name(row->choices, FIELD(const unsigned, field)));
}

const struct conf_kind conf_choice = {"a word",      "one of the words", sizeof(int),
                                      ACCEPT_STRING, read_choice,        print_choice};
