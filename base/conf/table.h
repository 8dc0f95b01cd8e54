/*
 * conf/table.h - the table of settings, and the kinds of value that they have.
 *
 * The table is the only place that describes a setting: reader, ranges, defaults, dump and
 * manual page all work from its rows. To add a setting, add a field to a struct of conf/conf.h
 * and a row to conf/table*.c; to enable one that is prepared already, delete its SOON.
 *
 * Used in base/conf only. Constant data and pure functions, except for the arena.
 */
#ifndef BASE_CONF_TABLE_H
#define BASE_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/conf/conf.h"

struct conf_arena;
struct conf_cell;
struct conf_section;
struct conf_setting;

#define CONF_STRING_LEN 4096 /* bytes in a string after expansion, no NUL */
#define CONF_WHY_LEN    512

enum conf_flag {
    SOON = 1,     /* not supported yet: refused wherever it is written */
    REQUIRED = 2, /* has no default */
    LIST = 4,     /* a list of .min to .max values; `count` is set */
    OPTIONAL = 8, /* "" is allowed and means: not given */
    IN_ROUTE = 16 /* a timeout that a route may set for itself */
};

struct conf_choice {
    const char *name;
    unsigned value;
    unsigned flags; /* SOON */
};

/* A kind of value. Groups have no kind: the reader handles them. */
struct conf_kind {
    const char *name;   /* as the manual calls it */
    const char *syntax; /* what to write, for messages and the manual */
    size_t size;        /* bytes of the field */
    unsigned accepts;   /* which of libconfig's scalar types: ACCEPT_* */
    bool (*parse)(struct conf_cell *cell, const char *text, void *field);
    void (*print)(const struct conf_setting *row, const void *field, FILE *out);
};

enum conf_accepts {
    ACCEPT_STRING = 1,
    ACCEPT_NUMBER = 2,
    ACCEPT_FRACTION = 4,
    ACCEPT_BOOL = 8,
};

struct conf_setting {
    const char *name;
    const struct conf_kind *kind; /* NULL: a group, or with LIST a list of groups */
    size_t offset;                /* of the field in the section's struct */
    size_t count;                 /* LIST: offset of its size_t count */
    const char *def;              /* as written in the file; NULL: the value set by `init` */
    uint64_t min, max;            /* of a number; length of a string; elements of a list */
    const char *zero;             /* the word that stands for 0, such as "off" */
    const struct conf_choice *choices;
    const struct conf_section *section; /* of a group */
    unsigned flags;
    const char *text; /* one or two lines for the manual */
    const char *more; /* LIST: advice when there are more than .max; NULL: there is none */
};

struct conf_section {
    const char *title; /* of its section of the manual; NULL: described with its parent */
    const char *text;
    const struct conf_setting *rows; /* in the order of reading; the last has no name */
    size_t size;                     /* bytes of the struct */
    const char *shorthand;           /* setting that a bare string in a list stands for */
    /* Sets fields that have no default of their own, from the enclosing struct. */
    void (*init)(void *record, const void *parent, const struct conf *conf);
};

/* The context of one value that is parsed. */
struct conf_cell {
    const struct conf_setting *row;
    struct conf_arena *arena, *secrets; /* secrets is for secret values only */
    const char *file;                   /* that contains it: relative paths start there */
    char why[CONF_WHY_LEN];
};

/* The section of the whole file; its struct is struct conf. */
extern const struct conf_section conf_top;

extern const struct conf_choice conf_states[], conf_balances[], conf_check_types[],
    conf_retry_reasons[];

/* The name of a value in such a list; "?" if it is not in the list. */
const char *conf_choice_name(const struct conf_choice *choices, unsigned value);

/* Writes the supported choices, as `"a", "b" or "c"`. */
void conf_choice_list(const struct conf_choice *choices, char *out, size_t cap);

#endif
