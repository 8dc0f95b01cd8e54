#include "supervisor/grid.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { GAP = 2, NOTE_INDENT = 4, ELASTIC_LEAST = 8 };

struct grid grid_new(const struct grid_column *columns, int n)
{
    struct grid grid = {.columns = columns, .ncolumns = n};

    CHECK(n <= GRID_COLUMNS);
    grid.rows = calloc(GRID_ROWS, sizeof *grid.rows);
    CHECK(grid.rows);
    return grid;
}

void grid_release(struct grid *grid)
{
    free(grid->rows);
    *grid = (struct grid){0};
}

void grid_row(struct grid *grid)
{
    CHECK(grid->nrows < GRID_ROWS);
    grid->nrows++;
    grid->at = 0;
}

static void make_plain(char *text)
{
    for (; *text; text++) /* nothing that a backend said may move the cursor */
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

void grid_cell(struct grid *grid, const char *colour, const char *fmt, ...)
{
    struct grid_row *row = &grid->rows[grid->nrows - 1];
    va_list ap;

    CHECK(grid->at < grid->ncolumns);
    va_start(ap, fmt);
    vsnprintf(row->cell[grid->at], GRID_CELL, fmt, ap);
    va_end(ap);
    make_plain(row->cell[grid->at]);
    row->colour[grid->at++] = colour;
}

void grid_note(struct grid *grid, const char *fmt, ...)
{
    struct grid_row *row = &grid->rows[grid->nrows - 1];
    size_t n = strlen(row->note);
    va_list ap;

    if (n > 0 && n < sizeof row->note - 1)
        row->note[n++] = '\n';
    va_start(ap, fmt);
    vsnprintf(row->note + n, sizeof row->note - n, fmt, ap);
    va_end(ap);
    make_plain(row->note + n);
}

static int measure(const struct grid *grid, int width[])
{
    int total = GAP * (grid->ncolumns - 1);

    for (int c = 0; c < grid->ncolumns; c++) {
        width[c] = (int)strlen(grid->columns[c].title);
        for (int r = 0; r < grid->nrows; r++)
            if ((int)strlen(grid->rows[r].cell[c]) > width[c])
                width[c] = (int)strlen(grid->rows[r].cell[c]);
        total += width[c];
    }
    return total;
}

/* Takes one column at a time from the widest elastic one. */
static void shrink(const struct grid *grid, int width[], int total)
{
    while (total > GRID_WIDTH) {
        int widest = -1;

        for (int c = 0; c < grid->ncolumns; c++)
            if (grid->columns[c].align == GRID_ELASTIC && width[c] > ELASTIC_LEAST &&
                (widest < 0 || width[c] > width[widest]))
                widest = c;
        if (widest < 0)
            return;
        width[widest]--;
        total--;
    }
}

static void print_cell(FILE *out, const char *text, int width, bool right, bool last)
{
    if ((int)strlen(text) > width)
        fprintf(out, "%.*s~", width - 1, text);
    else if (last && !right)
        fputs(text, out);
    else
        fprintf(out, right ? "%*s" : "%-*s", width, text);
    if (!last)
        fprintf(out, "%*s", GAP, "");
}

/* At words, below the row, each paragraph on a line of its own. */
static void print_note(FILE *out, const char *note)
{
    int room = GRID_WIDTH - NOTE_INDENT;

    while (*note) {
        int n = (int)strcspn(note, "\n");

        if (n > room) {
            for (n = room; n > room / 2 && note[n] != ' ';)
                n--;
            if (note[n] != ' ')
                n = room;
        }
        fprintf(out, "%*s%.*s\n", NOTE_INDENT, "", n, note);
        note += n;
        while (*note == ' ' || *note == '\n')
            note++;
    }
}

void grid_print(struct grid *grid, FILE *out, bool colours)
{
    int width[GRID_COLUMNS], last = grid->ncolumns - 1;

    shrink(grid, width, measure(grid, width));
    for (int c = 0; c <= last; c++)
        print_cell(out, grid->columns[c].title, width[c], grid->columns[c].align == GRID_RIGHT,
                   c == last);
    fputc('\n', out);
    for (int r = 0; r < grid->nrows; r++) {
        const struct grid_row *row = &grid->rows[r];

        for (int c = 0; c <= last; c++) {
            const char *colour = colours ? row->colour[c] : NULL;

            fputs(colour ? colour : "", out);
            print_cell(out, row->cell[c], width[c], grid->columns[c].align == GRID_RIGHT,
                       c == last);
            fputs(colour ? "\033[0m" : "", out);
        }
        fputc('\n', out);
        print_note(out, row->note);
    }
}
