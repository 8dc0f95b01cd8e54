/* The try-outs of a process that confines itself (sandbox_try_others): with every call
 * forbidden except one, they find that one and name it. So none of the calls that take another
 * process's pid can fall out of a filter without being noticed at the start. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "base/sandbox_rules.h"
#include "t/unit/tap.h"

enum { CALLS = 64, NAME = 40, NOBODY = 65534 };

/* One call that is forbidden, by a rule of its own. */
struct call {
    char name[NAME];
    struct sandbox_rule rule;
};

static struct call calls[CALLS];
static size_t ncalls;
static char *found; /* what the child's try-outs named; shared with the child */

static void add(const char *names, const struct sandbox_rule *rule)
{
    for (const char *p = names; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        struct call *c = &calls[ncalls++];

        snprintf(c->name, sizeof c->name, "%.*s", (int)n, p);
        c->rule = *rule;
        c->rule.calls = c->name;
        p += n;
    }
}

/* All rules that a confined process has against others, one call each. */
static void list_calls(void)
{
    static const struct sandbox_rule always;
    struct sandbox_rule others[SANDBOX_OTHERS];

    ncalls = 0;
    add(sandbox_strangers, &always);
    sandbox_rules_others(others);
    for (size_t i = 0; i < SANDBOX_OTHERS; i++)
        add(others[i].calls, &others[i]);
}

/* Forbids all but one (CALLS: really all), tries, and stores the answer. Not as root if it was:
 * the parent is root then, as the supervisor of a service is. */
static void child(size_t but, bool drop)
{
    struct sandbox_rule rules[CALLS];
    size_t n = 0;
    const char *name;

    list_calls(); /* one of the rules has this process's pid */
    for (size_t i = 0; i < ncalls; i++)
        if (i != but)
            rules[n++] = calls[i].rule;
    if (drop && setuid(NOBODY) < 0)
        _exit(2);
    if (sandbox_forbid(rules, n) < 0)
        _exit(3);
    name = sandbox_try_others();
    snprintf(found, NAME, "%s", name ? name : "");
    _exit(0);
}

static bool tries(size_t but, bool drop)
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    *found = '\0';
    pid = fork(); /* the parent of the one that tries: it must not be hurt */
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            child(but, drop);
        _exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 4);
    }
    waitpid(pid, &status, WUNTRACED);
    if (WIFSTOPPED(status)) {
        diag("the parent was stopped");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void each_is_found(bool drop)
{
    const char *who = drop ? ", by another user than the parent" : "";
    char before[NAME] = "";

    for (size_t i = 0; i < ncalls; i++) {
        const char *name = calls[i].name;
        size_t n = strlen(name);

        if (!tries(i, drop)) {
            fail("%s%s: the child failed", name, who);
            continue;
        }
        if (!ok(strncmp(found, name, n) == 0 && (found[n] == '\0' || found[n] == ' ') &&
                    strcmp(found, before) != 0,
                "%s is found if it is allowed%s", name, who))
            diag("found \"%s\"", found);
        snprintf(before, sizeof before, "%s", found);
    }
    ok(tries(CALLS, drop) && *found == '\0', "none is, if none is allowed%s", who);
}

int main(void)
{
    const char *preload = getenv("LD_PRELOAD");

    if ((preload && strstr(preload, "vgpreload")) || SANDBOX_LEAK_CHECK ||
        prctl(PR_GET_SECCOMP) != 0) {
        pass("not where other filters are, or calls of valgrind and the leak checker");
        return done();
    }
    found = mmap(NULL, NAME, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return 1;
    list_calls();
    each_is_found(false);
    if (getuid() == 0)
        each_is_found(true);
    return done();
}
