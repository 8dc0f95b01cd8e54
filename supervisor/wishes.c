#include "supervisor/wishes.h"

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
#include "supervisor/state_folder.h"

#define HEAD      "pasgate wishes 1"
#define FILE_NAME "wishes"
#define FILE_NEW  "wishes.new"
#define FILE_BAD  "wishes.bad"

enum { FIELDS = 5, SINCE_DIGITS = 16 /* until the year 318857 */ };

/* ---- the list */

static struct wish *find(struct wishes *wishes, const char *backend)
{
    for (uint32_t i = 0; i < wishes->n; i++)
        if (strcmp(wishes->v[i].backend, backend) == 0)
            return &wishes->v[i];
    return NULL;
}

const struct wish *wishes_find(const struct wishes *wishes, const char *backend)
{
    return find((struct wishes *)(uintptr_t)wishes, backend);
}

bool wishes_put(struct wishes *wishes, const struct wish *wish)
{
    struct wish *to = find(wishes, wish->backend);

    if (!to && wishes->n == WISHES_MAX)
        return false;
    if (!to)
        to = &wishes->v[wishes->n++];
    *to = *wish;
    wishes->changed = true;
    return true;
}

void wishes_drop(struct wishes *wishes, const char *backend)
{
    struct wish *wish = find(wishes, backend);

    if (!wish)
        return;
    *wish = wishes->v[--wishes->n];
    wishes->changed = true;
}

/* ---- the text */

static const char *word_of(const struct wish *w)
{
    if (w->wish != ADMIN_DRAIN || w->drained == DRAIN_GOES_ON)
        return admin_state_name(w->wish);
    return w->drained == DRAIN_EMPTY ? "drained" : "cut";
}

size_t wishes_format(const struct wishes *wishes, char *out)
{
    size_t n = (size_t)snprintf(out, WISHES_BYTES, HEAD "\n");

    for (uint32_t i = 0; i < wishes->n; i++) {
        const struct wish *w = &wishes->v[i];

        n += (size_t)snprintf(out + n, WISHES_BYTES - n, "%s\t%s\t%s\t%llu\t%s\n", w->backend,
                              word_of(w), w->who, (unsigned long long)w->since_wall_ms,
                              w->reason);
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

static bool is_text(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool take_text(char *to, size_t cap, const char *from)
{
    size_t n = strlen(from);

    if (n == 0 || n >= cap || !is_text(from))
        return false;
    memcpy(to, from, n + 1);
    return true;
}

static bool take_state(struct wish *to, const char *from)
{
    static const struct wish words[] = {
        {.wish = ADMIN_READY},
        {.wish = ADMIN_DRAIN},
        {.wish = ADMIN_DRAIN, .drained = DRAIN_EMPTY},
        {.wish = ADMIN_DRAIN, .drained = DRAIN_CUT},
        {.wish = ADMIN_MAINT},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(from, word_of(&words[i])) == 0) {
            to->wish = words[i].wish;
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

static bool take_line(struct wishes *wishes, char *line)
{
    struct wish w = {0};
    char *field[FIELDS], *rest = line;
    int n = 0;

    while (rest && n < FIELDS)
        field[n++] = strsep(&rest, "\t");
    return n == FIELDS && !rest && take_text(w.backend, sizeof w.backend, field[0]) &&
           is_word(w.backend) && take_state(&w, field[1]) &&
           take_text(w.who, sizeof w.who, field[2]) && take_since(&w.since_wall_ms, field[3]) &&
           take_text(w.reason, sizeof w.reason, field[4]) && !find(wishes, w.backend) &&
           wishes_put(wishes, &w);
}

unsigned wishes_parse(struct wishes *wishes, char *text, size_t n)
{
    char *end = text + n;
    unsigned number = 0;

    while (text < end || number == 0) {
        char *newline = memchr(text, '\n', (size_t)(end - text));

        number++;
        if (!newline || memchr(text, '\0', (size_t)(newline - text)))
            goto wrong;
        *newline = '\0';
        if (number == 1 ? strcmp(text, HEAD) != 0 : !take_line(wishes, text))
            goto wrong;
        text = newline + 1;
    }
    wishes->changed = false;
    return 0;
wrong:
    wishes->n = 0;
    wishes->changed = false;
    return number;
}

/* ---- the file */

static char *read_file(int folder, size_t *n)
{
    int fd = openat(folder, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char *text = NULL;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        errno = EPERM;
    else
        text = fd_read_all(fd, WISHES_BYTES, n);
    int error = errno;
    close(fd);
    errno = error;
    return text;
}

static void read_from(int folder, struct wishes *wishes)
{
    size_t n;
    unsigned line = 0;
    char *text = read_file(folder, &n);

    if (!text && errno == ENOENT)
        return;
    const char *why = text ? "it is not as we write it" : strerror(errno);
    if (text && (line = wishes_parse(wishes, text, n)) == 0)
        goto out;
    renameat(folder, FILE_NAME, folder, FILE_BAD);
    log_error("%s/" FILE_NAME ":%u: %s: kept as " FILE_BAD
              ", what operators had wished is lost",
              wishes->folder, line, why);
out:
    free(text);
}

void wishes_load(struct wishes *wishes, const char *store, const struct identity *identity)
{
    if (!*store || !state_folder_name(wishes->folder, store, identity))
        return;
    int folder = state_folder_open(wishes->folder);
    if (folder >= 0)
        read_from(folder, wishes);
    else if (errno != ENOENT)
        log_warn("%s: not used for what operators wish: %s", wishes->folder,
                 errno == EPERM ? "it must belong to us, and nobody else may write there"
                                : strerror(errno));
    fd_close(&folder);
}

static int write_file(int folder, const struct wishes *wishes)
{
    static char text[WISHES_BYTES];
    size_t n = wishes_format(wishes, text);
    int fd =
        openat(folder, FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -1;
    int rc = fd_write_all(fd, text, n) < 0 || fsync(fd) < 0 ? -1 : 0;
    int error = errno;
    close(fd);
    errno = error;
    return rc < 0 || renameat(folder, FILE_NEW, folder, FILE_NAME) < 0 ? -1 : fsync(folder);
}

static int save_to(const char *path, const struct wishes *wishes, const char *store,
                   const struct identity *identity)
{
    int folder = state_folder_make(path, store, identity);
    if (folder < 0)
        return -1;
    int rc = write_file(folder, wishes);
    int error = errno;
    close(folder);
    errno = error;
    return rc;
}

static void remove_from(const char *path)
{
    int folder = state_folder_open(path);

    if (folder >= 0)
        unlinkat(folder, FILE_NAME, 0);
    fd_close(&folder);
}

void wishes_save(struct wishes *wishes, const char *store, const struct identity *identity)
{
    char path[PATH_MAX];

    if (!*store || !state_folder_name(path, store, identity))
        return;
    bool moved = strcmp(path, wishes->folder) != 0;
    if (!wishes->changed && !moved)
        return;
    if (save_to(path, wishes, store, identity) < 0) {
        if (!wishes->told)
            log_error("%s: what operators wish cannot be written, and does not outlive a "
                      "restart: %s",
                      path, strerror(errno));
        wishes->told = true;
        return;
    }
    if (moved) /* or they would come back with the old store */
        remove_from(wishes->folder);
    memcpy(wishes->folder, path, sizeof path);
    wishes->changed = wishes->told = false;
}
