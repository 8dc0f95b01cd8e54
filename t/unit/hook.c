/* The operator's program: its environment, its end, its deadline. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/helper/hook.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-hook-XXXXXX";
static char program[64], output[64];

static void script(const char *body)
{
    FILE *out = fopen(program, "w");

    fprintf(out, "#!/bin/sh\n%s\n", body);
    fclose(out);
    chmod(program, 0700);
}

static enum hook_result wait_end(struct hook *hook)
{
    enum hook_result got;
    int tries = 1000;

    while ((got = hook_poll(hook, 0)) == HOOK_RUNS && tries-- > 0)
        usleep(10000);
    return got;
}

int main(void)
{
    static const char *const names[] = {"a.test", "*.a.test"};
    struct hook hook = {0};
    struct hook_call call = {.program = program,
                             .event = "issued",
                             .certificate = "shop",
                             .names = names,
                             .n_names = 2,
                             .chain = "/s/c",
                             .key = "/s/k",
                             .dns_name = "_acme-challenge.a.test",
                             .dns_target = "x.b.test",
                             .dns_value = "v"};
    const struct passwd *user = getpwuid(getuid());
    char text[512] = "", body[1024], clean[64];

    if (!mkdtemp(root))
        return 1;
    snprintf(program, sizeof program, "%s/hook", root);
    snprintf(output, sizeof output, "%s/out", root);
    setenv("PASGATE_ERROR", "not this one", 1);
    setenv("PATH", "/usr/bin:/bin", 1);
    is_int(hook_open(program), 0, "who starts it");
    is_int(hook_poll(&hook, 0), HOOK_IDLE, "nothing runs");
    snprintf(
        body, sizeof body,
        "echo \"$PASGATE_EVENT|$PASGATE_CERTIFICATE|$PASGATE_NAMES|$PASGATE_CHAIN|$PASGATE_KEY|"
        "$PASGATE_ERROR|$PASGATE_DNS_NAME|$PASGATE_DNS_TARGET|$PASGATE_DNS_VALUE|$PATH|\" >%s\n"
        "test \"$HOME|$(pwd)\" = '%s|/' && echo home >>%s",
        output, user ? user->pw_dir : "/", output);
    script(body);
    is_int(hook_start(&hook, &call, 0), 0, "started");
    ok(hook_start(&hook, &call, 0) < 0 && errno == EBUSY, "one at a time");
    is_int(wait_end(&hook), HOOK_GOOD, "ended well");
    is_int(hook_poll(&hook, 0), HOOK_IDLE, "told once");
    FILE *in = fopen(output, "r");
    if (in)
        text[fread(text, 1, sizeof text - 1, in)] = '\0', fclose(in);
    is_str(text,
           "issued|shop|a.test *.a.test|/s/c|/s/k||_acme-challenge.a.test|x.b.test|v|"
           "/usr/bin:/bin|\nhome\n",
           "what it gets, and where it is at home");
    is_str(hook.why, "", "nothing is wrong");
    script("echo one; printf 'no \\033[1m way\\n\\n'; exit 3");
    ok(hook_start(&hook, &call, 0) == 0 && wait_end(&hook) == HOOK_BAD, "an exit code is bad");
    is_str(hook.why, "exit code 3: no \\x1b[1m way", "told with its last line, escaped");
    script("echo it broke; printf ' \\t \\r\\n\\r\\n  '; exit 3");
    ok(hook_start(&hook, &call, 0) == 0 && wait_end(&hook) == HOOK_BAD, "one that ends blank");
    is_str(hook.why, "exit code 3: it broke", "told with the last line that can be seen");
    script("printf '%0500d' 1; kill -9 $$");
    ok(hook_start(&hook, &call, 0) == 0 && wait_end(&hook) == HOOK_BAD, "a signal is, too");
    ok(strncmp(hook.why, "ended by signal 9: 000", 22) == 0 && strlen(hook.why) < HOOK_WHY,
       "told, and bounded: %s", hook.why);
    script("sleep 100 & sleep 100");
    is_int(hook_start(&hook, &call, 0), 0, "one that hangs");
    is_int(hook_poll(&hook, HOOK_DEADLINE_MS - 1), HOOK_RUNS, "may run for a while");
    is_int(hook_poll(&hook, HOOK_DEADLINE_MS), HOOK_BAD, "then it is ended");
    is_int(hook_poll(&hook, HOOK_DEADLINE_MS), HOOK_IDLE, "for good");
    is_str(hook.why, "it took longer than 120 s and was ended", "and why");
    script("kill -9 $PPID; sleep 1");
    bool lost =
        hook_start(&hook, &call, 0) < 0 ? errno == ECANCELED : wait_end(&hook) == HOOK_LOST;
    ok(lost && !hook.pid, "the process that runs it was killed: how it ended is not known");
    is_str(hook.why, "the process that runs it was killed", "which is told");
    script("exit 0");
    ok(hook_start(&hook, &call, 0) == 0 && wait_end(&hook) == HOOK_GOOD,
       "the next run is fine");
    ok(!hook_missing(program), "it is there");
    unlink(program);
    /* Under valgrind vfork() is fork(): posix_spawn() succeeds, and the exit code tells. */
    bool refused = hook_start(&hook, &call, 0) < 0;
    ok(refused ? errno == ENOENT && !hook.pid : wait_end(&hook) == HOOK_BAD, "no such program");
    ok(hook_missing(program) && *hook.why, "which is told");
    call.program = "/bin/true";
    ok(hook_start(&hook, &call, 0) < 0 && errno == EPERM, "no other program is started");
    hook_close();
    call.program = program;
    ok(hook_start(&hook, &call, 0) < 0 && !hook.pid, "nor any, without who starts it");
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
