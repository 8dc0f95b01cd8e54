#include "supervisor/cli/text_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/escape.h"

enum { GAP = 2, NOTE_INDENT = 4, ELASTIC_LEAST = 8, FIRST_ROWS = 32 };

struct text_table text_table_new(const struct text_table_column *columns, int n)
{
    struct text_table text_table = {.columns = columns, .ncolumns = n};

    CHECK(n <= TEXT_TABLE_COLUMNS);
    return text_table;
}

void text_table_release(struct text_table *text_table)
{
    free(text_table->rows);
    *text_table = (struct text_table){0};
}

void text_table_row(struct text_table *text_table)
{
    if (text_table->nrows == text_table->cap) {
        text_table->cap = text_table->cap ? 2 * text_table->cap : FIRST_ROWS;
        text_table->rows =
            realloc(text_table->rows, (size_t)text_table->cap * sizeof *text_table->rows);
        CHECK(text_table->rows);
    }
    text_table->rows[text_table->nrows++] = (struct text_table_row){0};
    text_table->at = 0;
}

/* Escapes the text: nothing that a backend sent may move the cursor, and columns need ASCII. */
static void put_plain(char *to, size_t cap, const char *fmt, va_list ap)
{
    char text[TEXT_TABLE_NOTE];

    vsnprintf(text, sizeof text, fmt, ap);
    escape_text(to, cap, str_from(text), ESCAPE_ASCII);
}

void text_table_cell(struct text_table *text_table, const char *colour, const char *fmt, ...)
{
    struct text_table_row *row = &text_table->rows[text_table->nrows - 1];
    va_list ap;

    CHECK(text_table->at < text_table->ncolumns);
    va_start(ap, fmt);
    put_plain(row->cell[text_table->at], TEXT_TABLE_CELL, fmt, ap);
    va_end(ap);
    row->colour[text_table->at++] = colour;
}

void text_table_note(struct text_table *text_table, const char *fmt, ...)
{
    struct text_table_row *row = &text_table->rows[text_table->nrows - 1];
    size_t n = strlen(row->note);
    va_list ap;

    if (n > 0 && n < sizeof row->note - 1)
        row->note[n++] = '\n';
    va_start(ap, fmt);
    put_plain(row->note + n, sizeof row->note - n, fmt, ap);
    va_end(ap);
}

static int measure(const struct text_table *text_table, int width[])
{
    int total = GAP * (text_table->ncolumns - 1);

    for (int c = 0; c < text_table->ncolumns; c++) {
        width[c] = (int)strlen(text_table->columns[c].title);
        for (int r = 0; r < text_table->nrows; r++)
            if ((int)strlen(text_table->rows[r].cell[c]) > width[c])
                width[c] = (int)strlen(text_table->rows[r].cell[c]);
        total += width[c];
    }
    return total;
}

/* Narrows the widest elastic column by one character at a time. */
static void shrink(const struct text_table *text_table, int width[], int total)
{
    while (total > TEXT_TABLE_WIDTH) {
        int widest = -1;

        for (int c = 0; c < text_table->ncolumns; c++)
            if (text_table->columns[c].align >= TEXT_TABLE_ELASTIC &&
                width[c] > ELASTIC_LEAST && (widest < 0 || width[c] > width[widest]))
                widest = c;
        if (widest < 0)
            return;
        width[widest]--;
        total--;
    }
}

static void print_cell(FILE *out, const char *text, int width, enum text_table_align align,
                       bool last)
{
    bool right = align == TEXT_TABLE_RIGHT;
    const char *end = align == TEXT_TABLE_ADDRESS ? strrchr(text, ':') : NULL;
    int n_end = end ? (int)strlen(end) : 0;

    if ((int)strlen(text) > width && n_end < width - 1)
        fprintf(out, "%.*s~%s", width - 1 - n_end, text, end ? end : "");
    else if ((int)strlen(text) > width)
        fprintf(out, "%.*s~", width - 1, text);
    else if (last && !right)
        fputs(text, out);
    else
        fprintf(out, right ? "%*s" : "%-*s", width, text);
    if (!last)
        fprintf(out, "%*s", GAP, "");
}

/* Wraps at words, below the row, each paragraph on a line of its own. */
static void print_note(FILE *out, const char *note)
{
    int room = TEXT_TABLE_WIDTH - NOTE_INDENT;

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

void text_table_print(struct text_table *text_table, FILE *out, bool colours)
{
    int width[TEXT_TABLE_COLUMNS], last = text_table->ncolumns - 1;

    shrink(text_table, width, measure(text_table, width));
    for (int c = 0; c <= last; c++)
        print_cell(out, text_table->columns[c].title, width[c], text_table->columns[c].align,
                   c == last);
    fputc('\n', out);
    for (int r = 0; r < text_table->nrows; r++) {
        const struct text_table_row *row = &text_table->rows[r];

        for (int c = 0; c <= last; c++) {
            const char *colour = colours ? row->colour[c] : NULL;

            fputs(colour ? colour : "", out);
            print_cell(out, row->cell[c], width[c], text_table->columns[c].align, c == last);
            fputs(colour ? "\033[0m" : "", out);
        }
        fputc('\n', out);
        print_note(out, row->note);
    }
}
