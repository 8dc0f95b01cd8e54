#include "acmed/helper/hook_output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* A last line of blanks would hide the one that says why. */
static bool is_visible(const char *line)
{
    for (; *line; line++)
        if ((unsigned char)*line > ' ' && *line != 0x7f)
            return true;
    return false;
}

static void output_line(struct hook_output *output)
{
    output->line[output->n] = '\0';
    if (is_visible(output->line))
        snprintf(output->last, sizeof output->last, "%.*s", HOOK_LAST - 1, output->line);
    if (output->n > 0 && ++output->lines <= HOOK_LINES)
        log_info("hook: %s", output->line);
    else if (output->n > 0 && output->lines == HOOK_LINES + 1)
        log_info("hook: more than %d lines of output; the rest is not logged", HOOK_LINES);
    output->n = 0;
}

void hook_output_read(struct hook_output *output)
{
    char bytes[HOOK_BYTES];

    for (int i = 0; i < HOOK_READS && output->fd >= 0; i++) {
        ssize_t got = read(output->fd, bytes, sizeof bytes);

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        for (ssize_t at = 0; at < got; at++) {
            if (bytes[at] == '\n')
                output_line(output);
            else if (output->n < HOOK_LINE) /* a NUL would hide the rest */
                output->line[output->n++] = bytes[at] ? bytes[at] : ' ';
        }
        if (got <= 0)
            fd_close(&output->fd);
    }
}

void hook_output_end(struct hook_output *output)
{
    output_line(output);
    fd_close(&output->fd);
}
