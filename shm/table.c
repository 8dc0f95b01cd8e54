#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* Each group begins on a page of its own, so that it can be sealed alone. */
_Static_assert(offsetof(struct table, health) % TABLE_PAGE == 0, "health: page");
_Static_assert(offsetof(struct table, cert) % TABLE_PAGE == 0, "cert: page");
_Static_assert(offsetof(struct table, worker) % TABLE_PAGE == 0, "worker: page");
_Static_assert(sizeof(struct worker_row) % TABLE_PAGE == 0, "worker row: whole pages");

char *table_object_name(char out[TABLE_OBJECT_NAME], const char *pidfile)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *p = pidfile; *p; p++)
        hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
    snprintf(out, TABLE_OBJECT_NAME, "/pasgate-%016llx", (unsigned long long)hash);
    return out;
}

struct table *table_create(const char *name)
{
    struct table *table = NULL;
    int fd;

    /* Always a fresh object: readers of a dead service's one keep their own. */
    shm_unlink(name);
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return NULL;
    if (ftruncate(fd, sizeof *table) < 0)
        goto out;
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED) {
        table = NULL;
        goto out;
    }
    table->header.size = sizeof *table;
    table->header.version = TABLE_VERSION;
    table->header.magic = TABLE_MAGIC;
out:
    if (!table)
        shm_unlink(name);
    close(fd);
    return table;
}

void table_unlink(const char *name)
{
    shm_unlink(name);
}

const struct table *table_open(const char *name)
{
    struct table *table = NULL;
    struct stat st;
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0)
        goto out;
    if ((size_t)st.st_size != sizeof *table) {
        errno = EPROTO;
        goto out;
    }
    table = mmap(NULL, sizeof *table, PROT_READ, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED) {
        table = NULL;
        goto out;
    }
    if (table->header.magic != TABLE_MAGIC || table->header.version != TABLE_VERSION) {
        munmap(table, sizeof *table);
        table = NULL;
        errno = EPROTO;
    }
out:
    close(fd);
    return table;
}

void table_close(const struct table *table)
{
    if (table)
        munmap((void *)(uintptr_t)table, sizeof *table);
}

static int protect(struct table *table, size_t from, size_t to, int how)
{
    CHECK(from % TABLE_PAGE == 0);
    return mprotect((char *)table + from, to - from, how);
}

int table_seal(struct table *table, enum kind kind, int row)
{
    static const size_t health = offsetof(struct table, health);
    static const size_t cert = offsetof(struct table, cert);
    static const size_t worker = offsetof(struct table, worker);
    size_t from = 0, to = 0;

    if (kind == KIND_SUPERVISOR) {
        from = 0, to = health;
    } else if (kind == KIND_HEALTHD) {
        from = health, to = cert;
    } else if (kind == KIND_ACMED) {
        from = cert, to = worker;
    } else if (kind == KIND_WORKER) {
        CHECK(row >= 0 && row < TABLE_WORKERS);
        from = worker + (size_t)row * sizeof(struct worker_row);
        to = from + sizeof(struct worker_row);
    }
    if (protect(table, 0, sizeof *table, PROT_READ) < 0)
        return -1;
    return from == to ? 0 : protect(table, from, to, PROT_READ | PROT_WRITE);
}
