/* conf/dump.c - writes a configuration as a file, by the table. */
#include <string.h>

#include "base/conf/conf.h"
#include "base/conf/table.h"
#include "base/conf/type.h"

static void dump_section(const struct conf_section *section, const void *record, bool in_route,
                         int depth, FILE *out);

static void indent(int depth, FILE *out)
{
    fprintf(out, "%*s", 4 * depth, "");
}

static const char *field_of(const void *record, const struct conf_setting *row)
{
    return (const char *)record + row->offset;
}

static void dump_list(const struct conf_setting *row, const void *record, int depth, FILE *out)
{
    const char *v = *(const char *const *)field_of(record, row);
    size_t n = *(const size_t *)((const char *)record + row->count);

    fputs("(", out);
    for (size_t i = 0; i < n; i++) {
        if (row->kind) {
            fputs(i ? ", " : " ", out);
            row->kind->print(row, v + i * row->kind->size, out);
        } else {
            fputs(i ? ", {\n" : " {\n", out);
            dump_section(row->section, v + i * row->section->size, false, depth + 1, out);
            indent(depth, out);
            fputs("}", out);
        }
    }
    fputs(" )", out);
}

static bool dumped(const struct conf_setting *row, const void *record, bool in_route)
{
    if (row->flags & SOON || (in_route && !(row->flags & IN_ROUTE)))
        return false;
    /* A list that must not be empty but is empty was not given. */
    return !(row->flags & LIST) || row->min == 0 ||
           *(const size_t *)((const char *)record + row->count) > 0;
}

static void dump_section(const struct conf_section *section, const void *record, bool in_route,
                         int depth, FILE *out)
{
    for (const struct conf_setting *row = section->rows; row->name; row++) {
        if (!dumped(row, record, in_route))
            continue;
        indent(depth, out);
        fprintf(out, "%s = ", row->name);
        if (row->flags & LIST) {
            dump_list(row, record, depth, out);
        } else if (row->kind) {
            row->kind->print(row, field_of(record, row), out);
        } else {
            fputs("{\n", out);
            dump_section(row->section, field_of(record, row), row->flags & IN_ROUTE, depth + 1,
                         out);
            indent(depth, out);
            fputs("}", out);
        }
        fputs(";\n", out);
    }
}

void conf_dump(const struct conf *conf, FILE *out)
{
    fputs("# This configuration with every setting, as pasgate check --dump prints it.\n", out);
    dump_section(&conf_top, conf, false, 0, out);
}
