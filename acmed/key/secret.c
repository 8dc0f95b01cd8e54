#include "acmed/key/secret.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum {
    BLOCK = 32,       /* bytes of the smallest block: one number of P-256 */
    READ_ROOM = 4096, /* for files that do not report their size */
};

static size_t our_half; /* bytes of the heap that secret_new() may take */

/* ---- OpenSSL's ordinary memory */

/* While OpenSSL decodes or writes a key, it holds PEM lines, DER and numbers in ordinary
 * memory, and wipes only some of that. */

static void *piece_new(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return n ? malloc(n) : NULL;
}

static void piece_free(void *piece, const char *file, int line)
{
    (void)file, (void)line;
    if (!piece)
        return;
    explicit_bzero(piece, malloc_usable_size(piece));
    free(piece);
}

static void *piece_resize(void *piece, size_t n, const char *file, int line)
{
    size_t had = piece ? malloc_usable_size(piece) : 0;
    void *other = piece_new(n, file, line);

    if (n > 0 && !other)
        return NULL;
    if (other && had)
        memcpy(other, piece, had < n ? had : n);
    piece_free(piece, file, line);
    return other;
}

/* ---- the heap */

static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

void secret_init(size_t bytes)
{
    if (CRYPTO_set_mem_functions(piece_new, piece_resize, piece_free) != 1)
        log_warn("keys: OpenSSL was already in use; memory that it frees is not wiped");
    raise_limit();
    switch (CRYPTO_secure_malloc_init(bytes, BLOCK)) {
    case 1:
        break;
    case 0:
        log_warn("keys: no secure heap; they are kept in ordinary memory");
        return;
    default:
        log_warn("keys: %zu KiB cannot be locked in memory (RLIMIT_MEMLOCK): they may be "
                 "swapped out",
                 bytes / 1024);
        break;
    }
    our_half = bytes / 2;
}

static void *from_heap(size_t n)
{
    void *secret = NULL;

    if (n <= our_half && CRYPTO_secure_used() <= our_half - n)
        secret = OPENSSL_secure_zalloc(n);
    if (!secret)
        ERR_clear_error();
    return secret;
}

void *secret_new(size_t n)
{
    static struct log_gate gate;
    void *secret = from_heap(n);

    if (secret)
        return secret;
    if (our_half && log_gate_open(&gate))
        log_warn("keys: the secure heap is full; a key of %zu bytes is in ordinary memory", n);
    return calloc(1, n);
}

void secret_free(void *secret)
{
    if (CRYPTO_secure_allocated(secret))
        OPENSSL_secure_free(secret); /* it wipes */
    else
        piece_free(secret, NULL, 0);
}

char *secret_copy(struct str text)
{
    char *copy = secret_new(text.n + 1);

    if (copy && text.n)
        memcpy(copy, text.p, text.n);
    return copy;
}

/* ---- files */

static char *secret_longer(char *text, size_t n, size_t room)
{
    char *other = secret_new(room + 1);

    if (other)
        memcpy(other, text, n);
    secret_free(text);
    return other;
}

/* One byte more than the file's size, so that its end is seen without enlarging. */
static size_t first_room(int fd, size_t max)
{
    struct stat st;
    bool told = fstat(fd, &st) == 0 && st.st_size > 0;

    if (told && (uint64_t)st.st_size > max)
        return max + 1;
    return told ? (size_t)st.st_size + 1 : READ_ROOM;
}

char *secret_read(int fd, size_t max, size_t *n)
{
    size_t room = first_room(fd, max), have = 0;
    char *text = secret_new(room + 1);
    ssize_t got = 0;

    while (text && have <= max && (got = read(fd, text + have, room - have)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        have += (size_t)got;
        if (have == room)
            text = secret_longer(text, have, room *= 2);
    }
    if (!text) {
        errno = ENOMEM;
    } else if (got >= 0 && have <= max) {
        *n = have;
        return text;
    } else {
        int error = got < 0 ? errno : EFBIG;

        secret_free(text);
        errno = error;
    }
    return NULL;
}
