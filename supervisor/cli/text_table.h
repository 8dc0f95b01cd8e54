/* A text table for people: columns are as wide as their contents; when that does not fit, the
 * elastic ones are cut ("~" marks a cut). Command line only. */
#ifndef SUPERVISOR_CLI_TEXT_TABLE_H
#define SUPERVISOR_CLI_TEXT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

enum {
    TEXT_TABLE_COLUMNS = 16,
    TEXT_TABLE_CELL = 64,   /* bytes of a cell with its NUL */
    TEXT_TABLE_WIDTH = 120, /* columns of a terminal */
    TEXT_TABLE_NOTE = 4096, /* bytes of the notes below a row */
};

/* Form of a column. ADDRESS is elastic, but its port is never cut. */
enum text_table_align {
    TEXT_TABLE_LEFT,
    TEXT_TABLE_RIGHT,
    TEXT_TABLE_ELASTIC,
    TEXT_TABLE_ADDRESS
};

struct text_table_column {
    const char *title;
    enum text_table_align align;
};

struct text_table_row {
    char cell[TEXT_TABLE_COLUMNS][TEXT_TABLE_CELL];
    const char *colour[TEXT_TABLE_COLUMNS]; /* an escape sequence, or NULL */
    char note[TEXT_TABLE_NOTE];             /* "": none */
};

struct text_table {
    const struct text_table_column *columns;
    int ncolumns, nrows, cap, at;
    struct text_table_row *rows; /* the last one is being filled */
};

/* Columns must outlive the text table. Aborts without memory (a command line tool). */
struct text_table text_table_new(const struct text_table_column *columns, int n);
void text_table_release(struct text_table *text_table);

/* Adds a row; then its cells from left to right; then perhaps notes, each a paragraph. */
void text_table_row(struct text_table *text_table);
void text_table_cell(struct text_table *text_table, const char *colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void text_table_note(struct text_table *text_table, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints everything with a line of titles; colours only if wanted. */
void text_table_print(struct text_table *text_table, FILE *out, bool colours);

#endif
