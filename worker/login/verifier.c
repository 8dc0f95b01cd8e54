#include "worker/login/verifier.h"

#include <crypt.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "base/environment.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/sandbox_rules.h"
#include "base/siphash.h"
#include "base/str.h"

enum { VERIFIER_PAUSE_MS = 1000 }; /* before another one is started */

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct sandbox_rule verifier_rules[] = {
    {.calls = sandbox_programs},
    {.calls = sandbox_system_wide},
    {.calls = sandbox_newer, .error = ENOSYS},
    {.calls = "socket socketpair connect bind listen accept accept4 open openat creat unlink "
              "unlinkat rename renameat renameat2 link linkat symlink symlinkat mkdir mkdirat "
              "chmod fchmod fchmodat chown fchown fchownat truncate ftruncate"},
#if !SANDBOX_LEAK_CHECK
    {.calls = sandbox_strangers},
    {.calls = "fork vfork clone"},
    {.calls = "clone3", .error = ENOSYS},
#endif
};

static int worker_end = -1;

int verifier_take(void)
{
    int fd = worker_end;

    worker_end = -1;
    return fd;
}

/* ---- the users, copied: everything else that is secret is erased in this process */

struct users {
    struct conf_user *user;
    size_t n;
};

static struct users *sets; /* [n_sets] by route */
static size_t n_sets;

static const char *copy(const char *s)
{
    char *to = strdup(s);

    if (!to)
        _exit(1);
    return to;
}

static void copy_users(const struct conf *conf)
{
    n_sets = conf->n_routes;
    sets = calloc(n_sets, sizeof *sets);
    for (size_t i = 0; sets && i < n_sets; i++) {
        const struct conf_basic *basic = &conf->routes[i].basic;

        sets[i].n = basic->n_users;
        sets[i].user = calloc(basic->n_users ? basic->n_users : 1, sizeof *sets[i].user);
        for (size_t j = 0; sets[i].user && j < basic->n_users; j++)
            sets[i].user[j] =
                (struct conf_user){copy(basic->users[j].name), copy(basic->users[j].hash)};
        if (!sets[i].user)
            _exit(1);
    }
    if (!sets)
        _exit(1);
}

/* ---- one question */

/* Takes the same time wherever they differ. */
static bool same_text(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned differs = n != m;

    for (size_t i = 0; i < n; i++)
        differs |= (unsigned char)a[i] ^ (unsigned char)b[i < m ? i : 0];
    return differs == 0;
}

/* An unknown name costs what a known one costs: its password is compared with the hash of some
 * user, always the same one for this name. All names are looked at, whichever is found. */
static const struct conf_user *find_user(const struct users *users, struct str name,
                                         bool *known)
{
    static const struct siphash_key key = {{0, 0}};
    const struct conf_user *found = &users->user[siphash(&key, name.p, name.n) % users->n];

    *known = false;
    for (size_t i = 0; i < users->n; i++)
        if (str_eq(str_from(users->user[i].name), name)) {
            found = &users->user[i];
            *known = true;
        }
    return found;
}

static bool is_right(const struct verifier_question *q)
{
    static struct crypt_data data;
    char password[BASIC_PASSWORD_MAX + 1];
    const struct conf_user *user;
    const char *hash;
    bool known, right;

    if (q->set >= n_sets || !sets[q->set].n || !q->user_n || q->user_n > BASIC_USER_MAX ||
        q->password_n > BASIC_PASSWORD_MAX)
        return false;
    user = find_user(&sets[q->set], str_make(q->bytes, q->user_n), &known);
    memcpy(password, q->bytes + q->user_n, q->password_n);
    password[q->password_n] = '\0';
    hash = crypt_r(password, user->hash, &data);
    right = hash && *hash == '$' && same_text(hash, user->hash) && known;
    explicit_bzero(password, sizeof password);
    explicit_bzero(&data, sizeof data);
    return right;
}

static _Noreturn void verifier_serve(int fd)
{
    struct verifier_question q;
    struct verifier_answer a = {0};

    if (sandbox_forbid(verifier_rules, COUNT(verifier_rules)) < 0)
        log_warn(
            "this kernel has no system call filters: passwords are verified without one: %s",
            strerror(errno));
    for (;;) {
        ssize_t got = recv(fd, &q, sizeof q, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            _exit(0); /* the worker has ended */
        if ((size_t)got != sizeof q)
            _exit(1);
        a.id = q.id;
        a.right = is_right(&q);
        explicit_bzero(&q, sizeof q);
        if (send(fd, &a, sizeof a, MSG_NOSIGNAL) < 0)
            _exit(0);
    }
}

/* ---- its keeper */

static void verifier_die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(0);
}

/* Until the worker ends, or its verifier says that it has. */
static _Noreturn void verifier_keep(int fd)
{
    for (;;) {
        pid_t parent = getpid(), pid = fork();
        int status;

        if (pid == 0) {
            verifier_die_with(parent);
            verifier_serve(fd);
        }
        if (pid < 0) {
            log_warn("passwords cannot be verified: fork: %s; tried again", strerror(errno));
        } else {
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                _exit(0);
            log_error("the process that verifies passwords ended unexpectedly (status 0x%x): "
                      "another one is started",
                      (unsigned)status);
        }
        usleep(VERIFIER_PAUSE_MS * 1000);
    }
}

int verifier_start(const struct conf *conf)
{
    bool wanted = false;
    pid_t parent = getpid(), pid;
    int pair[2];

    for (size_t i = 0; i < conf->n_routes; i++)
        wanted |= conf->routes[i].basic.n_users > 0;
    if (!wanted)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        verifier_die_with(parent);
        prctl(PR_SET_NAME, "pasgate:login", 0, 0, 0);
        fd_close_others(pair[1]);
        copy_users(conf);
        conf_forget_secrets(NULL, NULL);
        environment_wipe();
        verifier_keep(pair[1]);
    }
    fd_close(&pair[1]);
    if (pid < 0 || fd_nonblocking(pair[0], true) < 0) {
        fd_close(&pair[0]);
        return -1;
    }
    worker_end = pair[0];
    return 0;
}
