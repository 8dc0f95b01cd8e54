#include "acmed/cert/revoked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/pem.h"
#include "acmed/cert/store_delete.h"
#include "acmed/order/kvfile.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    HEX = 2 * PEM_DIGEST + 1,
    LINE_MAX_BYTES = 2 * HEX + 64,
    LOOKS = 1024,     /* generations of a certificate; normally there are 3 */
    RETRY_MS = 10000, /* after the list could not be read or written */
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
    bool known;                /* stamp is that of a file that was read */
    int error;                 /* errno of the last attempt; 0: it was read, or there is none */
    char mode_why[TABLE_NOTE]; /* workers may not be able to read it, or "" */
} list;

/* Entries that the file lacks because it could not be read or written. They count like those in
 * the file. */
static struct {
    struct entry *entry;
    size_t n;
    uint64_t retry_ms;
    char why[TABLE_NOTE]; /* they could not be written, or "" */
} unlisted;

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

/* A list of another mode comes from a version that did not set it, or from a backup. */
static void let_workers_read(const struct store *store, const struct stat *st)
{
    bool told = list.mode_why[0] != '\0';
    bool wrong = (st->st_mode & 07777) != STORE_FILE_MODE;

    if (!store->ours)
        return;
    list.mode_why[0] = '\0';
    if (!wrong || fchmodat(store->certs_fd, list_name, STORE_FILE_MODE, 0) == 0)
        return;
    snprintf(list.mode_why, sizeof list.mode_why,
             "cannot set the mode of the list of revoked certificates %.160s/certs/%s to %04o: "
             "%s; a worker that cannot read it uses no certificate under another name",
             store->path, list_name, (unsigned)STORE_FILE_MODE, strerror(errno));
    if (!told)
        log_warn("%s", list.mode_why);
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
        list.mode_why[0] = '\0';
        return 0;
    }
    if (!S_ISREG(now.st_mode)) /* a FIFO would read as empty */
        return S_ISLNK(now.st_mode) ? ELOOP : EINVAL;
    let_workers_read(store, &now);
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
    epoch++;
    return 0;
}

static const char *revoked_says(int error)
{
    return error == EINVAL ? "it is not a regular file; move it away" : store_says(error);
}

/* false, with errno: it cannot be read. */
static bool refresh(const struct store *store)
{
    int before = list.error;

    list.error = revoked_load(store);
    if (list.error && !before)
        log_error("cannot read the list of revoked certificates %s/certs/%s: %s; no other "
                  "certificate of the store is used until it can be read",
                  store->path, list_name, revoked_says(list.error));
    if (!list.error && before)
        log_info("the list of revoked certificates can be read again");
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

static bool revoked_has(const struct entry *entry, size_t n, const char *leaf)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(entry[i].leaf, leaf) == 0)
            return true;
    return false;
}

/* If it is known already, the first time stays, and a compromised key stays so. */
static void merge(struct entry *new, const struct entry *entry, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &entry[i];

        if (strcmp(e->leaf, new->leaf) != 0)
            continue;
        new->wall_ms = e->wall_ms;
        if (e->reason == REVOKED_KEY_COMPROMISE)
            new->reason = e->reason;
    }
}

/* New entries come first, so that the oldest are dropped when the list is full. */
static int write_list(const struct store *store)
{
    char *text = malloc((size_t)REVOKED_MAX * LINE_MAX_BYTES);
    uint64_t now = clock_wall_ms();
    size_t at = 0, lines = 0;
    int rc, error;

    CHECK(text);
    for (size_t i = unlisted.n; i-- > 0; lines++) {
        merge(&unlisted.entry[i], list.entry, list.n);
        at += print(text + at, &unlisted.entry[i]);
    }
    for (size_t i = 0; i < list.n && lines < REVOKED_MAX; i++)
        if (revoked_counts(&list.entry[i], now) &&
            !revoked_has(unlisted.entry, unlisted.n, list.entry[i].leaf)) {
            at += print(text + at, &list.entry[i]);
            lines++;
        }
    rc = store_put_file(store, list_name, text, at);
    error = errno;
    free(text);
    errno = error;
    return rc;
}

/* Writes what the file lacks. 0, or -1 with errno. */
static int complete_list(const struct store *store)
{
    errno = EBUSY;
    if (!store->ours || store->certs_fd < 0 || !refresh(store) || write_list(store) < 0)
        return -1;
    if (refresh(store)) /* else it may have to be written once more */
        unlisted.n = 0;
    return 0;
}

static void unlisted_add(const struct entry *new)
{
    struct entry e = *new;
    size_t n = 0;

    merge(&e, unlisted.entry, unlisted.n);
    for (size_t i = 0; i < unlisted.n; i++)
        if (strcmp(unlisted.entry[i].leaf, e.leaf) != 0)
            unlisted.entry[n++] = unlisted.entry[i];
    if (!unlisted.entry)
        unlisted.entry = calloc(REVOKED_MAX, sizeof *unlisted.entry);
    CHECK(unlisted.entry);
    if (n == REVOKED_MAX)
        memmove(unlisted.entry, unlisted.entry + 1, --n * sizeof *unlisted.entry);
    unlisted.entry[n++] = e;
    unlisted.n = n;
}

/* ---- interface */

int revoked_add(const struct store *store, const struct pem_pair *pair, unsigned reason,
                uint64_t wall_ms)
{
    struct pem_id id;
    struct entry new = {.wall_ms = wall_ms, .reason = reason};

    errno = EINVAL;
    if (!pem_id(pair, &id))
        return -1;
    revoked_to_hex(new.leaf, id.leaf);
    revoked_to_hex(new.key, id.key);
    new.not_after_wall_ms = id.not_after_wall_ms;
    if (!revoked_counts(&new, clock_wall_ms()))
        return 0;
    unlisted_add(&new);
    epoch++;
    return complete_list(store);
}

static void tell_unlisted(const struct store *store, int error)
{
    bool told = unlisted.why[0] != '\0';

    snprintf(unlisted.why, sizeof unlisted.why,
             "cannot write the list of revoked certificates %.160s/certs/%s: %s; retried every "
             "%d s, and until then no older generation is removed",
             store->path, list_name, revoked_says(error), RETRY_MS / 1000);
    if (!told)
        log_error("%s", unlisted.why);
}

void revoked_retry(const struct store *store, uint64_t now_ms)
{
    if (unlisted.n > 0 && now_ms >= unlisted.retry_ms) {
        unlisted.retry_ms = now_ms + RETRY_MS;
        if (complete_list(store) < 0)
            tell_unlisted(store, errno);
    }
    if (unlisted.n == 0 && unlisted.why[0]) {
        log_info("the list of revoked certificates is complete again");
        unlisted.why[0] = '\0';
    }
}

const char *revoked_note(void)
{
    return unlisted.why[0] ? unlisted.why : list.mode_why;
}

static bool list_marked(const struct store *store, const char *dir, uint32_t generation)
{
    uint64_t at = store_marked_revoked(store, dir, generation);
    enum cert_source source;
    struct pem_pair pair;
    bool listed;

    if (!at)
        return true;
    if (store_read(store, dir, generation, &pair, &source) < 0)
        return errno == ENOENT;
    listed = revoked_at(store, NULL, 0, &pair) ||
             revoked_add(store, &pair, store_marked_reason(store, dir, generation), at) == 0 ||
             errno == EINVAL;
    pem_pair_release(&pair);
    return listed && unlisted.n == 0 && !list.error;
}

bool revoked_list_marked(const struct store *store, const char *dir)
{
    uint32_t generations[LOOKS];
    int n = store_list(store, dir, generations, LOOKS);
    bool listed = n >= 0;

    for (int i = 0; i < n; i++)
        listed &= list_marked(store, dir, generations[i]);
    return listed;
}

static void list_one(void *to, const char *dir)
{
    revoked_list_marked(to, dir);
}

void revoked_list_all(struct store *store)
{
    store_each(store->path, list_one, store);
}

bool revoked_readable(const struct store *store, char why[TABLE_NOTE])
{
    why[0] = '\0';
    if (store->certs_fd < 0 || refresh(store))
        return true;
    snprintf(why, TABLE_NOTE,
             "cannot read the list of revoked certificates %.160s/certs/%s: %s; workers keep "
             "what they have loaded, and nothing is ordered",
             store->path, list_name, revoked_says(list.error));
    return false;
}

static const struct entry *find_entry(const struct entry *entry, size_t n, const char *leaf,
                                      const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(entry[i].leaf, leaf) == 0 ||
            (entry[i].reason == REVOKED_KEY_COMPROMISE && strcmp(entry[i].key, key) == 0))
            return &entry[i];
    return NULL;
}

uint64_t revoked_at(const struct store *store, const char *dir, uint32_t generation,
                    const struct pem_pair *pair)
{
    const struct entry *e = NULL;
    char leaf[HEX], key[HEX];
    struct pem_id id;

    if (store->certs_fd < 0)
        return 0;
    refresh(store);
    if (list.n + unlisted.n > 0 && pem_id(pair, &id)) {
        revoked_to_hex(leaf, id.leaf);
        revoked_to_hex(key, id.key);
        e = find_entry(list.entry, list.n, leaf, key);
        if (!e)
            e = find_entry(unlisted.entry, unlisted.n, leaf, key);
    }
    if (e)
        return e->wall_ms ? e->wall_ms : 1;
    return dir ? store_marked_revoked(store, dir, generation) : 0;
}

bool revoked_itself(const struct store *store, const struct pem_pair *pair)
{
    char leaf[HEX];
    struct pem_id id;

    if (store->certs_fd < 0 || !pem_id(pair, &id))
        return false;
    refresh(store);
    revoked_to_hex(leaf, id.leaf);
    return revoked_has(list.entry, list.n, leaf) ||
           revoked_has(unlisted.entry, unlisted.n, leaf);
}

bool revoked_by_key(const struct store *store, const struct pem_pair *pair)
{
    return revoked_at(store, NULL, 0, pair) && !revoked_itself(store, pair);
}

uint32_t revoked_epoch(void)
{
    return epoch;
}
