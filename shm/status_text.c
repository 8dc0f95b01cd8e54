#include "shm/status_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

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

void text_json(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (const char *p = string; *p;) {
        size_t run = 0;

        while (p[run] >= 0x20 && p[run] < 0x7f && p[run] != '"' && p[run] != '\\')
            run++;
        if (run)
            text_add(text, "%.*s", (int)run, p);
        p += run;
        if (*p)
            text_add(text, "\\u%04x", (unsigned char)*p++);
    }
    text_add(text, "\"");
}

void text_html(struct text *text, const char *string)
{
    for (const char *p = string; *p;) {
        size_t run = strcspn(p, "&<>\"'");

        if (run)
            text_add(text, "%.*s", (int)run, p);
        p += run;
        if (*p)
            text_add(text, "&#%d;", *p++);
    }
}

void text_json_time(struct text *text, uint64_t wall_ms)
{
    char when[CLOCK_ISO_SIZE];

    if (wall_ms)
        text_add(text, "\"%s\"", clock_iso(when, wall_ms));
    else
        text_add(text, "null");
}
