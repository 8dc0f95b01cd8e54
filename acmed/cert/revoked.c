#include "acmed/cert/revoked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/pem.h"
#include "acmed/order/kvfile.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    HEX = 2 * PEM_DIGEST + 1,
    LINE_MAX_BYTES = 2 * HEX + 64,
    LIST_MODE = 0640, /* workers with acmed's group read it (worker/certs_stored.c) */
};

static const char list_name[] = ".revoked";

struct entry {
    char leaf[HEX], key[HEX];
    unsigned long long wall_ms, not_after_wall_ms;
    unsigned reason;
};

/* The file's content at the last read, cached because a start with a thousand certificates asks
 * about each of their generations. */
static struct {
    struct stat stamp;
    struct entry *entry;
    size_t n;
    bool known; /* stamp is that of a file that was read */
    int error;  /* errno of the last attempt; 0: it was read, or there is none */
} list;

static uint32_t epoch;

static void revoked_to_hex(char out[HEX], const uint8_t digest[PEM_DIGEST])
{
    for (size_t i = 0; i < PEM_DIGEST; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---- the file */

/* A damaged line is skipped; the others count. */
static bool revoked_parse(const char *line, struct entry *e)
{
    *e = (struct entry){0};
    return sscanf(line, "%64[0-9a-f]=%64[0-9a-f] %llu %u %llu", e->leaf, e->key, &e->wall_ms,
                  &e->reason, &e->not_after_wall_ms) == 5 &&
           strlen(e->leaf) == HEX - 1 && strlen(e->key) == HEX - 1;
}

static void parse_all(char *text)
{
    char *rest = text, *line;

    list.n = 0;
    while (list.n < REVOKED_MAX && (line = strtok_r(rest, "\n", &rest)) != NULL)
        list.n += revoked_parse(line, &list.entry[list.n]);
}

static bool revoked_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* 0, or an errno; then the previous content stays. */
static int revoked_load(const struct store *store)
{
    struct stat now;
    char *text;
    size_t n;

    if (fstatat(store->certs_fd, list_name, &now, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return errno;
        list.n = 0;
        list.known = false;
        return 0;
    }
    if (list.known && revoked_same_file(&now, &list.stamp))
        return 0;
    text = kvfile_read(store->certs_fd, list_name, (size_t)REVOKED_MAX * LINE_MAX_BYTES, &n);
    if (!text)
        return errno ? errno : EIO;
    if (!list.entry)
        list.entry = calloc(REVOKED_MAX, sizeof *list.entry);
    CHECK(list.entry);
    parse_all(text);
    free(text);
    list.stamp = now;
    list.known = true;
    return 0;
}

/* false, with errno: it cannot be read. */
static bool refresh(const struct store *store)
{
    int before = list.error;

    list.error = revoked_load(store);
    if (list.error && !before)
        log_error("cannot read the list of revoked certificates %s/certs/%s: %s; no other "
                  "certificate of the store is used until it can be read",
                  store->path, list_name, strerror(list.error));
    if (!list.error && before) {
        log_info("the list of revoked certificates can be read again");
        epoch++;
    }
    errno = list.error;
    return !list.error;
}

/* An expired certificate can be forgotten, unless others know its key. */
static bool revoked_counts(const struct entry *e, uint64_t now_wall_ms)
{
    return e->reason == REVOKED_KEY_COMPROMISE || e->not_after_wall_ms > now_wall_ms;
}

static size_t print(char *at, const struct entry *e)
{
    return (size_t)snprintf(at, LINE_MAX_BYTES, "%s=%s %llu %u %llu\n", e->leaf, e->key,
                            e->wall_ms, e->reason, e->not_after_wall_ms);
}

/* The new entry comes first, so that the oldest is dropped when the list is full. */
static int write_list(const struct store *store, const struct entry *first)
{
    char *text = malloc((size_t)REVOKED_MAX * LINE_MAX_BYTES);
    uint64_t now = clock_wall_ms();
    size_t at, lines = 1;
    int rc, error;

    CHECK(text);
    at = print(text, first);
    for (size_t i = 0; i < list.n && lines < REVOKED_MAX; i++)
        if (revoked_counts(&list.entry[i], now) &&
            strcmp(list.entry[i].leaf, first->leaf) != 0) {
            at += print(text + at, &list.entry[i]);
            lines++;
        }
    rc = kvfile_write(store->certs_fd, list_name, text, at);
    error = errno;
    if (rc == 0 && fchmodat(store->certs_fd, list_name, LIST_MODE, 0) < 0)
        log_warn("cannot let workers read the list of revoked certificates %s/certs/%s: %s",
                 store->path, list_name, strerror(errno));
    free(text);
    errno = error;
    return rc;
}

/* If it is on the list already, the first time stays, and a compromised key stays so. */
static void merge(struct entry *new)
{
    for (size_t i = 0; i < list.n; i++) {
        const struct entry *e = &list.entry[i];

        if (strcmp(e->leaf, new->leaf) != 0)
            continue;
        new->wall_ms = e->wall_ms;
        if (e->reason == REVOKED_KEY_COMPROMISE)
            new->reason = e->reason;
    }
}

/* ---- interface */

int revoked_add(const struct store *store, const struct pem_pair *pair, unsigned reason,
                uint64_t wall_ms)
{
    struct pem_id id;
    struct entry new = {.wall_ms = wall_ms, .reason = reason};

    errno = EBUSY;
    if (!store->ours || store->certs_fd < 0)
        return -1;
    errno = EINVAL;
    if (!pem_id(pair, &id))
        return -1;
    revoked_to_hex(new.leaf, id.leaf);
    revoked_to_hex(new.key, id.key);
    new.not_after_wall_ms = id.not_after_wall_ms;
    if (!refresh(store))
        return -1;
    merge(&new);
    if (write_list(store, &new) < 0)
        return -1;
    epoch++;
    return 0;
}

bool revoked_readable(const struct store *store, char why[TABLE_NOTE])
{
    why[0] = '\0';
    if (store->certs_fd < 0 || refresh(store))
        return true;
    snprintf(why, TABLE_NOTE,
             "cannot read the list of revoked certificates %.160s/certs/%s: %s; workers keep "
             "what they have loaded, and nothing is ordered",
             store->path, list_name, store_says(list.error));
    return false;
}

uint64_t revoked_at(const struct store *store, const char *dir, uint32_t generation,
                    const struct pem_pair *pair)
{
    char leaf[HEX], key[HEX];
    struct pem_id id;

    if (store->certs_fd < 0)
        return 0;
    refresh(store);
    if (list.n > 0 && pem_id(pair, &id)) {
        revoked_to_hex(leaf, id.leaf);
        revoked_to_hex(key, id.key);
        for (size_t i = 0; i < list.n; i++)
            if (strcmp(list.entry[i].leaf, leaf) == 0 ||
                (list.entry[i].reason == REVOKED_KEY_COMPROMISE &&
                 strcmp(list.entry[i].key, key) == 0))
                return list.entry[i].wall_ms ? list.entry[i].wall_ms : 1;
    }
    return dir ? store_marked_revoked(store, dir, generation) : 0;
}

uint32_t revoked_epoch(void)
{
    return epoch;
}
