/* A table of text for people: columns as wide as what is in them, and when that
 * does not fit, the elastic ones are cut ("~" marks a cut). Command line only. */
#ifndef SUPERVISOR_GRID_H
#define SUPERVISOR_GRID_H

#include <stdbool.h>
#include <stdio.h>

enum {
    GRID_COLUMNS = 16,
    GRID_CELL = 64,   /* bytes of a cell with its NUL */
    GRID_WIDTH = 120, /* columns of a terminal that must do */
    GRID_NOTE = 1280, /* bytes of what stands below a row */
    GRID_ROWS = 512,  /* more than any part of the table has */
};

/* Form of a column. */
enum grid_align { GRID_LEFT, GRID_RIGHT, GRID_ELASTIC };

struct grid_column {
    const char *title;
    enum grid_align align;
};

struct grid_row {
    char cell[GRID_COLUMNS][GRID_CELL];
    const char *colour[GRID_COLUMNS]; /* an escape sequence, or NULL */
    char note[GRID_NOTE];             /* "": none */
};

struct grid {
    const struct grid_column *columns;
    int ncolumns, nrows, at;
    struct grid_row *rows; /* the last one is being filled */
};

/* Columns outlive the grid. new aborts without memory (a command line tool). */
struct grid grid_new(const struct grid_column *columns, int n);
void grid_release(struct grid *grid);

/* A new row; then its cells from left to right; then perhaps notes, each a paragraph. */
void grid_row(struct grid *grid);
void grid_cell(struct grid *grid, const char *colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void grid_note(struct grid *grid, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints all with a line of titles; colours only when wanted. */
void grid_print(struct grid *grid, FILE *out, bool colours);

#endif
