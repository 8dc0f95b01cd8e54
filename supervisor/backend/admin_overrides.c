#include "supervisor/backend/admin_overrides.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "supervisor/state_dir.h"

#define HEAD      "pasgate wishes 1"
#define FILE_NAME "wishes"
#define FILE_BAD  "wishes.bad"

enum { FIELDS = 5, SINCE_DIGITS = 16 /* until the year 318857 */ };

/* ---- the list */

static struct admin_override *find(struct admin_overrides *overrides, const char *backend)
{
    for (uint32_t i = 0; i < overrides->n; i++)
        if (strcmp(overrides->v[i].backend, backend) == 0)
            return &overrides->v[i];
    return NULL;
}

const struct admin_override *admin_overrides_find(const struct admin_overrides *overrides,
                                                  const char *backend)
{
    const struct admin_override *override =
        find((struct admin_overrides *)(uintptr_t)overrides, backend);

    return override && !override->dropped ? override : NULL;
}

bool admin_overrides_put(struct admin_overrides *overrides,
                         const struct admin_override *override)
{
    struct admin_override *to = find(overrides, override->backend);

    if (!to && overrides->n == ADMIN_OVERRIDES_MAX)
        return false;
    if (!to)
        to = &overrides->v[overrides->n++];
    *to = *override;
    overrides->changed = true;
    return true;
}

void admin_overrides_drop(struct admin_overrides *overrides, const char *backend)
{
    struct admin_override *override = find(overrides, backend);
    struct admin_override dropped = {.dropped = true};

    if (overrides->unread) { /* the file may have one */
        snprintf(dropped.backend, sizeof dropped.backend, "%s", backend);
        admin_overrides_put(overrides, &dropped);
    } else if (override) {
        *override = overrides->v[--overrides->n];
        overrides->changed = true;
    }
}

static void forget_dropped(struct admin_overrides *overrides)
{
    for (uint32_t i = overrides->n; i-- > 0;)
        if (overrides->v[i].dropped)
            overrides->v[i] = overrides->v[--overrides->n];
}

/* Adds what was read. What operators have set or taken back before that is newer. */
static void admin_overrides_merge(struct admin_overrides *overrides,
                                  const struct admin_overrides *stored)
{
    bool changed = overrides->changed;

    for (uint32_t i = 0; stored && i < stored->n; i++)
        if (!find(overrides, stored->v[i].backend) &&
            !admin_overrides_put(overrides, &stored->v[i]))
            log_warn("too many admin overrides: that of %s is discarded", stored->v[i].backend);
    forget_dropped(overrides);
    overrides->changed = changed;
    overrides->unread = false;
}

/* ---- the text */

static const char *word_of(const struct admin_override *w)
{
    if (w->override != ADMIN_DRAIN || w->drained == DRAIN_GOES_ON)
        return admin_state_name(w->override);
    return w->drained == DRAIN_EMPTY ? "drained" : "cut";
}

size_t admin_overrides_format(const struct admin_overrides *overrides, char *out)
{
    size_t n = (size_t)snprintf(out, ADMIN_OVERRIDES_BYTES, HEAD "\n");

    for (uint32_t i = 0; i < overrides->n; i++) {
        const struct admin_override *w = &overrides->v[i];

        n += (size_t)snprintf(out + n, ADMIN_OVERRIDES_BYTES - n, "%s\t%s\t%s\t%llu\t%s\n",
                              w->backend, word_of(w), w->who,
                              (unsigned long long)w->since_wall_ms, w->reason);
    }
    return n;
}

static bool is_word(const char *s)
{
    for (; *s; s++)
        if (!ascii_is_alpha((unsigned char)*s) && !ascii_is_digit((unsigned char)*s) &&
            !strchr("._-", *s))
            return false;
    return true;
}

static bool admin_overrides_is_text(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool admin_overrides_take_text(char *to, size_t cap, const char *from)
{
    size_t n = strlen(from);

    if (n == 0 || n >= cap || !admin_overrides_is_text(from))
        return false;
    memcpy(to, from, n + 1);
    return true;
}

static bool take_state(struct admin_override *to, const char *from)
{
    static const struct admin_override words[] = {
        {.override = ADMIN_READY},
        {.override = ADMIN_DRAIN},
        {.override = ADMIN_DRAIN, .drained = DRAIN_EMPTY},
        {.override = ADMIN_DRAIN, .drained = DRAIN_CUT},
        {.override = ADMIN_MAINT},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(from, word_of(&words[i])) == 0) {
            to->override = words[i].override;
            to->drained = words[i].drained;
            return true;
        }
    }
    return false;
}

static bool take_since(uint64_t *to, const char *from)
{
    size_t n = strspn(from, "0123456789");

    if (n == 0 || n > SINCE_DIGITS || from[n])
        return false;
    *to = strtoull(from, NULL, 10);
    return true;
}

static bool admin_overrides_take_line(struct admin_overrides *overrides, char *line)
{
    struct admin_override w = {0};
    char *field[FIELDS], *rest = line;
    int n = 0;

    while (rest && n < FIELDS)
        field[n++] = strsep(&rest, "\t");
    return n == FIELDS && !rest &&
           admin_overrides_take_text(w.backend, sizeof w.backend, field[0]) &&
           is_word(w.backend) && take_state(&w, field[1]) &&
           admin_overrides_take_text(w.who, sizeof w.who, field[2]) &&
           take_since(&w.since_wall_ms, field[3]) &&
           admin_overrides_take_text(w.reason, sizeof w.reason, field[4]) &&
           !find(overrides, w.backend) && admin_overrides_put(overrides, &w);
}

unsigned admin_overrides_parse(struct admin_overrides *overrides, char *text, size_t n)
{
    char *end = text + n;
    unsigned number = 0;

    while (text < end || number == 0) {
        char *newline = memchr(text, '\n', (size_t)(end - text));

        number++;
        if (!newline || memchr(text, '\0', (size_t)(newline - text)))
            goto wrong;
        *newline = '\0';
        if (number == 1 ? strcmp(text, HEAD) != 0 : !admin_overrides_take_line(overrides, text))
            goto wrong;
        text = newline + 1;
    }
    overrides->changed = false;
    return 0;
wrong:
    overrides->n = 0;
    overrides->changed = false;
    return number;
}

/* ---- the file */

/* NULL with errno; EPERM, ELOOP, EFBIG: the file is not one that we wrote. */
static char *admin_overrides_read_file(int dir, size_t *n)
{
    int fd = openat(dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char *text = NULL;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0) {
        errno = EPERM;
        if (S_ISREG(st.st_mode) && st.st_uid == geteuid())
            text = fd_read_all(fd, ADMIN_OVERRIDES_BYTES, n);
    }
    int error = errno;
    close(fd);
    errno = error;
    return text;
}

static void set_bad_aside(int dir, const char *path, const char *why)
{
    bool renamed = renameat(dir, FILE_NAME, dir, FILE_BAD) == 0;

    log_error("%s/" FILE_NAME "%s; %s, overrides discarded", path, why,
              renamed ? "saved as " FILE_BAD : "cannot be renamed to " FILE_BAD);
}

/* An error of the host, or a wrong mode of the directory, says nothing about the file: it
 * stays, and is read again later. Logged once. */
static void admin_overrides_not_read(struct admin_overrides *overrides, const char *what,
                                     const char *why)
{
    if (!overrides->unread)
        log_error(
            "%s%s: cannot be read: %s; its admin overrides are not in force, and new ones "
            "are not stored; retried every %d s",
            overrides->dir, what, why, ADMIN_OVERRIDES_RETRY_MS / 1000);
    overrides->unread = true;
}

static void read_from(int dir, struct admin_overrides *overrides)
{
    static struct admin_overrides stored;
    size_t n;
    unsigned line;
    char why[64], *text = admin_overrides_read_file(dir, &n);

    stored.n = 0;
    if (!text && (errno == EPERM || errno == ELOOP || errno == EFBIG)) {
        snprintf(why, sizeof why, ": %s",
                 errno == EFBIG ? "too long" : "not a regular file of the service's user");
        set_bad_aside(dir, overrides->dir, why);
    } else if (!text && errno != ENOENT) {
        admin_overrides_not_read(overrides, "/" FILE_NAME, strerror(errno));
        return;
    } else if (text && (line = admin_overrides_parse(&stored, text, n)) > 0) {
        snprintf(why, sizeof why, ":%u: malformed", line);
        set_bad_aside(dir, overrides->dir, why);
    } else if (overrides->unread) {
        log_info("%s/" FILE_NAME ": %s", overrides->dir,
                 text ? "could be read now" : "there is none any more");
    }
    admin_overrides_merge(overrides, &stored);
    free(text);
}

static void admin_overrides_read(struct admin_overrides *overrides)
{
    int dir = state_dir_open(overrides->dir);

    if (dir >= 0)
        read_from(dir, overrides);
    else if (errno == ENOENT)
        admin_overrides_merge(overrides, NULL);
    else
        admin_overrides_not_read(overrides, "",
                                 errno == EPERM ? "it must belong to the service's user, and "
                                                  "nobody else may write to it"
                                                : strerror(errno));
    fd_close(&dir);
}

void admin_overrides_load(struct admin_overrides *overrides, const char *store,
                          const struct identity *identity)
{
    if (*store && state_dir_name(overrides->dir, store, identity))
        admin_overrides_read(overrides);
}

bool admin_overrides_load_again(struct admin_overrides *overrides)
{
    if (!overrides->unread)
        return false;
    admin_overrides_read(overrides);
    return !overrides->unread;
}

static int admin_overrides_write_file(int dir, const struct admin_overrides *overrides)
{
    static char text[ADMIN_OVERRIDES_BYTES];
    size_t n = admin_overrides_format(overrides, text);

    return state_dir_write(dir, FILE_NAME, text, n);
}

static int save_to(const char *path, const struct admin_overrides *overrides, const char *store,
                   const struct identity *identity)
{
    int dir = state_dir_make(path, store, identity);
    if (dir < 0)
        return -1;
    int rc = admin_overrides_write_file(dir, overrides);
    int error = errno;
    close(dir);
    errno = error;
    return rc;
}

static void remove_from(const char *path)
{
    int dir = state_dir_open(path);

    if (dir >= 0)
        unlinkat(dir, FILE_NAME, 0);
    fd_close(&dir);
}

/* Why they cannot be stored, or NULL. */
static const char *store_all(struct admin_overrides *overrides, const char *path,
                             const char *store, const struct identity *identity)
{
    bool moved = strcmp(path, overrides->dir) != 0;

    if (overrides->unread && !moved)
        return "the file that is there could not be read yet";
    forget_dropped(overrides);
    if (save_to(path, overrides, store, identity) < 0)
        return strerror(errno);
    if (overrides->unread)
        log_warn("%s/" FILE_NAME ": could not be read and stays there; the admin overrides in "
                 "it are discarded, because acme.store is %s now",
                 overrides->dir, store);
    else if (moved) /* otherwise they would come back with the old store */
        remove_from(overrides->dir);
    overrides->unread = false;
    memcpy(overrides->dir, path, sizeof overrides->dir);
    return NULL;
}

enum saved admin_overrides_save(struct admin_overrides *overrides, const char *store,
                                const struct identity *identity)
{
    char path[PATH_MAX];

    if (!*store || !state_dir_name(path, store, identity))
        return SAVED_NOWHERE;
    if (!overrides->changed && (overrides->unread || strcmp(path, overrides->dir) == 0))
        return SAVED_OK;
    const char *why = store_all(overrides, path, store, identity);
    if (why) {
        if (!overrides->told)
            log_error("%s: admin overrides cannot be written and are lost at a restart of the "
                      "service: %s",
                      path, why);
        overrides->told = true;
        return SAVED_NOT;
    }
    if (overrides->told)
        log_info("%s: admin overrides are written again", path);
    overrides->changed = overrides->told = false;
    return SAVED_OK;
}
