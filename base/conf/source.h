/*
 * conf/source.h - a config file and all that it includes, as one text with a map of its lines.
 *
 * libconfig could include by itself, but it ends the process when a read fails (flex's fatal
 * error), reads devices and pipes as willingly as files, and cuts large numbers to 32 bits
 * without a word. So it gets a text in which nothing is left to include, that has balanced
 * quotes and comments, sane depth and no number that it would misread.
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

#define CONF_TEXT_MAX_BYTES ((size_t)1 << 20) /* all together: 256 backends need 64 KiB */
#define CONF_TEXT_MAX_DEPTH 10                /* of includes */
#define CONF_TEXT_MAX_NEST  16                /* of brackets: the grammar needs 6 */

struct conf_source {
    char *p; /* ends in NUL */
    size_t n, cap;
    struct conf_line *lines; /* of each line of p: where it comes from */
    size_t n_lines, cap_lines;
    struct conf_file files[CONF_MAX_FILES]; /* paths are malloc'ed */
    size_t n_files;
    unsigned nest;
};

/* Take the text of a file (or n bytes under a name). False: not usable, the report says why. */
bool conf_source_load(struct conf_source *text, const char *file,
                      struct conf_error_list *report);
bool conf_source_from(struct conf_source *text, const char *name, const char *p, size_t n,
                      struct conf_error_list *report);
void conf_source_release(struct conf_source *text);

/* The file of a line of the spliced text, and its number there (0: the file as a whole).
 * "" when not even the first file could be read. */
const char *conf_source_where(const struct conf_source *text, unsigned line, unsigned *number);

/* A path as written in `file`, from that file's folder if it is relative; then, if asked to,
 * from the working folder, so that it holds for ever. False: too long. */
bool conf_source_path_from(const char *file, const char *path, bool absolute, char *out,
                           size_t cap);

#endif
