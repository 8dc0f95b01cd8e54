#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "shm/object.h"

/* Each writer's group begins on a page of its own, so that it can be sealed alone. */
_Static_assert(offsetof(struct table, health) % TABLE_PAGE == 0, "health: page");
_Static_assert(offsetof(struct table, acmed_heartbeat_ms) % TABLE_PAGE == 0, "acmed: page");
_Static_assert(offsetof(struct table, worker) % TABLE_PAGE == 0, "worker: page");
_Static_assert(sizeof(struct worker_row) % TABLE_PAGE == 0, "worker row: whole pages");

char *table_object_name(char out[TABLE_OBJECT_NAME], const char *pidfile)
{
    snprintf(out, TABLE_OBJECT_NAME, "/pasgate-%016llx",
             (unsigned long long)hash_text(HASH_START, pidfile));
    return out;
}

/* ---- reserved pages */

/* The supervisor's (struct object owns them): to reserve more pages, and to map the table anew.
 */
static int object_fd = -1, object_read_fd = -1;
static struct table *created; /* the supervisor's, to say how much is reserved */
static size_t reserved[TABLE_WORKERS];
static uint32_t reserved_certs, reserved_challenges; /* rows */

enum { WORD_BYTES = sizeof(uint64_t) * 2 * TABLE_BACKENDS }; /* one of each set */

bool table_room_shrink(struct row_room *room)
{
    if (room->records)
        room->records /= 2;
    else if (room->session_words)
        room->session_words /= 2;
    else
        return false;
    return true;
}

size_t table_row_size(struct row_room room)
{
    size_t n = offsetof(struct worker_row, session) + room.session_words * (size_t)WORD_BYTES;

    CHECK(room.records <= TABLE_RECENT && room.session_words <= TABLE_SESSION_WORDS);
    CHECK(room.records == 0 || room.session_words == TABLE_SESSION_WORDS);
    if (room.records)
        n = offsetof(struct worker_row, recent) + room.records * sizeof(struct recent);
    return (n + TABLE_PAGE - 1) / TABLE_PAGE * TABLE_PAGE;
}

size_t table_row_missing(int row, struct row_room room)
{
    size_t want = table_row_size(room);

    CHECK(row >= 0 && row < TABLE_WORKERS);
    return want > reserved[row] ? want - reserved[row] : 0;
}

static int table_reserve(size_t from, size_t n)
{
    int error;

    do
        error = posix_fallocate(object_fd, (off_t)from, (off_t)n);
    while (error == EINTR);
    errno = error;
    return error ? -1 : 0;
}

/* How many of the pieces that begin at `from` in the row are reserved. */
static uint32_t pieces(int row, size_t from, size_t size, uint32_t most)
{
    size_t n = reserved[row] > from ? (reserved[row] - from) / size : 0;

    return n < most ? (uint32_t)n : most;
}

static void publish_room(struct table *table, int row)
{
    uint32_t fit = pieces(row, offsetof(struct worker_row, session), WORD_BYTES,
                          TABLE_SESSION_WORDS),
             words = TABLE_SESSION_WORDS;

    while (words > fit)
        words /= 2;
    atomic_store(&table->session_words[row], words);
    atomic_store(&table->recent_rows[row], pieces(row, offsetof(struct worker_row, recent),
                                                  sizeof(struct recent), TABLE_RECENT));
}

int table_reserve_row(int row, struct row_room room)
{
    size_t n = table_row_missing(row, room);
    size_t from = offsetof(struct table, worker) + (size_t)row * sizeof(struct worker_row) +
                  reserved[row];

    if (n == 0)
        return 0;
    if (table_reserve(from, n) < 0)
        return -1;
    reserved[row] += n;
    publish_room(created, row);
    return 0;
}

static size_t bytes_from(uint32_t had, uint32_t want, size_t size)
{
    return want > had ? (want - had) * size : 0;
}

size_t table_certs_missing(uint32_t certs, uint32_t challenges)
{
    return bytes_from(reserved_certs, certs, sizeof(struct cert)) +
           bytes_from(reserved_challenges, challenges, sizeof(struct challenge));
}

void table_repair_certs(struct table *table)
{
    atomic_store(&table->cert_rows, reserved_certs);
    atomic_store(&table->challenge_rows, reserved_challenges);
    for (int row = 0; row < TABLE_WORKERS; row++)
        publish_room(table, row);
}

int table_reserve_certs(struct table *table, uint32_t certs, uint32_t challenges)
{
    CHECK(certs <= TABLE_CERTS && challenges <= TABLE_CHALLENGES);
    if (certs > reserved_certs) {
        if (table_reserve(offsetof(struct table, cert), certs * sizeof(struct cert)) < 0)
            return -1;
        reserved_certs = certs;
    }
    if (challenges > reserved_challenges) {
        if (table_reserve(offsetof(struct table, challenge),
                          challenges * sizeof(struct challenge)) < 0)
            return -1;
        reserved_challenges = challenges;
    }
    table_repair_certs(table);
    return 0;
}

uint64_t table_room(void)
{
    struct statvfs fs;

    /* A file system without a limit reports no blocks. */
    if (object_fd < 0 || fstatvfs(object_fd, &fs) < 0 || fs.f_blocks == 0)
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* ---- the object */

struct table *table_create(struct object *object, const char *name)
{
    struct table *table = NULL;

    if (object_create(object, name) < 0)
        return NULL;
    memset(reserved, 0, sizeof reserved);
    reserved_certs = reserved_challenges = 0;
    created = NULL;
    object_fd = object->fd;
    object_read_fd = object->fd_read;
    if (ftruncate(object_fd, sizeof *table) < 0 || table_reserve(0, TABLE_FIXED) < 0)
        goto out;
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, object->fd, 0);
    if (table == MAP_FAILED) {
        table = NULL;
        goto out;
    }
    created = table;
    table->header.size = sizeof *table;
    table->header.version = TABLE_VERSION;
    table->header.magic = TABLE_MAGIC;
out:
    if (!table) {
        int error = errno;

        /* The descriptor stays open, for table_room(). */
        shm_unlink(object->name);
        object->name[0] = '\0';
        errno = error;
    }
    return table;
}

void table_room_take(struct table_room_taken *to)
{
    memcpy(to->row, reserved, sizeof to->row);
    to->certs = reserved_certs;
    to->challenges = reserved_challenges;
}

struct table *table_adopt(const struct object *object, const struct table_room_taken *taken)
{
    const struct table *seen = table_map(object->fd);
    struct table *table;

    if (!seen)
        return NULL;
    table_close(seen);
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, object->fd, 0);
    if (table == MAP_FAILED)
        return NULL;
    memcpy(reserved, taken->row, sizeof reserved);
    reserved_certs = taken->certs;
    reserved_challenges = taken->challenges;
    object_fd = object->fd;
    object_read_fd = object->fd_read;
    created = table;
    return table;
}

const struct table *table_map(int fd)
{
    struct table *table = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return NULL;
    if ((size_t)st.st_size != sizeof *table) {
        errno = EPROTO;
        return NULL;
    }
    table = mmap(NULL, sizeof *table, PROT_READ, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED)
        return NULL;
    if (table->header.magic != TABLE_MAGIC || table->header.version != TABLE_VERSION) {
        munmap(table, sizeof *table);
        table = NULL;
        errno = EPROTO;
    }
    return table;
}

void table_close(const struct table *table)
{
    if (table)
        munmap((void *)(uintptr_t)table, sizeof *table);
}

/* Puts another mapping of the object in the place of a part of the table. */
static int table_remap(struct table *table, size_t from, size_t to, int how)
{
    char *at = (char *)table + from;
    int fd = how & PROT_WRITE ? object_fd : object_read_fd;

    CHECK(from % TABLE_PAGE == 0);
    return mmap(at, to - from, how, MAP_SHARED | MAP_FIXED, fd, (off_t)from) == at ? 0 : -1;
}

int table_seal(struct table *table, enum kind kind, int row)
{
    static const size_t health = offsetof(struct table, health);
    static const size_t acmed = offsetof(struct table, acmed_heartbeat_ms);
    static const size_t worker = offsetof(struct table, worker);
    size_t from = 0, to = 0;

    if (kind == KIND_SUPERVISOR) {
        from = 0, to = health;
    } else if (kind == KIND_HEALTHD) {
        from = health, to = acmed;
    } else if (kind == KIND_ACMED) {
        from = acmed, to = worker;
    } else if (kind == KIND_WORKER) {
        CHECK(row >= 0 && row < TABLE_WORKERS);
        from = worker + (size_t)row * sizeof(struct worker_row);
        to = from + sizeof(struct worker_row);
    }
    CHECK(table == created);
    if (table_remap(table, 0, sizeof *table, PROT_READ) < 0)
        return -1;
    return from == to ? 0 : table_remap(table, from, to, PROT_READ | PROT_WRITE);
}
