/* The file of the affinity key: what is written is read back, and what is not used is refused
 * for the reason that it is. */
#include "supervisor/backend/affinity_key.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "shm/message.h"
#include "supervisor/privilege.h"
#include "t/unit/tap.h"

enum { KEY = MESSAGE_AFFINITY_KEY };

static char store[] = "/tmp/unit-affinity-key.XXXXXX";
static char dir[64], file[96];
static struct identity self; /* change = false: the directory is STORE/state */

static void spew(const char *bytes, size_t n, mode_t mode)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fchmod(fd, mode) < 0)
        exit(done());
    close(fd);
}

/* Loads it, and returns what was logged meanwhile. */
static const char *load(uint8_t *key, bool *used)
{
    static char text[1000];
    int pair[2];

    if (pipe(pair) < 0)
        exit(done());
    log_to_fd(pair[1]);
    *used = affinity_key_load(key, store, &self);
    log_flush();
    log_to_fd(2);
    close(pair[1]);
    ssize_t n = read(pair[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    close(pair[0]);
    return text;
}

static void refused(uint8_t *key, const char *why, const char *what)
{
    bool used;
    const char *text = load(key, &used);

    ok(!used && strstr(text, why), "%s", what) || (diag("logged: %s", text), 0);
}

int main(void)
{
    uint8_t *key = NULL, *other = NULL;
    bool used;

    log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "unit");
    if (!mkdtemp(store) || affinity_key_init(&key) < 0 || affinity_key_init(&other) < 0)
        exit(done());
    snprintf(dir, sizeof dir, "%s/state", store);
    snprintf(file, sizeof file, "%s/affinity.key", dir);
    is_str(load(key, &used), "", "no file is not logged");
    affinity_key_save(key, store, &self);
    is_str(load(other, &used), "", "nor is a good one");
    ok(used && memcmp(key, other, KEY) == 0, "which is used");

    spew("too short", 9, 0600);
    refused(key, "not a key: its size is wrong", "a file of the wrong size");
    spew("", 0, 0600);
    refused(key, "not a key: its size is wrong", "an empty file");
    spew("0123456789abcdef0123456789abcdef", KEY, 0640);
    refused(key, "belongs to the service's user and that nobody else may", "one for others");
    chmod(dir, 0777);
    refused(key, "that directory must belong", "a directory for others");
    chmod(dir, 0700);
    ok(memcmp(key, other, KEY) == 0, "the key in memory stays");

    affinity_key_release(key);
    affinity_key_release(other);
    unlink(file);
    rmdir(dir);
    rmdir(store);
    return done();
}
