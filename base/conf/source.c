/* conf/source.c - reads files, splices includes, and scans the text the way libconfig's scanner
 * will; see conf/source.h. */
#include "base/conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/arena.h"
#include "base/conf/errors.h"
#include "base/str.h"

#define INT_DIGITS   9  /* always fit libconfig's 32-bit integer */
#define INT64_DIGITS 18 /* always fit its 64-bit one */
#define HEX_DIGITS   7  /* the same for 0x... */
#define HEX64_DIGITS 15

struct conf_line {
    uint32_t file; /* in files */
    uint32_t line;
};

/* The state of libconfig's scanner at a byte. */
enum inside {
    IN_PLAIN,
    IN_STRING,
    IN_LINE_COMMENT,
    IN_BLOCK_COMMENT,
};

struct splice {
    struct conf_source *text;
    struct conf_error_list *report;
};

/* Overwrites before freeing: the text may contain secrets. */
static void wipe(char *p, size_t n)
{
    if (p)
        explicit_bzero(p, n);
    free(p);
}

static bool add_text(struct conf_source *text, const char *p, size_t n)
{
    if (n > CONF_TEXT_MAX_BYTES - text->n) {
        text->too_large = true;
        return false;
    }
    if (text->n + n + 1 > text->cap) {
        size_t cap = 2 * (text->n + n) + 4096;
        char *q = malloc(cap);
        if (!q)
            return false;
        if (text->n)
            memcpy(q, text->p, text->n);
        wipe(text->p, text->n);
        text->p = q;
        text->cap = cap;
    }
    memcpy(text->p + text->n, p, n);
    text->n += n;
    text->p[text->n] = '\0';
    return true;
}

static bool add_line(struct conf_source *text, uint32_t file, uint32_t line)
{
    if (text->n_lines == text->cap_lines) {
        size_t cap = text->cap_lines ? 2 * text->cap_lines : 128;
        struct conf_line *v = reallocarray(text->lines, cap, sizeof *v);
        if (!v)
            return false;
        text->lines = v;
        text->cap_lines = cap;
    }
    text->lines[text->n_lines++] = (struct conf_line){file, line};
    return true;
}

bool conf_source_path_from(const char *file, const char *path, bool absolute, char *out,
                           size_t cap)
{
    const char *slash = strrchr(file, '/');
    int dir = path[0] == '/' || !slash ? 0 : (int)(slash + 1 - file);
    int n;

    if (absolute && path[0] != '/' && file[0] != '/') {
        char cwd[PATH_MAX];
        if (!getcwd(cwd, sizeof cwd))
            return false;
        n = snprintf(out, cap, "%s/%.*s%s", cwd, dir, file, path);
    } else {
        n = snprintf(out, cap, "%.*s%s", dir, file, path);
    }
    return n > 0 && (size_t)n < cap;
}

/* Why a file cannot be read, beside an errno. */
enum { NOT_REGULAR = -1, TOO_LARGE = -2 };

/* The content of a regular file, malloc'ed, and its stat() from just before; NULL with *why. */
static char *slurp(const char *file, size_t *n, struct stat *seen, int *why)
{
    char *p = NULL;
    /* O_NONBLOCK: opening a pipe would wait for its writer. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *n = 0;
    *why = 0;
    *seen = (struct stat){0};
    if (fd < 0 || fstat(fd, seen) < 0) {
        *why = errno;
        if (errno != ENOENT) /* it exists: a watcher must not take it for a new file */
            stat(file, seen);
    } else if (!S_ISREG(seen->st_mode)) {
        *why = NOT_REGULAR;
    } else if (seen->st_size > (off_t)CONF_TEXT_MAX_BYTES) {
        *why = TOO_LARGE;
    } else if (!(p = malloc((size_t)seen->st_size + 1))) {
        *why = errno;
    } else {
        ssize_t got;
        while ((got = read(fd, p + *n, (size_t)seen->st_size - *n)) > 0)
            *n += (size_t)got;
        if (got < 0) {
            *why = errno;
            wipe(p, *n);
            p = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    return p;
}

/* `@include "file"` at the start of a line: the slice between the quotes. */
static bool include_line(struct str line, struct str *name)
{
    line = str_trim(line);
    if (!str_starts(line, STR("@include")))
        return false;
    line = str_trim(str_skip(line, strlen("@include")));
    if (line.n == 0 || line.p[0] != '"')
        return false;
    line = str_skip(line, 1);
    size_t end = str_index(line, '"');
    if (end == line.n)
        return false;
    *name = str_head(line, end);
    return true;
}

/* Length of the number at the start of `s`, up to its last digit. */
static size_t number_span(struct str s, bool *hex)
{
    size_t n = 0;

    *hex = s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x';
    if (*hex)
        n = 2;
    while (n < s.n && (*hex ? ascii_hex((unsigned char)s.p[n]) >= 0
                            : ascii_is_digit((unsigned char)s.p[n])))
        n++;
    return n;
}

/* libconfig cuts a number to 32 bits unless it ends in L, so an L is appended. */
static bool conf_source_add_number(struct splice *s, struct str number, bool hex, char after)
{
    size_t digits = hex ? number.n - 2 : number.n;
    bool whole = hex || !after || !strchr(".eE", after);

    if (whole && digits > (hex ? HEX64_DIGITS : INT64_DIGITS)) {
        conf_errors_add(s->report, (unsigned)s->text->n_lines,
                        "%.*s is too large; write at most %d digits",
                        STR_ARG(str_head(number, 40)), INT64_DIGITS);
        return false;
    }
    bool wide = whole && after != 'L' && digits > (hex ? HEX_DIGITS : INT_DIGITS);
    return add_text(s->text, number.p, number.n) && (!wide || add_text(s->text, "L", 1));
}

static bool add_nesting(struct splice *s, char c)
{
    struct conf_source *text = s->text;
    if (strchr("({[", c) && ++text->nest > CONF_TEXT_MAX_NEST) {
        conf_errors_add(s->report, (unsigned)text->n_lines, "brackets nested more than %d deep",
                        CONF_TEXT_MAX_NEST);
        return false;
    }
    if (strchr(")}]", c) && text->nest > 0)
        text->nest--;
    return true;
}

/* Copies one line of one file and tracks the scanner's state. */
static bool add_scanned(struct splice *s, struct str line, enum inside *in)
{
    bool word = false; /* inside a name: digits do not start a number */

    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i], next = i + 1 < line.n ? line.p[i + 1] : '\0';
        size_t take = 1;
        switch (*in) {
        case IN_PLAIN:
            if (ascii_is_digit((unsigned char)c) && !word) {
                bool hex;
                size_t n = number_span(str_skip(line, i), &hex);
                char after = i + n < line.n ? line.p[i + n] : '\0';
                if (!conf_source_add_number(s, str_make(line.p + i, n), hex, after))
                    return false;
                i += n - 1;
                word = true; /* digits after a dot, an x or an e belong to the same number */
                continue;
            }
            word = ascii_is_alpha((unsigned char)c) || ascii_is_digit((unsigned char)c) ||
                   c == '_' || c == '*' || c == '.' || (word && c == '-');
            if (c == '"')
                *in = IN_STRING;
            else if (c == '#' || (c == '/' && next == '/'))
                *in = IN_LINE_COMMENT;
            else if (c == '/' && next == '*')
                *in = IN_BLOCK_COMMENT, take = 2;
            else if (strchr("(){}[]", c) && !add_nesting(s, c))
                return false;
            break;
        case IN_STRING:
            if (c == '\\' && next && next != '\n')
                take = 2;
            else if (c == '"')
                *in = IN_PLAIN;
            break;
        case IN_LINE_COMMENT:
            break;
        case IN_BLOCK_COMMENT:
            if (c == '*' && next == '/')
                *in = IN_PLAIN, take = 2;
            break;
        }
        if (!add_text(s->text, line.p + i, take))
            return false;
        i += take - 1;
    }
    if (*in == IN_LINE_COMMENT)
        *in = IN_PLAIN;
    return true;
}

static bool add_file(struct splice *s, const char *file, unsigned depth);

static bool add_include(struct splice *s, const char *from, struct str name, unsigned depth)
{
    char rel[PATH_MAX], path[PATH_MAX];
    unsigned line = (unsigned)s->text->n_lines;

    if (depth == CONF_TEXT_MAX_DEPTH) {
        conf_errors_add(s->report, line,
                        "@include: nested more than %d files deep; does a file include itself?",
                        CONF_TEXT_MAX_DEPTH);
        return false;
    }
    if (name.n >= sizeof rel || !conf_source_path_from(from, str_copy(rel, sizeof rel, name),
                                                       false, path, sizeof path)) {
        conf_errors_add(s->report, line, "@include: the path is too long");
        return false;
    }
    return add_file(s, path, depth + 1);
}

static bool conf_source_add_name(struct conf_source *text, const char *path,
                                 const struct stat *seen)
{
    char *copy = text->n_files < CONF_MAX_FILES ? strdup(path) : NULL;

    if (copy)
        text->files[text->n_files++] = (struct conf_file){.path = copy, .seen = *seen};
    return copy;
}

static bool add_source(struct splice *s, const char *name, const struct stat *seen,
                       struct str src, unsigned depth)
{
    struct conf_source *text = s->text;
    enum inside in = IN_PLAIN;
    unsigned opened = 0, number = 0; /* line where a string or comment began */

    if (!conf_source_add_name(text, name, seen)) {
        conf_errors_add(s->report, (unsigned)text->n_lines,
                        "more than %d files; merge some of them", CONF_MAX_FILES);
        return false;
    }
    uint32_t file = (uint32_t)text->n_files - 1;

    if (src.n && memchr(src.p, '\0', src.n)) {
        conf_errors_add(s->report, (unsigned)text->n_lines,
                        "%s contains a NUL byte; write plain text", name);
        return false;
    }
    if (str_starts(src, STR("\xef\xbb\xbf")))
        src = str_skip(src, 3); /* the byte order mark of Windows editors */

    while (src.n) {
        size_t n = str_index(src, '\n');
        struct str line = str_head(src, n), included;
        src = str_skip(src, n < src.n ? n + 1 : n);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;

        enum inside before = in;
        if (!add_line(text, file, ++number))
            return false;
        if (in == IN_PLAIN && include_line(line, &included)) {
            if (!add_text(text, "\n", 1) || !add_include(s, name, included, depth))
                return false;
            continue;
        }
        if (!add_scanned(s, line, &in) || !add_text(text, "\n", 1))
            return false;
        if (in != IN_PLAIN && (before != in || opened == 0))
            opened = (unsigned)text->n_lines;
    }
    if (in == IN_PLAIN)
        return true;
    conf_errors_add(s->report, opened,
                    in == IN_STRING ? "a string is not closed; write \"...\""
                                    : "a comment is not closed; write /* ... */");
    return false;
}

static bool add_file(struct splice *s, const char *file, unsigned depth)
{
    size_t n;
    int error;
    struct stat seen;
    unsigned line = (unsigned)s->text->n_lines;
    char *p = slurp(file, &n, &seen, &error);

    if (!p) {
        const char *why = error == NOT_REGULAR ? "not a regular file"
                          : error == TOO_LARGE ? "larger than 1 MiB"
                                               : strerror(error);

        s->report->host |= conf_errors_is_lack(error);
        conf_errors_add(s->report, line, "cannot read %s: %s", file, why);
        if (depth > 0) /* so that watch notices it when it appears */
            conf_source_add_name(s->text, file, &seen);
        return false;
    }
    bool good = add_source(s, file, &seen, str_make(p, n), depth);
    wipe(p, n);
    return good;
}

static bool conf_source_finish(struct splice *s, bool good)
{
    if (good && s->text->n == 0)
        good = add_text(s->text, "\n", 1); /* so that p is a string */
    if (!good && s->report->n == 0 && s->text->too_large)
        conf_errors_add(s->report, (unsigned)s->text->n_lines,
                        "more than 1 MiB, including all included files");
    else if (!good && s->report->n == 0)
        conf_errors_no_memory(s->report);
    return good;
}

bool conf_source_load(struct conf_source *text, const char *file,
                      struct conf_error_list *report)
{
    struct splice s = {text, report};
    *text = (struct conf_source){0};
    return conf_source_finish(&s, add_file(&s, file, 0));
}

bool conf_source_from(struct conf_source *text, const char *name, const char *p, size_t n,
                      struct conf_error_list *report)
{
    struct splice s = {text, report};
    *text = (struct conf_source){0};
    return conf_source_finish(&s, add_source(&s, name, &(struct stat){0}, str_make(p, n), 0));
}

void conf_source_release(struct conf_source *text)
{
    wipe(text->p, text->n);
    free(text->lines);
    for (size_t i = 0; i < text->n_files; i++)
        free((char *)(uintptr_t)text->files[i].path);
    *text = (struct conf_source){0};
}

const char *conf_source_where(const struct conf_source *text, unsigned line, unsigned *number)
{
    if (line == 0 || text->n_lines == 0) {
        *number = 0;
        return text->n_files ? text->files[0].path : "";
    }
    if (line > text->n_lines)
        line = (unsigned)text->n_lines; /* an error past the end is reported at the end */
    *number = text->lines[line - 1].line;
    return text->files[text->lines[line - 1].file].path;
}

/* ---- as bytes: the numbers, then text, lines, and each file's state with its path */

struct kept {
    size_t n, n_lines, n_files;
};

static char *put_bytes(char *to, const void *from, size_t n)
{
    return n ? (char *)mempcpy(to, from, n) : to; /* an empty text has no bytes at all */
}

const void *conf_source_keep(const struct conf_source *text, struct conf_arena *arena,
                             size_t *n)
{
    const struct kept head = {text->n, text->n_lines, text->n_files};
    char *bytes, *to;

    *n = sizeof head + text->n + text->n_lines * sizeof *text->lines;
    for (size_t i = 0; i < text->n_files; i++)
        *n += sizeof text->files[i].seen + strlen(text->files[i].path) + 1;
    bytes = to = conf_arena_alloc(arena, *n);
    to = put_bytes(to, &head, sizeof head);
    to = put_bytes(to, text->p, text->n);
    to = put_bytes(to, text->lines, text->n_lines * sizeof *text->lines);
    for (size_t i = 0; i < text->n_files; i++) {
        to = put_bytes(to, &text->files[i].seen, sizeof text->files[i].seen);
        to = put_bytes(to, text->files[i].path, strlen(text->files[i].path) + 1);
    }
    return bytes;
}

/* The next n bytes, or NULL. */
static const char *take_bytes(const char **at, size_t *left, size_t n)
{
    const char *p = *at;

    if (n > *left)
        return NULL;
    *at += n;
    *left -= n;
    return p;
}

static bool restore_files(struct conf_source *text, size_t n_files, const char *at, size_t left)
{
    for (size_t i = 0; i < n_files; i++) {
        struct stat seen;
        const char *from = take_bytes(&at, &left, sizeof seen);
        size_t n = from ? strnlen(at, left) : left;
        const char *path = n < left ? take_bytes(&at, &left, n + 1) : NULL;

        if (!path)
            return false;
        memcpy(&seen, from, sizeof seen);
        if (!conf_source_add_name(text, path, &seen))
            return false;
    }
    return true;
}

bool conf_source_restore(struct conf_source *text, const void *bytes, size_t n)
{
    const char *at = bytes, *head = take_bytes(&at, &n, sizeof(struct kept)), *p, *lines;
    struct kept kept;

    *text = (struct conf_source){0};
    if (!head)
        return false;
    memcpy(&kept, head, sizeof kept);
    if (kept.n > CONF_TEXT_MAX_BYTES * 2 || kept.n_lines > kept.n + 1 || kept.n_files == 0 ||
        kept.n_files > CONF_MAX_FILES)
        return false;
    p = take_bytes(&at, &n, kept.n);
    lines = take_bytes(&at, &n, kept.n_lines * sizeof *text->lines);
    if (!p || !lines || !add_text(text, p, kept.n))
        return false;
    text->lines = calloc(kept.n_lines + 1, sizeof *text->lines);
    if (!text->lines)
        return false;
    memcpy(text->lines, lines, kept.n_lines * sizeof *text->lines);
    text->n_lines = text->cap_lines = kept.n_lines;
    return restore_files(text, kept.n_files, at, n);
}
