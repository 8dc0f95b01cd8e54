#include "acmed/cert/hook_told.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "acmed/order/kvfile.h"
#include "base/fd.h"

static const char file_name[] = "hook";

static bool hook_told_parse(const char *text, size_t n, struct hook_told *told)
{
    struct str rest = str_make(text, n), key, value;
    int got;

    while ((got = kvfile_line(&rest, &key, &value)) > 0) {
        uint64_t *at = str_eq(key, STR("trouble_at"))    ? &told->trouble_at
                       : str_eq(key, STR("expiring_at")) ? &told->expiring_at
                                                         : NULL;

        if (!at || !kvfile_number(value, at))
            return false;
    }
    return got == 0;
}

void hook_told_load(const char *store, const char *name, struct hook_told *told)
{
    int dir = kvfile_open(store, "orders", name, false);
    size_t n = 0;
    char *text = dir < 0 ? NULL : kvfile_read(dir, file_name, KVFILE_TEXT_MAX, &n);

    *told = (struct hook_told){0};
    if (text && !hook_told_parse(text, n, told))
        *told = (struct hook_told){0};
    free(text);
    fd_close(&dir);
}

int hook_told_save(const char *store, const char *name, const struct hook_told *told)
{
    int dir = kvfile_open(store, "orders", name, true), error, done;
    char text[96];
    int n =
        snprintf(text, sizeof text, "trouble_at=%llu\nexpiring_at=%llu\n",
                 (unsigned long long)told->trouble_at, (unsigned long long)told->expiring_at);

    if (dir < 0)
        return -1;
    done = kvfile_write(dir, file_name, text, (size_t)n);
    error = errno;
    fd_close(&dir);
    errno = error;
    return done;
}
