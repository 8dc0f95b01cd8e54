/* A bounded text builder for the status pages. Appending beyond the end only sets `full`. Pure;
 * the bytes belong to the caller. */
#ifndef SHM_STATUS_TEXT_H
#define SHM_STATUS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct text {
    char *p;
    size_t n, cap;
    bool full; /* something did not fit: the text is unusable */
};

static inline struct text text_into(char *p, size_t cap)
{
    return (struct text){p, 0, cap, false};
}

void text_add(struct text *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string, or a label value of Prometheus, with its quotes (base/escape.h). */
void text_json(struct text *, const char *string);
void text_label(struct text *, const char *string);

/* Text of an HTML element or quoted attribute. */
void text_html(struct text *, const char *string);

/* "2026-11-22T10:15:30.000Z" in quotes, or null for 0. */
void text_json_time(struct text *, uint64_t wall_ms);

/* Bytes written, or -1. */
static inline ssize_t text_done(const struct text *text)
{
    return text->full ? -1 : (ssize_t)text->n;
}

#endif
