#include "supervisor/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#if defined __SANITIZE_ADDRESS__
#define DUMPABLE 1 /* the leak checker attaches to its own process */
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define DUMPABLE 1
#endif
#endif
#ifndef DUMPABLE
#define DUMPABLE 0
#endif

int identity_find(struct identity *identity, const char *user)
{
    const struct passwd *entry;

    memset(identity, 0, sizeof *identity);
    identity->change = geteuid() == 0;
    if (!identity->change) {
        entry = getpwuid(geteuid());
        identity->uid = geteuid();
        identity->gid = getegid();
    } else {
        entry = getpwnam(*user ? user : "pasgate");
        if (!entry && !*user)
            entry = getpwnam("nobody");
        if (!entry)
            return -1;
        identity->uid = entry->pw_uid;
        identity->gid = entry->pw_gid;
    }
    if (entry)
        snprintf(identity->name, sizeof identity->name, "%s", entry->pw_name);
    else
        snprintf(identity->name, sizeof identity->name, "%u", (unsigned)identity->uid);
    return 0;
}

void privilege_prepare(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (!DUMPABLE)
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

int privilege_drop(const struct identity *identity)
{
    if (identity->change) {
        if (setgroups(0, NULL) < 0 ||
            setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
            setresuid(identity->uid, identity->uid, identity->uid) < 0) {
            log_error("cannot become %s: %s", identity->name, strerror(errno));
            return -1;
        }
        if (identity->uid != 0 && setuid(0) == 0) {
            log_error("still root after becoming %s", identity->name);
            errno = EPERM;
            return -1;
        }
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        log_error("no_new_privs: %s", strerror(errno));
        return -1;
    }
    prctl(PR_SET_DUMPABLE, DUMPABLE, 0, 0, 0);
    return 0;
}

/* ---- capabilities */

/* Of the supervisor: ports below 1024; identity and end of its children; the store, and keys
 * that only root may read, which it opens for acmed. */
enum {
    KEPT_CAPABILITIES = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_SETUID | 1 << CAP_SETGID |
                        1 << CAP_KILL | 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE |
                        1 << CAP_DAC_READ_SEARCH | 1 << CAP_FOWNER,
};

static int keep_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, set) < 0)
        return -1;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        set[i].permitted &= i == 0 ? kept : 0;
        set[i].effective &= i == 0 ? kept : 0;
        set[i].inheritable &= i == 0 ? kept : 0;
    }
    return (int)syscall(SYS_capset, &header, set);
}

void privilege_limit(void)
{
    if (keep_capabilities(KEPT_CAPABILITIES) < 0)
        log_warn("capabilities that are not needed cannot be dropped: %s", strerror(errno));
}

int privilege_drop_capabilities(void)
{
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* unknown to old kernels */
    if (keep_capabilities(0) == 0)
        return 0;
    log_error("cannot drop capabilities: %s", strerror(errno));
    return -1;
}

/* ---- the store */

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = dir != NULL;

    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            empty = false;
    if (dir)
        closedir(dir);
    return empty;
}

static int make_parents(const char *path)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char *p = copy + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (fd_make_dir(copy, 0755) < 0 && errno != EEXIST && errno != EACCES && errno != EROFS)
            return -1;
        *p = '/';
    }
    return 0;
}

int privilege_make_store(const char *path, const struct identity *identity)
{
    struct stat st;

    if (make_parents(path) < 0)
        return -1;
    if (fd_make_dir(path, 0750) == 0)
        return identity->change ? chown(path, identity->uid, identity->gid) : 0;
    if (errno != EEXIST)
        return -1;
    if (stat(path, &st) < 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    if (identity->change && st.st_uid == 0 && identity->uid != 0 && is_empty(path))
        return chown(path, identity->uid, identity->gid);
    if (identity->change || access(path, W_OK | X_OK) == 0)
        return 0;
    /* A failing disk turns read-only; the certificates on it can still be served. */
    int error = errno;
    if (error == EROFS && !is_empty(path))
        return 0;
    errno = error;
    return -1;
}
