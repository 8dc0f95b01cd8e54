#include "supervisor/confine_child.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/sandbox_rules.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- system calls */

static const struct sandbox_rule both_rules[] = {
    {.calls = sandbox_programs},
    {.calls = sandbox_system_wide},
    {.calls = sandbox_newer, .error = ENOSYS},
    {.calls = sandbox_memory},
    {.calls = sandbox_identity},
    SANDBOX_NO_WRITING,
    SANDBOX_FEW_SOCKETS,
    {"mprotect", 0, SANDBOX_BITS, 2, PROT_EXEC, PROT_EXEC},
    {.calls = "listen"},
#if !SANDBOX_LEAK_CHECK
    {.calls = sandbox_strangers},
    SANDBOX_NO_PROCESSES,
#endif
};

/* A worker resolves no names and loads no code. */
static const struct sandbox_rule worker_rules[] = {
    {"mmap", 0, SANDBOX_BITS, 2, PROT_EXEC, PROT_EXEC},
    {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_NETLINK},
    {.calls = "bind"},
};

/* getaddrinfo() asks over netlink which addresses this host has, after a bind(), and loads
 * modules of the name service: code may come from files, of which it can write none. */
static const struct sandbox_rule healthd_rules[] = {{.calls = "accept accept4"}};
static const struct sandbox_rule anonymous_code[] = {
    {"mmap", 0, SANDBOX_BITS, 2, PROT_EXEC, PROT_EXEC},
    {"mmap", 0, SANDBOX_BITS, 3, MAP_ANONYMOUS, MAP_ANONYMOUS},
};

static const struct sandbox_rule unix_sockets = {"socket", EACCES,     SANDBOX_BITS,
                                                 0,        UINT32_MAX, AF_UNIX};
/* The sockets of Docker and of most services are of type stream; syslog's is of type datagram.
 * The numbers of stream and seqpacket are odd, that of datagram is even. */
static const struct sandbox_rule unix_streams[] = {
    {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_UNIX},
    {"socket", EACCES, SANDBOX_BITS, 1, 1, 1},
};
_Static_assert((SOCK_STREAM & 1) && (SOCK_SEQPACKET & 1) && !(SOCK_DGRAM & 1), "odd ones");

static bool needs_syslog(enum kind kind, const struct conf *conf)
{
    return kind == KIND_WORKER && conf->log.access == CONF_ACCESS_SYSLOG;
}

static int forbid_calls(enum kind kind, const struct conf *conf)
{
    int rc = sandbox_forbid(both_rules, COUNT(both_rules));

    if (rc == 0 && kind == KIND_WORKER)
        rc = sandbox_forbid(worker_rules, COUNT(worker_rules));
    else if (rc == 0)
        rc = sandbox_forbid(healthd_rules, COUNT(healthd_rules));
    if (rc == 0 && kind != KIND_WORKER)
        rc = sandbox_forbid_both(anonymous_code);
    if (rc == 0 && !conf_uses_unix(conf))
        rc = needs_syslog(kind, conf) ? sandbox_forbid_both(unix_streams)
                                      : sandbox_forbid(&unix_sockets, 1);
    if (rc == 0 && !SANDBOX_LEAK_CHECK)
        rc = sandbox_forbid_others();
    return rc;
}

/* ---- files and ports */

enum {
    PATHS = 24,
    PORTS = 2 * CONF_MAX_BACKENDS + 1,
    PORT_DNS = 53, /* of a response that is too long for UDP */
};

/* What libraries may read after the start: root certificates, the time zone. */
static const char *const common_paths[] = {
    "/etc/ssl/certs",    "/etc/ssl/openssl.cnf",    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust", "/etc/pki/tls/cert.pem",   "/etc/pki/tls/openssl.cnf",
    "/usr/lib/ssl",      "/etc/crypto-policies",    "/usr/share/ca-certificates",
    "/etc/localtime",    "/usr/share/zoneinfo",     "/usr/local/share/ca-certificates",
    "/usr/share/pki",    "/sys/devices/system/cpu",
};

/* The resolver's files are replaced by new ones, so it needs their directories. */
static const char *const resolver_paths[] = {
    "/etc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
};

static size_t list_ports(enum kind kind, const struct conf *conf, uint16_t to[PORTS])
{
    size_t n = 0;

    CHECK(conf->n_backends <= CONF_MAX_BACKENDS);
    for (size_t i = 0; i < conf->n_backends; i++) {
        const struct conf_backend *b = &conf->backends[i];
        uint16_t check = conf->pools[b->pool].check.port;

        if (!*b->socket)
            to[n++] = b->port;
        if (kind == KIND_HEALTHD && check)
            to[n++] = check;
    }
    if (kind == KIND_HEALTHD)
        to[n++] = PORT_DNS;
    return n;
}

static size_t list_paths(enum kind kind, const char *const store[2], const char *to[PATHS])
{
    size_t n = 0;

    for (size_t i = 0; i < COUNT(common_paths); i++)
        to[n++] = common_paths[i];
    for (size_t i = 0; kind == KIND_HEALTHD && i < COUNT(resolver_paths); i++)
        to[n++] = resolver_paths[i];
    for (size_t i = 0; kind == KIND_WORKER && i < 2; i++)
        to[n++] = store[i];
    if (SANDBOX_LEAK_CHECK)
        to[n++] = "/proc";
    CHECK(n <= PATHS);
    return n;
}

/* A store that is deleted, or replaced from a backup, is another directory, which a rule for
 * the old one does not open: certificates would not go live until a reload. So the rules are
 * for the directory that the store lies in: as it is written, and where a symbolic link leads.
 */
static int limit_files(enum kind kind, const struct conf *conf)
{
    char copy[PATH_MAX], real[PATH_MAX];
    const char *store[2] = {"", ""};
    const char *paths[PATHS];
    uint16_t ports[PORTS];
    struct landlock_limits limits = {.read = paths, .connect = ports};

    if (conf->n_certs > 0) {
        snprintf(copy, sizeof copy, "%s", conf->acme.store);
        snprintf(real, sizeof real, "%s/..", conf->acme.store);
        store[0] = dirname(copy);
        store[1] = real;
    }
    limits.n_read = list_paths(kind, store, paths);
    limits.n_connect = list_ports(kind, conf, ports);
    return landlock_limit(&limits);
}

/* ---- is it true? */

static bool is_refused(int fd, int error)
{
    if (fd >= 0)
        close(fd);
    return fd < 0 && (error == EPERM || error == EACCES);
}

static bool gets_code(int protection, int flags)
{
    void *at = mmap(NULL, 1, protection, flags, -1, 0);

    if (at != MAP_FAILED)
        munmap(at, 1);
    return at != MAP_FAILED;
}

/* Returns what it can do although it was forbidden, or NULL. */
static const char *can(const struct conf *conf, uint32_t sandbox)
{
    char *const none[] = {NULL};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!is_refused(fd, errno) && !conf_uses_unix(conf))
        return "reach unix sockets";
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (!is_refused(fd, errno))
        return "open raw sockets";
    if (execve("", none, none) == 0 || errno != EPERM)
        return "start programs";
    fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!is_refused(fd, errno))
        return "open files for writing";
    if (gets_code(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS))
        return "make code of data";
    fd = open("/proc/1/environ", O_RDONLY | O_CLOEXEC);
    if ((sandbox & SANDBOX_FILES) && !SANDBOX_LEAK_CHECK && !is_refused(fd, errno))
        return "open other files";
    return SANDBOX_LEAK_CHECK ? NULL : sandbox_try_others();
}

int confine_child(enum kind kind, const struct conf *conf, uint32_t *sandbox)
{
    const char *what;
    int abi = limit_files(kind, conf);

    if (abi < 0) {
        log_error("cannot be sandboxed by Landlock: %s", strerror(errno));
        return -1;
    }
    if (abi >= LANDLOCK_ABI_FILES)
        *sandbox |= SANDBOX_FILES;
    if (abi >= LANDLOCK_ABI_TCP)
        *sandbox |= SANDBOX_PORTS;
    if (abi >= LANDLOCK_ABI_SCOPE)
        *sandbox |= SANDBOX_SCOPE;
    if (!sandbox_has_filters()) {
        log_warn("this kernel has no system call filters: not sandboxed by them");
        return 0;
    }
    if (forbid_calls(kind, conf) < 0) {
        log_error("cannot be sandboxed: %s", strerror(errno));
        return -1;
    }
    what = can(conf, *sandbox);
    if (what) {
        log_error("not sandboxed: it can %s", what);
        errno = EPERM;
        return -1;
    }
    *sandbox |= SANDBOX_CALLS;
    return 0;
}
