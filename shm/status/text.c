#include "shm/status/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"

void text_add(struct text *text, const char *fmt, ...)
{
    size_t room = text->cap - text->n;
    va_list ap;

    if (text->full)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text->p + text->n, room, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room)
        text->full = true;
    else
        text->n += (size_t)n;
}

static void add_escaped(struct text *text, const char *string, enum escape_mode mode)
{
    const char *p = string, *end = p + strlen(p);
    char unit[ESCAPE_UNIT];

    while (p < end && !text->full) {
        size_t n = escape_unit(unit, &p, end, mode);

        if (n >= text->cap - text->n) {
            text->full = true;
            return;
        }
        memcpy(text->p + text->n, unit, n);
        text->n += n;
    }
}

void text_json(struct text *text, const char *string)
{
    text_add(text, "\"");
    add_escaped(text, string, ESCAPE_JSON);
    text_add(text, "\"");
}

void text_label(struct text *text, const char *string)
{
    text_add(text, "\"");
    add_escaped(text, string, ESCAPE_LABEL);
    text_add(text, "\"");
}

void text_html(struct text *text, const char *string)
{
    add_escaped(text, string, ESCAPE_HTML);
}

void text_json_time(struct text *text, uint64_t wall_ms)
{
    char when[CLOCK_ISO_SIZE];

    if (wall_ms)
        text_add(text, "\"%s\"", clock_iso(when, wall_ms));
    else
        text_add(text, "null");
}
