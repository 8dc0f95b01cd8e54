/*
 * conf/source.h - a configuration file and all its includes, as one text with a map of lines.
 *
 * libconfig can include files itself, but it ends the process when a read fails (flex's fatal
 * error), also reads devices and pipes, and silently cuts large numbers to 32 bits. So it gets
 * one text without includes, with balanced quotes and comments, limited depth and no number
 * that it would misread.
 *
 * Used in base/conf only, in the process that loads. Owns malloc'ed memory.
 */
#ifndef BASE_CONF_SOURCE_H
#define BASE_CONF_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf/conf.h"

struct conf_error_list;

#define CONF_TEXT_MAX_BYTES ((size_t)1 << 20) /* in total; 256 backends need 64 KiB */
#define CONF_TEXT_MAX_DEPTH 10                /* of includes */
#define CONF_TEXT_MAX_NEST  16                /* of brackets: the grammar needs 6 */

struct conf_source {
    char *p; /* ends in NUL */
    size_t n, cap;
    struct conf_line *lines; /* the origin of each line of p */
    size_t n_lines, cap_lines;
    struct conf_file files[CONF_MAX_FILES]; /* paths are malloc'ed */
    size_t n_files;
    unsigned nest;
    bool
        too_large; /* beyond CONF_TEXT_MAX_BYTES; else a failure without a message: no memory */
};

/* Read the text of a file, or take n bytes under a name. False: not usable; the report says
 * why.
 */
bool conf_source_load(struct conf_source *text, const char *file,
                      struct conf_error_list *report);
bool conf_source_from(struct conf_source *text, const char *name, const char *p, size_t n,
                      struct conf_error_list *report);
void conf_source_release(struct conf_source *text);

/* The whole of it as bytes, in an arena, from which a later process restores it without reading
 * a file. restore: false: not such bytes, or no memory. */
struct conf_arena;
const void *conf_source_keep(const struct conf_source *text, struct conf_arena *arena,
                             size_t *n);
bool conf_source_restore(struct conf_source *text, const void *bytes, size_t n);

/* The file of a line of the spliced text, and its line number there (0: the file as a whole).
 * "" if not even the first file could be read. */
const char *conf_source_where(const struct conf_source *text, unsigned line, unsigned *number);

/* Resolves a path as written in `file`: a relative path starts at that file's directory and,
 * with `absolute`, the result is made absolute, so that it stays valid if the working directory
 * changes. False: too long. */
bool conf_source_path_from(const char *file, const char *path, bool absolute, char *out,
                           size_t cap);

#endif
