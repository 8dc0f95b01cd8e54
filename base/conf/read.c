/* conf/read.c - reads the text into a tree, by the table. The only file that uses libconfig. */
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/arena.h"
#include "base/conf/build.h"
#include "base/conf/expand.h"
#include "base/conf/table.h"
#include "base/conf/type.h"
#include "base/conf/value.h"

#define PATH_LEN 256 /* of "pools.check.interval" in a message */

struct conf_mark {
    const void *at;
    bool record; /* a record, or a field: both may have the same address */
    unsigned line;
};

struct reader {
    struct conf_build *b;
    char path[PATH_LEN]; /* of the group that is being read */
};

/* On a syntax error, libconfig leaks the string that it was reading. That is small and rare,
 * but the leak checker would end the process because of it. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}
#endif

static void mark(struct conf_build *b, const void *at, bool record, unsigned line)
{
    if (b->n_marks == b->cap_marks) {
        size_t cap = b->cap_marks ? 2 * b->cap_marks : 256;
        struct conf_mark *v = reallocarray(b->marks, cap, sizeof *v);
        if (!v)
            return; /* only costs messages a line number */
        b->marks = v;
        b->cap_marks = cap;
    }
    b->marks[b->n_marks++] = (struct conf_mark){at, record, line};
}

static unsigned line_of(const struct conf_build *b, const void *at, bool record)
{
    for (size_t i = 0; i < b->n_marks; i++) {
        if (b->marks[i].at == at && b->marks[i].record == record)
            return b->marks[i].line;
    }
    return 0;
}

unsigned conf_line_of_field(const struct conf_build *b, const void *field)
{
    return line_of(b, field, false);
}

unsigned conf_line_of_record(const struct conf_build *b, const void *record)
{
    return line_of(b, record, true);
}

/* Reports an error at a setting, after its full name. */
__attribute__((format(printf, 4, 5))) static void
complain(struct reader *r, const config_setting_t *s, const char *name, const char *fmt, ...)
{
    char text[CONF_WHY_LEN + PATH_LEN];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* Without a name, the error is about the path itself, which ends in a dot or is empty. */
    int dot = !*name && *r->path;
    conf_errors_add(&r->b->report, config_setting_source_line(s), "%.*s%s%s%s",
                    (int)strlen(r->path) - dot, r->path, name, *name || dot ? ": " : "", text);
}

static const char *type_name(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    case CONFIG_TYPE_LIST:
        return "a list ( )";
    case CONFIG_TYPE_ARRAY:
        return "an array [ ]";
    case CONFIG_TYPE_STRING:
        return "a string";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    default:
        return "a number";
    }
}

/* ---- one value */

/* The value as text, whatever type libconfig gave it; NULL if this kind does not accept that
 * type. */
static const char *scalar_text(const config_setting_t *s, unsigned accepts, char *buf,
                               size_t cap)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_STRING:
        return accepts & ACCEPT_STRING ? config_setting_get_string(s) : NULL;
    case CONFIG_TYPE_BOOL:
        return !(accepts & ACCEPT_BOOL) ? NULL : config_setting_get_bool(s) ? "true" : "false";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(buf, cap, "%lld", config_setting_get_int64(s));
        return accepts & ACCEPT_NUMBER ? buf : NULL;
    case CONFIG_TYPE_FLOAT:
        snprintf(buf, cap, "%.15g", config_setting_get_float(s));
        return accepts & ACCEPT_FRACTION ? buf : NULL;
    default:
        return NULL;
    }
}

static void read_value(struct reader *r, const config_setting_t *s,
                       const struct conf_setting *row, void *field)
{
    const struct conf_kind *kind = row->kind;
    unsigned line = config_setting_source_line(s), number;
    char buf[32], expanded[CONF_STRING_LEN + 1];
    struct conf_cell cell = {
        .row = row,
        .arena = r->b->arena,
        .secrets = r->b->secrets,
        .file = conf_source_where(&r->b->text, line, &number),
    };
    const char *text = scalar_text(s, kind->accepts, buf, sizeof buf);

    mark(r->b, field, false, line);
    if (!text && row->choices) {
        conf_choice_list(row->choices, cell.why, sizeof cell.why);
        complain(r, s, row->name, "is %s, not a word in quotes; write %s", type_name(s),
                 cell.why);
    } else if (!text && kind->accepts & ACCEPT_NUMBER &&
               config_setting_type(s) == CONFIG_TYPE_FLOAT) {
        complain(r, s, row->name, "has a decimal point; write %s", kind->syntax);
    } else if (!text) {
        complain(r, s, row->name, "is %s, not %s; write %s", type_name(s), kind->name,
                 kind->syntax);
    } else if (!conf_expand(text, expanded, sizeof expanded, cell.why, sizeof cell.why) ||
               !kind->parse(&cell, expanded, field)) {
        complain(r, s, row->name, "%s", cell.why);
    } else {
        explicit_bzero(expanded, sizeof expanded);
        return;
    }
    /* The default would not do: it could collide with another setting and cause a second error.
     */
    if (kind->accepts == ACCEPT_STRING && kind->size == sizeof(const char *))
        *(const char **)field = "";
}

static void default_value(struct reader *r, const struct conf_setting *row, void *field)
{
    struct conf_cell cell = {
        .row = row, .arena = r->b->arena, .secrets = r->b->secrets, .file = "/"};
    bool empty = row->def[0] == '\0' && row->flags & OPTIONAL;

    if (empty)
        *(const char **)field = "";
    else
        CHECK(row->kind->parse(&cell, row->def, field));
}

/* ---- names */

static const struct conf_setting *find_row(const struct conf_section *section, const char *name)
{
    for (const struct conf_setting *row = section->rows; row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

/* Other groups that have such a setting. */
struct places {
    const char *name;
    char text[CONF_WHY_LEN]; /* "timeouts or routes.timeouts" */
    size_t used;
    int n;
};

enum { PLACES_TOLD = 3 }; /* a setting that more groups have is no hint */

static void find_places(struct places *to, const struct conf_section *section, const char *path)
{
    char inner[PATH_LEN];

    if (find_row(section, to->name) && to->n++ < PLACES_TOLD)
        to->used += (size_t)snprintf(to->text + to->used, sizeof to->text - to->used, "%s%s",
                                     to->used ? " or " : "", *path ? path : "the top level");
    for (const struct conf_setting *row = section->rows; row->name; row++) {
        if (!row->section || row->flags & SOON)
            continue;
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", row->name);
        find_places(to, row->section, inner);
    }
}

static void unknown(struct reader *r, const config_setting_t *s,
                    const struct conf_section *section, bool in_route)
{
    const char *name = config_setting_name(s), *best = NULL;
    unsigned limit = strlen(name) < 6 ? 1 : 2, nearest = limit + 1;
    char known[CONF_WHY_LEN];
    struct places elsewhere = {.name = name};
    size_t used = 0;

    find_places(&elsewhere, &conf_top, "");
    known[0] = '\0';
    for (const struct conf_setting *row = section->rows; row->name; row++) {
        unsigned d = conf_distance(name, row->name);
        if (row->flags & SOON || (in_route && !(row->flags & IN_ROUTE)))
            continue;
        if (d < nearest) {
            nearest = d;
            best = row->name;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
                                     used ? ", " : "", row->name);
    }
    if (best)
        complain(r, s, "", "unknown setting \"%s\"; did you mean \"%s\"?", name, best);
    else if (elsewhere.n && elsewhere.n <= PLACES_TOLD)
        complain(r, s, "", "unknown setting \"%s\"; it belongs in %s", name, elsewhere.text);
    else
        complain(r, s, "", "unknown setting \"%.60s\"; known here: %s", name, known);
}

/* ---- groups and lists */

static void read_section(struct reader *r, config_setting_t *from,
                         const struct conf_section *section, void *record, bool in_route);

/* Appends to the path while a part of the tree is read; returns the old length of the path. */
static size_t conf_read_enter(struct reader *r, const char *name)
{
    size_t n = strlen(r->path);
    snprintf(r->path + n, sizeof r->path - n, "%s.", name);
    return n;
}

static void complain_length(struct reader *r, config_setting_t *s,
                            const struct conf_setting *row, int length)
{
    bool many = length > 0 && (uint64_t)length > row->max && row->more;

    complain(r, s, row->name, "has %d entries; write %d to %d%s%s", length, (int)row->min,
             (int)row->max, many ? ": " : "", many ? row->more : "");
}

/* The records of a list of groups; a single group stands for a list of one. */
static void read_records(struct reader *r, config_setting_t *s, const struct conf_setting *row,
                         void *parent)
{
    const struct conf_section *section = row->section;
    void *list = (char *)parent + row->offset;
    bool single =
        config_setting_is_group(s) || (section->shorthand && config_setting_is_scalar(s));
    int length = single ? 1 : config_setting_length(s);

    mark(r->b, list, false, config_setting_source_line(s));
    if (!single && !config_setting_is_aggregate(s)) {
        complain(r, s, row->name, "is %s; write ( { ... }, { ... } )", type_name(s));
        return;
    }
    if ((uint64_t)length < row->min || (uint64_t)length > row->max) {
        complain_length(r, s, row, length);
        return;
    }

    char *records = conf_arena_alloc(r->b->arena, (size_t)length * section->size);
    *(void **)list = records;
    *(size_t *)((char *)parent + row->count) = (size_t)length;
    size_t at = conf_read_enter(r, row->name);
    for (int i = 0; i < length; i++) {
        config_setting_t *e = single ? s : config_setting_get_elem(s, (unsigned)i);
        void *record = records + (size_t)i * section->size;
        mark(r->b, record, true, config_setting_source_line(e));
        if (section->init)
            section->init(record, parent, r->b->conf);
        bool is_short = section->shorthand && config_setting_type(e) == CONFIG_TYPE_STRING;
        if (!is_short && !config_setting_is_group(e))
            complain(r, e, "", "entry %d is %s; write { ... }", i + 1, type_name(e));
        read_section(r, e, section, record, false);
    }
    r->path[at] = '\0';
}

static void read_values(struct reader *r, config_setting_t *s, const struct conf_setting *row,
                        void *record)
{
    bool single = config_setting_is_scalar(s) || config_setting_is_group(s);
    int length = single ? 1 : config_setting_length(s);
    size_t size = row->kind->size;

    if ((uint64_t)length < row->min || (uint64_t)length > row->max) {
        complain_length(r, s, row, length);
        return;
    }
    char *values = conf_arena_alloc(r->b->arena, (size_t)length * size);
    *(void **)((char *)record + row->offset) = values;
    *(size_t *)((char *)record + row->count) = (size_t)length;
    for (int i = 0; i < length; i++)
        read_value(r, single ? s : config_setting_get_elem(s, (unsigned)i), row,
                   values + (size_t)i * size);
}

static void read_group(struct reader *r, config_setting_t *s, const struct conf_setting *row,
                       void *record)
{
    if (s && !config_setting_is_group(s)) {
        complain(r, s, row->name, "is %s; write { ... }", type_name(s));
        s = NULL;
    }
    size_t at = conf_read_enter(r, row->name);
    read_section(r, s, row->section, (char *)record + row->offset, row->flags & IN_ROUTE);
    r->path[at] = '\0';
}

/* One row of the table. s is what the file has for it, or NULL. */
static void read_row(struct reader *r, config_setting_t *s, const struct conf_setting *row,
                     void *record, bool in_route)
{
    void *field = (char *)record + row->offset;

    if (s && row->flags & SOON)
        complain(r, s, row->name, "not supported yet; remove it");
    else if (s && in_route && !(row->flags & IN_ROUTE))
        complain(r, s, row->name, "cannot be set for one route; set it in the global timeouts");
    else if (s && !row->kind && row->flags & LIST)
        read_records(r, s, row, record);
    else if (s && row->flags & LIST)
        read_values(r, s, row, record);
    else if (s && row->kind)
        read_value(r, s, row, field);
    if (!row->kind && !(row->flags & LIST))
        read_group(r, row->flags & SOON ? NULL : s, row, record);
}

/* Reads one struct. `from` is its group, or the bare string that stands for a group, or NULL
 * for all defaults. The timeouts of a route start from the global ones, not from the defaults.
 */
static void read_section(struct reader *r, config_setting_t *from,
                         const struct conf_section *section, void *record, bool in_route)
{
    config_setting_t *group = from && config_setting_is_group(from) ? from : NULL;
    bool is_short =
        from && section->shorthand && config_setting_type(from) == CONFIG_TYPE_STRING;

    for (const struct conf_setting *row = section->rows; row->name; row++) {
        config_setting_t *s = group ? config_setting_get_member(group, row->name) : NULL;
        if (is_short && strcmp(row->name, section->shorthand) == 0)
            s = from;
        if (row->def && !in_route)
            default_value(r, row, (char *)record + row->offset);
        if (!s && row->flags & REQUIRED && (group || is_short))
            conf_errors_add(&r->b->report, config_setting_source_line(from),
                            "%s%s: is missing; write %s", r->path, row->name,
                            row->kind ? row->kind->syntax : "( { ... }, { ... } )");
        read_row(r, s, row, record, in_route);
    }
    for (int i = 0; group && i < config_setting_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        if (!find_row(section, config_setting_name(s)))
            unknown(r, s, section, in_route);
    }
}

/* Turns libconfig's short message into the form of all other messages. */
static void syntax_error(struct conf_build *b, const config_t *cfg)
{
    const char *text = config_error_text(cfg);
    int line = config_error_line(cfg);
    const char *right = "";

    if (!text)
        text = "syntax error";
    if (strcmp(text, "syntax error") == 0)
        right = "; write name = value; and close what the line before opened";
    else if (strncmp(text, "duplicate", 9) == 0)
        right = "; write each name only once in a group";
    else if (strncmp(text, "mismatched", 10) == 0)
        right = "; write values of one type in [ ], or ( ) around them";
    conf_errors_add(&b->report, line > 0 ? (unsigned)line : 1, "%s%s", text, right);
}

/* ---- wiping secrets: every child would inherit them by fork */

static void wipe_strings(const config_setting_t *s)
{
    const char *text = s ? config_setting_get_string(s) : NULL;
    int n = s && config_setting_is_aggregate(s) ? config_setting_length(s) : 0;

    if (text)
        explicit_bzero((char *)(uintptr_t)text, strlen(text));
    for (int i = 0; i < n; i++)
        wipe_strings(config_setting_get_elem(s, (unsigned)i));
}

/* libconfig's scanner copies the text and each word. The allocator overwrites what it frees
 * (conf/conf.c), except for small blocks: it keeps some of each size unchanged for the next
 * allocation. So this function allocates and overwrites them. */
static void wipe_freed(void)
{
    enum { KEPT = 16, STEP = 16, SMALL = 1100 }; /* glibc keeps 7 of each, up to 1032 bytes */
    void *piece[KEPT];

    for (size_t size = STEP; size <= SMALL; size += STEP) {
        for (int i = 0; i < KEPT; i++)
            if ((piece[i] = malloc(size - sizeof(size_t))))
                explicit_bzero(piece[i], size - sizeof(size_t));
        for (int i = 0; i < KEPT; i++)
            free(piece[i]);
    }
}

bool conf_read(struct conf_build *b)
{
    struct reader r = {.b = b};
    config_t cfg;

    config_init(&cfg);
    bool good = config_read_string(&cfg, b->text.p) == CONFIG_TRUE;
    if (good)
        read_section(&r, config_root_setting(&cfg), &conf_top, b->conf, false);
    else
        syntax_error(b, &cfg);
    wipe_strings(config_root_setting(&cfg));
    config_destroy(&cfg);
    wipe_freed();
    return good;
}
